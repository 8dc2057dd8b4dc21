"""MemoryDNN: the K parallel DNNs of DDLO and the replay memory from which all of them learn.

Source of the algorithm, with its quirks, and of the interface: the released package (docs/details.md).
Blocks of frames, seeds, candidate rules, files and compiled code are not in the paper. Deciding needs
NumPy only; TensorFlow, or PyTorch, is imported for the first training step.
"""

import copy
import functools
import warnings
from dataclasses import replace

import numpy as np

from ddlo import checks
from ddlo.candidates import Flips, check_rule, describe_rule, rule_from, threshold
from ddlo.dnns import BACKENDS, adam, backend_module, check_layers, initial_state, numpy_of, relu
from ddlo.files import read_archive, write_archive
from ddlo.network import Compilable
from ddlo.scale import RELEASED, describe_scale, scale_from

FAR = 150  # inputs of a greater magnitude need another scale
# Parameters that a file has as numbers. main.py has a parameter for each but beta1.
NUMBERS = ("net_num", "learning_rate", "training_interval", "batch_size", "memory_size", "beta1")
# Parameters that cannot change, because the DNNs, the memory and compiled code depend on them.
FIXED = ("net", "layers", "net_num", "memory_size", "beta1", "shared", "backend")


class MemoryDNN(Compilable, compiled=True):
    """K DNNs that map the state of a frame to offloading decisions, and their shared replay memory.

    net: neurons of each layer, [n_in, hidden ..., n_out], or a list of such lists with other hidden layers
        for each DNN
    net_num: K, the number of DNNs
    learning_rate, beta1: of Adam
    training_interval: time frames between training steps
    batch_size, memory_size: entries in the mini-batch of each DNN, and in the replay memory
    output_graph: without effect, as TensorFlow 1 graphs are gone
    seed: of weights and mini-batches; None draws one from np.random, so that np.random.seed counts
    candidates: candidate rule (logits, xp) -> candidates, see ddlo/candidates.py
    scale: from states to inputs, see ddlo/scale.py, applied by DDLO; 10*d - 200 as released
    shared: N users who share the DNNs. Each DNN then maps one user's inputs to that user's decision, so a
        frame has N*n_in inputs and N*n_out tasks, and a mini-batch pairs (frame, user)
    backend: what trains the DNNs, "tensorflow" or "torch"

    The defaults are the released values. All but output_graph and seed are attributes (`lr` for
    learning_rate); those not in FIXED can be set later. `memory`, float32 (memory_size, n_in + n_out),
    is a ring of rows h, m, of one user after the other if shared; entry i, from 1, is in row i %
    memory_size. `memory_counter` is 1 plus the number of entries ever stored. `cost_his` has K lists of
    training costs. Raises ValueError for a parameter out of range.
    """

    training_start = 512  # least memory_counter to train, whatever the memory's size, as released

    def __init__(
        self,
        net,
        net_num,
        learning_rate=0.01,
        training_interval=10,
        batch_size=128,
        memory_size=1024,
        output_graph=False,
        seed=None,
        candidates=threshold,
        beta1=0.09,
        scale=RELEASED,
        shared=None,
        backend="tensorflow",
    ):
        self.net_num = checks.integer("net_num", net_num)
        self.layers, self.net = check_layers(net, self.net_num), copy.deepcopy(list(net))
        self.backend = checks.choice("backend", backend, BACKENDS)
        self.learning_rate, self.training_interval = learning_rate, training_interval
        self.batch_size, self.memory_size = batch_size, checks.integer("memory_size", memory_size)
        self.beta1 = checks.number("beta1", beta1, high=1 - 2**-24)  # below 1 in float32
        self.shared = None if shared is None else checks.integer("shared", shared)
        self.candidates, self.scale = candidates, scale
        self.reset(seed)

    learning_rate = property(lambda self: self.lr, lambda self, value: setattr(self, "lr", value))
    users = property(lambda self: self.shared or 1)  # whose inputs are decided one by one
    n_in = property(lambda self: self.users * self.layers[0][0])  # inputs of a frame
    n_out = property(lambda self: self.users * self.layers[0][-1])  # tasks of a frame

    def reset(self, seed=None):
        """Start again like a new object with this seed, but keep the compiled code."""
        if seed is None:  # np.random is what scripts for the released package seed
            seed = np.random.randint(2**32, size=4, dtype=np.uint32)
        else:
            checks.integer("seed", seed, 0)
        self._random = np.random.default_rng(seed)
        self.memory = np.zeros((self.memory_size, self.n_in + self.n_out), np.float32)
        self.memory_counter = 1
        self.cost_his = [[] for _ in range(self.net_num)]
        self.raw_state = initial_state(self.layers, self.beta1, self._random)

    @property
    def state(self):
        """The weights, Adam's moments m and v, and beta1**t and beta2**t of the next step t: NumPy.

        `raw_state` is the same, but tensors after training, which compiled code need not convert.
        """
        *layers, powers = self.raw_state
        return [*([numpy_of(w) for w in each] for each in layers), numpy_of(powers)]

    # The DNNs

    def forward(self, weights, h, xp=np):
        """Return the logits (K, B, n_out) of inputs h: (B, n_in) for all DNNs or (K, B, n_in).

        `weights` is [w1, b1, w2, b2, ...], w (K, n_in, n_out) and b (K, n_out) of each layer. Decisions
        and training both call it, with NumPy arrays or tensors: a subclass changes the layers here.
        """
        *hidden, (w_out, b_out) = zip(weights[::2], weights[1::2])
        for w, b in hidden:
            h = relu(h @ w + b[:, None], xp)
        return h @ w_out + b_out[:, None]

    def logits(self, weights, h, xp=np):
        """Return the logits (K, B, n_out) of frames with inputs (B, n_in), of each user if shared."""
        z = self.forward(weights, xp.reshape(h, (-1, self.layers[0][0])), xp)
        return xp.reshape(z, (self.net_num, h.shape[0], self.n_out))

    def inputs(self, network, states):
        """Return the inputs (B, n_in) of the DNNs for states (B, S) of a network, scaled."""
        if self.shared:
            return self.scale(network.user_features(states)).reshape(len(states), self.n_in)
        return self.scale(states)

    def decode(self, h):
        """Return the candidate decisions for inputs (n_in,) or (B, n_in): 1 offload, 0 local.

        One frame gives a list of C int32 arrays (n_out,), as released; a block gives the same decisions
        as an int32 array (C, B, n_out). Raises ValueError for another shape or infinite inputs.
        """
        h = self.check_inputs(h)
        # In float64, so that rounding, which differs in compiled code, does not change a decision. In
        # NumPy, because a call into TensorFlow takes longer than one frame.
        inputs = (h[None] if h.ndim == 1 else h).astype(np.float64)
        logits = self.logits(self._decision_weights, inputs)
        decisions = self.candidates(logits, np).astype(np.int32)
        return list(decisions[:, 0]) if h.ndim == 1 else decisions

    @functools.cached_property
    def _decision_weights(self):
        return [w.astype(np.float64) for w in self.state[0]]

    # The replay memory

    def encode(self, h, m):
        """Remember decisions m for inputs h, and call `learn` whenever a training step is due.

        Takes h (n_in,) or (B, n_in) and m (n_out,) or (B, n_out), 0 or 1; a block has the same effect as
        its rows one after the other. Raises ValueError for invalid arrays, FloatingPointError if the
        training diverges.
        """
        for entries in self.blocks(self._entries(h, m)):
            due = len(entries) == self.frames_to_training
            self._store(entries)
            if due:
                self.learn()

    def remember(self, h, m):
        """Store one entry or a block in the replay memory: `encode` without training."""
        self._store(self._entries(h, m))

    def _entries(self, h, m):
        """Return rows of the memory, checked: float32 (B, n_in + n_out)."""
        h = self.check_inputs(h)
        m = checks.array("m", m, np.float32, shape=(*h.shape[:-1], self.n_out))
        return self.join(np.atleast_2d(h), np.atleast_2d(checks.binary("m", m)))

    def _store(self, entries):
        self.memory[self.rows(len(entries))] = entries
        self.memory_counter += len(entries)

    def rows(self, entries):
        """Return the rows of the memory for the next entries: int32 (entries,)."""
        return ((self.memory_counter + np.arange(entries)) % self.memory_size).astype(np.int32)

    def join(self, h, m, xp=np):
        """Return rows of the memory (B, n_in + n_out) for inputs and decisions."""
        (n_in, *_, n_out), B = self.layers[0], h.shape[0]
        parts = xp.reshape(h, (B, self.users, n_in)), xp.reshape(m, (B, self.users, n_out))
        return xp.reshape(xp.concatenate(parts, axis=-1), (B, self.n_in + self.n_out))

    def draw(self, memory_counter):
        """Draw the rows of the mini-batches at that counter, with replacement: int32 (K, batch_size).

        As released, row 0 can be drawn from the start, although it is zeros until the ring is full. If
        shared, user n of row i is number i*N + n.
        """
        filled = min(memory_counter, self.memory_size) * self.users
        return self._random.integers(filled, size=(self.net_num, self.batch_size), dtype=np.int32)

    @property
    def frames_to_training(self):
        """The number of entries until the next training step."""
        earliest = max(self.memory_counter + 1, self.training_start)
        interval = self.training_interval
        return -(-earliest // interval) * interval - self.memory_counter

    def blocks(self, frames):
        """Yield frames (B, ...) in blocks that end with a training step; encode each before the next."""
        while len(frames):
            due = self.frames_to_training
            yield frames[:due]
            frames = frames[due:]

    # Training

    def learn(self):
        """Train every DNN for one step on its own mini-batch from the replay memory.

        Raises FloatingPointError if a training cost is not finite.
        """
        rate, rows = np.asarray(self.lr, np.float32), self.draw(self.memory_counter)
        state, cost = self._compiled_train(self.raw_state, rate, self.memory, rows)
        self.trained(state, numpy_of(cost)[None])

    @functools.cached_property
    def _compiled_train(self):
        return backend_module(self.backend).compiled(self.train)

    def train(self, state, rate, memory, sample_index):
        """Return the state, tensors, after a training step of every DNN, and the costs before it (K,)."""
        backend, n_in = backend_module(self.backend), self.layers[0][0]
        rows = backend.xp.reshape(memory, (-1, n_in + self.layers[0][-1]))
        batch = backend.gather(rows, sample_index)
        h, decision = batch[..., :n_in], batch[..., n_in:]

        def costs(weights):
            logits = self.forward(weights, h, backend.xp)
            return backend.xp.mean(backend.cross_entropy(decision, logits), axis=(1, 2))

        # The gradient of the sum of the costs; each depends only on the weights of one DNN.
        cost, gradients = backend.gradients(costs, state[0])
        return adam(state, gradients, rate, np.float32(self.beta1), backend.xp), cost

    def trained(self, state, costs):
        """Take over the state after training steps with these costs (steps, K)."""
        self.raw_state = state
        for i, k in np.argwhere(~np.isfinite(costs)):
            step = len(self.cost_his[k]) + i + 1
            raise FloatingPointError(
                f"the training of DNN {k + 1} diverges at training step {step}: try a smaller "
                f"learning_rate ({self.lr:g}; released: 0.01), or scale the inputs to -100 to 100"
            )
        for k, history in enumerate(self.cost_his):
            history.extend(costs[:, k].tolist())

    def plot_cost(self, path=None):
        """Plot the training costs, as `ddlo.plots.plot_training_cost` describes."""
        from ddlo.plots import plot_training_cost

        plot_training_cost(self.cost_his, path)

    # Weights and files

    def for_users(self, users):
        """Return a copy of shared DNNs for another number of users; it can continue learning.

        Its replay memory and costs are empty. Raises ValueError if the DNNs are not shared.
        """
        if not self.shared:
            raise ValueError("the number of users is fixed, unless the DNNs are shared")
        net, rule = copy.copy(self), self.candidates
        vars(net)["shared"] = checks.integer("shared", users)
        net.candidates = replace(rule, users=users) if isinstance(rule, Flips) else copy.copy(rule)
        net.reset(0)
        net.raw_state, net._random = self.raw_state, copy.deepcopy(self._random)
        return net

    def get_weights(self):
        """Return [w1, b1, w2, b2, ...]: float32 w (K, n_in, n_out) and b (K, n_out) of each layer."""
        return [w.copy() for w in self.state[0]]

    def set_weights(self, weights):
        """Set the weights, a list as from `get_weights`; Adam's moments stay. Raises ValueError.

        Weights beyond the neurons of a smaller DNN must be 0.
        """
        self.raw_state = [_like("weights", weights, self.state[0]), *self.state[1:]]

    def save(self, path):
        """Save everything to a NumPy archive, whole or not at all; .npz is the default suffix."""
        write_archive(path, *self.content())

    def content(self):
        """Return the content of a saved file: arrays by name, and dicts by name for JSON."""
        parameters = {name: getattr(self, name) for name in ("net", "shared", *NUMBERS)}
        parameters["candidates"] = describe_rule(self.candidates)
        parameters["scale"] = describe_scale(self.scale)
        weights, m, v, powers = self.state
        arrays = {f"variable_{i}": w for i, w in enumerate([*weights, *m, *v, powers])}
        arrays["memory"], arrays["memory_counter"] = self.memory, np.array(self.memory_counter)
        arrays["cost_his"] = np.array(self.cost_his)
        return arrays, {"parameters": parameters, "random_state": self._random.bit_generator.state}

    @classmethod
    def load(cls, path, candidates=None, scale=None, backend="tensorflow"):
        """Return the MemoryDNN saved to `path`; it continues exactly where that one stopped.

        `candidates` and `scale` replace the saved ones; custom ones are not saved and must be passed
        again. Raises FileNotFoundError if there is no such file, ValueError for any other file.
        """
        with read_archive(path, "a saved MemoryDNN") as (content, text):
            parameters = text("parameters")
            parameters["candidates"] = candidates or rule_from(parameters["candidates"])
            parameters["scale"] = scale or scale_from(parameters.get("scale", {}))
            net = cls(**parameters, seed=0, backend=backend)
            net._random.bit_generator.state = text("random_state")
            net.memory_counter = checks.integer("memory_counter", content["memory_counter"][()])
            costs = content["cost_his"]
            shape = (net.net_num, costs.shape[-1])
            net.cost_his = checks.array("cost_his", costs, shape=shape).tolist()
            weights, m, v, powers = net.state
            expected, n = [*weights, *m, *v, powers, net.memory], len(weights)
            found = [content[f"variable_{i}"] for i in range(3 * n + 1)] + [content["memory"]]
            *variables, powers, net.memory = _like("the content", found, expected)
            net.raw_state = [variables[:n], variables[n : 2 * n], variables[2 * n :], powers]
        return net

    # Checks

    def check_inputs(self, h):
        """Return inputs as a float32 array (n_in,) or (B, n_in). Raises ValueError."""
        h = checks.array("h", h)
        if h.ndim not in (1, 2) or h.shape[-1] != self.n_in:
            raise ValueError(f"h must have shape ({self.n_in},) or (B, {self.n_in}), got {h.shape}")
        if not np.abs(h).max(initial=0) <= FAR:  # also if one is NaN
            checks.finite("h", checks.array("h", h, np.float32))
            if np.mean(np.abs(h) > FAR) >= 0.5:  # more than a few outliers
                warnings.warn(
                    "the inputs of the DNNs are far outside -100 to 100, where learning suffers: scale "
                    "them with Scale.of(states), see docs/usage.md"
                )
        return h.astype(np.float32)

    def __setattr__(self, name, value):
        if name in FIXED and name in vars(self):
            raise AttributeError(f"{name} of a MemoryDNN is fixed: make a new one")
        if name in ("training_interval", "batch_size"):
            value = checks.integer(name, value)
        elif name == "lr":
            value = checks.number("learning_rate", value, positive=True)
        elif name == "candidates":
            value = check_rule(value, self.net_num, self.n_out)
        elif name == "raw_state":
            vars(self).pop("_decision_weights", None)
        super().__setattr__(name, value)

    def __getstate__(self):  # compiled code is not part of a copy
        state = {name: value for name, value in vars(self).items() if name != "_compiled_train"}
        return state | {"raw_state": self.state}


def _like(name, arrays, expected):
    """Return finite float32 copies of arrays with the shapes of the expected ones."""
    if not np.iterable(arrays) or len(arrays) != len(expected):
        raise ValueError(f"{name} must be {len(expected)} arrays, got {checks.quoted(arrays)}")
    copies = []
    for i, (array, like) in enumerate(zip(arrays, expected)):
        array = checks.array(f"{name}[{i}]", array, np.float32, like.shape)
        copies.append(checks.finite(f"{name}[{i}]", array).copy())
    return copies

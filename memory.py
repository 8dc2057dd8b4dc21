"""MemoryDNN: the K parallel DNNs of DDLO and the replay memory from which all of them learn.

Source of the algorithm and the interface: the package released with Huang et al. 2018, whose quirks
are kept (docs/details.md lists them). Blocks of frames, seeds, candidate rules, files and compiled
code are ours.
"""

import json

import numpy as np

from ddlo import checks
from ddlo.backend import compile_quietly, tf
from ddlo.candidates import checked_rule, described, from_description, threshold
from ddlo.files import check_content, read_archive, write_archive
from ddlo.inputs import RELEASED, described_scale, scale_from

# Adam's other constants; its beta1 is 0.09 in the released package.
BETA2, EPSILON = np.float32(0.999), np.float32(1e-8)
# The DNNs train once memory_counter is this high, whatever the size of the memory (as released).
TRAINING_START = 512
# What an object is made of. The other parameters can be changed later.
FIXED = ("net", "net_num", "memory_size", "output_graph", "candidates", "beta1")


class MemoryDNN:
    """K DNNs that map task sizes to offloading decisions, and the replay memory they share.

    Parameters
    ----------
    net : sequence of int
        Neurons of each layer, [n_in, hidden ..., n_out].
    net_num : int
        K, the number of DNNs.
    learning_rate : float
        Of Adam; positive and finite.
    training_interval : int
        Entries of the memory between two training steps.
    batch_size : int
        Entries in a mini-batch; each DNN draws its own.
    memory_size : int
        Entries the memory holds.
    output_graph : bool
        Write the training cost of every DNN below logs/ for TensorBoard.
    seed : int or None
        Of initial weights and mini-batches: the same seed is the same run. None draws one from
        np.random: another each time, unless np.random.seed was called.
    candidates : callable
        Candidate rule (logits, xp) -> candidates: see ddlo/candidates.py. As released, `threshold`:
        one candidate of each DNN.
    beta1 : float
        Of Adam, below 1; 0.09 as released.
    scale : callable
        From the state of a frame to the DNNs' inputs, see ddlo/inputs.py: not used here, but saved
        with the DNNs, which go with it. As released, 10*d - 200.

    Attributes
    ----------
    net, net_num, lr, training_interval, batch_size, memory_size, output_graph, candidates, beta1, scale
        The parameters. lr, training_interval and batch_size can be set, and count from the next step
        on; setting those that the DNNs or the memory are made of raises AttributeError.
    memory : float32 array (memory_size, n_in + n_out)
        A ring of rows h, then m; zeros at first.
    memory_counter : int
        1 plus the number of entries so far; the next one goes to row memory_counter % memory_size.
    cost_his : list of K lists of float
        Each DNN's training costs.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the candidate rule does not suit the layers.
    """

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
    ):
        layers = list(net) if np.iterable(net) else []
        if len(layers) < 2:
            raise ValueError(f"net must have an input and an output layer at least, got {net}")
        self.net = [checks.integer(f"net[{i}]", width) for i, width in enumerate(layers)]
        self.net_num = checks.integer("net_num", net_num)
        checks.number("learning_rate", learning_rate, positive=True)
        self.lr, self.training_interval = learning_rate, training_interval
        self.batch_size = batch_size
        self.memory_size = checks.integer("memory_size", memory_size)
        self.output_graph = bool(output_graph)
        self.beta1 = float(checks.number("beta1", beta1))
        if self.beta1 >= 1:
            raise ValueError(f"beta1 must be below 1, got {beta1}")
        if hasattr(type(self), "candidates"):
            raise ValueError(
                f"candidates must be a parameter, not a method of {type(self).__name__}"
            )
        self.candidates = checked_rule(candidates, self.net_num, self.net[-1])
        self.scale = scale

        self.memory = np.empty((self.memory_size, self.net[0] + self.net[-1]), np.float32)
        shapes = []
        for n_in, n_out in zip(self.net, self.net[1:]):
            shapes += [(self.net_num, n_in, n_out), (self.net_num, n_out)]
        self._weights, self._adam_m, self._adam_v = (
            [tf.Variable(tf.zeros(shape)) for shape in shapes] for _ in range(3)
        )
        self._adam_powers = tf.Variable(tf.zeros(2))  # beta1**t and beta2**t of the next step t
        self._compile()
        self.reset(seed)

    def _compile(self):
        compile_quietly()
        self._rate = tf.Variable(self.lr, dtype=tf.float32)  # a constant would be compiled in
        self._compiled_train = tf.function(self.train, jit_compile=True)
        self._log = tf.summary.create_file_writer("logs") if self.output_graph else None

    def __setattr__(self, name, value):
        if name in FIXED and name in vars(self):
            raise AttributeError(f"{name} of a MemoryDNN is fixed: make a new one")
        if name in ("training_interval", "batch_size"):
            value = checks.integer(name, value)
        elif name == "lr":
            value = float(checks.number(name, value, positive=True))
            if "_rate" in vars(self):
                self._rate.assign(value)
        elif name == "scale" and not callable(value):
            raise ValueError(f"scale must be a callable, got {checks.quoted(value)}")
        super().__setattr__(name, value)

    # For pickle and copy.deepcopy: TensorFlow's objects are made anew.

    def __getstate__(self):
        variables = [v.numpy() for v in self._variables()]
        made = (
            "_weights",
            "_adam_m",
            "_adam_v",
            "_adam_powers",
            "_rate",
            "_compiled_train",
            "_log",
        )
        state = {name: value for name, value in vars(self).items() if name not in made}
        return state | {"variables": variables}

    def __setstate__(self, state):
        *arrays, self._adam_powers = (tf.Variable(v) for v in state["variables"])
        vars(self).update({name: value for name, value in state.items() if name != "variables"})
        layers = len(arrays) // 3
        self._weights, self._adam_m, self._adam_v = (
            arrays[i : i + layers] for i in range(0, len(arrays), layers)
        )
        self._compile()

    def reset(self, seed=None):
        """Re-initialise, as a new object with that seed, but with what is compiled already.

        Raises ValueError if the seed is out of its range.
        """
        seed = None if seed is None else checks.integer("seed", seed, 0)
        # np.random is what the released package draws from, and what scripts seed.
        entropy = np.random.randint(2**32, size=4, dtype=np.uint32) if seed is None else seed
        self._random = np.random.default_rng(entropy)
        self.memory[:] = 0
        self.memory_counter = 1
        self.cost_his = [[] for _ in range(self.net_num)]
        for variable in [*self._weights, *self._adam_m, *self._adam_v]:
            variable.assign(tf.zeros_like(variable))
        for w in self._weights[::2]:  # biases start as 0
            # As released, 1 / n_in of the first layer is the standard deviation in every layer.
            w.assign(self._random.normal(0, 1 / self.net[0], w.shape).astype(np.float32))
        self._adam_powers.assign([self.beta1, BETA2])
        self._decision_weights = None  # of `decode`; fetched when it needs them

    # The released interface

    def decode(self, h):
        """Return the candidate decisions for inputs: as released, that of every DNN.

        Parameters
        ----------
        h : array_like (n_in,) or (B, n_in)
            Input of a time frame, or of a block of B frames; finite.

        Returns
        -------
        list of C int32 arrays (n_out,), or int32 array (C, B, n_out) for a block
            1 (offload) where a logit is above 0, else 0: of K DNNs as released, or what another
            candidate rule makes of the logits. A block gives what its frames give one by one.

        Raises
        ------
        ValueError
            If h has another shape, or an entry that is not finite.
        """
        h = self._checked("h", h, self.net[0])
        if self._decision_weights is None:
            self._decision_weights = [w.astype(np.float64) for w in self.get_weights()]
        # In NumPy, because a call into TensorFlow takes longer than all it computes for a frame; in
        # float64, so that rounding, which differs from compiled code's, does not turn a decision.
        frames = np.atleast_2d(h).astype(np.float64)
        logits = forward(self._decision_weights, frames, lambda x: np.maximum(x, 0))
        decisions = self.candidates(logits, np).astype(np.int32)
        return list(decisions[:, 0]) if h.ndim == 1 else decisions

    def encode(self, h, m):
        """Remember decision m for input h, and call `learn` whenever a training step is due.

        Parameters
        ----------
        h : array_like (n_in,) or (B, n_in)
            As in `decode`.
        m : array_like (n_out,) or (B, n_out)
            The decision, 0 or 1. A block does what its rows would do one after the other.

        Raises
        ------
        ValueError
            If a shape does not match, an input is not finite, or a decision is neither 0 nor 1.
        FloatingPointError
            If a training cost is not finite.
        """
        for entries in self.blocks(self._entries(h, m)):
            due = len(entries) == self.frames_to_training
            self._store(entries)
            if due:
                self.learn()

    def remember(self, h, m):
        """Put an entry or a block of them into the replay memory: `encode` without training."""
        self._store(self._entries(h, m))

    def learn(self, sample_index=None):
        """Train every DNN for one step, on a mini-batch of its own from the replay memory.

        Parameters
        ----------
        sample_index : integer array_like (K, batch_size), optional
            Rows of the memory to train on; drawn with `draw` if not given.

        Raises
        ------
        ValueError
            If sample_index is not as above.
        FloatingPointError
            If a training cost is not finite.
        """
        if sample_index is None:
            sample_index = self.draw(self.memory_counter)
        sample_index, shape = np.asarray(sample_index), (self.net_num, self.batch_size)
        if sample_index.shape != shape or sample_index.dtype.kind not in "iu":
            raise ValueError(
                f"sample_index must be integers of shape {shape}, net_num and batch_size, got "
                f"{sample_index.dtype} of shape {sample_index.shape}"
            )
        low, high = sample_index.min(), sample_index.max()
        if low < 0 or high >= self.memory_size:
            raise ValueError(
                f"sample_index must be rows 0 to {self.memory_size - 1} of the memory, got {low} to "
                f"{high}"
            )
        cost = self._compiled_train(self.memory, sample_index.astype(np.int32))
        self._trained(cost.numpy()[None])

    def plot_cost(self, path=None):
        """Plot the training cost of every DNN against training steps.

        Saved to `path` if given, as PNG, PDF and CSV (what is drawn) if it has no suffix; else shown in
        a window, or without a screen saved to training_cost.png.
        """
        from ddlo.plots import plot_training_cost

        plot_training_cost(self.cost_his, path)

    # Blocks of frames

    @property
    def frames_to_training(self):
        """How many more entries until the next training step."""
        earliest = max(self.memory_counter + 1, TRAINING_START)
        interval = self.training_interval
        return -(-earliest // interval) * interval - self.memory_counter

    def blocks(self, frames):
        """Yield frames (B, ...) in blocks that end with a training step, but for the last block.

        Within a block the DNNs do not change. Each block has to be encoded before the next is asked
        for.
        """
        while len(frames):
            due = self.frames_to_training
            yield frames[:due]
            frames = frames[due:]

    # Weights and files

    def get_weights(self):
        """Return [w1, b1, w2, b2, ...]: float32 w (K, n_in, n_out) and b (K, n_out) of each layer."""
        return [w.numpy().copy() for w in self._weights]

    def set_weights(self, weights):
        """Set the weights, given as `get_weights` returns them. Adam's moments stay as they are.

        Raises ValueError if the number of arrays or a shape differs, or an entry is not finite.
        """
        if not np.iterable(weights):
            raise ValueError(f"weights must be a list of arrays, got {weights}")
        weights = [checks.array(f"weights[{i}]", w, np.float32) for i, w in enumerate(weights)]
        found, expected = ([tuple(w.shape) for w in ws] for ws in (weights, self._weights))
        if found != expected:
            raise ValueError(f"weights must have shapes {expected}, got {found}")
        for i, w in enumerate(weights):
            checks.finite(f"weights[{i}]", w)
        for variable, w in zip(self._weights, weights):
            variable.assign(w)
        self._decision_weights = None

    def save(self, path):
        """Save parameters, weights, Adam's moments, replay memory, counters, costs and random state.

        The file is a NumPy archive, written whole or not at all; .npz is added to a path without a
        suffix.
        """
        write_archive(path, *self._content())

    def _content(self):
        """Return what is in a file, which is all that makes this object: arrays and texts by name."""
        names = ("net", "net_num", "training_interval", "batch_size", "memory_size")
        parameters = {name: getattr(self, name) for name in names}
        parameters |= {"learning_rate": self.lr, "beta1": self.beta1}
        parameters["candidates"] = described(self.candidates)
        parameters["scale"] = described_scale(self.scale)
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(self._variables())}
        arrays |= {
            "memory": self.memory,
            "memory_counter": np.array(self.memory_counter),
            "cost_his": np.array(self.cost_his),
        }
        return arrays, {"parameters": parameters, "random_state": self._random.bit_generator.state}

    @classmethod
    def load(cls, path, candidates=None, scale=None, output_graph=False):
        """Return the MemoryDNN saved to `path`, which resumes exactly where the saved one stopped.

        `candidates` and `scale` take the place of the saved ones; those that are none of ours (of
        ddlo.candidates.RULES, or a ddlo.inputs.Scale) have to be given again. `output_graph` is not
        saved: no file makes this write another one. Raises FileNotFoundError if there is no such file,
        ValueError if it is not one of `save`'s: all that is in it is checked.
        """
        with read_archive(path, "a saved MemoryDNN") as (content, text):
            saved = text("parameters")
            saved.pop("output_graph", None)  # of earlier versions
            given = saved | {
                "candidates": candidates or from_description(saved["candidates"]),
                "scale": scale or scale_from(saved.get("scale", {})),
            }
            loaded = cls(**given, output_graph=output_graph)
            loaded._random.bit_generator.state = text("random_state")
            loaded.memory_counter = checks.integer("memory_counter", content["memory_counter"][()])
            loaded.cost_his = content["cost_his"].tolist()
            loaded.memory[:] = checks.array("memory", content["memory"], np.float32)
            for i, variable in enumerate(loaded._variables()):
                variable.assign(content[f"variable_{i}"])
            loaded._check_values()
            # What it would save is what is in the file, to the last bit and type.
            arrays, texts = loaded._content()
            replaced = [candidates and "candidates", (scale or "scale" not in saved) and "scale"]
            for name in filter(None, replaced):
                saved[name] = texts["parameters"][name]
            check_content(content | {"parameters": np.array(json.dumps(saved))}, arrays, texts)
        return loaded

    def _check_values(self):
        """Raise ValueError where a value is one that no DDLO comes to."""
        checks.finite("memory", self.memory)
        checks.binary("memory", self.memory[:, self.net[0] :])
        costs = checks.array("cost_his", self.cost_his)
        if costs.ndim != 2 or len(costs) != self.net_num:
            raise ValueError(f"cost_his must be of {self.net_num} DNNs, got shape {costs.shape}")
        checks.sizes("cost_his", costs)
        for values in self._weights + self._adam_m:
            checks.finite("weights and Adam's moments", values.numpy())
        for values in self._adam_v:
            checks.sizes("Adam's second moments", values.numpy())
        powers = self._adam_powers.numpy()
        checks.every("Adam's powers", powers, (powers >= 0) & (powers < 1), "in [0, 1)")

    # Pieces for compiled code: what `decode`, `encode` and `learn` are made of

    def logits(self, h):
        """Return the DNNs' logits, a tensor (K, B, n_out) of h's dtype, for inputs h, (B, n_in)."""
        return forward([tf.cast(w, h.dtype) for w in self._weights], h, tf.nn.relu)

    def train(self, memory, sample_index):
        """Train every DNN for one step; return the costs before it, float32 tensor (K,).

        The DNNs see rows sample_index, int32 (K, batch_size), of the memory, a float32 tensor.
        """
        batch = tf.gather(memory, sample_index)
        h, decision = batch[..., : self.net[0]], batch[..., self.net[0] :]
        with tf.GradientTape() as tape:
            loss = tf.nn.sigmoid_cross_entropy_with_logits(decision, self.logits(h))
            cost = tf.reduce_mean(loss, axis=(1, 2))
        # The gradient of the sum of the costs; each depends on the weights of its own DNN only.
        gradients = tape.gradient(cost, self._weights)
        # Adam as in TensorFlow 1: epsilon stays outside of the bias correction.
        beta1, power1, power2 = np.float32(self.beta1), self._adam_powers[0], self._adam_powers[1]
        rate = self._rate * tf.sqrt(1 - power2) / (1 - power1)
        for weight, m, v, gradient in zip(self._weights, self._adam_m, self._adam_v, gradients):
            m.assign_add((1 - beta1) * (gradient - m))
            v.assign_add((1 - BETA2) * (gradient * gradient - v))
            weight.assign_sub(rate * m / (tf.sqrt(v) + EPSILON))
        self._adam_powers.assign(self._adam_powers * [beta1, BETA2])
        return cost

    def draw(self, memory_counter):
        """Draw the rows to train on at that counter, with replacement: int32 array (K, batch_size).

        As released, row 0 is among them from the start, though it is zeros until the ring is full.
        """
        filled = min(memory_counter, self.memory_size)
        return self._random.integers(filled, size=(self.net_num, self.batch_size), dtype=np.int32)

    def rows(self, entries):
        """Return the rows of the memory that the next so many entries go to: int32 (entries,)."""
        return ((self.memory_counter + np.arange(entries)) % self.memory_size).astype(np.int32)

    def advance(self, memory, entries, costs):
        """Take over what compiled code did: memory, number of entries, costs (training steps, K)."""
        self.memory[:] = memory
        self.memory_counter += entries
        self._trained(costs)

    def _store(self, entries):
        self.memory[self.rows(len(entries))] = entries
        self.memory_counter += len(entries)

    def _trained(self, costs):
        """Record the costs, float32 (training steps, K), of steps that have changed the weights."""
        self._decision_weights = None
        steps = len(self.cost_his[0])
        bad = np.argwhere(~np.isfinite(costs))
        if len(bad):
            i, k = bad[0]
            raise FloatingPointError(
                f"the training diverges: the training cost of DNN {k + 1} is {costs[i, k]} at "
                f"training step {steps + i + 1}. Check learning_rate, {self.lr:g} here and 0.01 as "
                "released, and the range of the inputs, -100 to 100 as released"
            )
        for k, history in enumerate(self.cost_his):
            history.extend(costs[:, k].tolist())
        if self._log:
            from ddlo.report import log_costs

            log_costs(self._log, costs, steps)

    def _variables(self):
        return [*self._weights, *self._adam_m, *self._adam_v, self._adam_powers]

    def _checked(self, name, values, length):
        values = checks.array(name, values, np.float32)
        checks.block(name, checks.last_axis(name, values, length, "as in net"))
        return checks.finite(name, values)

    def _entries(self, h, m):
        """Return rows h, then m for the memory, checked: float32 (B, n_in + n_out)."""
        h, m = self._checked("h", h, self.net[0]), self._checked("m", m, self.net[-1])
        if h.shape[:-1] != m.shape[:-1]:
            raise ValueError(f"h and m must be as many, got shapes {h.shape} and {m.shape}")
        checks.binary("m", m)
        return np.atleast_2d(np.concatenate([h, m], axis=-1))


def forward(weights, h, relu):
    """Return K DNNs' logits (K, B, n_out) for inputs h, (B, n_in) for all or (K, B, n_in) for each.

    weights is [w1, b1, w2, b2, ...] with w (K, n_in, n_out) and b (K, n_out) of each layer. These
    are NumPy arrays or TensorFlow tensors, and `relu` is the function for such.
    """
    *hidden, (w_out, b_out) = zip(weights[::2], weights[1::2])
    for w, b in hidden:
        h = relu(h @ w + b[:, None])
    return h @ w_out + b_out[:, None]

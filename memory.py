"""MemoryDNN: the K parallel DNNs of DDLO and the replay memory from which all of them learn.

Source of the algorithm and the interface: the package released with Huang et al. 2018, whose quirks
are kept (README.md lists them). Blocks of frames, seeds, files and compiled code are ours.
"""

import contextlib
import functools
import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from MUMT import real_numbers


@contextlib.contextmanager
def quiet_stderr():
    """Silence stderr below Python, where some of TensorFlow's greetings heed no log level."""
    stderr = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():
    import tensorflow as tf
tf.get_logger().setLevel("ERROR")  # every MemoryDNN has functions of its own to trace: no warnings
# On a GPU too products are float32, as released: TensorFloat-32 would round at 1e-3.
tf.config.experimental.enable_tensor_float_32_execution(False)


def use_device(name=None):
    """Have TensorFlow compute on a device, before it has done anything; return what it is to use.

    Parameters
    ----------
    name : str, optional
        CPU, GPU, or one of several as TensorFlow numbers them, such as GPU:1. If not given it is
        TensorFlow's choice: a GPU that it sees, else the CPU.

    Raises
    ------
    ValueError
        If there is no such device, or TensorFlow has computed on another one already.
    """
    gpus = tf.config.list_physical_devices("GPU")
    seen = {"CPU": []} | {f"GPU:{i}": [gpu] for i, gpu in enumerate(gpus)}
    if name is None:
        return "GPU:0" if tf.config.get_visible_devices("GPU") else "CPU"
    chosen = {"CPU:0": "CPU", "GPU": "GPU:0"}.get(name.upper(), name.upper())
    if chosen not in seen:
        raise ValueError(f"there is no device {name}; TensorFlow sees {', '.join(seen)}")
    try:
        if tf.config.get_visible_devices("GPU") != seen[chosen]:
            tf.config.set_visible_devices(seen[chosen], "GPU")
    except RuntimeError as error:
        raise ValueError(f"too late to compute on {name}: {error}") from error
    return chosen


@functools.cache
def _compile_quietly():
    """Compile for the first time: before version 2.21 TensorFlow greets once more then."""
    with quiet_stderr():
        tf.function(lambda: tf.zeros(()), jit_compile=True)()


# Adam's constants; beta1 is 0.09 in the released package.
BETA1, BETA2, EPSILON = np.float32(0.09), np.float32(0.999), np.float32(1e-8)
# The DNNs train once memory_counter is this high, whatever the size of the memory (as released).
TRAINING_START = 512


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
        Entries of the memory between two trainings.
    batch_size : int
        Entries each DNN is trained on at a time.
    memory_size : int
        Entries the memory holds.
    output_graph : bool
        Write the training cost of every DNN below logs/ for TensorBoard.
    seed : int or None
        Of initial weights and mini-batches: the same seed is the same run, None another each time.
    flips : int
        More candidates of each DNN: in each one of its so many least sure tasks, those whose logit
        is closest to 0, is flipped. Not in the released package, as all below; 0 to n_out.
    user_flips : int
        More candidates of each DNN: in each one of the so many least sure tasks of every user is
        flipped, all users' at a time. They are for `recombine`. 0 to the tasks of a user.
    users : int
        Users whose tasks the n_out outputs are, in equal parts; for user_flips only.
    recombine : bool
        Whether main.py, when it decides, makes one more candidate of the parts of all others that
        are best for each user.

    Attributes
    ----------
    net, net_num, lr, training_interval, batch_size, memory_size, flips, user_flips, users, recombine
        The parameters.
    memory : float32 array (memory_size, n_in + n_out)
        A ring of rows h, then m; zeros at first.
    memory_counter : int
        1 plus the number of entries so far; the next one goes to row memory_counter % memory_size.
    cost_his : list of K lists of float
        Each DNN's training costs.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
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
        flips=0,
        user_flips=0,
        users=1,
        recombine=False,
    ):
        layers = list(net) if np.iterable(net) else []
        if len(layers) < 2:
            raise ValueError(f"net is {net}; an input and an output layer at least were expected")
        self.net = [_count(f"net[{i}]", width) for i, width in enumerate(layers)]
        self.net_num = _count("net_num", net_num)
        if not isinstance(learning_rate, (int, float, np.number)) or not 0 < learning_rate < np.inf:
            raise ValueError(
                f"learning_rate is {learning_rate!r}; a positive, finite number was expected"
            )
        self.lr = float(learning_rate)
        self.training_interval = _count("training_interval", training_interval)
        self.batch_size = _count("batch_size", batch_size)
        self.memory_size = _count("memory_size", memory_size)
        self.output_graph = bool(output_graph)
        self.users = _count("users", users)
        if self.net[-1] % self.users:
            raise ValueError(
                f"users is {users}; a divisor of {self.net[-1]}, the number of outputs, was expected"
            )
        self.flips = _count("flips", flips, 0, self.net[-1])
        self.user_flips = _count("user_flips", user_flips, 0, self.net[-1] // self.users)
        self.recombine = bool(recombine)

        self.memory = np.empty((self.memory_size, self.net[0] + self.net[-1]), np.float32)
        shapes = []
        for n_in, n_out in zip(self.net, self.net[1:]):
            shapes += [(self.net_num, n_in, n_out), (self.net_num, n_out)]
        self._weights, self._adam_m, self._adam_v = (
            [tf.Variable(tf.zeros(shape)) for shape in shapes] for _ in range(3)
        )
        self._adam_powers = tf.Variable([BETA1, BETA2])  # beta1**t and beta2**t of the next step t
        self.reset(seed)

        _compile_quietly()
        self._compiled_train = tf.function(self.train, jit_compile=True)
        block = tf.TensorSpec((self.training_interval, self.net[0]), tf.float32)
        self._compiled_logits = tf.function(self.logits, jit_compile=True, input_signature=[block])
        self._log = tf.summary.create_file_writer("logs") if self.output_graph else None

    def reset(self, seed=None):
        """Begin anew, as a new object with that seed does, but with what is compiled already.

        Raises ValueError if the seed is out of its range.
        """
        self._random = np.random.default_rng(None if seed is None else _count("seed", seed, 0))
        self.memory[:] = 0
        self.memory_counter = 1
        self.cost_his = [[] for _ in range(self.net_num)]
        for variable in [*self._weights, *self._adam_m, *self._adam_v]:
            variable.assign(tf.zeros_like(variable))
        for w in self._weights[::2]:  # biases start as 0
            # As released, 1 / n_in of the first layer is the standard deviation in every layer.
            w.assign(self._random.normal(0, 1 / self.net[0], w.shape).astype(np.float32))
        self._adam_powers.assign([BETA1, BETA2])
        # Fetched when `decode` needs them after a training.
        self._numpy_weights = self._absolute_weights = None

    # The released interface

    def decode(self, h):
        """Return the offloading decision of every DNN, and then of those that it flips.

        Parameters
        ----------
        h : array_like (n_in,) or (B, n_in)
            Input of a time frame, or of a block of B frames; finite.

        Returns
        -------
        int32 array (K, n_out) or (K, B, n_out)
            1 (offload) where a logit is above 0, else 0: for a block what it is frame by frame.
            With flips it is (K*(1 + flips + user_flips), ...): `candidates` has their order.

        Raises
        ------
        ValueError
            If h has another shape, or an entry that is not finite.
        """
        h = _inputs("h", h, self.net[0])
        frames = np.atleast_2d(h)
        if self._numpy_weights is None:
            self._numpy_weights = self.get_weights()
            self._absolute_weights = [np.abs(w) for w in self._numpy_weights]
        # In NumPy, because a call into TensorFlow takes longer than all it computes for a frame.
        logits = forward(self._numpy_weights, frames, _relu)
        # The two round differently, as NumPy does for blocks of other lengths: by up to 4e-9 of the
        # sum of all terms' absolute values, as measured. Compiled code is asked where a logit is so
        # near to 0 that rounding, even 200 times as large, could turn the decision.
        terms = forward(self._absolute_weights, np.abs(frames), _relu)
        rows = np.flatnonzero(self._unsure(logits, 1e-6 * terms))
        while len(rows):
            some, rows = np.split(rows, [self.training_interval])
            block = np.zeros((self.training_interval, self.net[0]), np.float32)
            block[: len(some)] = frames[some]
            logits[:, some] = self._compiled_logits(block).numpy()[:, : len(some)]
        decisions = self.candidates(logits).astype(np.int32)
        return decisions[:, 0] if h.ndim == 1 else decisions

    def encode(self, h, m):
        """Remember decision m for input h, and call `learn` whenever a training is due.

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
        entries = self._entries(h, m)
        while len(entries):
            due = self.frames_to_training
            self._store(entries[:due])
            if len(entries) >= due:
                self.learn()
            entries = entries[due:]

    def remember(self, h, m):
        """Put an entry or a block of them into the replay memory: `encode` without training."""
        self._store(self._entries(h, m))

    def learn(self, sample_index=None):
        """Train every DNN once, on a mini-batch of its own from the replay memory.

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
        sample_index = np.asarray(sample_index)
        shape = (self.net_num, self.batch_size)
        if sample_index.shape != shape or sample_index.dtype.kind not in "iu":
            raise ValueError(
                f"sample_index has shape {sample_index.shape} and type {sample_index.dtype}; "
                f"integers of shape {shape} were expected, net_num and batch_size"
            )
        if sample_index.min() < 0 or sample_index.max() >= self.memory_size:
            raise ValueError(
                f"sample_index goes from {sample_index.min()} to {sample_index.max()}; "
                f"rows 0 to {self.memory_size - 1} of the memory were expected"
            )
        cost = self._compiled_train(self.memory, sample_index.astype(np.int32))
        self._trained(cost.numpy()[None])

    @property
    def frames_to_training(self):
        """How many more entries until the next training: so many frames make one block."""
        earliest = max(self.memory_counter + 1, TRAINING_START)
        interval = self.training_interval
        return -(-earliest // interval) * interval - self.memory_counter

    def plot_cost(self, path=None):
        """Plot the training cost of every DNN against training steps.

        Saved to `path` if given; else shown in a window, or without a screen saved to
        training_cost.png.
        """
        import matplotlib.pyplot as plt
        from matplotlib.figure import Figure

        if path is None and plt.get_backend().lower() == "agg":
            path = "training_cost.png"
            print(f"no screen to show the training cost on: saved to {path}")
        figure = (plt.figure if path is None else Figure)(figsize=(8, 4.5), layout="constrained")
        axes = figure.add_subplot()
        step = np.arange(1, len(self.cost_his[0]) + 1)
        for k, cost in enumerate(self.cost_his):
            axes.plot(step, cost, linewidth=0.7, alpha=0.8, label=f"DNN {k + 1}")
        axes.set(xlabel="Training step", ylabel="Training cost (cross-entropy, nats)", yscale="log")
        axes.margins(x=0)
        axes.grid(alpha=0.3)
        if self.net_num <= 12:  # a longer legend would hide the lines
            axes.legend(ncols=3, loc="upper right", framealpha=1)
        plt.show() if path is None else figure.savefig(path, dpi=150)

    # Weights and files

    def get_weights(self):
        """Return [w1, b1, w2, b2, ...]: float32 w (K, n_in, n_out) and b (K, n_out) a layer."""
        return [w.numpy().copy() for w in self._weights]

    def set_weights(self, weights):
        """Set the weights, given as `get_weights` returns them. Adam's moments stay as they are.

        Raises ValueError if the number of arrays or a shape differs, or an entry is not finite.
        """
        if not np.iterable(weights):
            raise ValueError(f"weights are {weights}; a list of arrays was expected")
        weights = [real_numbers(f"weights[{i}]", w, np.float32) for i, w in enumerate(weights)]
        found, expected = ([tuple(w.shape) for w in ws] for ws in (weights, self._weights))
        if found != expected:
            raise ValueError(f"weights have shapes {found}; {expected} were expected")
        for i, w in enumerate(weights):
            _finite(f"weights[{i}]", w)
        for variable, w in zip(self._weights, weights):
            variable.assign(w)
        self._numpy_weights = None

    def save(self, path):
        """Save weights, Adam's moments, replay memory, counters, costs and random state to a file.

        The file is a NumPy archive, written whole or not at all; .npz is added to a path without a
        suffix.
        """
        path = _npz(path)
        parameters = {
            "net": self.net,
            "net_num": self.net_num,
            "learning_rate": self.lr,
            "training_interval": self.training_interval,
            "batch_size": self.batch_size,
            "memory_size": self.memory_size,
            "output_graph": self.output_graph,
            "flips": self.flips,
            "user_flips": self.user_flips,
            "users": self.users,
            "recombine": self.recombine,
        }
        content = {
            f"variable_{i}": variable.numpy() for i, variable in enumerate(self._variables())
        }
        content |= {
            "parameters": json.dumps(parameters),
            "random_state": json.dumps(self._random.bit_generator.state),
            "memory": self.memory,
            "memory_counter": self.memory_counter,
            "cost_his": np.array(self.cost_his),
        }
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            with open(Path(folder, path.name), "wb") as file:
                np.savez_compressed(file, **content)
            os.replace(file.name, path)

    @classmethod
    def load(cls, path):
        """Return the MemoryDNN saved to `path`, which goes on exactly as the saved one would have.

        Raises FileNotFoundError if there is no such file, ValueError if it is not one of `save`'s.
        """
        path = _npz(path)
        try:
            with np.load(path, allow_pickle=False) as content:
                loaded = cls(**json.loads(str(content["parameters"])))
                loaded._random.bit_generator.state = json.loads(str(content["random_state"]))
                loaded.memory_counter = _count("memory_counter", int(content["memory_counter"]))
                loaded.cost_his = content["cost_his"].tolist()
                shapes = [content["memory"].shape, len(loaded.cost_his)]
                if shapes != [loaded.memory.shape, loaded.net_num]:
                    raise ValueError("memory or costs do not go with the parameters")
                loaded.memory[:] = content["memory"]
                for i, variable in enumerate(loaded._variables()):
                    variable.assign(content[f"variable_{i}"])
        except (
            LookupError,
            TypeError,
            ValueError,
            EOFError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise ValueError(f"{path} is not a saved MemoryDNN: {error}") from error
        return loaded

    # Pieces for compiled code: what `decode`, `encode` and `learn` are made of, and main.py's loop

    def logits(self, h):
        """Return the DNNs' logits, float32 tensor (K, B, n_out), for inputs h, (B, n_in)."""
        return forward(self._weights, h, tf.nn.relu)

    def candidates(self, logits, np=np):
        """Return the decisions that logits (K, B, n_out) stand for, bool (candidates, B, n_out).

        First are all DNNs' own decisions, then all DNNs' flips, one after the other in the order of
        the tasks, then their user_flips. `np` is NumPy or, for tensors,
        tensorflow.experimental.numpy. A subclass that turns logits into decisions in its own way
        (any number of them) says in `_unsure` when rounding matters.
        """
        decision = logits > 0
        candidates = [decision]
        for flips, shape in self._flips(logits):
            if flips == shape[-1]:
                flipped = np.arange(flips)[:, None, None, None]
            else:
                distance = np.reshape(np.abs(logits), shape)
                least_sure = np.argsort(distance, axis=-1, kind="stable")[..., :flips]
                flipped = np.moveaxis(np.sort(least_sure, axis=-1), -1, 0)  # (flips, K, B, groups)
            is_flipped = flipped[..., None] == np.arange(shape[-1])
            others = np.reshape(decision, shape) != is_flipped  # (flips, K, B, groups, tasks)
            candidates.append(np.reshape(others, (flips * shape[0], *decision.shape[1:])))
        return np.concatenate(candidates, axis=0)

    def stored(self, memory, rows, h, m):
        """Return the memory, a tensor, with entries h (B, n_in) and m (B, n_out) in rows (B,)."""
        last = slice(-self.memory_size, None)  # in a row that is taken twice the later entry stays
        return tf.tensor_scatter_nd_update(
            memory, rows[last, None], tf.concat([h, m], axis=1)[last]
        )

    def train(self, memory, sample_index):
        """Train every DNN once and return the costs before it, float32 tensor (K,).

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
        power1, power2 = self._adam_powers[0], self._adam_powers[1]
        rate = self.lr * tf.sqrt(1 - power2) / (1 - power1)
        for weight, m, v, gradient in zip(self._weights, self._adam_m, self._adam_v, gradients):
            m.assign_add((1 - BETA1) * (gradient - m))
            v.assign_add((1 - BETA2) * (gradient * gradient - v))
            weight.assign_sub(rate * m / (tf.sqrt(v) + EPSILON))
        self._adam_powers.assign(self._adam_powers * [BETA1, BETA2])
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
        """Take over what compiled code did: the memory, how many entries, costs (trainings, K)."""
        self.memory[:] = memory
        self.memory_counter += entries
        self._trained(costs)

    def _unsure(self, logits, rounding):
        """Whether logits off by `rounding`, (K, B, n_out), could turn a candidate: bool (B,)."""
        unsure = (np.abs(logits) < rounding).any(axis=(0, 2))
        for flips, shape in self._flips(logits):
            distance = np.sort(np.abs(logits).reshape(shape), axis=-1)
            if flips < shape[-1]:  # else all tasks are flipped, in whatever order
                margin = distance[..., flips] - distance[..., flips - 1]
                unsure |= (margin < 2 * rounding.reshape(shape).max(axis=-1)).any(axis=(0, 2))
        return unsure

    def _flips(self, logits):
        """Flips of each kind there are, and the shape (K, B, groups, tasks) that they are made in."""
        kinds = ((self.flips, 1), (self.user_flips, self.users))
        return [
            (n, (*logits.shape[:2], groups, self.net[-1] // groups)) for n, groups in kinds if n
        ]

    def _store(self, entries):
        self.memory[self.rows(len(entries))] = entries
        self.memory_counter += len(entries)

    def _trained(self, costs):
        """Record the costs, float32 (trainings, K), of trainings that have changed the weights."""
        self._numpy_weights = None
        steps = len(self.cost_his[0])
        bad = np.argwhere(~np.isfinite(costs))
        if len(bad):
            i, k = bad[0]
            raise FloatingPointError(
                f"the training cost of DNN {k + 1} is {costs[i, k]} at training step "
                f"{steps + i + 1}: the training diverges. Look at learning_rate, {self.lr:g} here, "
                "0.01 as released, and at the range of the inputs, -100 to 100 as released (task "
                "sizes of 10 to 30 MB)"
            )
        for k, history in enumerate(self.cost_his):
            history.extend(costs[:, k].tolist())
        if self._log:
            self._write_log(costs, steps)

    def _write_log(self, costs, steps):
        # tf.summary.scalar would need the tensorboard package to write what only its reader needs.
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin)
        with self._log.as_default():
            for i, k in np.ndindex(costs.shape):
                name = f"training cost/DNN {k + 1}"
                tf.summary.write(name, costs[i, k], step=steps + i + 1, metadata=metadata)
        self._log.flush()

    def _variables(self):
        return [*self._weights, *self._adam_m, *self._adam_v, self._adam_powers]

    def _entries(self, h, m):
        """Return rows h, then m for the memory, checked: float32 (B, n_in + n_out)."""
        h, m = _inputs("h", h, self.net[0]), _inputs("m", m, self.net[-1])
        if h.shape[:-1] != m.shape[:-1]:
            raise ValueError(
                f"h has shape {h.shape} and m {m.shape}; as many of each were expected"
            )
        if not ((m == 0) | (m == 1)).all():
            raise ValueError("m has an entry that is neither 0 (local) nor 1 (offload)")
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


def _relu(x):
    return np.maximum(x, 0)


def _count(name, value, least=1, most=2**31 - 1):  # rows and counts are int32 in compiled code
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        most = "2**31 - 1" if most == 2**31 - 1 else most
        raise ValueError(f"{name} is {value!r}; a whole number from {least} to {most} was expected")
    return int(value)


def _inputs(name, array, length):
    array = real_numbers(name, array, np.float32)
    if array.ndim not in (1, 2) or array.shape[-1] != length:
        raise ValueError(
            f"{name} has shape {array.shape}; ({length},) or (frames, {length}) was expected"
        )
    return _finite(name, array)


def _finite(name, array):
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has an entry that is not finite; finite ones were expected")
    return array


def _npz(path):
    path = Path(path)
    return path if path.suffix else path.with_suffix(".npz")

"""Runs of DDLO, and of the schemes it is compared with: what one is, and doing it."""

import hashlib
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import joblib
import numpy as np

from main import compiled_loop, ddlo, decide, time_frames, versions
from MUMT import MUMT, all_decisions, load_data

from .schemes import SCHEMES

ROOT = Path(__file__).parents[1]
# Test frames are decided one by one, to see how long it takes: up to so many, for so many seconds.
TIMED_FRAMES, TIMED_SECONDS = 100, 0.5


@dataclass(frozen=True)
class Run:
    """One run of a scheme. The defaults are the released values, whatever main.py has at its top."""

    scheme: str = "ddlo"  # ddlo, droo, best_fixed, or a key of SCHEMES
    seed: int = 0  # of weights and mini-batches, or of the random scheme
    data: str = "data/MUMT_data_3X3.mat"  # data set, below the package's folder
    users: int = 3
    tasks: int = 3
    uplink: float = 100  # bandwidth of the cell, Mbit/s
    delay_weight: float = 1  # J/s
    frames: int = 20000
    net_num: int = 3  # K: ddlo's DNNs, or droo's candidates
    hidden: tuple[int, ...] = (120, 80)
    learning_rate: float = 0.01
    training_interval: int = 10
    batch_size: int = 128
    memory_size: int = 1024

    @property
    def network(self):
        """The MUMT that the run decides for."""
        return MUMT(
            self.users,
            self.tasks,
            rand_seed=self.seed,
            uplink_bandwidth=self.uplink / 8,
            delay_weight=self.delay_weight,
        )

    @property
    def learns(self):
        """Whether DNNs learn in it."""
        return self.scheme in ("ddlo", "droo")

    @property
    def compiled(self):
        """The parameters of what is compiled for it: runs that share them can share that."""
        dnn = (self.net_num, self.hidden, self.learning_rate)
        memory = (self.training_interval, self.batch_size, self.memory_size)
        return (self.scheme, self.users, self.tasks, *dnn, *memory)

    @property
    def work(self):
        """Rough number of seconds that it takes, to plan with and to foresee the time left."""
        if not self.learns:
            return 0.2 + (0.0005 * self.frames if self.scheme == "milp" else 0)
        batch = self.batch_size * (self.net_num if self.scheme == "ddlo" else 1)
        trainings = self.frames / self.training_interval
        return 0.2 + 8.5e-6 * self.frames + trainings * (6e-5 + 3.9e-7 * batch)

    def __str__(self):
        """The scheme, its seed and all that differs from the defaults."""
        default = asdict(Run())
        changed = {name: value for name, value in asdict(self).items() if value != default[name]}
        parameters = {"scheme": self.scheme, "seed": self.seed} | changed
        return ", ".join(f"{name}={value}" for name, value in parameters.items())


def execute(run):
    """Do a run.

    Returns
    -------
    dict of arrays
        As main.py's history.npz: index, decision, Q, gain_ratio and, of schemes that learn, chosen
        and costs. Schemes that do not learn decide the test frames only.
    dict
        test_frames; fixed_gain_ratio, what the best fixed decision would reach in these; seconds
        that deciding a frame takes, frame_seconds alone (median) and block_seconds as one of all
        test frames; run_seconds; versions; machine.

    Raises
    ------
    ValueError, FloatingPointError, RuntimeError
        As the data set, the network, MemoryDNN and the schemes do.
    """
    started = time.perf_counter()
    network = run.network
    data = (run.data, data_digest(run), run.users, run.tasks)
    (task_size, _), gain_min = _file(*data), _optima(*data, run.uplink, run.delay_weight)
    index, tests = time_frames(run.frames, len(task_size))
    d, fixed = task_size[index[-tests:]], best_fixed(network, task_size[index])
    if run.learns:
        net, loop = _compiled(run.compiled)
        net.reset(run.seed)
        arrays = ddlo(net, network, task_size, gain_min, index, loop, quiet=True)
        arrays["costs"] = np.array(net.cost_his)

        def scheme(task_size):
            return decide(net, network, task_size)[1]

        scheme(d[:1])  # fetches the trained weights
        block_seconds = _timed(scheme, d)[1]
    else:

        def scheme(task_size):
            if run.scheme == "best_fixed":
                return np.tile(fixed, (len(task_size), 1))
            return SCHEMES[run.scheme](network, task_size)

        scheme(d[:1])  # imports what it needs
        index, (x, block_seconds) = index[-tests:], _timed(scheme, d)
        Q = network.compute_Q(d, x)
        arrays = {"index": index, "decision": x.astype(np.uint8), "Q": Q}
        arrays["gain_ratio"] = gain_min[index] / Q
    alone = []
    while len(alone) < min(TIMED_FRAMES, tests) and sum(alone) < TIMED_SECONDS:
        alone.append(_timed(scheme, d[len(alone), None])[1])
    fixed_gain_ratio = gain_min[index[-tests:]] / network.compute_Q(d, fixed)
    return arrays, {
        "test_frames": tests,
        "fixed_gain_ratio": fixed_gain_ratio.mean(),
        "frame_seconds": float(np.median(alone)),
        "block_seconds": block_seconds / tests,
        "run_seconds": time.perf_counter() - started,
        "versions": versions(),
        "machine": machine(),
    }


def best_fixed(mumt, task_size):
    """Return the decision, int32 (N*M,), that is best if all frames get the same: least mean Q.

    No scheme of its own, as it needs to see many frames before it can decide one; to learn is to do
    better. Found user by user, for a utility that is a sum over users, with 2**M decisions each.
    """
    costs = mumt.task_costs(np.atleast_2d(task_size).astype(float))
    decisions = all_decisions(mumt.M)
    mean = [
        mumt.user_utility(costs, np.tile(decision, mumt.N)).mean(axis=0) for decision in decisions
    ]
    return decisions[np.argmin(mean, axis=0)].astype(np.int32).ravel()


def _timed(function, argument):
    started = time.perf_counter()
    result = function(argument)
    return result, time.perf_counter() - started


def data_digest(run):
    """Return a digest of the file that a run's data set is in. Raises OSError if there is none."""
    return hashlib.sha256((ROOT / run.data).read_bytes()).hexdigest()


@lru_cache
def _file(path, digest, users, tasks):
    """Task sizes and optima of a data set, read anew where the digest of its file is another."""
    return load_data(ROOT / path, MUMT(users, tasks))


@lru_cache
def _optima(path, digest, users, tasks, uplink, delay_weight):
    """Optima of the task sizes in a network that may have other constants than the data set's."""
    task_size, gain_min = _file(path, digest, users, tasks)
    run = Run(users=users, tasks=tasks, uplink=uplink, delay_weight=delay_weight)
    is_of_file = run.network == Run(users=users, tasks=tasks).network
    return gain_min if is_of_file else run.network.optimum(task_size)[0]


@lru_cache(maxsize=1)
def _compiled(parameters):
    """MemoryDNN or DROO with these `Run.compiled`, and its compiled loop."""
    from memory import MemoryDNN, tf

    from .droo import DROO

    # One run a core: threads of TensorFlow's own would only fight for them. It is too late for this
    # in a process that has used TensorFlow for something else.
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    scheme, users, tasks, K, hidden, learning_rate, interval, batch_size, memory_size = parameters
    net = {"ddlo": MemoryDNN, "droo": DROO}[scheme](
        [users * tasks, *hidden, users * tasks],
        K,
        learning_rate=learning_rate,
        training_interval=interval,
        batch_size=batch_size,
        memory_size=memory_size,
    )
    return net, compiled_loop(net, MUMT(users, tasks))


def machine():
    """Return the name of the processor and the number of its cores that can be used."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # Linux has the better name
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {joblib.cpu_count()} cores"

"""Runs of DDLO, and of the schemes it is compared with: what one is, and doing it."""

import hashlib
import platform
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from unittest import mock

import joblib
import numpy as np

from main import compiled_loop, ddlo, decide, time_frames, versions
from MUMT import MUMT, all_decisions, load_data

from .generate_data import task_sizes
from .schemes import JOINT_SCHEMES, SCHEMES

ROOT = Path(__file__).parents[1]
# Test frames are decided one by one, to see how long it takes: up to so many, for so many seconds.
TIMED_FRAMES, TIMED_SECONDS = 100, 0.5
TIMED_BLOCK = 1000  # and, by what learns, so many at a time: other schemes decide all at a time
SAMPLES = 20000  # of task sizes that come from no file
# What the released package does otherwise, and how it can be done: a function of main.py or a
# constant of memory.py, and what takes its place.
VARIANTS = {
    "normalised inputs": ("main.dnn_input", lambda task_size: task_size / 10 - 2),  # -1 to 1
    "beta1 = 0.9": ("memory.BETA1", np.float32(0.9)),
}


@dataclass(frozen=True)
class Run:
    """One run of a scheme. The defaults are the released values, whatever main.py has at its top."""

    scheme: str = "ddlo"  # ddlo, droo, best_fixed, or a key of SCHEMES or JOINT_SCHEMES
    seed: int = 0  # of weights and mini-batches, or of the random scheme
    data: str = "data/MUMT_data_3X3.mat"  # below the package's folder, or "" to make task sizes
    users: int = 3
    tasks: int = 3
    uplink: float = 100  # bandwidth of the cell, Mbit/s
    delay_weight: float = 1  # J/s
    bandwidth: str = "equal"  # or optimal
    frames: int = 20000
    net_num: int = 3  # K: ddlo's DNNs, or droo's candidates
    hidden: tuple[int, ...] = (120, 80)
    learning_rate: float = 0.01
    training_interval: int = 10
    batch_size: int = 128
    memory_size: int = 1024
    flips: int = 0  # of ddlo only, as the two below
    user_flips: int = 0
    recombine: bool = False
    variant: str = ""  # a key of VARIANTS, or as released

    @property
    def network(self):
        """The MUMT that the run decides for."""
        return MUMT(
            self.users,
            self.tasks,
            rand_seed=self.seed,
            uplink_bandwidth=self.uplink / 8,
            delay_weight=self.delay_weight,
            bandwidth=self.bandwidth,
        )

    @property
    def learns(self):
        """Whether DNNs learn in it."""
        return self.scheme in ("ddlo", "droo")

    @property
    def compiled(self):
        """The run without what is not compiled: those with the same can share what is compiled."""
        return replace(self, seed=0, data="", uplink=100, delay_weight=1, frames=0)

    @property
    def work(self):
        """Rough number of seconds that it takes, to plan with and to foresee the time left."""
        size = self.users * self.tasks / 9
        if not self.learns:
            slow = {"milp": 0.0005 * size, "coordinate_descent": 2e-6 * size**3}
            return 0.2 + slow.get(self.scheme, 0) * self.frames
        layers = (9 * size, *self.hidden, 9 * size)
        weights = sum(n_in * n_out for n_in, n_out in pairwise(layers))
        dnns = self.net_num if self.scheme == "ddlo" else 1
        trainings = self.frames / self.training_interval
        training = 6e-5 + 3.4e-11 * weights * dnns * self.batch_size
        candidates = self.net_num * (1 + self.flips + self.user_flips)
        scoring = (1e-7 if self.bandwidth == "equal" else 2e-7) * candidates * size
        return 0.2 + (8e-6 + scoring) * self.frames + trainings * training

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
        test_frames; seconds that deciding a frame takes, frame_seconds alone (median) and
        block_seconds as one of many; run_seconds; versions; machine. Of schemes that learn also
        loop_seconds, of deciding and learning in all frames, and with equal bandwidth
        fixed_gain_ratio, what the best fixed decision would reach in the test frames.

    Raises
    ------
    ValueError, FloatingPointError, RuntimeError
        As the data set, the network, MemoryDNN and the schemes do.
    """
    with _done_otherwise(run.variant):
        return _execute(run)


def _execute(run):
    started = time.perf_counter()
    network = run.network
    data = (run.data, data_digest(run), run.users, run.tasks)
    task_size = _file(*data)[0]
    gain_min = _optima(*data, run.uplink, run.delay_weight, run.bandwidth)
    index, tests = time_frames(run.frames, len(task_size))
    d, about = task_size[index[-tests:]], {}
    if run.scheme == "best_fixed" or (run.learns and run.bandwidth == "equal"):
        fixed = best_fixed(network, task_size[index])
    if run.learns and run.bandwidth == "equal":
        fixed_gain_ratio = gain_min[index[-tests:]] / network.compute_Q(d, fixed)
        about["fixed_gain_ratio"] = fixed_gain_ratio.mean()
    if run.learns:
        net, loop = _compiled(run.compiled)
        net.reset(run.seed)
        arrays, about["loop_seconds"] = timed(
            ddlo, net, network, task_size, gain_min, index, loop, quiet=True
        )
        arrays["costs"] = np.array(net.cost_his)

        def scheme(task_size):
            return decide(net, network, task_size)[1]

        scheme(d[:1])  # fetches the trained weights
        block_seconds = timed(scheme, d[:TIMED_BLOCK])[1] / min(TIMED_BLOCK, tests)
    else:

        def scheme(task_size):
            if run.scheme == "best_fixed":
                return np.tile(fixed, (len(task_size), 1))
            return (SCHEMES | JOINT_SCHEMES)[run.scheme](network, task_size)

        scheme(d[:1])  # imports what it needs
        index, (x, all_seconds) = index[-tests:], timed(scheme, d)
        block_seconds = all_seconds / tests
        Q = network.compute_Q(d, x)
        arrays = {"index": index, "decision": x.astype(np.uint8), "Q": Q}
        arrays["gain_ratio"] = gain_min[index] / Q
    alone = []
    while len(alone) < min(TIMED_FRAMES, tests) and sum(alone) < TIMED_SECONDS:
        alone.append(timed(scheme, d[len(alone), None])[1])
    return arrays, about | {
        "test_frames": tests,
        "frame_seconds": float(np.median(alone)),
        "block_seconds": block_seconds,
        "run_seconds": time.perf_counter() - started,
        "versions": versions(),
        "machine": machine(),
    }


@contextmanager
def _done_otherwise(variant):
    """Have a thing done otherwise, a key of VARIANTS, or nothing."""
    if not variant:
        yield
        return
    with mock.patch(*VARIANTS[variant]):
        yield


def best_fixed(mumt, task_size):
    """Return the decision, int32 (N*M,), that is best if all frames get the same: least mean Q.

    No scheme of its own, as it needs to see many frames before it can decide one; to learn is to do
    better. Found user by user, for a utility that is a sum over users, with 2**M decisions each.
    Raises ValueError if it is no such sum, with optimal bandwidth.
    """
    if mumt.bandwidth != "equal":
        raise ValueError("the best fixed decision is known for equal bandwidth only")
    costs = mumt.task_costs(np.atleast_2d(task_size).astype(float))
    decisions = all_decisions(mumt.M)
    mean = [
        mumt.user_utility(costs, np.tile(decision, mumt.N)).mean(axis=0) for decision in decisions
    ]
    return decisions[np.argmin(mean, axis=0)].astype(np.int32).ravel()


def timed(function, *arguments, **options):
    """Return what a call returns, and how many seconds it takes."""
    started = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - started


def data_digest(run):
    """Return a digest of the file that a run's data set is in. Raises OSError if there is none.

    Task sizes that come from no file are those that `generate_data` makes.
    """
    return hashlib.sha256((ROOT / run.data).read_bytes()).hexdigest() if run.data else ""


@lru_cache
def _file(path, digest, users, tasks):
    """Task sizes and optima of a data set, read anew where the digest of its file is another."""
    if not path:
        return task_sizes(range(SAMPLES), users, tasks).astype(float), None
    return load_data(ROOT / path, MUMT(users, tasks))


@lru_cache
def _optima(path, digest, users, tasks, *constants):
    """Optima of the task sizes, or their lower bound, in a network that may be another one than the
    data set's: with constants uplink, delay_weight and bandwidth.
    """
    task_size, gain_min = _file(path, digest, users, tasks)
    uplink, delay_weight, bandwidth = constants
    size = {"users": users, "tasks": tasks}
    run = Run(uplink=uplink, delay_weight=delay_weight, bandwidth=bandwidth, **size)
    is_of_file = path and run.network == Run(**size).network
    if is_of_file:
        return gain_min
    network = run.network
    return network.optimum(task_size)[0] if network.exact else network.lower_bound(task_size)


@lru_cache(maxsize=1)
def _compiled(run):
    """What `build` returns for runs that have this `Run.compiled`."""
    from memory import tf

    # One run a core: threads of TensorFlow's own would only fight for them. It is too late for this
    # in a process that has used TensorFlow for something else.
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return build(run)


def build(run):
    """Return the MemoryDNN or DROO of a run that learns, unseeded, and its compiled loop."""
    from memory import MemoryDNN

    from .droo import DROO

    candidates = {"flips": run.flips, "user_flips": run.user_flips, "recombine": run.recombine}
    size = run.users * run.tasks
    net = (MemoryDNN if run.scheme == "ddlo" else DROO)(
        [size, *run.hidden, size],
        run.net_num,
        learning_rate=run.learning_rate,
        training_interval=run.training_interval,
        batch_size=run.batch_size,
        memory_size=run.memory_size,
        users=run.users,
        **(candidates if run.scheme == "ddlo" else {}),
    )
    return net, compiled_loop(net, run.network)


def machine():
    """Return the name of the processor and the number of its cores that can be used."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # Linux has the better name
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {joblib.cpu_count()} cores"

"""One run of DDLO or of a scheme it is compared with: what it is, and executing it."""

import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from ddlo.candidates import threshold
from ddlo.comparison import compared, optimal_share
from ddlo.dataset import load_data, reference_of, time_frames, training_samples
from ddlo.inputs import Scale
from ddlo.network import make_network
from ddlo.rules import best_fixed
from ddlo.sizes import PUBLISHED, task_sizes
from main import DDLO, run_frames
from MUMT import Constants

from .origin import ROOT, digest_of
from .schemes import BEST_FIXED, by_chance, scheme_of

UNTRAINED = 500  # time frames before any training step, whatever the parameters
# Test frames are decided one by one to measure the decision time: so many, for so many seconds.
TIMED_FRAMES, TIMED_SECONDS = 100, 0.5
TIMED_BLOCK = 1000  # and, by DDLO, so many at a time: other schemes decide all at a time
SAMPLES = 20000  # of task sizes that come from no file


@dataclass(unsafe_hash=True)
class Run(Constants):
    """One run of a scheme. The defaults are the released values, whatever main.py has at its top.

    The network's constants are fields as well. No run is changed once it is made.
    """

    scheme: str = "DDLO"  # or a label of a scheme in schemes.py
    seed: int = 0  # of weights and mini-batches, or of a scheme by chance
    data: str = "data/MUMT_data_3X3.mat"  # below the package's folder, or "" to generate task sizes
    sizes: tuple[float, float] = PUBLISHED  # MB, of those
    users: int = 3
    tasks: int = 3
    uplink: float = 100  # bandwidth of the cell, Mbit/s
    bandwidth: str = "equal"  # or optimal
    frames: int = 20000
    net_num: int = 3  # K; this and what follows is of DDLO
    hidden: tuple[int, ...] = (120, 80)
    learning_rate: float = 0.01
    training_interval: int = 10
    batch_size: int = 128
    memory_size: int = 1024
    candidates: Callable = threshold  # candidate rule
    recombine: bool = False
    beta1: float = 0.09  # of Adam
    scale: Callable | None = None  # from task sizes to inputs; default: as in main.py

    @property
    def network(self):
        """The MUMT or JointMUMT that the run decides for."""
        return make_network(self)

    @property
    def learns(self):
        """Whether DNNs learn in it."""
        return self.scheme == "DDLO"

    @property
    def problem(self):
        """What there is to decide, as a run: those with the same have the same optima."""
        names = ["data", "sizes", "users", "tasks", "uplink", "bandwidth"]
        names += [each.name for each in fields(Constants)]
        return Run(**{name: getattr(self, name) for name in names})

    @property
    def compiled(self):
        """The run without what is not compiled: those with the same can share a compilation."""
        released = {each.name: each.default for each in fields(Constants)}
        others = {
            "seed": 0,
            "data": "",
            "sizes": PUBLISHED,
            "uplink": 100,
            "frames": 0,
            "scale": None,
        }
        return replace(self, **released, **others)

    @property
    def work(self):
        """Rough number of seconds that it takes, to schedule runs and to estimate the time left."""
        size = self.users * self.tasks / 9
        if not self.learns:
            slow = {
                "optimum by MILP": 0.0005 * size,
                "coordinate descent": 2e-6 * size**3,
                "enumeration of all decisions": 1e-7 * size * 2 ** (9 * size),
            }
            return 0.2 + slow.get(self.scheme, 0) * self.frames
        layers = (9 * size, *self.hidden, 9 * size)
        weights = sum(n_in * n_out for n_in, n_out in pairwise(layers))
        step = 6e-5 + 3.4e-11 * weights * self.net_num * self.batch_size
        candidates = len(self.candidates(np.zeros((self.net_num, 1, self.users * self.tasks))))
        scoring = (1e-7 if self.bandwidth == "equal" else 2e-7) * candidates * size
        return 0.2 + (8e-6 + scoring) * self.frames + self.frames / self.training_interval * step

    @property
    def parameters(self):
        """All fields as a dict of what JSON knows, functions by their module and name.

        Raises ValueError for a function that these do not identify, such as a lambda.
        """

        def plain(value):
            name = getattr(value, "__qualname__", None)
            if name and "<" in name:
                raise ValueError(f"a run's functions must be of a module's top level, got {name}")
            return f"{value.__module__}.{name}" if name else repr(value)

        values = {field.name: getattr(self, field.name) for field in fields(self)}
        # 100 and 100.0 are the same run.
        values |= {
            each.name: np.asarray(values[each.name], float).tolist()
            for each in fields(self)
            if each.type is float or each.name == "sizes"
        }
        return values | {name: plain(values[name]) for name in ("candidates", "scale")}

    def __str__(self):
        """The scheme, its seed and all that differs from the defaults."""
        own, default = self.parameters, Run().parameters
        shown = {"scheme": self.scheme, "seed": self.seed}
        shown |= {name: value for name, value in own.items() if value != default[name]}
        return ", ".join(f"{name}={value}" for name, value in shown.items())


def execute(run):
    """Execute a run.

    Returns
    -------
    dict
        Metrics of the test frames: mean_gain_ratio; gain_ratio_5th_percentile; optimal_share;
        mean_utility, in J; excess, of the mean utility over the mean reference, relative;
        ms_per_frame, the time of a decision at batch size 1 (median), and ms_per_frame_batched;
        test_frames; reference, what the gain ratio is relative to; run_seconds; machine. Of DDLO
        also loop_seconds, of deciding and learning in all frames; untrained_gain_ratio, that of the
        frames before training; last_cost, the mean over the last fifth of the training steps; and,
        where the utility is separable, fixed_gain_ratio, that of the best fixed decision.
    dict of float32 arrays
        Of DDLO gain_ratio (frames,) and costs (K, training steps).

    Raises
    ------
    ValueError, FloatingPointError, RuntimeError
        As the data set, the network, MemoryDNN and the schemes do.
    """
    started = time.perf_counter()
    network, metrics, curves = run.network, {}, {}
    task_size, gain_min, reference = problem_data(run.problem, digest_of(run.data), run.frames)
    index, tests = time_frames(run.frames, len(task_size))
    test = index[-tests:]
    d = task_size[test]
    if run.scheme == BEST_FIXED or (run.learns and network.separable):
        fixed = best_fixed(network, d)
    if run.learns:
        ddlo, loop = _compiled(run.compiled)
        ddlo.network = network
        training = task_size[: training_samples(len(task_size))]
        ddlo.scale = run.scale or Scale.of(training)
        ddlo.net.reset(run.seed)
        arguments = (loop, ddlo, task_size, gain_min, index, True, reference)
        history, metrics["loop_seconds"] = timed(run_frames, *arguments)
        costs = np.array(ddlo.net.cost_his, np.float32)
        curves = {"gain_ratio": history["gain_ratio"].astype(np.float32), "costs": costs}
        Q = history["Q"][-tests:]
        metrics["untrained_gain_ratio"] = history["gain_ratio"][:UNTRAINED].mean()
        if costs.size:
            metrics["last_cost"] = costs[:, -max(1, costs.shape[1] // 5) :].mean()
        if network.separable:
            metrics["fixed_gain_ratio"] = np.mean(gain_min[test] / network.compute_Q(d, fixed))

        def scheme(task_size):
            return ddlo.decide(task_size)[1]

        scheme(d[:1])  # fetches the trained weights
        block_seconds = timed(scheme, d[:TIMED_BLOCK])[1] / min(TIMED_BLOCK, tests)
    else:

        def scheme(task_size):
            if run.scheme == BEST_FIXED:  # of all test frames, not of these
                return np.tile(fixed, (len(task_size), 1))
            seed = {"seed": run.seed} if by_chance(run.scheme) else {}
            return scheme_of(run.scheme)(network, task_size, **seed)

        scheme(d[:1])  # imports what it needs
        x, seconds = timed(scheme, d)
        block_seconds, Q = seconds / tests, network.compute_Q(d, x)
    seconds = []
    while len(seconds) < min(TIMED_FRAMES, tests) and sum(seconds) < TIMED_SECONDS:
        seconds.append(timed(scheme, d[len(seconds), None])[1])
    ratio = compared("gain_ratio", Q, gain_min[test], reference)
    metrics |= {
        "mean_gain_ratio": ratio.mean(),
        "gain_ratio_5th_percentile": np.percentile(ratio, 5),
        "optimal_share": optimal_share(Q, gain_min[test]),
        "mean_utility": Q.mean(),
        "excess": Q.mean() / gain_min[test].mean() - 1,
        "ms_per_frame": 1e3 * np.median(seconds),
        "ms_per_frame_batched": 1e3 * block_seconds,
        "test_frames": tests,
        "reference": reference,
        "run_seconds": time.perf_counter() - started,
        "machine": machine(),
    }
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in metrics.items()}, curves


def timed(function, *arguments, **options):
    """Return what a call returns, and how many seconds it takes."""
    started = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - started


@lru_cache
def problem_data(problem, digest, frames):
    """Return task sizes, gain_min and what it is, for a run's `problem`, its file's digest and frames.

    The reference is found again wherever the network is not the one the file is for: of the samples
    that so many frames use, the others are NaN.
    """
    p, network = problem, problem.network
    if p.data:
        of_file = Run(users=p.users, tasks=p.tasks).network
        data = load_data(ROOT / p.data, of_file)
        if network == of_file:
            return data
        task_size = data[0]
    else:
        task_size = task_sizes(range(SAMPLES), p.users, p.tasks, p.sizes).astype(float)
    used = np.unique(time_frames(frames, len(task_size))[0])
    gain_min = np.full(len(task_size), np.nan)
    gain_min[used], _, reference = reference_of(network, task_size[used])
    return task_size, gain_min, reference


@lru_cache(maxsize=1)
def _compiled(run):
    """What `build` returns for runs that have this `Run.compiled`."""
    from ddlo.backend import tf

    # One run a core: threads of TensorFlow's own would only fight for them. It is too late for this
    # in a process that has used TensorFlow for something else.
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return build(run)


def build(run):
    """Return the DDLO of a run, unseeded, and its compiled loop."""
    from ddlo.compiled import compile_loop
    from memory import MemoryDNN

    size = run.users * run.tasks
    net = MemoryDNN(
        [size, *run.hidden, size],
        run.net_num,
        learning_rate=run.learning_rate,
        training_interval=run.training_interval,
        batch_size=run.batch_size,
        memory_size=run.memory_size,
        candidates=run.candidates,
        beta1=run.beta1,
    )
    ddlo = DDLO(net, run.network, run.recombine)
    return ddlo, compile_loop(ddlo)


def machine():
    """Return the name of the processor and the number of its cores that can be used."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # Linux has the better name
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {os.cpu_count()} cores"

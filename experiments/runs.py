"""One run of an experiment: DDLO, or a scheme to compare it with, on a network; and executing it."""

import copy
import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache, partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np

from ddlo import checks
from ddlo.bandwidth import make_network
from ddlo.baselines import all_edge, best_fixed
from ddlo.checkpoint import make_net, scale_for
from ddlo.data import PUBLISHED, Data, check_states, task_sizes
from ddlo.loop import fast_loop, run_frames
from ddlo.network import Network, as_network, check_network
from main import DDLO, Parameters
from MUMT import Constants

SAMPLES = 20000  # states, unless a run loads or makes others
# Test frames that are timed one by one, at most for these seconds, and as a block; training steps.
TIMED_FRAMES, TIMED_SECONDS, TIMED_BLOCK, TIMED_STEPS = 100, 0.5, 1000, 30
RECOVERY = 100  # frames whose mean gain ratio tells whether it has recovered from a change
# Parameters that do not change what a run finds.
PROCESS = ("resume", "frozen", "checkpoint", "device", "out", "show")
NETWORK = ("users", "tasks", "bandwidth", "uplink", *vars(Constants()))  # parameters of the network


@dataclass(frozen=True)
class TaskSizes:
    """States made like the published ones: task sizes of `low` to `high` MB."""

    low: float = PUBLISHED[0]
    high: float = PUBLISHED[1]
    first: int = 0  # number of the first sample; the published ones are 0 to 19,999

    def __call__(self, network, frames):
        samples = range(self.first, self.first + SAMPLES)
        return task_sizes(samples, network.N, network.M, (self.low, self.high))


def sizes_in_order(network, frames):
    """Return the published task sizes or others like them, one sample per frame."""
    return task_sizes(range(frames), network.N, network.M).astype(float)


def sizes_that_grow(network, frames):
    """Return `sizes_in_order`, 20 MB larger from 60 % of the frames on."""
    d = sizes_in_order(network, frames)
    d[int(0.6 * frames) :] += 20
    return d


def normalised(task_size):
    """Return inputs of -1 to 1 for task sizes of 10 to 30 MB: a scale for the ablation study."""
    return task_size / 10 - 2


@dataclass(eq=False)
class Run(Parameters):
    """The parameters of main.py, and the objects that replace them, as in `main.run`.

    Functions and classes must be at the top level of a module. Do not change a run: `replace` it.
    """

    data: Path | None = None  # a data set for the network; default: `states`
    scheme: Callable | None = None  # a Scheme that decides instead of DDLO
    network: Network | None = None  # default: the MUMT of the parameters
    later: tuple = ()  # pairs (fraction of the frames, network that takes over there)
    states: Callable = TaskSizes()  # (network, frames) -> states (samples, S)
    candidates: Callable | None = None  # candidate rule; default: that of flips and user_flips
    algorithm: type = DDLO
    scale: Callable | None = None  # from states to inputs; default: as in main.py
    beta1: float = 0.09  # of Adam
    change: float | None = (
        None  # fraction of the frames at which the problem changes, to measure it
    )

    def __post_init__(self):
        super().__post_init__()
        default = {each.name: each.default for each in fields(self)}
        for name in (*PROCESS, *(() if self.network is None else NETWORK)):
            if getattr(self, name) not in (default[name], PUBLISHED_SETTING.get(name)):
                where = "beside a network" if name in NETWORK else "in a Run"
                raise ValueError(f"{name} has no effect {where}")
        if self.scheme is not None and not hasattr(self.scheme, "decide"):
            raise ValueError(f"scheme must be a Scheme, got {checks.quoted(self.scheme)}")
        if not callable(self.states):
            raise ValueError(f"states must be a function, got a {type(self.states).__name__}")  # noqa: TRY004

    @property
    def learns(self):
        """Whether DDLO decides, not a scheme."""
        return self.scheme is None

    @property
    def networks(self):
        """The networks in turn: pairs (fraction of the frames at which it begins, network)."""
        first = make_network(self) if self.network is None else self.network
        return [(begin, as_network(network)) for begin, network in ((0, first), *self.later)]

    def parts(self):
        """Return each network with the slice of the frames for which it is used."""
        begins = [int(begin * self.frames) for begin, _ in self.networks] + [self.frames]
        return [
            (network, slice(*ends)) for (_, network), ends in zip(self.networks, pairwise(begins))
        ]

    @property
    def problem(self):
        """The run's networks, states and frames, as a run: equal problems share their references."""
        (_, first), *_ = self.networks
        problem = {name: getattr(self, name) for name in ("data", "later", "states", "frames")}
        return Run(network=first, **problem)

    @property
    def compiled(self):
        """The run reduced to what its compiled loop depends on: equal ones share a loop.

        The utility of a MUMT depends on constants only by its `costs`; that of a given network may not,
        and shared DNNs see constants that differ between users.
        """
        names = ("seed", "frames", "data", "states", "scale", "change")
        if not self.shared:
            names += ("uplink", *vars(Constants()))
        return replace(self, **{name: getattr(released(), name) for name in names})

    @cached_property
    def parameters(self):
        """All that defines the run except code and versions, as JSON knows it, by name.

        Raises ValueError for a function that a module and a name do not identify, OSError if there is no
        data set.
        """
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["data"] = self.data and sha256(Path(self.data).read_bytes()).hexdigest()
        described = {name: describe(value) for name, value in values.items() if name not in PROCESS}
        return {"class": describe(type(self))} | described

    @cached_property
    def key(self):
        """The parameters as a text: equal runs have the same."""
        return json.dumps(self.parameters, sort_keys=True, ensure_ascii=False)

    def __eq__(self, other):
        return isinstance(other, Run) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    def __str__(self):
        """The scheme, the seed, and all that differs from the published setting."""
        scheme, published = "DDLO" if self.learns else self.scheme.label, released().parameters
        texts = [scheme, f"seed={self.seed}"]
        for name, value in self.parameters.items():
            if value != published[name] and name not in ("class", "scheme", "seed"):
                value = getattr(self, name)
                texts.append(f"{name}={getattr(value, '__name__', value)}")
        return ", ".join(texts)


PUBLISHED_SETTING = vars(Constants()) | {
    "users": 3,
    "tasks": 3,
    "bandwidth": "equal",
    "uplink": 100,
}
PUBLISHED_SETTING |= {"net_num": 3, "hidden": (120, 80), "learning_rate": 0.01, "memory_size": 1024}
PUBLISHED_SETTING |= {"training_interval": 10, "batch_size": 128, "frames": 20000, "seed": 0}
PUBLISHED_SETTING |= {"flips": 0, "user_flips": 0, "recombine": False, "shared": False}


def released(**changes):
    """Return a Run of the published setting, independent of the defaults in main.py."""
    return Run(**PUBLISHED_SETTING | changes)


def describe(value):
    """Return a value as JSON knows it; an object as the class and state that pickle saves.

    Raises ValueError for a function that a module and a name do not identify, such as a lambda.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return float(value)  # 100 and 100.0 are the same run
    if isinstance(value, (list, tuple)):
        return [describe(each) for each in value]
    if isinstance(value, dict):
        return {str(name): describe(each) for name, each in value.items()}
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):  # a bound method
        return [describe(owner), value.__name__]
    name = getattr(value, "__qualname__", None)
    if name is None:
        try:
            _, *parts = value.__reduce_ex__(4)
        except TypeError as error:
            raise ValueError(f"a run needs objects that can be pickled: {error}") from error
        return [describe(type(value).__mro__[:-1]), describe(parts)]
    if "<" in name:
        raise ValueError(f"a run's functions must be at the top level of a module, got {name}")
    return f"{value.__module__}.{name}"


def execute(run):
    """Execute a run; return its metrics, a dict, and curves, float32 arrays by name.

    The metrics are of the test frames. mean_utility has a `unit`; excess is relative, of the mean
    utility over that of the reference, the denominator of gain ratios; ms_per_frame is the median time
    of a decision. If DDLO decides, there are also loop_seconds, to decide and learn in all frames;
    last_cost, the mean over the last fifth of the training steps; ms_per_training_step, of all DNNs;
    fixed_gain_ratio, of the best fixed decision, if Q is a sum over users; and the curves gain_ratio
    (frames,) and costs (K, training steps). Gain ratios are NaN without a reference.
    candidates_per_frame counts the utilities that a frame takes; `fall` and `frames_to_recover` tell of
    a change during the run.
    """
    data, network, curves = samples(run.problem), run.networks[-1][1], {}
    index, tests = data.time_frames(run.frames)
    test = index[-tests:]
    d = data.states[test]
    if run.learns:
        ddlo, history, seconds = learn(run, data, index)
        Q, costs = history["Q"][-tests:], np.array(ddlo.net.cost_his, np.float32)
        ratio = history.get("gain_ratio", np.full(run.frames, np.nan))
        curves = {"gain_ratio": ratio.astype(np.float32), "costs": costs}
        logits = np.zeros((ddlo.net.net_num, 1, ddlo.net.n_out))
        scored = len(ddlo.net.candidates(logits, np)) + run.recombine
        scored = getattr(ddlo, "scored", scored * run.frames) / run.frames
        metrics = {"loop_seconds": seconds, "candidates_per_frame": scored}
        if run.change is not None:
            metrics |= recovery(ratio, int(run.change * run.frames))
        if costs.size:
            metrics["last_cost"] = costs[:, -max(1, costs.shape[1] // 5) :].mean()
        if network.separable:
            fixed = network.compute_Q(d, best_fixed(network, d))
            metrics["fixed_gain_ratio"] = compare(data, fixed, test)["mean_gain_ratio"]
        decide, block = ddlo.decide, d[:TIMED_BLOCK]
        decide(d[:1])  # converts the trained weights
        batched = timed(decide, block)[1] / len(block)
    else:
        counting, counts = counted(network)
        decide = partial(run.scheme.decide, counting, seed=run.seed)
        decide(d[:1])  # imports what it needs
        counts.clear()
        x, seconds = timed(decide, d)
        batched, Q, metrics = seconds / tests, network.compute_Q(d, x), {}
        if not getattr(run.scheme, "by_formula", False):
            metrics["candidates_per_frame"] = sum(counts) / tests
    seconds = []
    while len(seconds) < min(TIMED_FRAMES, tests) and sum(seconds) < TIMED_SECONDS:
        seconds.append(timed(decide, d[len(seconds), None])[1])
    if run.learns:  # last, because it changes the weights
        steps = [timed(ddlo.net.learn)[1] for _ in range(TIMED_STEPS)]
        metrics["ms_per_training_step"] = 1e3 * np.median(steps)
    metrics |= compare(data, Q, test) | {
        "mean_utility": Q.mean(),
        "unit": network.unit,
        "ms_per_frame": 1e3 * np.median(seconds),
        "ms_per_frame_batched": 1e3 * batched,
        "ms_per_utility": 1e3 * timed(network.compute_Q, d, all_edge(network, d))[1] / tests,
        "test_frames": tests,
        "reference": data.reference,
        "machine": machine(),
    }
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in metrics.items()}, curves


def counted(network):
    """Return a copy of a network, and a list of the numbers of utilities that it evaluates."""
    copied, counts = copy.copy(network), []

    def counting(function):
        def evaluate(*arguments):
            Q = function(*arguments)
            counts.append(np.size(Q))
            return Q

        return evaluate

    copied.compute_Q, copied.score = counting(network.compute_Q), counting(network.score)
    return copied, counts


def recovery(ratio, change):
    """Return how deep the gain ratio falls after a change, and the frames until it has recovered.

    Both compare means of 100 frames with the mean of the 1,000 frames before; it has recovered at a
    distance of 0.005. It is infinity if it never does, and NaN if fewer frames follow.
    """
    if len(ratio) - change < RECOVERY:
        return {"fall": np.nan, "frames_to_recover": np.nan}
    before = ratio[max(0, change - 1000) : change].mean()
    means = np.convolve(ratio[change:], np.ones(RECOVERY) / RECOVERY, "valid")
    recovered = np.flatnonzero(means >= before - 0.005)
    frames = recovered[0] + RECOVERY if len(recovered) else np.inf
    return {"fall": before - means.min(initial=before), "frames_to_recover": frames}


def compare(data, Q, test):
    """Return the metrics that compare utilities in the test samples with the reference."""
    ratio, known = np.full(len(test), np.nan), data.gain_min is not None
    if data.measure == "gain_ratio":
        ratio = data.compare(Q, test)
    return {
        "mean_gain_ratio": ratio.mean(),
        "gain_ratio_5th_percentile": np.percentile(ratio, 5),
        "optimal_share": data.optimal_share(Q, test) if known else np.nan,
        "excess": Q.mean() / data.gain_min[test].mean() - 1 if known else np.nan,
    }


@lru_cache(maxsize=32)
def samples(run):
    """Return the Data of a run's problem; gain_min of samples that its frames do not use is NaN.

    Without an optimum or a bound, gain_min is None.
    """
    (network, _), *later = run.parts()
    if run == replace(released().problem, frames=run.frames):
        return Data.load(Parameters.data, network)  # generating it takes seconds
    if run.data:
        data = Data.load(run.data, network)
        if not later:
            return data
        states = data.states
    else:
        states = check_states("states", run.states(network, run.frames), network)
    gain_min = np.full(len(states), np.nan)
    index = Data(states).time_frames(run.frames)[0]
    for network, part in run.parts():
        used = np.unique(index[part])
        if not np.isnan(gain_min[used]).all():
            raise ValueError("two networks in turn need other samples each: at least one per frame")
        check_network(network, states[used])
        try:
            network.reference(states[used[:1]])
        except ValueError:  # too many tasks to enumerate
            return Data(states)
        gain_min[used], _, reference = network.reference(states[used])
    return Data(states, gain_min, reference)


def learn(run, data, index):
    """Do a run of DDLO on the samples `index`; return the DDLO, its history and the seconds it took."""
    # A stateful algorithm cannot be compiled and is made again for each run.
    ddlo, loops = (build if run.algorithm.compiled else build.__wrapped__)(run.compiled)
    (_, first), *_ = run.networks
    ddlo.net.scale = run.scale or scale_for(first, data.training, ddlo.net.shared)
    ddlo.net.reset(run.seed)
    histories, seconds = [], 0
    for (ddlo.network, part), loop in zip(run.parts(), loops):
        history, lap = timed(run_frames, loop, ddlo, data, index[part], quiet=True)
        histories.append(history)
        seconds += lap
    return ddlo, {k: np.concatenate([each[k] for each in histories]) for k in histories[0]}, seconds


@lru_cache(maxsize=1)
def build(run):
    """Return the DDLO of a run and a loop for each of its networks, compiled if possible."""
    # One run a core: TensorFlow's own threads would only compete. This is too late in a process that has
    # used TensorFlow before. PyTorch has one thread anyway.
    if run.backend == "tensorflow":
        from ddlo.backend import tf

        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
    ddlo, loops = make_ddlo(run), []
    for _, ddlo.network in run.networks:
        loops.append(fast_loop(ddlo, run.frames))
    return ddlo, loops


def make_ddlo(run):
    """Return the DDLO of a run; its scale is still to be set. Raises ValueError for bad parameters."""
    (_, network), *_ = run.networks
    any_state = np.zeros((1, network.state_size))
    net = make_net(run, network, any_state, copy.copy(run.candidates))
    return run.algorithm(net, network, run.recombine)


def timed(function, *arguments, **options):
    """Return the result of a call and the seconds it took."""
    started = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - started


def machine():
    """Return the name of the processor and the number of its cores."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # Linux has the better name
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {os.cpu_count()} cores"

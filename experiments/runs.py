"""A run of an experiment: DDLO, or a scheme to compare it with, on a network; and its data."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from hashlib import sha256
from inspect import ismethod
from itertools import pairwise
from pathlib import Path

import numpy as np

from ddlo.bandwidth import make_network
from ddlo.checkpoint import make_net
from ddlo.data import PUBLISHED, Data, check_states, task_sizes
from ddlo.network import Network, as_network, check_network
from main import DDLO, Parameters
from MUMT import Constants

UTILITIES = "candidates_per_frame"  # the metric: utilities evaluated per frame
SAMPLES = 20000  # states, unless a run loads or makes others
PUBLISHED_DATA = Path(__file__).parents[1] / "data/MUMT_data_3X3.mat"
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
    change: float | None = None  # fraction of the frames at which the problem changes

    def __post_init__(self):
        super().__post_init__()
        for name in PROCESS if self.network is None else (*PROCESS, *NETWORK):
            if getattr(self, name) not in (getattr(Run, name), PUBLISHED_SETTING.get(name)):
                where = "beside a network" if name in NETWORK else "in a Run"
                raise ValueError(f"{name} has no effect {where}")

    @property
    def learns(self):
        """Whether DDLO decides, not a scheme."""
        return self.scheme is None

    @property
    def networks(self):
        """The networks in turn: pairs (slice of the frames in which it is used, network)."""
        first = make_network(self) if self.network is None else self.network
        fractions, networks = zip((0, first), *self.later)
        ends = pairwise(int(fraction * self.frames) for fraction in (*fractions, 1))
        return [(slice(*part), as_network(network)) for part, network in zip(ends, networks)]

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
        """All that defines the run except code and versions: JSON values by name.

        Raises ValueError for a function that a module and a name do not identify, OSError if there is no
        data set.
        """
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["data"] = self.data and sha256(Path(self.data).read_bytes()).hexdigest()
        values = {name: value for name, value in values.items() if name not in PROCESS}
        # 100 and 100.0 are the same run.
        return json.loads(json.dumps(values, default=describe), parse_int=float)

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
        texts = ["DDLO" if self.learns else self.scheme.label, f"seed={self.seed}"]
        published = released(scheme=self.scheme, seed=self.seed).parameters
        for name, value in self.parameters.items():
            if value != published[name]:
                value = getattr(self, name)
                texts.append(f"{name}={getattr(value, '__name__', value)}")
        return ", ".join(texts)


PUBLISHED_SETTING = {"users": 3, "tasks": 3, "bandwidth": "equal", "uplink": 100}
PUBLISHED_SETTING |= {"net_num": 3, "hidden": (120, 80), "learning_rate": 0.01, "memory_size": 1024}
PUBLISHED_SETTING |= {"training_interval": 10, "batch_size": 128, "frames": 20000, "seed": 0}
PUBLISHED_SETTING |= {"flips": 0, "user_flips": 0, "recombine": False, "shared": False}
PUBLISHED_SETTING |= vars(Constants())


def released(**changes):
    """Return a Run of the published setting, independent of the defaults in main.py."""
    return Run(**PUBLISHED_SETTING | changes)


def describe(value):
    """Return a value as types that JSON has: an object as its classes and the state for pickle.

    Raises ValueError for a function that a module and a name do not identify, such as a lambda.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    name = getattr(value, "__qualname__", None)
    if name is None or ismethod(value):
        _, *parts = value.__reduce_ex__(4)
        return [type(value).__mro__[:-1], parts]
    if "<" in name:
        raise ValueError(f"a run's functions must be at the top level of a module, got {name}")
    return f"{value.__module__}.{name}"


@lru_cache(maxsize=32)
def samples(run):
    """Return the Data of a run's problem; gain_min of samples that its frames do not use is NaN.

    Without an optimum or a bound, gain_min is None.
    """
    (_, network), *later = run.networks
    is_published = run == replace(released().problem, frames=run.frames)
    path = PUBLISHED_DATA if is_published else run.data  # its optima would take seconds
    if path and not later:
        return Data.load(path, network)
    states = Data.load(path, network).states if path else run.states(network, run.frames)
    states = check_states("states", states, network)
    gain_min, index = np.full(len(states), np.nan), Data(states).time_frames(run.frames)[0]
    for part, network in run.networks:
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


def make_ddlo(run):
    """Return the DDLO of a run; its scale is still to be set. Raises ValueError for bad parameters."""
    (_, network), *_ = run.networks
    any_state = np.zeros((1, network.state_size))
    net = make_net(run, network, any_state, copy.copy(run.candidates))
    return run.algorithm(net, network, run.recombine)

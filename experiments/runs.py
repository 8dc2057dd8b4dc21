"""What a run is: one of DDLO or of a scheme that it is compared with, on one of two networks."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np

from ddlo.bandwidth import make_network
from ddlo.candidates import threshold
from ddlo.data import PUBLISHED, Data, task_sizes
from MUMT import Constants

from .droo import AdaptiveOrderPreserving
from .origin import ROOT
from .wpmec import WPMEC, channel_gains

SAMPLES = 20000  # of states that come from no file
# Fractions of the frames: the weights are swapped in between, and devices are off.
SWAPPED = (0.6, 0.8)
OFF = {2: (0.6, 0.75), 7: (0.65, 0.7)}


@dataclass(unsafe_hash=True)
class AnyRun:
    """One run of a scheme on some network. The defaults are the released values of DDLO.

    What there is to decide is up to a subclass. No run is changed once it is made.
    """

    scheme: str = "DDLO"  # or a label of a scheme in schemes.py
    seed: int = 0  # of weights and mini-batches, or of a scheme by chance
    users: int = 3
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
    scale: Callable | None = None  # from states to inputs; default: as in main.py

    # Of a subclass: names of the fields that say what there is to decide, and of those which are not
    # compiled.
    PROBLEM, NOT_COMPILED = (), ()
    data, tasks = "", 1  # a data set below the package's folder; tasks of each user

    @property
    def network(self):
        """The network that the run decides for, or the last one of several."""
        raise NotImplementedError

    def samples(self, frames):
        """Return the Data for so many frames; gain_min of samples they do not use may be NaN."""
        raise NotImplementedError

    def networks(self):
        """Return the networks, in turn, each with the fraction of the frames at which it begins."""
        return [(0, self.network)]

    def estimate(self):
        """Return a rough number of seconds, of the scheme if nothing learns, else of one candidate."""
        raise NotImplementedError

    @property
    def learns(self):
        """Whether DNNs learn in it."""
        return self.scheme == "DDLO"

    @property
    def adapts(self):
        """Whether the number of candidates adapts: then frames are done step by step."""
        return isinstance(self.candidates, AdaptiveOrderPreserving)

    @property
    def problem(self):
        """What there is to decide, as a run: those with the same have the same optima."""
        return type(self)(**{name: getattr(self, name) for name in self.PROBLEM})

    @property
    def compiled(self):
        """The run without what is not compiled: those with the same can share a compilation."""
        default = {each.name: each.default for each in fields(self)}
        others = ("seed", "frames", "scale", *self.NOT_COMPILED)
        return replace(self, **{name: default[name] for name in others})

    @property
    def work(self):
        """Rough number of seconds that it takes, to schedule runs and to estimate the time left."""
        if not self.learns:
            return 0.2 + self.estimate() * self.frames
        if self.adapts:
            return 0.001 * self.frames
        size = self.users * self.tasks
        layers = (size, *self.hidden, size)
        weights = sum(n_in * n_out for n_in, n_out in pairwise(layers))
        step = 6e-5 + 3.4e-11 * weights * self.net_num * self.batch_size
        scoring = self.estimate() * self.candidates_per_frame
        return 0.2 + (8e-6 + scoring) * self.frames + self.frames / self.training_interval * step

    @property
    def candidates_per_frame(self):
        """How many decisions DDLO scores in a frame."""
        logits = np.zeros((self.net_num, 1, self.users * self.tasks))
        return len(self.candidates(logits)) + self.recombine

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
        functions = {name: plain(values[name]) for name in ("candidates", "scale")}
        return {"kind": type(self).__name__} | values | functions

    def __str__(self):
        """The scheme, its seed and all that differs from the defaults."""
        own, default = self.parameters, type(self)().parameters
        shown = {"scheme": self.scheme, "seed": self.seed}
        shown |= {name: value for name, value in own.items() if value != default[name]}
        return ", ".join(f"{name}={value}" for name, value in shown.items())


@dataclass(unsafe_hash=True)
class Run(Constants, AnyRun):
    """One run of a scheme on a MUMT. The defaults are the released values, whatever main.py's are.

    The network's constants are fields as well.
    """

    data: str = "data/MUMT_data_3X3.mat"  # below the package's folder, or "" to generate task sizes
    sizes: tuple[float, float] = PUBLISHED  # MB, of those
    tasks: int = 3
    uplink: float = 100  # bandwidth of the cell, Mbit/s
    bandwidth: str = "equal"  # or optimal

    NOT_COMPILED = ("data", "sizes", "uplink", *(each.name for each in fields(Constants)))
    PROBLEM = (*NOT_COMPILED, "users", "tasks", "bandwidth")

    @property
    def network(self):
        """The MUMT or JointMUMT that the run decides for."""
        return make_network(self)

    def samples(self, frames):
        """Return the Data; gain_min is computed again if the file is for another network."""
        if self.data:
            of_file = Run(users=self.users, tasks=self.tasks).network
            data = Data.load(ROOT / self.data, of_file)
            if self.network == of_file:
                return data
            task_size = data.states
        else:
            task_size = task_sizes(range(SAMPLES), self.users, self.tasks, self.sizes).astype(float)
        return references([(0, self.network)], task_size, frames)

    def estimate(self):
        """Return a rough number of seconds, of the scheme or of one candidate, in a frame."""
        size = self.users * self.tasks / 9
        if self.learns:
            return (1e-7 if self.bandwidth == "equal" else 2e-7) * size
        slow = {
            "optimum by MILP": 0.0005 * size,
            "coordinate descent": 2e-6 * size**3,
            "enumeration of all decisions": 1e-7 * size * 2 ** (9 * size),
        }
        return slow.get(self.scheme, 0)


@dataclass(unsafe_hash=True)
class WPMECRun(AnyRun):
    """One run of a scheme on a WPMEC, with gains that are made as DROO's seem to be."""

    users: int = 10  # N, devices
    event: str = ""  # or what happens during a run: "weights" swapped, or "devices" off

    PROBLEM, NOT_COMPILED = ("users", "event"), ("event",)

    @property
    def network(self):
        """The WPMEC that the run decides for, with DROO's weights."""
        return WPMEC(self.users)

    def networks(self):
        """Return the networks with the fractions of the frames at which they begin."""
        if self.event != "weights":
            return [(0, self.network)]
        swapped = WPMEC(self.users, 2.5 - self.network.weights)  # 1 and 1.5
        return [(0, self.network), (SWAPPED[0], swapped), (SWAPPED[1], self.network)]

    def samples(self, frames):
        """Return the Data: channel gains, and the least Q in s/bit or a bound on it."""
        gains = channel_gains(frames if self.event else SAMPLES, self.users)
        if self.event == "devices":
            for device, (begin, end) in OFF.items():
                gains[int(begin * frames) : int(end * frames), device] = 0
        return references(self.networks(), gains, frames)

    def estimate(self):
        """Return a rough number of seconds, of the scheme or of one candidate, in a frame."""
        if self.learns:
            return 1e-6 * self.users
        return {"coordinate descent": 5e-6 * self.users**2}.get(self.scheme, 1e-5)


def references(networks, states, frames):
    """Return the Data of states; gain_min is NaN for samples that so many frames do not use.

    `networks` are those of AnyRun.networks: if there are several, a frame has a sample of its own.
    """
    index = Data(states).time_frames(frames)[0]
    gain_min = np.full(len(states), np.nan)
    for network, part in parts_of(networks, len(index)):
        used = np.unique(index[part])
        gain_min[used], _, reference = network.reference(states[used])
    return Data(states, gain_min, reference)


def parts_of(networks, frames):
    """Return each network with the slice of the frames in which it is the one."""
    begins = [int(begin * frames) for begin, _ in networks] + [frames]
    return [(network, slice(*ends)) for (_, network), ends in zip(networks, pairwise(begins))]

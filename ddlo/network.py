"""Network, the base class of everything DDLO can decide for.

Subclass it and write `compute_Q`; everything else has a default. An object with N, M and compute_Q
works too: `as_network` gives it the defaults.
"""

import functools
import inspect
from contextlib import suppress

import numpy as np

from ddlo import checks
from ddlo.enumeration import enumerate_decisions


class Compilable:
    """Base of the classes in the compiled loop: Network, MemoryDNN and DDLO.

    A subclass runs in NumPy, slower, unless it is declared `class Late(MUMT, compiled=True)`: then its
    methods must also accept tensors. `compiled=False` silences the hint.
    """

    def __init_subclass__(cls, compiled=None, **options):
        super().__init_subclass__(**options)
        cls.compiled = compiled


class Default:
    """A default computed from the object; an attribute of it or of a subclass replaces it."""

    def __init__(self, compute):
        self.compute = compute

    def __get__(self, thing, kind=None):
        return self if thing is None else self.compute(thing)


class Network(Compilable):
    """A network of N users with M tasks each, and the utility Q of decisions; smaller is better.

    A state describes one time frame; a decision has N*M entries, 1 to offload a task and 0 to process
    it locally. A subclass sets N and M and writes `compute_Q`. For compiled code it also writes
    `utility`, with functions that NumPy and TensorFlow share: `xp` is `numpy`, or
    `tensorflow.experimental.numpy` for tensors.
    """

    state_size = Default(lambda self: self.N * self.M)  # S, entries of a state
    scale = None  # from states to DNN inputs; None: the range of the training states
    has_task_sizes = Default(lambda self: self.state_size == self.N * self.M)  # state: MB per task
    unit = ""  # of Q, for tables and plots
    separable = False  # whether Q is a sum over users, each term a function of one user's decisions
    scored_by_Q = True  # whether DDLO scores decisions by compute_Q, not by costs and utility

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        own = vars(cls)
        if "compute_Q" in own or "utility" in own:  # a new compute_Q overrides an inherited utility
            cls.scored_by_Q = "utility" not in own
            if "separable" not in own:
                cls.separable = False
        if cls.scored_by_Q and (cls.compiled or cls.separable is True):
            what = "compiled=True" if cls.compiled else "separable"
            raise TypeError(f"{cls.__name__} needs a utility to be {what}, not only compute_Q")

    def compute_Q(self, state, decision):
        """Return Q of decisions (..., N*M) in states (..., S); leading dimensions broadcast."""
        raise NotImplementedError(f"{type(self).__name__} must define compute_Q")

    def costs(self, state):
        """Precompute from states (..., S) what `utility` needs: an array (A, ..., any), A arrays."""
        return state[None]

    def utility(self, costs, decision, xp=np):
        """Return Q (...) of float64 decisions (..., N*M), given the `costs` of their states."""
        raise NotImplementedError(f"{type(self).__name__} must define utility")

    def allowed(self, costs, decision, xp=np):
        """Return a feasible decision for each decision, with the same Q: itself if it is feasible."""
        return decision

    def recombine(self, costs, candidates, best, xp=np):
        """Return decisions (B, N*M), each user's best part of candidates (C, B, N*M)."""
        raise NotImplementedError(f"{kind_of(self)} must define recombine")

    def user_features(self, state):
        """Return what shared DNNs see of each user: (..., N, F) for states (..., S)."""
        if not self.has_task_sizes:
            raise ValueError(
                f"shared DNNs need user_features, which {kind_of(self)} does not define"
            )
        return np.reshape(state, (*np.shape(state)[:-1], self.N, self.M))

    def energy_and_delays(self, state, decision):
        """Return each user's energy (J), local and offload delay (s), (..., N); None if unknown."""

    def optimum(self, state):
        """Return the least Q (B,) and a decision that reaches it, int32 (B, N*M), up to 12 tasks."""
        return enumerate_decisions(self, self.check_state(state))

    def reference(self, state):
        """Return the numerator of gain ratios: least Q (B,), its decision, and its name."""
        return *self.optimum(state), "optimum"

    def check_state(self, state):
        """Return states (..., S) as a float64 array. Raises ValueError."""
        state = checks.array("state", state)
        return checks.finite("state", checks.last_axis("state", state, self.state_size, str(self)))

    def __str__(self):
        return f"{self.N} users with {self.M} tasks each"

    def score(self, costs, decision, xp=np):
        """Return Q of candidates, from `costs`, or from states if scored_by_Q: used by DDLO."""
        if self.scored_by_Q:
            Q = self.compute_Q(costs, decision)
            return checks.utilities("compute_Q", Q, decision.shape[:-1])
        return self.utility(costs, decision, xp)


def as_network(thing):
    """Return a Network; an object with N, M and compute_Q gets its defaults. Raises ValueError."""
    is_complete = all(hasattr(thing, name) for name in ("N", "M", "compute_Q"))
    if isinstance(thing, type) or not is_complete:
        found = checks.quoted(thing)
        raise ValueError(f"a network must be an object with N, M and compute_Q, got {found}")
    if not isinstance(thing, Network):
        kind = type(thing)
        network = object.__new__(type(kind.__name__, (kind, Network), {"__doc__": kind.__doc__}))
        network.__dict__ = thing.__dict__  # what the user changes later counts here, too
        thing = network
    for name in ("N", "M", "state_size"):
        checks.integer(name, getattr(thing, name))
    return thing


def check_fit(net, network, recombine=False):
    """Raise ValueError unless DNNs fit a network, and it can recombine if it should."""
    if net.shared not in (None, network.N):
        raise ValueError(f"the DNNs must be shared by {network.N} users, got {net.shared}")
    found, sizes = net.layers[0][:: len(net.layers[0]) - 1], layer_ends(network, net.shared)
    if found != sizes:
        needed = f"{sizes[0]} inputs and {sizes[1]} outputs, for {network}"
        raise ValueError(f"the DNNs must have {needed}, got {found[0]} and {found[1]}")
    entries = np.shape(getattr(net.scale, "low", 0.0))  # of a Scale
    if entries not in ((), sizes[:1]):
        raise ValueError(f"scale must have an entry per input, {sizes[0]}, got {entries[0]}")
    if recombine and (network.scored_by_Q or type(network).recombine is Network.recombine):
        raise ValueError(f"to recombine, {kind_of(network)} needs utility and recombine")


def layer_ends(network, shared=None):
    """Return the inputs and outputs that each DNN needs for a network."""
    if shared:
        features = np.shape(network.user_features(np.zeros((1, network.state_size))))
        if features[:-1] != (1, network.N):
            shape = f"shape (1, {network.N}, F) for one frame, got {features}"
            raise ValueError(f"user_features of {kind_of(network)} must return {shape}")
        return features[-1], network.M
    return network.state_size, network.N * network.M


def chosen(candidates, k, xp=np):
    """Return candidate k (B,) of candidates (C, B, N*M) in each frame: (B, N*M)."""
    if xp is np:  # three times as fast
        return candidates[k, np.arange(len(k))]
    return xp.take_along_axis(candidates, k[None, :, None], axis=0)[0]


def kind_of(thing):
    """Return the name of an object's class."""
    return type(thing).__name__


def describe_network(network):
    """Return a network's class and constants as a dict for a JSON file.

    Constants are public attributes: numbers, texts, and arrays as nested lists.
    """
    described = {"class": kind_of(network)}
    for name, value in inspect.getmembers_static(network):
        is_constant = isinstance(value, (str, int, float, list, tuple, np.ndarray, np.generic))
        if is_constant and name[0] != "_" and not hasattr(Network, name):
            with suppress(ValueError):  # a ragged list is not an array
                array = np.asarray(value)
                if array.dtype.kind in "biufU":
                    described[name] = array.tolist()
    return described


def one_frame(compute_Q):
    """Turn a compute_Q of one time frame into one of any number of frames and candidates.

    A decorator for a method or a function of the state and the decision of one frame, two vectors, that
    returns a number.
    """

    @functools.wraps(compute_Q)
    def all_frames(*arguments):
        *self, state, decision = arguments
        single = functools.partial(compute_Q, *self)
        every = np.vectorize(single, otypes=[float], signature="(s),(n)->()")
        Q = every(np.asarray(state, float), decision)
        return Q if Q.ndim else float(Q)

    return all_frames


def check_network(network, state):
    """Raise ValueError unless a network scores states (B, S) as DDLO needs it.

    compute_Q must return finite numbers for several candidates, for a block of frames and for one frame
    alone, the same each time; utility and allowed must agree with it.
    """
    network = as_network(network)
    name, state = f"compute_Q of {kind_of(network)}", network.check_state(state)[:2]
    decision = np.zeros((3, len(state), network.N * network.M), np.int32)
    decision[1], decision[2, :, ::2] = 1, 1

    def score(d, x):
        return checks.utilities(name, network.compute_Q(d, x), x.shape[:-1])

    try:
        Q, block = score(state, decision), score(state, decision[2])
        alone = score(state[0], decision[2, 0])
    except Exception as error:  # whatever a user's function raises
        raise ValueError(
            f"{name} fails: {checks.quoted(error)}. The last axis of states and decisions holds one "
            "frame, all others broadcast; ddlo.network.one_frame adapts a function of one frame"
        ) from error
    costs, x = network.costs(state), decision.astype(float)
    scored = network.score(state if network.scored_by_Q else costs, x)
    allowed = network.compute_Q(state, network.allowed(costs, x, np))
    for what, found, expected in (
        ("for a block of frames", block, Q[2]),
        ("for a frame alone", alone, Q[2, 0]),
        ("as `utility`", scored, Q),
        ("for decisions that `allowed` returns", allowed, Q),
    ):
        if np.shape(found) != expected.shape or not np.allclose(found, expected, 1e-9, atol=0):
            both = f"{checks.quoted(expected)} and {checks.quoted(found)}"
            raise ValueError(f"{name} must return the same {what}, got {both}")

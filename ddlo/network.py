"""Network, the base class of everything DDLO can decide for.

Subclass it and write `compute_Q`; everything else has a default. An object with N, M and compute_Q
works too: `as_network` gives it the defaults.
"""

import functools
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
    """A default computed from the object; an attribute of the object or of a subclass replaces it."""

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
        """Map decisions to feasible ones, feasible ones to themselves; Q must be the same for both."""
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
        """Return the denominator of gain ratios: least Q (B,), its decision, and its name."""
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
    """Return a Network; an object with N, M and compute_Q gets the defaults of Network.

    Raises ValueError if something is missing.
    """
    missing = [name for name in ("N", "M", "compute_Q") if not hasattr(thing, name)]
    if missing or isinstance(thing, type):
        found = f"the class {thing.__name__}" if isinstance(thing, type) else kind_of(thing)
        without = f" without {' and '.join(missing)}" if missing else ""
        raise ValueError(f"a network must have N, M and compute_Q, got {found}{without}")
    if not isinstance(thing, Network):
        kind = type(thing)
        if not hasattr(thing, "__dict__"):
            raise ValueError(f"a network must not have __slots__, got {kind.__name__}")
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
        raise ValueError(
            f"the DNNs must have {sizes[0]} inputs and {sizes[1]} outputs, for {network}, got {found[0]} "
            f"and {found[1]}"
        )
    entries = np.shape(getattr(net.scale, "low", 0.0))  # of a Scale
    if entries not in ((), sizes[:1]):
        raise ValueError(f"scale must have an entry per input, {sizes[0]}, got {entries[0]}")
    if recombine and (network.scored_by_Q or type(network).recombine is Network.recombine):
        raise ValueError(
            f"recombine needs a network with costs, utility and recombine, got {kind_of(network)}"
        )


def layer_ends(network, shared=None):
    """Return the inputs and outputs that each DNN needs for a network."""
    if shared:
        features = np.shape(network.user_features(np.zeros((1, network.state_size))))
        if features[:-1] != (1, network.N):
            raise ValueError(
                f"user_features of {kind_of(network)} must return an array of shape "
                f"(1, {network.N}, F) for one frame, got {features}"
            )
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
    constants = {}
    for kind in reversed(type(network).__mro__):
        if kind not in Network.__mro__:
            constants |= vars(kind)
    constants |= vars(network)
    described = {"class": kind_of(network)}
    for name, value in constants.items():
        is_constant = isinstance(value, (str, int, float, list, tuple, np.ndarray, np.generic))
        if name[0] == "_" or not is_constant or name in vars(Network):
            continue
        with suppress(ValueError):  # a ragged list is not an array
            array = np.asarray(value)
            if array.dtype.kind in "biufU":
                described[name] = array.tolist()
    return described


def one_frame(compute_Q):
    """Turn a compute_Q of one time frame into one of any number of frames and candidates.

    A decorator for a method or a function whose last two arguments are the state and the decision of
    one frame, two vectors, and which returns a number. Raises ValueError for any other return value.
    """

    @functools.wraps(compute_Q)
    def all_frames(*arguments):
        *self, state, decision = arguments
        state, decision = np.asarray(state, float), np.asarray(decision)
        shape = np.broadcast_shapes(state.shape[:-1], decision.shape[:-1])
        states = np.broadcast_to(state, (*shape, state.shape[-1]))
        decisions = np.broadcast_to(decision, (*shape, decision.shape[-1]))
        Q = np.empty(shape)
        for frame in np.ndindex(shape):
            value = compute_Q(*self, states[frame], decisions[frame])
            if np.ndim(value) or not np.isreal(value):
                raise ValueError(
                    f"{compute_Q.__qualname__} must return a number for one frame, got "
                    f"{_described(value)}"
                )
            Q[frame] = value
        return Q if shape else float(Q)

    return all_frames


def check_network(network, state):
    """Raise ValueError unless a network scores states (B, S) as DDLO needs it.

    compute_Q must return finite numbers for a block of frames, for several candidates and for one
    frame alone, the same each time; utility must agree with it.
    """
    network = as_network(network)
    name = f"compute_Q of {kind_of(network)}"
    state = network.check_state(state)[:2]
    decisions = np.zeros((3, len(state), network.N * network.M), np.int32)
    decisions[1], decisions[2, :, ::2] = 1, 1
    hint = (
        "the last axis holds one frame, all others broadcast. ddlo.network.one_frame adapts a function "
        "of one frame"
    )
    cases = {"a block of frames": decisions[0], "candidates of a block of frames": decisions}
    for what, decision in cases.items():
        shapes = f"state {state.shape} and decision {decision.shape}, {what}"
        try:
            Q = network.compute_Q(state, decision)
        except Exception as error:  # whatever a user's function raises
            raise ValueError(f"{name} fails for {shapes}: {error!r}; {hint}") from error
        if not isinstance(Q, (np.ndarray, list)) or np.shape(Q) != decision.shape[:-1]:
            raise ValueError(
                f"{name} must return an array of shape {decision.shape[:-1]} for {shapes}, got "
                f"{_described(Q)}; {hint}"
            )
        Q = checks.finite(name, checks.array(name, Q))
    alone = network.compute_Q(state[0], decisions[2, 0])
    if np.ndim(alone) or not np.isclose(alone, Q[2][0], rtol=1e-9, atol=0):
        raise ValueError(
            f"{name} must return the same for a frame in a block and alone, got {Q[2][0]} and "
            f"{_described(alone)}; {hint}"
        )
    costs, decisions = network.costs(state), decisions.astype(float)
    scored = np.asarray(network.score(state if network.scored_by_Q else costs, decisions))
    if scored.shape != Q.shape or not np.allclose(scored, Q, rtol=1e-9, atol=0):
        raise ValueError(
            f"utility of {kind_of(network)} must return what compute_Q does, {Q[:, 0]}, got "
            f"{_described(scored)}"
        )
    feasible = network.compute_Q(state, network.allowed(costs, decisions, np))
    if not np.allclose(feasible, Q, rtol=1e-9, atol=0):
        raise ValueError(f"{name} must score a decision as what `allowed` maps it to")


def _described(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return f"an array of shape {value.shape}" if value.shape else f"{value}"
    return f"a {kind_of(value)}, {str(value)[:80]}"

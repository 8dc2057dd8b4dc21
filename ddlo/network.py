"""What a network is to DDLO, and the networks that the command lines know.

A network is any object with N, M and `compute_Q(state, decision)`. A decision has N*M entries, 0 or 1. The
state, what is known of a time frame, has `state_size` entries; without that attribute these are N*M
task sizes. All else it may have is used where it is there: optimum, reference, task_costs and utility
(compiled code), recombine, energy_and_delays, bandwidth_allocation; `scale`, from states to inputs of the
DNNs (ddlo/inputs.py); and `allowed`, which with task_costs makes candidates into decisions that may be made:
compute_Q then has to score any decision as what `allowed` makes of it.
"""

import functools
from contextlib import suppress
from dataclasses import fields
from typing import Literal

import numpy as np

from ddlo import checks
from ddlo.bandwidth import JointMUMT
from MUMT import MUMT, Constants

# How users share the bandwidth, by the values of main.py's parameter `bandwidth`.
NETWORKS = {"equal": MUMT, "optimal": JointMUMT}
Sharing = Literal[tuple(NETWORKS)]
# What may be a constant of a network.
CONSTANTS = (str, int, float, list, tuple, np.ndarray, np.generic)


def make_network(parameters):
    """Return the MUMT or JointMUMT of parameters: users, tasks, bandwidth, uplink, and Constants.

    Raises ValueError if one is out of its range.
    """
    p = parameters
    kind = NETWORKS[checks.choice("bandwidth", p.bandwidth, NETWORKS)]
    constants = {each.name: getattr(p, each.name) for each in fields(Constants)}
    uplink = checks.number("uplink", p.uplink, positive=True)
    return kind(p.users, p.tasks, uplink_bandwidth=uplink / 8, **constants)


def describe_network(network):
    """Return a network's class and constants, of its class and its own, as a dict for a JSON file.

    Constants are public attributes that are numbers, texts, or arrays of numbers, as nested lists.
    """
    constants = {}
    for kind in reversed(type(network).__mro__):
        constants |= vars(kind)
    constants |= vars(network)
    described = {"class": type(network).__name__}
    for name, value in constants.items():
        if name[0] == "_" or not isinstance(value, CONSTANTS):
            continue
        with suppress(ValueError):  # a ragged list is no array
            array = np.asarray(value)
            if array.dtype.kind in "biufU":
                described[name] = array.tolist()
    return described


def state_size(network):
    """Return how many entries the state of a time frame has. Raises ValueError if it is no network."""
    missing = [name for name in ("N", "M", "compute_Q") if not hasattr(network, name)]
    if missing:
        raise ValueError(
            f"a network must have N, M and compute_Q, got {type(network).__name__} without "
            f"{' and '.join(missing)}"
        )
    return checks.integer("state_size", getattr(network, "state_size", network.N * network.M))


def one_frame(compute_Q):
    """Make a compute_Q of a single time frame one of any number of frames and candidates.

    A decorator for a method or a function whose last two arguments are the state and the decision of
    one frame, two vectors, and which returns a number. What it returns is checked each time: ValueError.
    """

    @functools.wraps(compute_Q)
    def of_all(*arguments):
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

    return of_all


def check_network(network, state):
    """Raise ValueError unless a network's compute_Q does what DDLO needs, on some states (B, S).

    It is called for a block of frames, several candidates, and one frame; it has to return a finite
    number for each.
    """
    state_size(network)
    if hasattr(network, "checked_sizes"):
        network.checked_sizes(state)
    name = f"compute_Q of {type(network).__name__}"
    tasks = checks.integer("N", network.N) * checks.integer("M", network.M)
    state = np.asarray(state, float)[:2]
    decisions = np.zeros((3, len(state), tasks), np.int32)
    decisions[1], decisions[2, :, ::2] = 1, 1
    cases = (
        ("a block of frames", decisions[0]),
        ("candidates of a block of frames", decisions),
    )
    hint = (
        "the last axis is that of a frame, all others broadcast. Decorate a function of one frame with "
        "ddlo.network.one_frame"
    )
    for what, decision in cases:
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
        checks.finite(name, checks.array(name, Q))
    alone = network.compute_Q(state[0], decisions[2, 0])
    if np.ndim(alone) or not np.isclose(alone, Q[2][0], rtol=1e-9, atol=0):
        raise ValueError(
            f"{name} must return the same for a frame in a block and alone, got {Q[2][0]} and "
            f"{_described(alone)}; {hint}"
        )


def _described(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return f"an array of shape {value.shape}" if value.shape else f"{value}"
    return f"a {type(value).__name__}, {str(value)[:80]}"

"""Decisions without learning, which a report compares with DDLO: not in the paper."""

import numpy as np

from ddlo import checks
from ddlo.enumeration import ENUMERATED_TASKS, all_decisions
from ddlo.network import kind_of

# Labels in texts and figures.
LABELS = {
    "best_fixed": "best fixed decision",
    "smallest_local": "smallest task local",
    "all_edge": "full offloading",
    "all_local": "local only",
}
# Most numbers that `best_fixed` computes if Q is separable; else most utilities, 2 s at 20 us each.
MOST_NUMBERS, MOST_UTILITIES = 10**8, 10**5


def best_fixed(network, state):
    """Return the decision, int32 (N*M,), with the least mean Q over states (B, S).

    Hindsight baseline: it sees all frames first. Learning should beat it. Enumerates up to 12 tasks, of
    each user if Q is separable; beyond that coordinate descent may miss a better one. Looks at evenly
    spaced frames if all take too long.
    """
    state = frames(network, state)
    tasks = network.N * network.M
    if network.separable and network.M <= ENUMERATED_TASKS:
        decisions = all_decisions(network.M)
        some = _evenly_spaced(state, MOST_NUMBERS // (len(decisions) * tasks))
        costs, alike = network.costs(some), np.tile(decisions, network.N)
        means = [network.user_utility(costs, x, np).mean(axis=0) for x in alike]
        return decisions[np.argmin(means, axis=0)].ravel()
    if tasks <= ENUMERATED_TASKS:
        candidates, evaluated = all_decisions(tasks), 2**tasks
    else:  # full offloading and local only
        candidates, evaluated = np.repeat(np.int32([[1], [0]]), tasks, axis=1), tasks**2
    some = _evenly_spaced(state, MOST_UTILITIES // evaluated)
    least = np.inf
    while min(means := [np.mean(network.compute_Q(some, x)) for x in candidates]) < least:
        best, least = candidates[np.argmin(means)], min(means)
        candidates = best ^ np.eye(tasks, dtype=np.int32)
    return best


def all_edge(network, state):
    """Offload all tasks."""
    return np.ones((len(frames(network, state)), network.N * network.M), np.int32)


def all_local(network, state):
    """Process all tasks on the devices."""
    return np.zeros((len(frames(network, state)), network.N * network.M), np.int32)


def smallest_local(network, task_size):
    """Keep every user's smallest task local and offload the others: int32 (B, N*M).

    A task of size 0 is no task; of equal tasks the first stays. Raises ValueError if a size is negative
    or not finite, or the state of the network is not task sizes.
    """
    if not network.has_task_sizes:
        raise ValueError(f"the state of {kind_of(network)} is not one size for each task")
    d = checks.sizes("task_size", frames(network, task_size))
    d = d.reshape(-1, network.N, network.M)
    smallest = np.where(d > 0, d, np.inf).argmin(axis=-1)[..., None]
    return (np.arange(network.M) != smallest).astype(np.int32).reshape(len(d), -1)


def baselines(network, state, fixed, seed):
    """Return each baseline's decisions in frames (B, S), int32 (B, N*M), by name.

    `fixed` is the best fixed decision (N*M,); the seed is that of the random one.
    """
    decisions = {"best_fixed": np.tile(fixed, (len(state), 1))}
    if network.has_task_sizes and (state >= 0).all():
        decisions["smallest_local"] = smallest_local(network, state)
    edge, local = all_edge(network, state), all_local(network, state)
    random = np.random.default_rng(seed).integers(0, 2, edge.shape)
    return decisions | {"all_edge": edge, "all_local": local, "random": random}


def frames(network, state):
    """Return valid states as float64 (frames, S); (S,) is one frame. Raises ValueError for others."""
    return np.atleast_2d(checks.block("state", network.check_state(state)))


def _evenly_spaced(states, number):
    number = min(len(states), max(1, number))
    return states[np.linspace(0, len(states) - 1, number).astype(int)]

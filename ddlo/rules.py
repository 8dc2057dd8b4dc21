"""Decisions without learning, which a report compares DDLO with: ours, not the paper's."""

import numpy as np

from ddlo import checks
from ddlo.network import state_size
from MUMT import ENUMERATED_TASKS, all_decisions

# What the rules are called in texts.
LABELS = {
    "best_fixed": "best fixed decision",
    "smallest_local": "smallest task local",
    "all_edge": "full offloading",
    "all_local": "local only",
}
# Numbers that `best_fixed` computes at most where Q is separable, and else utilities: a custom one may
# take some 20 microseconds.
MOST_NUMBERS, MOST_UTILITIES = 10**8, 10**5


def best_fixed(network, state):
    """Return the one decision, int32 (N*M,), with the least mean Q if it is made in all frames.

    No scheme, as it has to see many frames (B, S) before it can decide one; to learn is to do better.
    Found user by user with 2**M decisions each where Q is separable, else of all 2**(N*M), both up to
    12 tasks; beyond that by coordinate descent, so that there may be a better one. Only some frames
    are looked at, evenly spaced, where all would take long.
    """
    state = np.atleast_2d(np.asarray(state, float))
    tasks = network.N * network.M
    if getattr(network, "separable", False) and network.M <= ENUMERATED_TASKS:
        decisions = all_decisions(network.M)
        some = _evenly_spaced(state, MOST_NUMBERS // (len(decisions) * tasks))
        costs = network.task_costs(some)
        mean = [
            network.user_utility(costs, np.tile(decision, network.N), np).mean(axis=0)
            for decision in decisions
        ]
        return decisions[np.argmin(mean, axis=0)].astype(np.int32).ravel()
    if tasks <= ENUMERATED_TASKS:
        decisions = all_decisions(tasks).astype(np.int32)
        some = _evenly_spaced(state, MOST_UTILITIES // len(decisions))
        return decisions[np.argmin([network.compute_Q(some, x).mean() for x in decisions])]
    some = _evenly_spaced(state, MOST_UTILITIES // tasks**2)
    starts = np.stack([np.ones(tasks, np.int32), np.zeros(tasks, np.int32)])
    least = [network.compute_Q(some, x).mean() for x in starts]
    x, least = starts[np.argmin(least)], min(least)
    while True:
        flipped = x ^ np.eye(tasks, dtype=np.int32)
        mean = [network.compute_Q(some, other).mean() for other in flipped]
        if min(mean) >= least:
            return x
        x, least = flipped[np.argmin(mean)], min(mean)


def all_edge(network, state):
    """Offload all tasks."""
    return np.ones((len(frames_of(network, state)), network.N * network.M), np.int32)


def all_local(network, state):
    """Process all tasks on the devices."""
    return np.zeros((len(frames_of(network, state)), network.N * network.M), np.int32)


def smallest_local(network, task_size):
    """Keep every user's smallest task local and offload the others: decisions, int32 (B, N*M).

    A task of size 0 is no task, of equal ones the first is kept. ValueError if a size is negative or
    not finite, or the network's state is no task sizes.
    """
    if not has_sizes(network):
        raise ValueError(f"the state of {type(network).__name__} is not one size for each task")
    d = checks.sizes("task_size", frames_of(network, task_size).astype(float))
    d = d.reshape(-1, network.N, network.M)
    smallest = np.where(d > 0, d, np.inf).argmin(axis=-1)[..., None]
    return (np.arange(network.M) != smallest).astype(np.int32).reshape(len(d), -1)


def rules(network, frames, fixed, seed):
    """Return what each rule decides in frames (B, S): int32 (B, N*M) by name.

    `fixed` is the best fixed decision, (N*M,); the seed is of the random scheme.
    """
    decisions = {"best_fixed": np.tile(fixed, (len(frames), 1))}
    if has_sizes(network):
        decisions["smallest_local"] = smallest_local(network, frames)
    edge, local = all_edge(network, frames), all_local(network, frames)
    random = np.random.default_rng(seed).integers(0, 2, edge.shape)
    return decisions | {"all_edge": edge, "all_local": local, "random": random}


def frames_of(network, state):
    """Return task sizes (frames, N*M), or other states (frames, S); of one frame also given as (S,).

    Raises ValueError if they have another shape.
    """
    state, size = np.atleast_2d(state), state_size(network)
    if state.ndim != 2 or state.shape[1] != size:
        raise ValueError(
            f"task_size must have shape (frames, {size}), for {network.N} users with {network.M} tasks "
            f"each, got {state.shape}"
        )
    return state


def has_sizes(network):
    """Whether a network's state is task sizes: one that has another state says its state_size."""
    return state_size(network) == network.N * network.M and not hasattr(network, "state_size")


def _evenly_spaced(frames, number):
    """Return so many of the frames, or all if they are no more."""
    number = min(len(frames), max(1, number))
    return frames[np.linspace(0, len(frames) - 1, number).astype(int)]

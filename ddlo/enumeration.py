"""Exhaustive search: the best of all decisions in a network with few tasks."""

import itertools

import numpy as np

from ddlo import checks

ENUMERATED_TASKS = 12  # most tasks N*M for which all 2**(N*M) decisions are tried
# With a separable utility each user's 2**M decisions: most tasks M, and most N*M*2**M (about 2 GB).
ENUMERATED_TASKS_PER_USER, ENUMERATED_NUMBERS = 20, 2**26


def enumerate_decisions(network, state):
    """Return the least utility of all 2**(N*M) decisions, and the first decision that reaches it.

    Lexicographic order: user 1's first task is the most significant bit. Takes states (S,) or (B, S) of
    any network and returns as `MUMT.optimum`. Raises ValueError for more than 12 tasks.
    """
    tasks = network.N * network.M
    if tasks > ENUMERATED_TASKS:
        raise ValueError(f"up to {ENUMERATED_TASKS} tasks are enumerated, got {tasks}")

    def best(state, decisions):
        Q = np.asarray(network.compute_Q(state[:, None], decisions))
        first = Q.argmin(axis=1)
        return Q[np.arange(len(Q)), first], decisions[first]

    return search(best, np.asarray(state), tasks, tasks)


def search(function, state, tasks, width):
    """Call function(states (b, S), all decisions on `tasks` tasks) for some frames at a time.

    It returns a value and a decision of `width` entries per frame. Raises ValueError for too many tasks.
    """
    if tasks > ENUMERATED_TASKS_PER_USER or width * 2**tasks > ENUMERATED_NUMBERS:
        most = f"M must be up to {ENUMERATED_TASKS_PER_USER}, less for many users"
        raise ValueError(f"{most}, got M = {tasks} and N = {width // tasks}")
    decisions = all_decisions(tasks)
    step = max(1, 2**19 // (len(decisions) * width))  # 4 MB, for the cache
    return in_blocks(lambda frames: function(frames, decisions), state, step)


def in_blocks(function, state, step):
    """Call function(states (b, S)) for `step` frames at a time, to bound the memory.

    Returns its arrays, joined over all frames; for one state (S,) what it returns for that frame.
    """
    frames = np.atleast_2d(checks.block("state", state))
    if len(frames) <= step:
        results = function(frames)
    else:
        parts = [function(frames[start : start + step]) for start in range(0, len(frames), step)]
        results = tuple(map(np.concatenate, zip(*parts)))
    if state.ndim == 1:
        return tuple(array[0].item() if array.ndim == 1 else array[0] for array in results)
    return results


def all_decisions(tasks):
    """Return all decisions in lexicographic order: int32 (2**tasks, tasks)."""
    return np.array(list(itertools.product((0, 1), repeat=tasks)), np.int32)

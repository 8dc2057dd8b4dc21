"""Exhaustive search: the best of all decisions in a network with few tasks."""

import itertools

import numpy as np

from ddlo import checks

# Up to this many tasks, N*M, the optimum is found by trying all 2**(N*M) decisions.
ENUMERATED_TASKS = 12
# With a separable utility: up to this many tasks per user, M, by trying the 2**M decisions of each
# user, as long as N*M*2**M stays below a limit (about 2 GB).
ENUMERATED_TASKS_PER_USER, ENUMERATED_NUMBERS = 20, 2**26


def enumerate_decisions(network, state):
    """Return the least utility of all 2**(N*M) decisions, and the first decision that reaches it.

    Decisions are tried in lexicographic order; user 1's first task is the most significant bit. Takes
    states (S,) or (B, S) of any network and returns as `MUMT.optimum`. Raises ValueError for more than
    12 tasks.
    """
    tasks = network.N * network.M
    if tasks > ENUMERATED_TASKS:
        raise ValueError(
            f"decisions are enumerated for up to {ENUMERATED_TASKS} tasks, got {tasks}"
        )

    def best(state, decisions):
        Q = np.asarray(network.compute_Q(state[:, None], decisions))
        first = Q.argmin(axis=1)
        return Q[np.arange(len(Q)), first], decisions[first]

    return search(best, np.asarray(state), tasks, tasks)


def check_enumerable(N, M):
    """Raise ValueError if the 2**M decisions of each of N users are too many to try."""
    if M > ENUMERATED_TASKS_PER_USER or N * M * 2**M > ENUMERATED_NUMBERS:
        raise ValueError(
            f"the decisions of a user are enumerated for up to {ENUMERATED_TASKS_PER_USER} tasks, "
            f"or fewer with many users, got M = {M} and N = {N}"
        )


def search(function, state, tasks, width):
    """Call function(states (b, S), all decisions on `tasks` tasks) for some frames at a time.

    The function returns a value and a decision of `width` entries per frame; so does this for all.
    """
    decisions = all_decisions(tasks)
    step = max(1, 2**19 // (len(decisions) * width))  # 4 MB, for the cache
    return in_blocks(lambda frames: function(frames, decisions), state, step)


def in_blocks(function, state, step):
    """Call function(states (b, S)) for `step` frames at a time, to bound the memory.

    Returns the arrays it returns, concatenated; for one state (S,) without their first axis.
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

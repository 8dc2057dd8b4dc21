"""Candidate rules against the same rules written out task by task."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddlo.backend import tf, tnp
from ddlo.candidates import Flips, NearestNeighbours, OrderPreserving, threshold
from memory import MemoryDNN

LOGITS = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).normal(0, 2, (2, 4, 6))
)


def checked_candidates(rule, logits):
    """What a rule returns with NumPy, which has to be what it returns with TensorFlow."""
    candidates = rule(logits, np)
    np.testing.assert_array_equal(rule(tnp.asarray(logits), tnp).numpy(), candidates)
    assert candidates.dtype == bool
    return candidates


def test_threshold_offloads_above_0():
    logits = np.array([[[-1.0, 0, 1e-300]], [[2, -1e-300, -3]]])
    expected = [[[False, False, True]], [[True, False, False]]]
    np.testing.assert_array_equal(checked_candidates(threshold, logits), expected)


def flipped(logits, flips, users):
    """The decisions (flips, n_out) of a frame in which a task of each user is flipped."""
    tasks = len(logits) // users
    candidates = np.tile(logits > 0, (flips, 1))
    for user in range(users):
        user_tasks = range(user * tasks, (user + 1) * tasks)
        least_confident = sorted(user_tasks, key=lambda task: abs(logits[task]))[:flips]
        for candidate, task in zip(candidates, sorted(least_confident)):
            candidate[task] = not candidate[task]
    return candidates


@settings(max_examples=25)
@given(LOGITS, st.integers(0, 6), st.integers(0, 2))
def test_flips_of_the_least_confident_tasks(logits, flips, user_flips):
    candidates = checked_candidates(Flips(flips, user_flips, users=3), logits)
    assert candidates.shape == (2 * (1 + flips + user_flips), 4, 6)
    for k, i in np.ndindex(2, 4):
        own, single, by_user = np.split(candidates[k::2, i], [1, 1 + flips])
        np.testing.assert_array_equal(own[0], logits[k, i] > 0)
        np.testing.assert_array_equal(single, flipped(logits[k, i], flips, 1))
        np.testing.assert_array_equal(by_user, flipped(logits[k, i], user_flips, 3))


def quantised(logits, K):
    """The decisions (K, n_out) of a frame as DROO's released code makes them of a DNN's output."""
    output = 1 / (1 + np.exp(-logits))
    candidates = [output > 0.5]
    for task in np.argsort(np.abs(output - 0.5))[: K - 1]:
        if output[task] > 0.5:
            candidates.append(output > output[task])
        else:
            candidates.append(output >= output[task])
    return candidates


@settings(max_examples=25)
@given(LOGITS, st.integers(1, 7))
def test_order_preserving_quantisation_is_that_of_droo(logits, K):
    candidates = checked_candidates(OrderPreserving(K), logits[:1])
    assert candidates.shape == (K, 4, 6)
    for i in range(4):
        np.testing.assert_array_equal(candidates[:, i], quantised(logits[0, i], K))


def test_equally_confident_tasks_and_saturated_outputs():
    # Of equally confident tasks the first comes first. At 50 and 60 the outputs are 1 in float64.
    candidates = checked_candidates(Flips(2), np.array([[[1.0, -1, 1]]]))
    np.testing.assert_array_equal(candidates[1:, 0], [[0, 0, 1], [1, 1, 1]])
    candidates = checked_candidates(OrderPreserving(4), np.array([[[60.0, 50, 0]]]))
    np.testing.assert_array_equal(candidates[:, 0], [[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    "dnns, n_out, rule, message",
    [
        (2, 9, lambda logits, xp: (logits > 0).astype(int), "booleans"),
        (2, 9, lambda logits, xp: logits[..., :5] > 0, r"got bool of shape \(2, 1, 5\)"),
        (2, 9, Flips(10), "flips must be an integer <= 9, got 10"),
        (2, 9, Flips(user_flips=4, users=3), "user_flips must be an integer <= 3, got 4"),
        (2, 9, OrderPreserving(3), "1 DNN, got 2"),
        (1, 9, OrderPreserving(11), "K must be"),
        (1, 3, NearestNeighbours(9), "K must be"),
        (1, 99, NearestNeighbours(100), "too many decisions"),
    ],
)
def test_rules_that_do_not_suit_the_dnns_are_refused(dnns, n_out, rule, message):
    with pytest.raises(ValueError, match=message):
        MemoryDNN([9, n_out], dnns, candidates=rule)


@pytest.mark.parametrize("n_out, K", [(1, 2), (4, 1), (4, 9), (6, 64), (9, 10)])
def test_nearest_neighbours_are_those_of_all_decisions(n_out, K):
    logits = np.random.default_rng(K).normal(0, 2, (1, 40, n_out))
    candidates = NearestNeighbours(K)(logits)
    assert candidates.shape == (K, 40, n_out) and candidates.dtype == bool
    output = 1 / (1 + np.exp(-logits[0]))
    decisions = np.array(list(itertools.product((0, 1), repeat=n_out)))
    distance = ((output[:, None] - decisions) ** 2).sum(axis=-1)
    nearest = decisions[np.argsort(distance, axis=-1)[:, :K]]
    np.testing.assert_array_equal(candidates, nearest.swapaxes(0, 1))
    compiled = tf.function(lambda z: NearestNeighbours(K)(z, tnp), jit_compile=True)
    np.testing.assert_array_equal(compiled(logits).numpy(), candidates)

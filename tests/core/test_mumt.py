"""The utility and its optimum: published values, values by hand, a reference task by task."""

import itertools

import numpy as np
import pytest
import scipy.io
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ddlo.bandwidth import JointMUMT
from ddlo.enumeration import enumerate_decisions
from MUMT import MUMT, SYMBOLS
from tools.benchmark.plain import plain_Q

from ..conftest import DATA
from .reference import Penalty, frames

BITS = 8 * 2**20  # of 1 MB


def test_published_decisions_have_the_published_utility(network, published):
    task_size, gain_min = published
    gain_mode = scipy.io.loadmat(DATA)["gain_mode"]
    np.testing.assert_array_equal(network.compute_Q(task_size, gain_mode), gain_min)


def test_utility_by_hand():
    # One user, one task of 10 MB, 83886080 bits: 27.262976 J and 39.845888 s on the device. At the
    # edge 24.49473536 J, 0.8 s to send it at 12.5 MB/s and 15.9383552 s to process it.
    network = MUMT(1, 1)
    assert network.compute_Q([10], [0]) == pytest.approx(27.262976 + 39.845888, rel=1e-12)
    assert network.compute_Q([10], [1]) == pytest.approx(24.49473536 + 16.7383552, rel=1e-12)
    # Two users, of whom one offloads, at half of the bandwidth.
    network = MUMT(2, 1, delay_weight=0.5)
    by_hand = 24.49473536 + 0.5 * (1.6 + 15.9383552) + 27.262976 + 0.5 * 39.845888
    assert network.compute_Q([10, 10], [1, 0]) == pytest.approx(by_hand, rel=1e-12)
    # One user's delay is the longer one of both sides: here 39.845888 s on the device.
    by_hand = 27.262976 + 24.49473536 + 39.845888
    assert MUMT(1, 2).compute_Q([10, 10], [1, 0]) == pytest.approx(by_hand, rel=1e-12)


def test_energy_delays_and_bandwidth_by_hand():
    network, d, x = MUMT(2, 2, delay_weight=3), [10, 20, 30, 0], [1, 0, 1, 1]
    energy, local, offload = network.energy_and_delays(d, x)
    np.testing.assert_allclose(energy, BITS * np.array([10 * 2.92e-7 + 20 * 3.25e-7, 30 * 2.92e-7]))
    np.testing.assert_allclose(local, [20 * BITS * 4.75e-7, 0])
    sent = np.array([10, 30])
    np.testing.assert_allclose(offload, sent / 6.25 + sent * BITS * 1.9e-7)
    Q = (energy + 3 * np.maximum(local, offload)).sum()
    assert network.compute_Q(d, x) == pytest.approx(Q, rel=1e-12)
    assert network.bandwidth_allocation(d, [x, [0, 0, 0, 1]]).tolist() == [[6.25, 6.25], [0, 6.25]]


@settings(max_examples=50)
@given(frames(max_frames=3))
def test_utility_is_that_of_the_plain_reference_to_the_last_bit(case):
    N, M, d, x = case
    Q = MUMT(N, M).compute_Q(d, x)
    assert Q.dtype == np.float64
    assert Q.tolist() == [plain_Q(row, decision, N, M) for row, decision in zip(d, x)]
    assert MUMT(N, M).compute_Q(d[0], x[0]) == Q[0]


@pytest.mark.parametrize("model", [MUMT(3, 3), JointMUMT(3, 3)], ids=["equal", "optimal"])
def test_candidates_broadcast_to_all_frames(model, published):
    d = published[0][:50]
    x = np.random.default_rng(0).integers(0, 2, (4, 50, 9))
    Q, c = model.compute_Q(d, x), model.bandwidth_allocation(d, x)
    assert Q.shape == (4, 50) and c.shape == (4, 50, 3)
    for k, i in np.ndindex(Q.shape):
        assert Q[k, i] == model.compute_Q(d[i], x[k, i])
        np.testing.assert_array_equal(c[k, i], model.bandwidth_allocation(d[i], x[k, i]))


def test_kinds_of_numbers(network):
    x, d = [1, 0, 1, 1, 0, 0, 0, 1, 1], [10, 12, 14] * 3
    for decision in (x, *(np.array(x, kind) for kind in (int, float, bool, np.int8, object))):
        Q = network.compute_Q(d, decision)
        assert type(Q) is float and Q == plain_Q(d, x, 3, 3)
    network = MUMT(np.uint8(20), np.uint8(20), delay_weight=np.float32(2))
    assert network.compute_Q(np.full(400, 10), np.ones(400)) > 0  # 20 * 20 is no uint8
    assert type(network.delay_weight) is float


# Constants


def formula(d, x, El, Tl, et, a, APP, fc, beta, CUL):
    """Q (B,) of decisions x (B, N, M) on tasks d (B, N, M), as in the paper."""
    b = BITS * d
    energy = (x * (a + et) * b + (1 - x) * El * b).sum(axis=2)
    local = (beta * (1 - x) * Tl * b).sum(axis=2)
    offload = (beta * x * (d * d.shape[1] / CUL + b * APP / fc)).sum(axis=2)
    return (energy + np.maximum(local, offload)).sum(axis=1)


@pytest.mark.parametrize("shape", [(), (3, 1), (1, 2), (3, 2)])
def test_constants_of_users_and_tasks(shape):
    random, constants = np.random.default_rng(0), {}
    for symbol in ("El", "Tl", "et", "a", "APP", "fc", "beta", "CUL"):
        several = () if symbol == "CUL" and shape[1:] == (2,) else shape
        constants[symbol] = getattr(MUMT(1, 1), symbol) * random.uniform(0.5, 2, several)
    d, x = random.uniform(0, 30, (20, 3, 2)), random.integers(0, 2, (20, 3, 2))
    network, d6 = MUMT(3, 2, **constants), d.reshape(20, 6)
    Q = network.compute_Q(d6, x.reshape(20, 6))
    np.testing.assert_allclose(Q, formula(d, x, **constants), rtol=1e-12)
    np.testing.assert_array_equal(network.optimum(d6)[0], network.optimum_by_user(d6)[0])


@pytest.mark.parametrize("symbol, name", SYMBOLS.items())
def test_constants_have_two_names(symbol, name):
    network = MUMT(2, 2, **{symbol: 3})
    assert network == MUMT(2, 2, **{name: 3}) != MUMT(2, 2)
    for value, each in ((4, symbol), (5, name)):
        setattr(network, each, value)
        assert getattr(network, symbol) == getattr(network, name) == value
        with pytest.raises(ValueError, match=f"{name} .* got -1"):
            setattr(network, each, -1)
    assert network == MUMT(2, 2, **{name: 5})


@pytest.mark.parametrize(
    "kind, name, value",
    [
        (MUMT, "delay_weight", [[1, 2, -1]]),
        (MUMT, "uplink_bandwidth", np.ones((3, 3))),
        (JointMUMT, "delay_weight", [[1], [0], [1]]),
        (JointMUMT, "delay_weight", 0),
    ],
)
def test_constants_that_are_refused(kind, name, value):
    network = kind(3, 3)
    for call in (lambda: kind(3, 3, **{name: value}), lambda: setattr(network, name, value)):
        with pytest.raises(ValueError, match=name):
            call()
    assert network == kind(3, 3)  # as before


# The optimum


@given(frames(max_frames=2))
@settings(max_examples=25)
def test_optimum_is_the_first_of_the_least_utilities(case):
    N, M, d, _ = case
    assume(N * M <= 8)
    gain_min, gain_mode = MUMT(N, M).optimum(d)
    decisions = list(itertools.product((0, 1), repeat=N * M))
    for row, least, mode in zip(d, gain_min, gain_mode, strict=True):
        Q = [plain_Q(row, x, N, M) for x in decisions]
        assert least == min(Q)
        assert tuple(mode) == decisions[Q.index(min(Q))]


def test_optimum_user_by_user_and_of_one_frame(network, published):
    task_size, expected = published
    gain_min, gain_mode, word = network.reference(task_size[7])
    assert type(gain_min) is float and gain_min == expected[7] and word == "optimum"
    assert gain_mode.shape == (9,) and gain_mode.dtype == np.int32
    gain_min, gain_mode = network.optimum_by_user(task_size)
    np.testing.assert_array_equal(gain_min, expected)
    np.testing.assert_array_equal(network.compute_Q(task_size, gain_mode), gain_min)
    published_mode = scipy.io.loadmat(DATA)["gain_mode"]
    assert 0 < np.mean((gain_mode != published_mode).any(axis=1)) < 0.005


def test_optimum_of_a_large_network():
    network = MUMT(30, 5)
    d = np.random.default_rng(0).integers(10, 31, (40, 150))
    gain_min, gain_mode = network.optimum(d)
    # Left to right, where NumPy sums 30 numbers in another order.
    assert gain_min.tolist() == [plain_Q(row, x, 30, 5) for row, x in zip(d, gain_mode)]
    Q = network.compute_Q(np.tile(d, (25, 1)), np.tile(gain_mode, (25, 1)))
    np.testing.assert_array_equal(Q, np.tile(gain_min, 25))
    flips = gain_mode ^ np.eye(150, dtype=int)[:, None]  # no single flip makes it better
    assert (network.compute_Q(d, flips) >= gain_min).all()


@pytest.mark.parametrize("N, M", [(1, 21), (30, 18)])
def test_optimum_refuses_more_decisions_than_can_be_enumerated(N, M):
    with pytest.raises(ValueError, match=f"M = {M} and N = {N}"):
        MUMT(N, M).optimum([10] * (N * M))


# Subclasses with a custom utility


class Slowest(MUMT):
    def utility(self, costs, decision, xp=np):
        return xp.max(self.user_utility(costs, decision, xp), axis=-1)


class Priorities(MUMT):
    def user_utility(self, costs, decision, xp=np):
        return np.array([1.0, 2.0, 4.0]) * super().user_utility(costs, decision, xp)


@pytest.mark.parametrize("kind", [Penalty, Slowest, Priorities])
def test_optimum_of_a_custom_utility(kind):
    network, d = kind(3, 2), np.random.default_rng(0).integers(10, 31, (20, 6))
    decisions = np.array(list(itertools.product((0, 1), repeat=6)))
    Q = network.compute_Q(d[:, None], decisions)
    for gain_min, gain_mode in (network.optimum(d), enumerate_decisions(network, d)):
        np.testing.assert_array_equal(gain_min, Q.min(axis=1))
        np.testing.assert_array_equal(gain_mode, decisions[Q.argmin(axis=1)])
    assert (Q.min(axis=1) != MUMT(3, 2).optimum(d)[0]).any()
    if kind is Priorities:  # a sum over users
        np.testing.assert_array_equal(network.optimum_by_user(d)[0], Q.min(axis=1))
    else:
        with pytest.raises(ValueError, match=f"{kind.__name__}.*separable.*15"):
            kind(3, 5).optimum([10] * 15)


# Recombined decisions


@settings(max_examples=50)
@given(frames(max_frames=5), st.randoms(use_true_random=False))
def test_recombined_decision_is_the_best_of_all_parts(case, random):
    N, M, _, x = case
    d = np.array([random.randint(10, 30) for _ in range(N * M)])
    for network in (MUMT(N, M), *([Priorities(N, M)] if N == 3 else [])):
        candidates, costs = x[:, None].astype(float), network.costs(d[None] * 1.0)
        (recombined,) = network.recombine(costs, candidates, candidates[0])
        parts = x.reshape(-1, N, M)
        combinations = itertools.product(range(len(parts)), repeat=N)
        every = [np.ravel([parts[c, n] for n, c in enumerate(chosen)]) for chosen in combinations]
        assert network.compute_Q(d, recombined) == pytest.approx(
            network.compute_Q(d, every).min(), rel=1e-12
        )


# Where the constants come from: docs/details.md


def test_with_1900_cycles_per_byte_at_the_edge_all_is_offloaded(published):
    task_size = published[0][19000:]
    per_byte = MUMT(3, 3, edge_cycles_per_bit=1900 / 8)
    assert (per_byte.optimum(task_size)[1] == 1).all()
    assert not (MUMT(3, 3).optimum(task_size)[1] == 1).all(axis=1).any()

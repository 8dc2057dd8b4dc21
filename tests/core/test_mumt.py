"""The utility and its optimum: published values, values by hand, a reference task by task."""

import itertools

import numpy as np
import pytest
import scipy.io
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ddlo.bandwidth import JointMUMT
from ddlo.enumeration import enumerate_decisions
from MUMT import MUMT
from tools.benchmark.plain import plain_Q

from ..conftest import DATA
from .reference import Penalty, frames, utility_of


def test_published_decisions_have_the_published_utility(network, published):
    task_size, gain_min = published
    gain_mode = scipy.io.loadmat(DATA)["gain_mode"]
    np.testing.assert_array_equal(network.compute_Q(task_size, gain_mode), gain_min)
    for i in range(0, 20000, 500):
        assert network.compute_Q(task_size[i], gain_mode[i]) == gain_min[i]


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


@settings(max_examples=50)
@given(frames(max_frames=3))
def test_utility_is_that_of_the_plain_reference_to_the_last_bit(case):
    N, M, d, x = case
    Q = MUMT(N, M).compute_Q(d, x)
    assert Q.dtype == np.float64 and Q.shape == (len(d),)
    assert Q.tolist() == [plain_Q(row, decision, N, M) for row, decision in zip(d, x)]
    assert MUMT(N, M).compute_Q(d[0], x[0]) == Q[0]


@settings(max_examples=50)
@given(frames(), st.floats(0, 4), st.floats(1, 100))
def test_utility_and_bandwidth_with_other_constants(case, beta, CUL):
    N, M, (d,), (x,) = case
    network = MUMT(N, M, delay_weight=beta, uplink_bandwidth=CUL)
    Q = network.compute_Q(d, x)
    assert Q == pytest.approx(plain_Q(d, x, N, M, beta, CUL), rel=1e-12)
    c = network.bandwidth_allocation(d, x)
    assert c.tolist() == [CUL / N if user.any() else 0 for user in x.reshape(N, M)]
    assert Q == pytest.approx(utility_of(network, d, x, c), rel=1e-12)


CONSTANTS = {
    "local_energy_per_bit": (0, 2),
    "local_time_per_bit": (0, 2),
    "transmit_energy_per_bit": (1, 2),
    "edge_cost_per_bit": (1, 2),
    "edge_cycles_per_bit": (1, 2),
    "edge_cpu_rate": (1, 0.5),
    "uplink_bandwidth": (1, 0.5),
    "delay_weight": (0, 2),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_constant_counts(name):
    x, factor = CONSTANTS[name]
    released = MUMT(1, 2)
    other = MUMT(1, 2, **{name: factor * getattr(released, name)})
    assert other.compute_Q([10, 20], [x, x]) > released.compute_Q([10, 20], [x, x])


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


def test_optimum_user_by_user_and_of_one_frame(network, published, monkeypatch):
    task_size, expected = published
    gain_min, gain_mode, word = network.reference(task_size[7])
    assert type(gain_min) is float and gain_min == expected[7] and word == "optimum"
    assert gain_mode.shape == (9,) and gain_mode.dtype == np.int32
    monkeypatch.setattr("MUMT.ENUMERATED_TASKS", 8)
    gain_min, gain_mode = network.optimum(task_size)
    np.testing.assert_array_equal(gain_min, expected)
    np.testing.assert_array_equal(network.compute_Q(task_size, gain_mode), gain_min)
    published_mode = scipy.io.loadmat(DATA)["gain_mode"]
    assert 0 < np.mean((gain_mode != published_mode).any(axis=1)) < 0.005


def test_optimum_of_a_large_network():
    network = MUMT(30, 5)
    d = np.random.default_rng(0).integers(10, 31, (40, 150))
    gain_min, gain_mode = network.optimum(d)
    np.testing.assert_array_equal(network.compute_Q(d, gain_mode), gain_min)
    # Left to right, where NumPy sums 30 numbers in another order.
    assert gain_min.tolist() == [plain_Q(row, x, 30, 5) for row, x in zip(d, gain_mode)]
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


@pytest.mark.parametrize("kind", [Penalty, Slowest])
def test_custom_utility_is_enumerated_and_not_separable(kind):
    network, d = kind(3, 2), np.random.default_rng(0).integers(10, 31, (5, 6))
    assert not network.separable
    decisions = np.array(list(itertools.product((0, 1), repeat=6)))
    Q = network.compute_Q(d[:, None], decisions)
    for gain_min, gain_mode in (network.optimum(d), enumerate_decisions(network, d)):
        np.testing.assert_array_equal(gain_min, Q.min(axis=1))
        np.testing.assert_array_equal(gain_mode, decisions[Q.argmin(axis=1)])
    assert (Q.min(axis=1) != MUMT(3, 2).optimum(d)[0]).any()
    with pytest.raises(ValueError, match=f"{kind.__name__}.*separable.*15"):
        kind(3, 5).optimum([10] * 15)


def test_custom_utility_of_users_is_separable(monkeypatch):
    network, d = Priorities(3, 3), np.random.default_rng(0).integers(10, 31, (20, 9))
    assert network.separable
    enumerated = network.optimum(d)[0]
    monkeypatch.setattr("MUMT.ENUMERATED_TASKS", 8)
    np.testing.assert_array_equal(network.optimum(d)[0], enumerated)
    assert (enumerated > MUMT(3, 3).optimum(d)[0]).all()


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


def test_constants_of_the_devices_are_those_of_a_measured_phone():
    # Miettinen and Nurminen (HotCloud 2010): encoding a video, and a Nokia N900.
    cycles_per_bit, network = 1900 / 8, MUMT(3, 3)  # 1900 cycle/byte
    clock, cycles_per_joule, bits_per_joule = 500e6, 730e6, 860 * 1024 * 8
    assert network.local_time_per_bit == pytest.approx(cycles_per_bit / clock, rel=1e-12)
    for found, expected in [  # published with three digits
        (network.local_energy_per_bit, cycles_per_bit / cycles_per_joule),
        (network.transmit_energy_per_bit, 1 / bits_per_joule),
    ]:
        assert found == pytest.approx(expected, abs=5e-10)
    assert network.uplink_bandwidth * 8 * 2**20 == 104_857_600


def test_with_1900_cycles_per_byte_at_the_edge_all_is_offloaded(published):
    task_size = published[0][19000:]
    per_byte = MUMT(3, 3, edge_cycles_per_bit=1900 / 8)
    assert (per_byte.optimum(task_size)[1] == 1).all()
    assert not (MUMT(3, 3).optimum(task_size)[1] == 1).all(axis=1).any()

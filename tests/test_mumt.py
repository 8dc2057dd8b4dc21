"""The utility and its optimum: published values, values by hand, a reference task by task."""

import itertools

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.measure import plain_Q
from MUMT import MUMT

from .conftest import DATA

sizes = st.integers(1, 4).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, 4)))
size_in_MB = st.integers(1, 100) | st.floats(0.01, 1000)


@st.composite
def frames(draw, most=1):
    """N, M, some task sizes (B, N*M) and as many decisions."""
    N, M = draw(sizes)
    rows = draw(st.integers(1, most))
    d = draw(st.lists(size_in_MB, min_size=rows * N * M, max_size=rows * N * M))
    x = draw(st.lists(st.integers(0, 1), min_size=rows * N * M, max_size=rows * N * M))
    return N, M, np.array(d, float).reshape(rows, N * M), np.array(x).reshape(rows, N * M)


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


@given(frames(most=3))
def test_utility_is_that_of_the_plain_reference_to_the_last_bit(case):
    N, M, d, x = case
    Q = MUMT(N, M).compute_Q(d, x)
    assert Q.dtype == np.float64 and Q.shape == (len(d),)
    assert Q.tolist() == [plain_Q(row, decision, N, M) for row, decision in zip(d, x)]
    assert MUMT(N, M).compute_Q(d[0], x[0]) == Q[0]


@given(frames(), st.floats(0, 4), st.floats(1, 100))
def test_utility_with_other_constants(case, beta, CUL):
    N, M, d, x = case
    Q = MUMT(N, M, delay_weight=beta, uplink_bandwidth=CUL).compute_Q(d[0], x[0])
    assert Q == pytest.approx(plain_Q(d[0], x[0], N, M, beta, CUL), rel=1e-12)


CONSTANTS = {
    "local_energy_per_bit": ([0, 0], 2),
    "local_time_per_bit": ([0, 0], 2),
    "transmit_energy_per_bit": ([1, 1], 2),
    "edge_cost_per_bit": ([1, 1], 2),
    "edge_cycles_per_bit": ([1, 1], 2),
    "edge_cpu_rate": ([1, 1], 0.5),
    "uplink_bandwidth": ([1, 1], 0.5),
    "delay_weight": ([0, 0], 2),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_constant_counts(name):
    decision, factor = CONSTANTS[name]
    released = MUMT(1, 2)
    other = MUMT(1, 2, **{name: factor * getattr(released, name)})
    assert other.compute_Q([10, 20], decision) > released.compute_Q([10, 20], decision)


def test_all_candidates_of_all_frames_are_one_call(network, published):
    d = published[0][:50]
    x = np.random.default_rng(0).integers(0, 2, (4, 50, 9))
    Q = network.compute_Q(d, x)
    assert Q.shape == (4, 50)
    for k, i in np.ndindex(Q.shape):
        assert Q[k, i] == network.compute_Q(d[i], x[k, i])


@pytest.mark.parametrize("kind", [int, float, bool, np.int8, list])
def test_single_utility_is_a_float_for_any_kind_of_decision(network, kind):
    x = [1, 0, 1, 1, 0, 0, 0, 1, 1]
    x = x if kind is list else np.array(x, kind)
    assert type(network.compute_Q([10, 12, 14] * 3, x)) is float


@given(frames(most=2))
@settings(max_examples=25)
def test_optimum_is_the_first_of_the_least_utilities(case):
    N, M, d, _ = case
    if N * M > 8:
        return
    gain_min, gain_mode = MUMT(N, M).optimum(d)
    for row, least, mode in zip(d, gain_min, gain_mode):
        decisions = list(itertools.product((0, 1), repeat=N * M))
        Q = [plain_Q(row, x, N, M) for x in decisions]
        assert least == min(Q)
        assert tuple(mode) == decisions[Q.index(min(Q))]


def test_optimum_of_one_frame(network, published):
    gain_min, gain_mode = network.optimum(published[0][7])
    assert type(gain_min) is float and gain_min == published[1][7]
    assert gain_mode.shape == (9,) and gain_mode.dtype == np.int32


def test_user_by_user_the_least_utility_is_the_same(network, published, monkeypatch):
    monkeypatch.setattr("MUMT.ENUMERATED_TASKS", 8)
    gain_min, gain_mode = network.optimum(published[0])
    np.testing.assert_array_equal(gain_min, published[1])
    np.testing.assert_array_equal(network.compute_Q(published[0], gain_mode), gain_min)
    published_mode = scipy.io.loadmat(DATA)["gain_mode"]
    assert 0 < np.mean((gain_mode != published_mode).any(axis=1)) < 0.005


def test_optimum_of_a_large_network():
    network = MUMT(30, 5)
    d = np.random.default_rng(0).integers(10, 31, (40, 150))
    gain_min, gain_mode = network.optimum(d)
    np.testing.assert_array_equal(network.compute_Q(d, gain_mode), gain_min)
    flips = gain_mode ^ np.eye(150, dtype=int)[:, None]  # no single flip makes it better
    assert (network.compute_Q(d, flips) >= gain_min).all()


@pytest.mark.parametrize(
    "N, M, constants, message",
    [
        (0, 3, {}, "N is 0"),
        (3, -1, {}, "M is -1"),
        (3.0, 3, {}, "N is 3.0"),
        (True, 3, {}, "N is True"),
        (3, "3", {}, "M is '3'"),
        (3, 3, {"uplink_bandwidth": 0}, "uplink_bandwidth is 0"),
        (3, 3, {"edge_cpu_rate": 0}, "edge_cpu_rate is 0"),
        (3, 3, {"delay_weight": -1}, "delay_weight is -1"),
        (3, 3, {"local_energy_per_bit": np.nan}, "local_energy_per_bit is nan"),
        (3, 3, {"local_time_per_bit": np.inf}, "local_time_per_bit is inf"),
        (3, 3, {"edge_cost_per_bit": "1"}, "edge_cost_per_bit is '1'"),
        (3, 3, {"delay_weight": True}, "delay_weight is True"),
        (3, 3, {"delay_weight": np.complex128(1)}, "delay_weight is .*; a finite, non-negative"),
    ],
)
def test_parameters_out_of_range(N, M, constants, message):
    with pytest.raises(ValueError, match=message):
        MUMT(N, M, **constants)


@pytest.mark.parametrize(
    "task_size, decision, message",
    [
        ([10] * 3, [1] * 4, "task_size has shape (3,); 4 entries"),
        ([10] * 4, [1] * 5, "decision has shape (5,); 4 entries"),
        (10, [1] * 4, "task_size has shape ()"),
        ([10, 10, 10, 0], [1] * 4, "task_size has an entry 0"),
        ([10, 10, 10, -3], [1] * 4, "task_size has an entry -3"),
        ([10, 10, 10, np.nan], [1] * 4, "task_size has an entry nan"),
        ([10, 10, 10, np.inf], [1] * 4, "task_size has an entry inf"),
        ([10] * 4, [1, 0, 1, 2], "decision has an entry 2"),
        ([10] * 4, [1, 0, 1, 0.5], "decision has an entry 0.5"),
        ([10] * 4, [1, 0, 1, -1], "decision has an entry -1"),
        ([10] * 4, [1, 0, 1, np.nan], "decision has an entry nan"),
        (["a"] * 4, [1] * 4, "task_size is not an array of numbers"),
        ([10] * 4, [[1], [1, 0]], "decision is not an array of numbers"),
        ([10] * 4, ["1"] * 4, "decision is not an array of numbers: its type is <U1"),
        ([10] * 4, [1 + 0j] * 4, "decision is not an array of numbers: its type is complex128"),
        ([10, 10, 10, None], [1] * 4, "task_size has an entry nan"),
        (np.full((3, 4), 10), np.ones((2, 4)), "leading dimensions"),
    ],
)
def test_bad_input(task_size, decision, message):
    with pytest.raises(ValueError) as error:
        MUMT(2, 2).compute_Q(task_size, decision)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "network, task_size, message",
    [
        (MUMT(2, 2), [10] * 3, "task_size has shape"),
        (MUMT(2, 2), np.full((2, 2, 4), 10), "one or two axes"),
        (MUMT(2, 2), [10, 10, 10, np.nan], "task_size has an entry nan"),
        (MUMT(1, 21), [10] * 21, "M is 21"),
        (MUMT(30, 18), [10] * 540, "M is 18; .* or for fewer if there are many users"),
    ],
)
def test_optimum_refuses(network, task_size, message):
    with pytest.raises(ValueError, match=message):
        network.optimum(task_size)


def test_arrays_of_objects_that_are_numbers():
    d, x = np.array([10, 20.5], dtype=object), [True, 0]
    assert MUMT(1, 2).compute_Q(d, x) == MUMT(1, 2).compute_Q([10, 20.5], [1, 0])


def test_constants_of_numpy_become_plain_ones():
    network = MUMT(1, 2, delay_weight=np.float32(2), uplink_bandwidth=np.int64(12))
    assert type(network.delay_weight) is float and type(network.uplink_bandwidth) is int


def test_counts_of_numpy_do_not_overflow():
    network = MUMT(np.uint8(20), np.uint8(20))
    assert network.compute_Q(np.full(400, 10), np.ones(400)) > 0

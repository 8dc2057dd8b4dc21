"""The schemes that DDLO is compared with, and DROO's rule, against what they are to do."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import schemes
from experiments.droo import DROO
from experiments.runs import best_fixed
from experiments.schemes import (
    JOINT_SCHEMES,
    SCHEMES,
    by_price,
    coordinate_descent,
    for_equal_split,
)
from main import compiled_loop, ddlo, time_frames
from MUMT import MUMT

NETWORKS = [
    MUMT(3, 3),
    MUMT(3, 3, uplink_bandwidth=25 / 8),
    MUMT(3, 3, delay_weight=4),
    MUMT(3, 3, delay_weight=0),
    MUMT(2, 4, uplink_bandwidth=6),
    MUMT(1, 1),
    MUMT(5, 3),  # beyond the enumeration of all decisions
]


def sizes(network, frames=60, seed=0):
    return np.random.default_rng(seed).integers(10, 31, (frames, network.N * network.M))


def test_names():
    expected = "optimum milp linear_relaxation coordinate_descent all_edge all_local random"
    assert list(SCHEMES) == expected.split()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", SCHEMES)
def test_decisions_are_decisions_and_none_beats_the_optimum(network, name):
    d = sizes(network)
    x = SCHEMES[name](network, d)
    assert x.shape == d.shape and x.dtype == np.int32 and set(np.unique(x)) <= {0, 1}
    assert (network.compute_Q(d, x) >= network.optimum(d)[0] * (1 - 1e-12)).all()
    np.testing.assert_array_equal(d, sizes(network))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", ["optimum", "milp"])
def test_optimal_schemes_are_optimal(network, name):
    d = sizes(network)
    Q = network.compute_Q(d, SCHEMES[name](network, d))
    np.testing.assert_allclose(Q, network.optimum(d)[0], rtol=1e-12)


def test_milp_equals_enumeration_on_published_samples(network, published):
    task_size, gain_min = (array[16000:16500] for array in published)
    Q = network.compute_Q(task_size, schemes.milp(network, task_size))
    np.testing.assert_allclose(Q, gain_min, rtol=1e-12)


def test_milp_of_frames_that_are_hard_together():
    # Sizes and constants for which a block of frames keeps the solver busy for more than a minute.
    network = MUMT(4, 3, uplink_bandwidth=50, delay_weight=100)
    d = np.random.default_rng(0).uniform(0.001, 1000, (40, 12))
    Q = network.compute_Q(d, schemes.milp(network, d))
    np.testing.assert_allclose(Q, network.optimum(d)[0], rtol=1e-12)


@pytest.mark.parametrize("network", NETWORKS)
def test_coordinate_descent_ends_in_a_local_minimum(network):
    d = sizes(network, 200)
    x = schemes.coordinate_descent(network, d)
    Q = network.compute_Q(d, x)
    for task in range(d.shape[1]):
        flipped = x.copy()
        flipped[:, task] ^= 1
        assert (network.compute_Q(d, flipped) >= Q).all()
    # It begins with all tasks local, and flips one by one what lowers Q the most.
    for frame in range(5):
        x_by_hand = np.zeros(d.shape[1], int)
        while True:
            flips = [np.where(np.arange(len(x_by_hand)) == i, 1 - x_by_hand, x_by_hand)
                     for i in range(len(x_by_hand))]  # fmt: skip
            Q_flips = network.compute_Q(d[frame], flips)
            if Q_flips.min() >= network.compute_Q(d[frame], x_by_hand):
                break
            x_by_hand = flips[Q_flips.argmin()]
        np.testing.assert_array_equal(x[frame], x_by_hand)


def test_coordinate_descent_can_end_above_the_optimum():
    # With little bandwidth a flip alone can be of no use where two of them are.
    network = MUMT(3, 3, uplink_bandwidth=25 / 8)
    d = sizes(network, 500)
    ratio = network.optimum(d)[0] / network.compute_Q(d, schemes.coordinate_descent(network, d))
    assert 0.95 < ratio.mean() < 0.999


def test_all_equal_tasks_by_hand(network):
    # A task of 20 MB takes 48.99 J and 36.68 s at the edge, 54.53 J and 79.69 s on the device. With
    # two of three at the edge a user's part of Q is 2*48.99 + 54.53 + max(2*36.68, 79.69) = 232.2;
    # with none it is 402.7, with one 317.4, with all 257.0.
    d = np.full((4, 9), 20)
    bits = 20 * 8 * 2**20
    edge, local = bits * (1.5e-7 + 1.42e-7), bits * 3.25e-7
    edge_delay, local_delay = 20 / (12.5 / 3) + bits * 1900 / 10e9, bits * 4.75e-7
    Q = 3 * (2 * edge + local + max(2 * edge_delay, local_delay))
    for name in ("optimum", "milp", "coordinate_descent", "linear_relaxation"):
        x = SCHEMES[name](network, d)
        np.testing.assert_array_equal(x.reshape(4, 3, 3).sum(axis=2), 2, err_msg=name)
        np.testing.assert_allclose(network.compute_Q(d, x), Q)
    Q_edge = 3 * (3 * edge + 3 * edge_delay)
    np.testing.assert_allclose(network.compute_Q(d, schemes.all_edge(network, d)), Q_edge)
    Q_local = 3 * (3 * local + 3 * local_delay)
    np.testing.assert_allclose(network.compute_Q(d, schemes.all_local(network, d)), Q_local)


@pytest.mark.parametrize(
    "local_delay, task_size, offloaded",
    [
        # A MB takes 1 s at the edge: both sides take as long when 3/4, or 1/4, of it are there.
        (3, [[10], [20]], [[1], [1]]),
        (1 / 3, [[10], [20]], [[0], [0]]),
        # All of one task and half of the other at the edge; half is rounded to local.
        (3, [[5, 5]], [[1]]),
        # Of three, two and a quarter are there.
        (3, [[4, 4, 4], [8, 8, 8]], [[2], [2]]),
    ],
)
def test_linear_relaxation_by_hand(local_delay, task_size, offloaded):
    bit = 1 / (8 * 2**20)
    network = MUMT(
        1,
        len(task_size[0]),
        edge_cost_per_bit=0,
        transmit_energy_per_bit=0,
        local_energy_per_bit=0,
        local_time_per_bit=local_delay * bit,
        edge_cycles_per_bit=0,
        uplink_bandwidth=1,
    )
    x = schemes.linear_relaxation(network, task_size)
    np.testing.assert_array_equal(x.sum(axis=1, keepdims=True), offloaded)


@pytest.mark.parametrize("network", [MUMT(3, 3), MUMT(2, 4), MUMT(1, 1, uplink_bandwidth=0.5)])
def test_best_fixed_decision(network):
    d = sizes(network, 30)
    tasks = network.N * network.M
    means = [
        network.compute_Q(d, x).mean() for x in itertools.product((0, 1), repeat=tasks)
    ]  # fmt: skip
    fixed = best_fixed(network, d)
    assert fixed.shape == (tasks,)
    assert network.compute_Q(d, fixed).mean() == pytest.approx(min(means))


@pytest.mark.parametrize("name", SCHEMES)
def test_frames_do_not_depend_on_each_other(network, name):
    d = sizes(network, 40)
    Q = network.compute_Q(d, SCHEMES[name](network, d))
    if name == "random":
        assert (SCHEMES[name](network, d) == SCHEMES[name](network, d)).all()
        other = MUMT(3, 3, rand_seed=2)
        assert (SCHEMES[name](network, d) != SCHEMES[name](other, d)).any()
        return
    one_by_one = [network.compute_Q(frame, SCHEMES[name](network, frame)[0]) for frame in d]
    # Where several points are the relaxation's optimum, which one is found, and so how it rounds,
    # is the solver's choice.
    tolerance = 0.1 if name == "linear_relaxation" else 1e-12
    np.testing.assert_allclose(one_by_one, Q, rtol=tolerance)


@pytest.mark.parametrize("name", ["optimum", "milp", "linear_relaxation", "coordinate_descent"])
@pytest.mark.parametrize("size", [0, -1, np.inf, np.nan])
def test_bad_sizes_are_refused(network, name, size):
    d = np.full((2, 9), 20.0)
    d[1, 4] = size
    with pytest.raises(ValueError, match="task_size has an entry"):
        SCHEMES[name](network, d)


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("shape", [(2, 8), (2, 2, 9), (3,)])
def test_bad_shapes_are_refused(network, name, shape):
    with pytest.raises(ValueError, match="task_size has shape"):
        SCHEMES[name](network, np.full(shape, 20))


def test_solvers_refuse_a_utility_they_do_not_know(network):
    class Priorities(MUMT):
        def user_utility(self, costs, decision, np=np):
            return 2 * super().user_utility(costs, decision, np)

    d = sizes(network, 3)
    for name in ("milp", "linear_relaxation"):
        with pytest.raises(ValueError, match="Priorities has a user_utility of its own"):
            SCHEMES[name](Priorities(3, 3), d)
    assert schemes.coordinate_descent(Priorities(3, 3), d).shape == d.shape


@pytest.mark.parametrize("name", ["milp", "linear_relaxation"])
def test_solvers_refuse_optimal_bandwidth(name):
    with pytest.raises(ValueError, match="with optimal bandwidth Q is no linear program"):
        SCHEMES[name](MUMT(3, 3, bandwidth="optimal"), [10] * 9)
    with pytest.raises(ValueError, match="the best fixed decision is known for equal bandwidth"):
        best_fixed(MUMT(3, 3, bandwidth="optimal"), [[10] * 9])


def test_schemes_for_optimal_bandwidth(published):
    d, network = published[0][:50], MUMT(3, 3, bandwidth="optimal")
    assert list(JOINT_SCHEMES) == ["by_price", "for_equal_split"]
    np.testing.assert_array_equal(by_price(network, d), network.decide_by_price(d))
    np.testing.assert_array_equal(for_equal_split(network, d), MUMT(3, 3).optimum(d)[1])
    for scheme in JOINT_SCHEMES.values():
        assert scheme(network, d[0]).shape == (1, 9)
        with pytest.raises(ValueError, match=r"task_size has shape \(50, 6\)"):
            scheme(network, d[:, :6])
    # Coordinate descent shares the bandwidth anew for every flip.
    Q = network.compute_Q(d, coordinate_descent(network, d))
    assert (network.optimum(d)[0] <= Q).all() and np.mean(network.optimum(d)[0] / Q) > 0.995


def test_solver_without_optimum_is_an_error(network, monkeypatch):
    import scipy.optimize

    milp = scipy.optimize.milp
    monkeypatch.setattr(
        scipy.optimize,
        "milp",
        lambda *a, options, **k: milp(*a, options=options | {"time_limit": 0}, **k),
    )
    with pytest.raises(RuntimeError, match="no optimum of frame 0"):
        schemes.milp(network, sizes(network))


# DROO's rule


def quantised(output, K):
    """K order-preserving candidates of one output in (0, 1), entry by entry as the paper has it."""
    candidates = [[int(x > 0.5) for x in output]]
    by_distance = sorted(range(len(output)), key=lambda i: abs(output[i] - 0.5))
    for i in by_distance[: K - 1]:
        threshold = output[i]
        if threshold > 0.5:
            candidates.append([int(x > threshold) for x in output])
        else:
            candidates.append([int(x >= threshold) for x in output])
    return candidates


def test_quantisation_by_hand():
    # Outputs 0.2, 0.4, 0.7, 0.9: the closest to 1/2 are 0.4, 0.7, 0.2, then 0.9.
    z = np.log(np.array([0.2, 0.4, 0.7, 0.9]) / (1 - np.array([0.2, 0.4, 0.7, 0.9])))
    candidates = DROO([4, 3, 4], 5).candidates(z[None, None])[:, 0].astype(int)
    expected = [[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(candidates, expected)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_quantisation_is_the_papers(droo, seed, K):
    import tensorflow.experimental.numpy as tnp

    z = np.random.default_rng(seed).normal(0, 2, (1, 4, 6)).astype(np.float32)
    output = 1 / (1 + np.exp(-z[0].astype(float)))
    droo.K = K
    expected = np.swapaxes([quantised(list(of_frame), K) for of_frame in output], 0, 1)
    np.testing.assert_array_equal(droo.candidates(z), expected)
    np.testing.assert_array_equal(droo.candidates(tnp.asarray(z), tnp).numpy(), expected)
    for candidate, j in itertools.product(range(K), range(4)):
        offloaded = expected[candidate, j] == 1  # order: no task offloaded is below a local one
        assert z[0, j][offloaded].min(initial=9e9) > z[0, j][~offloaded].max(initial=-9e9)


@pytest.fixture(scope="module")
def droo():
    return DROO([6, 5, 6], 7, seed=0)


@pytest.mark.parametrize("K", [1, 3, 10])
def test_droo_compiled_equals_frame_by_frame(network, published, K):
    index, _ = time_frames(900, 20000)
    runs = []
    for compiled in (True, False):
        net = DROO([9, 120, 80, 9], K, seed=2)
        loop = compiled_loop(net, network) if compiled else None
        runs.append((ddlo(net, network, *published, index, loop), net))
    for key in ("chosen", "decision", "Q"):
        np.testing.assert_array_equal(runs[0][0][key], runs[1][0][key])
    assert runs[0][1].cost_his == runs[1][1].cost_his
    assert runs[0][0]["chosen"].max() <= K - 1 and net.decode(np.zeros(9)).shape == (K, 9)


def test_droo_asks_compiled_code_where_rounding_might_turn_the_order():
    net = DROO([9, 120, 80, 9], 10, seed=0)
    logits = np.array([3.0, -1, 2, -2.00001, 5, 6, 7, 8, 9])
    ties = np.stack([logits, logits, [1e-7, 2, 3, 4, 5, 6, 7, 8, 9], np.arange(1, 10)])[None]
    rounding = np.full(ties.shape, 1e-6)
    rounding[:, 0] = 1e-4
    np.testing.assert_array_equal(net._unsure(ties, rounding), [True, False, True, False])


@pytest.mark.parametrize("K", [0, 11, 2.5])
def test_droo_refuses_more_candidates_than_there_are(K):
    with pytest.raises(ValueError, match=f"K is {K}; 1 to 10"):
        DROO([9, 120, 80, 9], K)

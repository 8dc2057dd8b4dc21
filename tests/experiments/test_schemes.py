"""The schemes that DDLO is compared with, against the enumeration of all decisions and by hand."""

import itertools

import numpy as np
import pytest

from ddlo.bandwidth import JointMUMT
from ddlo.baselines import best_fixed
from ddlo.enumeration import enumerate_decisions
from ddlo.network import Network, as_network
from experiments.schemes import (
    BEST_FIXED,
    ENUMERATIONS,
    JOINT_SCHEMES,
    SCHEMES,
    all_edge,
    all_local,
    by_chance,
    coordinate_descent,
    dual_heuristic,
    enumeration,
    enumeration_by_user,
    equal_split_optimum,
    linear_relaxation,
    milp,
    optimum,
    random,
    smallest_local,
)
from MUMT import MUMT

from ..core.reference import OnlyQ, Penalty, utility_of

EACH = {name: scheme for name, scheme in SCHEMES.items() if name != BEST_FIXED}
SOLVERS = [milp, linear_relaxation]
NETWORKS = [
    MUMT(3, 3),
    MUMT(3, 3, uplink_bandwidth=25 / 8),
    MUMT(3, 3, delay_weight=4),
    MUMT(3, 3, delay_weight=0),
    MUMT(2, 4, uplink_bandwidth=6),
    MUMT(1, 1),
]
JOINT_NETWORKS = [JointMUMT(3, 3), JointMUMT(2, 4, uplink_bandwidth=3), JointMUMT(4, 3)]


def sizes(network, frames=60, seed=0):
    return np.random.default_rng(seed).integers(10, 31, (frames, network.N * network.M))


def utilities(scheme, network, d):
    return network.compute_Q(d, scheme(network, d))


@pytest.mark.parametrize("network", NETWORKS + JOINT_NETWORKS)
def test_decisions_are_decisions_and_none_beats_the_optimum(network):
    d = sizes(network)
    best = enumerate_decisions(network, d)[0] * (1 - 1e-12)
    for name, scheme in (EACH if network.separable else JOINT_SCHEMES).items():
        x = scheme(network, d)
        assert x.shape == d.shape and x.dtype == np.int32 and set(x.flat) <= {0, 1}, name
        assert (network.compute_Q(d, x) >= best).all(), name
        np.testing.assert_array_equal(d, sizes(network), err_msg=name)


@pytest.mark.parametrize("network", [*NETWORKS, MUMT(4, 3)])
@pytest.mark.parametrize("scheme", [optimum, milp, enumeration, enumeration_by_user])
def test_optimal_schemes_are_optimal(network, scheme):
    d = sizes(network)
    Q = utilities(scheme, network, d)
    np.testing.assert_allclose(Q, enumerate_decisions(network, d)[0], rtol=1e-12)


def test_optima_beyond_the_enumeration_agree():
    network = MUMT(6, 3, uplink_bandwidth=25)
    d = sizes(network)
    Q = utilities(milp, network, d)
    np.testing.assert_allclose(Q, utilities(optimum, network, d), rtol=1e-12)
    Q = utilities(enumeration, network, d[:2])  # 2**18 decisions of each, in several parts
    np.testing.assert_allclose(Q, utilities(optimum, network, d[:2]), rtol=1e-12)


def test_enumeration_is_that_of_the_optimum(network):
    d = sizes(network, 20)
    np.testing.assert_array_equal(enumeration(network, d), network.optimum(d)[1])
    joint = JointMUMT(2, 3)
    d = sizes(joint, 5)
    np.testing.assert_array_equal(enumeration(joint, d), joint.optimum(d)[1])


def test_milp_finds_the_published_optima(network, published):
    task_size, gain_min = (array[16000:16200] for array in published)
    np.testing.assert_allclose(utilities(milp, network, task_size), gain_min, rtol=1e-12)


def test_milp_of_frames_that_are_hard_together():
    # Sizes and constants for which a block of frames keeps the solver busy for more than a minute.
    network = MUMT(4, 3, uplink_bandwidth=50, delay_weight=100)
    d = np.random.default_rng(0).uniform(0.001, 1000, (40, 12))
    np.testing.assert_allclose(utilities(milp, network, d), network.optimum(d)[0], rtol=1e-12)


@pytest.mark.parametrize("network", [*NETWORKS, *JOINT_NETWORKS])
def test_coordinate_descent_flips_what_lowers_Q_the_most(network):
    d = sizes(network)
    x, tasks = coordinate_descent(network, d), network.N * network.M
    for frame, decision in zip(d[:5], x):
        by_hand = np.zeros(tasks, int)
        while True:
            flips = by_hand ^ np.eye(tasks, dtype=int)
            Q = network.compute_Q(frame, flips)
            if Q.min() >= network.compute_Q(frame, by_hand):
                break
            by_hand = flips[Q.argmin()]
        np.testing.assert_array_equal(decision, by_hand)
    # A local minimum: no flip of any task is better.
    flips = x ^ np.eye(tasks, dtype=int)[:, None]
    assert (network.compute_Q(d, flips) >= network.compute_Q(d, x)).all()


def test_coordinate_descent_can_end_above_the_optimum():
    # With little bandwidth a flip alone can be of no use where two of them are.
    network = MUMT(3, 3, uplink_bandwidth=25 / 8)
    d = sizes(network, 500)
    ratio = network.optimum(d)[0] / utilities(coordinate_descent, network, d)
    assert 0.95 < ratio.mean() < 0.999


def test_equal_tasks_by_hand(network):
    # A task of 20 MB costs 48.99 J and 36.68 s at the edge, 54.53 J and 79.69 s on the device: it is
    # best to offload two of three.
    d = np.full((4, 9), 20)
    bits = 20 * 8 * 2**20
    edge, local = bits * (1.5e-7 + 1.42e-7), bits * 3.25e-7
    edge_delay, local_delay = 20 / (12.5 / 3) + bits * 1900 / 10e9, bits * 4.75e-7
    Q = 3 * (2 * edge + local + max(2 * edge_delay, local_delay))
    for scheme in (optimum, milp, coordinate_descent, linear_relaxation):
        x = scheme(network, d)
        assert (x.reshape(4, 3, 3).sum(axis=2) == 2).all(), scheme
        np.testing.assert_allclose(network.compute_Q(d, x), Q)
    np.testing.assert_allclose(utilities(all_edge, network, d), 9 * (edge + edge_delay))
    np.testing.assert_allclose(utilities(all_local, network, d), 9 * (local + local_delay))


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
    network = MUMT(
        1,
        len(task_size[0]),
        edge_cost_per_bit=0,
        transmit_energy_per_bit=0,
        local_energy_per_bit=0,
        local_time_per_bit=local_delay / (8 * 2**20),
        edge_cycles_per_bit=0,
        uplink_bandwidth=1,
    )
    x = linear_relaxation(network, task_size)
    np.testing.assert_array_equal(x.sum(axis=1, keepdims=True), offloaded)


@pytest.mark.parametrize("network", [MUMT(3, 3), MUMT(2, 4), MUMT(1, 1, uplink_bandwidth=0.5)])
def test_best_fixed_decision_is_the_best_of_all(network):
    d = sizes(network, 30)
    every = np.array(list(itertools.product((0, 1), repeat=network.N * network.M)))
    means = network.compute_Q(d, every[:, None]).mean(axis=1)
    fixed = best_fixed(network, d)
    assert fixed.shape == (network.N * network.M,) and fixed.dtype == np.int32
    assert network.compute_Q(d, fixed).mean() == pytest.approx(means.min(), rel=1e-12)
    assert (fixed == every[means.argmin()]).all()


def test_random_scheme_is_drawn_by_its_seed(network):
    d = sizes(network)
    x = random(network, d, seed=1)
    np.testing.assert_array_equal(x, random(network, d, seed=1))
    assert (x != random(network, d, seed=2)).any()
    assert 0.4 < x.mean() < 0.6


@pytest.mark.parametrize("name", [name for name in EACH if not by_chance(name)])
def test_frames_do_not_depend_on_each_other(network, name):
    d = sizes(network, 20)
    alone = np.concatenate([EACH[name](network, frame) for frame in d])
    # Where several points are the relaxation's optimum, which one is found, and so how it rounds,
    # is the solver's choice.
    tolerance = 0.1 if name == "linear relaxation" else 1e-12
    together = utilities(EACH[name], network, d)
    np.testing.assert_allclose(network.compute_Q(d, alone), together, rtol=tolerance)


# Optimal bandwidth


@pytest.mark.parametrize("network", JOINT_NETWORKS)
def test_dual_heuristic_is_near_the_optimum(network):
    d = sizes(network)
    ratio = network.optimum(d)[0] / utilities(dual_heuristic, network, d)
    assert ratio.min() > 0.95 and ratio.mean() > 0.99


@pytest.mark.parametrize("network", JOINT_NETWORKS)
def test_equal_split_optimum_is_that_of_the_equal_split_reallocated(network):
    d = sizes(network, 20)
    equal = MUMT(network.N, network.M, uplink_bandwidth=network.uplink_bandwidth)
    x = equal_split_optimum(network, d)
    np.testing.assert_array_equal(x, equal.optimum(d)[1])
    # Its bandwidth is allocated anew, which is never worse and sometimes better.
    Q, before = network.compute_Q(d, x), equal.compute_Q(d, x)
    assert (Q <= before * (1 + 1e-12)).all() and (Q < 0.999 * before).any()
    shares = network.bandwidth_allocation(d, x)
    by_hand = [utility_of(network, *of_frame) for of_frame in zip(d, x, shares)]
    np.testing.assert_allclose(Q, by_hand)


# What is refused


class Priorities(MUMT):
    """A network with a utility of its own that is the sum of its users' parts."""

    def user_utility(self, costs, decision, xp=np):
        return 2 * super().user_utility(costs, decision, xp)


@pytest.mark.parametrize("scheme", SOLVERS)
@pytest.mark.parametrize("network", [Priorities(3, 3), Penalty(3, 3), JointMUMT(3, 3)])
def test_solvers_refuse_a_utility_that_is_not_MUMTs(scheme, network):
    with pytest.raises(ValueError, match=type(network).__name__):
        scheme(network, sizes(network, 3))


def test_enumerations_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="24 tasks"):
        enumeration(MUMT(9, 3), np.full((1, 27), 20))
    with pytest.raises(ValueError, match="not separable"):
        enumeration_by_user(JointMUMT(5, 3), np.full((1, 15), 20))


def test_solvers_take_other_costs():
    class Cheap(MUMT):
        """A network with half the energy at the edge."""

        def costs(self, task_size):
            costs = super().costs(task_size)
            costs[0] /= 2
            return costs

    network = Cheap(3, 3)
    d = sizes(network)
    best = enumerate_decisions(network, d)[0]
    np.testing.assert_allclose(utilities(milp, network, d), best, rtol=1e-12)
    assert (best < MUMT(3, 3).optimum(d)[0]).all()


@pytest.mark.parametrize("network", [Penalty(3, 3), JointMUMT(2, 4), as_network(OnlyQ(2, 3))])
def test_best_fixed_decision_where_q_is_not_separable(network):
    d = sizes(network, 20)
    every = np.array(list(itertools.product((0, 1), repeat=network.N * network.M)))
    means = network.compute_Q(d, every[:, None]).mean(axis=1)
    assert (best_fixed(network, d) == every[means.argmin()]).all()


def test_fixed_decision_of_many_tasks_cannot_be_bettered_by_one_flip():
    network = JointMUMT(5, 3)
    d = sizes(network, 20)
    fixed = best_fixed(network, d)
    least = network.compute_Q(d, fixed).mean()
    flips = fixed ^ np.eye(15, dtype=int)
    assert min(network.compute_Q(d, x).mean() for x in flips) >= least
    assert least < min(network.compute_Q(d, np.full(15, x)).mean() for x in (0, 1))


def test_other_schemes_take_any_network():
    network = Penalty(3, 3)  # on offloading the first task
    d = sizes(network, 20)
    Q = utilities(optimum, network, d)
    np.testing.assert_allclose(Q, enumerate_decisions(network, d)[0])
    assert (coordinate_descent(network, d)[:, 0] == 0).all()
    x = best_fixed(Priorities(3, 3), d)
    np.testing.assert_array_equal(x, best_fixed(MUMT(3, 3), d))


class Channel(Network):
    """A network whose state has a channel gain and a task size of each user."""

    N, M, state_size = 3, 1, 6

    def compute_Q(self, state, decision):
        gain, size = np.split(state, 2, axis=-1)
        rate = 10 * np.log2(1 + 1e6 * gain)
        return np.where(np.equal(decision, 1), size / rate, size / 9).sum(axis=-1)


def test_schemes_take_a_network_with_another_state_where_they_can():
    rng = np.random.default_rng(0)
    state = np.hstack([rng.exponential(1e-6, (20, 3)), rng.uniform(5, 50, (20, 3))])
    network = Channel()
    best = enumerate_decisions(network, state)[0]
    np.testing.assert_array_equal(utilities(optimum, network, state), best)
    descent = utilities(coordinate_descent, network, state)
    np.testing.assert_allclose(descent, best, rtol=1e-12)  # every task for itself
    for scheme in (random, all_edge, all_local, SCHEMES[BEST_FIXED]):
        x = scheme(network, state)
        assert x.shape == (20, 3) and (network.compute_Q(state, x) >= best).all()
    np.testing.assert_array_equal(utilities(enumeration, network, state), best)
    others = (milp, linear_relaxation, dual_heuristic, equal_split_optimum, enumeration_by_user)
    for scheme in others:
        with pytest.raises(ValueError, match="Channel"):
            scheme(network, state)


ALL = list({**SCHEMES, **JOINT_SCHEMES, **ENUMERATIONS}.values())


@pytest.mark.parametrize("scheme", ALL)
@pytest.mark.parametrize("shape", [(2, 8), (2, 2, 9), (3,)])
def test_task_sizes_of_another_shape_are_refused(scheme, shape):
    network = JointMUMT(3, 3) if scheme in (dual_heuristic, equal_split_optimum) else MUMT(3, 3)
    with pytest.raises(ValueError, match="task_size must have"):
        scheme(network, np.full(shape, 20))


@pytest.mark.parametrize("scheme", [optimum, coordinate_descent, smallest_local, *SOLVERS])
@pytest.mark.parametrize("size", [-1, np.inf, np.nan])
def test_sizes_that_are_none_are_refused(network, scheme, size):
    d = np.full((2, 9), 20.0)
    d[1, 4] = size
    with pytest.raises(ValueError, match="task_size must be finite and >= 0"):
        scheme(network, d)


def test_solver_without_an_optimum_is_an_error(network, monkeypatch):
    import scipy.optimize

    solve = scipy.optimize.milp

    def in_no_time(*arguments, options, **others):
        return solve(*arguments, options=options | {"time_limit": 0}, **others)

    monkeypatch.setattr(scipy.optimize, "milp", in_no_time)
    with pytest.raises(RuntimeError, match="frame 0"):
        milp(network, sizes(network))

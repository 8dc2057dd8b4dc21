"""The schemes that DDLO is compared with, against the enumeration of all decisions and by hand."""

from functools import partial

import numpy as np
import pytest

from ddlo.bandwidth import JointMUMT
from ddlo.enumeration import all_decisions, enumerate_decisions
from ddlo.network import as_network
from experiments.execution import counted
from experiments.schemes import (
    OTHERS,
    SCHEMES,
    Scheme,
    best_of_random,
    coordinate_descent,
    one_pass,
)
from experiments.wpmec.data import channel_gains
from experiments.wpmec.network import WPMEC
from main import DDLO
from memory import MemoryDNN
from MUMT import MUMT

from ..core.reference import Channel, OnlyQ, Penalty, utility_of

SCHEMES = SCHEMES | OTHERS
MILP, BEST_FIXED, SMALLEST_LOCAL = "optimum by MILP", "best fixed decision", "smallest task local"
ENUMERATION, BY_USER = "enumeration of all decisions", "enumeration user by user"
SOLVERS = ("optimum", MILP, ENUMERATION, BY_USER)
RELAXATION, DESCENT, DUAL = "linear relaxation", "coordinate descent", "dual heuristic"
EQUAL_SPLIT = "equal-split optimum, bandwidth re-allocated"
NETWORKS = [MUMT(3, 3), MUMT(2, 4, uplink_bandwidth=6), MUMT(4, 3), MUMT(1, 1), WPMEC(6)]
NETWORKS += [MUMT(3, 3, delay_weight=0), MUMT(3, 3, delay_weight=4, uplink_bandwidth=25 / 8)]
JOINT = [JointMUMT(3, 3), JointMUMT(2, 4, uplink_bandwidth=3), JointMUMT(4, 3)]


class Priorities(MUMT):
    """A network with another utility that is still a sum over users."""

    def user_utility(self, costs, decision, xp=np):
        return 2 * super().user_utility(costs, decision, xp)


def states(network, frames=60):
    if isinstance(network, WPMEC):
        return channel_gains(frames, network.N)
    return np.random.default_rng(0).integers(10, 31, (frames, network.state_size))


def utilities(label, network, d):
    return network.compute_Q(d, SCHEMES[label].decide(network, d))


def refused(network):
    """Return the labels of the schemes that are not made for a network."""
    labels = set() if isinstance(network, (JointMUMT, WPMEC)) else {DUAL}
    labels |= set() if isinstance(network, JointMUMT) else {EQUAL_SPLIT}
    labels |= set() if network.has_task_sizes else {SMALLEST_LOCAL}
    labels |= set() if type(network) is MUMT else {MILP, RELAXATION}
    return labels | (set() if isinstance(network, MUMT) and network.separable else {BY_USER})


OTHER = [Priorities(3, 3), Penalty(3, 3), as_network(OnlyQ(2, 3)), as_network(Channel())]


@pytest.mark.parametrize("network", NETWORKS + JOINT + OTHER)
def test_schemes_decide_on_the_networks_that_they_are_made_for(network):
    d = states(network)
    best = enumerate_decisions(network, d)[0]
    for label, scheme in SCHEMES.items():
        if label in refused(network):
            with pytest.raises(ValueError, match=type(network).__name__):
                scheme.decide(network, d)
            continue
        x = scheme.decide(network, d)
        assert x.shape == (60, network.N * network.M) and x.dtype == np.int32, label
        assert set(x.flat) <= {0, 1} and (d == states(network)).all(), label
        Q = network.compute_Q(d, x)
        assert (Q >= best * (1 - 1e-12)).all(), label
        if label in SOLVERS:
            np.testing.assert_allclose(Q, best, rtol=1e-12, err_msg=label)


@pytest.mark.slow
def test_solvers_agree_on_harder_frames(network, published):
    large, slow = MUMT(6, 3, uplink_bandwidth=25), MUMT(4, 3, uplink_bandwidth=50, delay_weight=100)
    cases = [(label, large, states(large)) for label in (MILP, BY_USER)]
    cases += [(ENUMERATION, large, states(large, 2)), (MILP, network, published[0][16000:16200])]
    # In one program these would keep the solver busy for more than a minute.
    cases += [(MILP, slow, np.random.default_rng(0).uniform(0.001, 1000, (40, 12)))]
    for label, kind, d in cases:
        np.testing.assert_allclose(utilities(label, kind, d), kind.optimum(d)[0], rtol=1e-12)


def test_milp_without_an_optimum_is_an_error(network, monkeypatch):
    monkeypatch.setattr("experiments.schemes.SECONDS_OF_A_FRAME", 0)
    monkeypatch.setattr("experiments.schemes.TASKS_OF_A_MILP", 1)
    with pytest.raises(RuntimeError):
        utilities(MILP, network, states(network))


@pytest.mark.parametrize("network", NETWORKS + JOINT)
def test_coordinate_descent_flips_what_lowers_Q_the_most(network):
    d, tasks = states(network), network.N * network.M
    x = SCHEMES[DESCENT].decide(network, d)
    for state, decision in zip(d[:5], x):
        plain = [0] * tasks
        while True:
            flips = [[*plain[:i], 1 - plain[i], *plain[i + 1 :]] for i in range(tasks)]
            best = min(flips, key=lambda flip: network.compute_Q(state, flip))
            if network.compute_Q(state, best) >= network.compute_Q(state, plain):
                break
            plain = best
        assert decision.tolist() == plain
    one_flip = x ^ np.eye(tasks, dtype=int)[:, None]
    assert (network.compute_Q(d, one_flip) >= network.compute_Q(d, x)).all()


def test_equal_tasks_by_hand(network):
    # A task of 20 MB costs 48.99 J and 36.68 s at the edge, 54.53 J and 79.69 s on the device: it is
    # best to offload two of three.
    d, bits = np.full((4, 9), 20), 20 * 8 * 2**20
    edge, local = bits * (1.5e-7 + 1.42e-7), bits * 3.25e-7
    edge_delay, local_delay = 20 / (12.5 / 3) + bits * 1900 / 10e9, bits * 4.75e-7
    Q = 3 * (2 * edge + local + max(2 * edge_delay, local_delay))
    for label in (*SOLVERS, DESCENT, RELAXATION, SMALLEST_LOCAL, BEST_FIXED):
        np.testing.assert_allclose(utilities(label, network, d), Q, err_msg=label)
    np.testing.assert_allclose(utilities("full offloading", network, d), 9 * (edge + edge_delay))
    np.testing.assert_allclose(utilities("local only", network, d), 9 * (local + local_delay))


def test_linear_relaxation_by_hand():
    free = {f"{name}_per_bit": 0 for name in ("edge_cost", "transmit_energy", "local_energy")}
    # A MB takes 1 s at the edge and 3 s on the device, or 1/3 s. The fractions at the edge are rounded:
    # 3/4 or 1/4 of one task, 1 + 1/2 of two (half stays local), 2 + 1/4 of three.
    cases = [(3, [9], 1), (1 / 3, [9], 0), (3, [5, 5], 1), (3, [4, 4, 4], 2)]
    for seconds, sizes, offloaded in cases:
        delays = {"local_time_per_bit": seconds / (8 * 2**20), "edge_cycles_per_bit": 0}
        network = MUMT(1, len(sizes), uplink_bandwidth=1, **free, **delays)
        assert SCHEMES[RELAXATION].decide(network, [sizes]).sum() == offloaded


@pytest.mark.parametrize("network", [MUMT(3, 3), MUMT(2, 4), JointMUMT(2, 4), WPMEC(6)])
def test_best_fixed_decision_is_the_best_of_all(network):
    d = states(network, 20)
    x = SCHEMES[BEST_FIXED].decide(network, d)
    means = [network.compute_Q(d, one).mean() for one in all_decisions(network.N * network.M)]
    assert (x == x[0]).all()
    assert network.compute_Q(d, x).mean() == pytest.approx(min(means), rel=1e-12)


def test_random_decisions_depend_on_the_seed(network):
    random, d = SCHEMES["random"], states(network)
    x = random.decide(network, d, seed=1)
    np.testing.assert_array_equal(x, random.decide(network, d, seed=1))
    assert (x != random.decide(network, d, seed=2)).any() and 0.4 < x.mean() < 0.6
    assert [label for label, scheme in SCHEMES.items() if scheme.is_random] == ["random"]


@pytest.mark.parametrize("network", [*JOINT, WPMEC(6), WPMEC(10)])
def test_dual_heuristic_is_near_the_optimum(network):
    d = states(network)
    ratio = network.optimum(d)[0] / utilities(DUAL, network, d)
    assert ratio.min() > 0.95 and ratio.mean() > 0.99


@pytest.mark.parametrize("network", JOINT)
def test_equal_split_optimum_gets_its_best_bandwidth(network):
    d = states(network, 20)
    x = SCHEMES[EQUAL_SPLIT].decide(network, d)
    equal = MUMT(network.N, network.M, uplink_bandwidth=network.uplink_bandwidth)
    before, decision = equal.optimum(d)
    np.testing.assert_array_equal(x, decision)
    Q = network.compute_Q(d, x)
    assert (Q <= before * (1 + 1e-12)).all() and (Q < 0.999 * before).any()
    shares = network.bandwidth_allocation(d, x)
    np.testing.assert_allclose(Q, [utility_of(network, *frame) for frame in zip(d, x, shares)])


def test_invalid_states_are_refused(network):
    joint = JointMUMT(3, 3)
    for label, scheme in SCHEMES.items():
        for shape in ((2, 8), (2, 2, 9), (3,)):
            with pytest.raises(ValueError, match="shape"):
                scheme.decide(joint if label in (DUAL, EQUAL_SPLIT) else network, np.ones(shape))
    for label in (*SOLVERS, DESCENT, RELAXATION, SMALLEST_LOCAL):
        for size in (-1, np.inf, np.nan):
            with pytest.raises(ValueError, match="task_size"):
                SCHEMES[label].decide(network, [[20.0] * 8 + [size]])


def test_results_of_a_scheme_are_checked(network):
    d = states(network)
    x = Scheme("mine", lambda network, states: states > 20).decide(network, d)
    assert x.dtype == np.int32 and (x == (d > 20)).all()
    zeros = np.zeros(d.shape)
    for wrong in (zeros[0], zeros[:, :8], zeros[1:], zeros + 0.5, zeros - 1, zeros + np.nan, None):
        with pytest.raises(ValueError, match="mine"):
            Scheme("mine", lambda network, states, wrong=wrong: wrong).decide(network, d)


@pytest.mark.parametrize("network", [MUMT(3, 3), WPMEC(6)])
def test_budgets_of_utilities_are_kept(network):
    d = states(network)
    tasks = network.N * network.M
    descent = SCHEMES[DESCENT].decide(network, d)
    for scheme, most, is_exact in [
        (Scheme("pass", one_pass), tasks + 1, True),
        (Scheme("best of 7", partial(best_of_random, number=7), is_random=True), 7, True),
        (Scheme("descent", partial(coordinate_descent, budget=3 * tasks)), 2 * tasks + 1, False),
    ]:
        counting, counts = counted(network)
        x = scheme.decide(counting, d)
        used = sum(counts) / len(d)
        assert used == most if is_exact else used <= most
        Q = network.compute_Q(d, x)
        assert Q.mean() >= network.compute_Q(d, descent).mean()
        assert Q.mean() < network.compute_Q(d, SCHEMES["local only"].decide(network, d)).mean()
    counting, counts = counted(network)  # DDLO's candidates count, too
    DDLO(MemoryDNN([tasks, tasks], 3), counting).decide(d)
    assert sum(counts) / len(d) == 3
    unlimited = coordinate_descent(network, d, budget=10**6)
    np.testing.assert_array_equal(unlimited, descent)


def test_best_of_random_decisions_is_the_best_of_what_it_draws():
    network = MUMT(2, 2)
    d = states(network)
    many = network.compute_Q(d, best_of_random(network, d, seed=0, number=300))
    np.testing.assert_allclose(many, network.optimum(d)[0], rtol=1e-12)
    one = best_of_random(network, d, seed=0, number=1)
    np.testing.assert_array_equal(one, SCHEMES["random"].decide(network, d, seed=0))

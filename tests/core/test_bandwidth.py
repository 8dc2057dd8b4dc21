"""Joint bandwidth: the allocation, the optimum, its lower bound, and recombined decisions."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ddlo.bandwidth import JointMUMT
from ddlo.enumeration import all_decisions
from MUMT import MUMT

from .reference import frames, user_values, utility_of

constants = {"uplink_bandwidth": st.floats(0.1, 1000), "delay_weight": st.floats(0.01, 10)}


@settings(max_examples=60)
@given(frames(), st.fixed_dictionaries(constants))
def test_allocation_meets_the_optimality_conditions(case, constants):
    N, M, (d,), (x,) = case
    network = JointMUMT(N, M, **constants)
    c, Q = network.bandwidth_allocation(d, x), network.compute_Q(d, x)
    C, w = network.uplink_bandwidth, network.delay_weight
    sent, local, edge, _ = user_values(network, d, x)
    assert c.shape == (N,) and c.dtype == np.float64
    assert ((c > 0) == (sent > 0)).all() and c.sum() <= C * (1 + 1e-12)
    assert Q == pytest.approx(utility_of(network, d, x, c), rel=1e-12)
    assert Q <= MUMT(N, M, **constants).compute_Q(d, x) * (1 + 1e-14)
    # The gain from a little more bandwidth is the same price for all users who can use more. The
    # others get just what makes their upload fast enough, and gain at least the price.
    slack = local - edge
    assume((np.abs(slack[sent > 0]) > 1e-9 * local.max()).all())  # no limit that rounding decides
    limit = np.where(slack > 0, sent / np.where(slack > 0, slack, 1), np.inf)
    assert (c <= limit * (1 + 1e-9)).all()
    at_limit = (sent > 0) & (c >= limit * (1 - 1e-9))
    using = (sent > 0) & ~at_limit
    gain = w * sent / np.where(c > 0, c, 1) ** 2
    price = gain[using].mean() if using.any() else 0.0
    np.testing.assert_allclose(gain[using], price, rtol=1e-6)
    assert (gain[at_limit] >= price * (1 - 1e-6)).all()
    if using.any():
        assert c.sum() == pytest.approx(C, rel=1e-12)  # nothing is left where it has a price


def test_allocation_by_hand():
    # One of two users sends 10 MB and has nothing else to wait for: it gets all of the bandwidth.
    network = JointMUMT(2, 1)
    np.testing.assert_allclose(network.bandwidth_allocation([10, 10], [1, 0]), [12.5, 0])
    by_hand = 24.49473536 + 0.8 + 15.9383552 + 27.262976 + 39.845888
    assert network.compute_Q([10, 10], [1, 0]) == pytest.approx(by_hand, rel=1e-12)
    # Two users who send 10 and 40 MB: bandwidths are as the roots, 1 to 2.
    np.testing.assert_allclose(network.bandwidth_allocation([10, 40], [1, 1]), [12.5 / 3, 25 / 3])
    # A user whose device needs 39.845888 s for the other task does not need the edge any sooner:
    # 10 MB have 39.845888 - 15.9383552 s for their upload. Without use for it, bandwidth is left.
    limit = 10 / (39.845888 - 15.9383552)
    np.testing.assert_allclose(JointMUMT(1, 2).bandwidth_allocation([10, 10], [1, 0]), [limit])
    c = JointMUMT(2, 2).bandwidth_allocation([10, 10, 10, 10], [1, 0, 1, 1])
    np.testing.assert_allclose(c, [limit, 12.5 - limit])


def test_all_local(published):
    d, none = published[0][:20], np.zeros(9)
    joint = JointMUMT(3, 3)
    np.testing.assert_array_equal(joint.compute_Q(d, none), MUMT(3, 3).compute_Q(d, none))
    np.testing.assert_array_equal(joint.bandwidth_allocation(d, none), np.zeros((20, 3)))


def test_many_users_in_compiled_code_give_the_same_bits():
    from ddlo.backend import tf, tnp

    network, random = JointMUMT(8, 1, uplink_bandwidth=12), np.random.default_rng(0)
    d, x = random.integers(10, 31, (500, 8)), random.integers(0, 2, (7, 500, 8)).astype(float)
    costs = network.costs(d)

    @tf.function(jit_compile=True)
    def compiled(costs, x):
        return network.utility(costs, x, tnp), network.recombine(costs, x, x[0], tnp)

    Q, recombined = compiled(costs, x)
    np.testing.assert_array_equal(Q, network.compute_Q(d, x))
    np.testing.assert_array_equal(recombined, network.recombine(costs, x, x[0]))


# The optimum and its lower bound


@settings(max_examples=30)
@given(frames(), st.fixed_dictionaries(constants))
def test_optimum_is_the_first_of_the_least_utilities_and_above_its_lower_bound(case, constants):
    N, M, (d,), _ = case
    assume(N * M <= 8)
    network = JointMUMT(N, M, **constants)
    Q = [network.compute_Q(d, x) for x in itertools.product((0, 1), repeat=N * M)]
    gain_min, gain_mode, word = network.reference(d)
    assert gain_min == min(Q) and gain_mode.dtype == np.int32 and word == "optimum"
    np.testing.assert_array_equal(gain_mode, all_decisions(N * M)[np.argmin(Q)])
    bound, x = network.lower_bound(d)
    assert 0 < bound <= gain_min <= network.compute_Q(d, x)


def test_joint_optimum_and_lower_bound_of_the_published_samples(published):
    d, equal_min = published[0][:2000], published[1][:2000]
    network = JointMUMT(3, 3)
    gain_min, gain_mode = network.optimum(d)
    # A prototype's figures: 0.34 % less, and 35 % of the decisions are others.
    assert gain_min.mean() / equal_min.mean() == pytest.approx(0.9966, abs=1e-4)
    assert 0.33 < (gain_mode != MUMT(3, 3).optimum(d)[1]).any(axis=1).mean() < 0.38

    bound, x = network.lower_bound(d)
    assert np.mean(1 - bound / gain_min) < 2e-4  # a prototype reached 0.02 %
    assert x.shape == d.shape and x.dtype == np.int32
    assert np.mean(gain_min / network.compute_Q(d, x)) > 0.9999
    for i in range(3):
        alone = network.lower_bound(d[i])
        assert type(alone[0]) is float and alone[0] == bound[i]
        np.testing.assert_array_equal(alone[1], x[i])


def priced(network, task_size, decision, level):
    """Users' parts of Q and what they pay for bandwidth, at a price of 1/level**2 for all of it.

    (N, ...) for a frame's decision and any levels. Each user takes the share that is best for it.
    """
    level = np.asarray(level)
    values = user_values(network, task_size, decision)
    sent, local, edge, energy = (v.reshape(-1, *[1] * level.ndim) for v in values)
    upload, slack = sent / network.uplink_bandwidth, local - edge
    limit = np.where(slack > 0, upload / np.where(slack > 0, slack, 1), np.inf)
    share = np.minimum(level * np.sqrt(upload), limit)
    delay = edge + upload / np.where(share > 0, share, 1)
    return energy + np.maximum(local, delay) + share / level**2


@pytest.mark.parametrize("uplink", [1000, 12.5, 0.5, 0.0125])
def test_lower_bound_is_the_greatest_dual_for_any_bandwidth(uplink):
    for seed, (N, M) in enumerate([(2, 2), (3, 2), (1, 3)]):
        network = JointMUMT(N, M, uplink_bandwidth=uplink)
        d = np.random.default_rng(seed).integers(10, 31, N * M)
        levels = np.geomspace(1e-3, 1e5, 40000)
        decisions = itertools.product((0, 1), repeat=M)
        parts = [priced(network, d, np.tile(x, N), levels) for x in decisions]
        dual = (np.min(parts, axis=0).sum(axis=0) - 1 / levels**2).max()
        bound = network.lower_bound(d)[0]
        assert dual * (1 - 1e-9) <= bound <= dual * (1 + 1e-4)  # the levels are 0.05 % apart
        assert bound <= network.optimum(d)[0]


def test_lower_bound_of_a_large_network():
    d = np.random.default_rng(0).integers(10, 31, (20, 90))
    network = JointMUMT(30, 3, uplink_bandwidth=125)
    bound, x, word = network.reference(d)
    Q = network.compute_Q(d, x)
    assert word == "lower bound" and (bound < Q).all() and (Q < bound * (1 + 1e-4)).all()
    # The equal-split optimum is not better than the bound.
    assert (bound < MUMT(30, 3, uplink_bandwidth=125).optimum(d)[0]).all()
    with pytest.raises(ValueError, match="JointMUMT.*separable.*90"):
        network.optimum(d)
    with pytest.raises(ValueError, match="M = 21"):
        JointMUMT(2, 21).lower_bound([10] * 42)


class Priorities(JointMUMT):
    def user_utility(self, costs, decision, xp=np):
        return np.array([1.0, 2.0, 4.0]) * super().user_utility(costs, decision, xp)


class Twice(JointMUMT):
    def compute_Q(self, task_size, decision):
        return 2 * super().compute_Q(task_size, decision)


@pytest.mark.parametrize("kind", [Priorities, Twice])
def test_custom_utility_has_an_optimum_but_no_lower_bound(kind):
    with pytest.raises(ValueError, match=f"no lower bound .* {kind.__name__}"):
        kind(3, 5).reference([10] * 15)
    network, d = kind(3, 2), [10, 20, 30, 10, 20, 30]
    assert network.reference(d)[0] == network.compute_Q(d, all_decisions(6)).min()


# Recombined decisions


def test_recombined_decisions_of_joint_bandwidth(published):
    d, network = published[0][:500], JointMUMT(3, 3)
    x = np.random.default_rng(0).integers(0, 2, (6, 500, 9)).astype(float)
    Q, costs = network.compute_Q(d, x), network.costs(d)
    best = x[Q.argmin(axis=0), np.arange(500)]
    recombined = network.recombine(costs, x, best)
    # All parts are from candidates, and on the whole the decisions become far better.
    parts, all_parts = recombined.reshape(500, 3, 3), x.reshape(6, 500, 3, 3)
    assert (parts == all_parts).all(axis=3).any(axis=0).all()
    gain_min = network.optimum(d)[0]
    before = np.mean(gain_min / Q.min(axis=0))
    assert np.mean(gain_min / network.compute_Q(d, recombined)) > before + 0.03
    # Each part is the cheapest at the price at which the best candidate allocates all bandwidth.
    share = network.bandwidth_allocation(d, best) / 12.5
    (scarce,) = np.nonzero(share.sum(axis=1) > 1 - 1e-9)
    assert len(scarce) > 200
    for i in scarce[:20]:
        upload = user_values(network, d[i], best[i])[0] / 12.5
        level = np.max(share[i] / np.sqrt(np.where(upload > 0, upload, 1)))
        cheapest = np.min([priced(network, d[i], decision, level) for decision in x[:, i]], axis=0)
        found = priced(network, d[i], recombined[i], level)
        np.testing.assert_allclose(found, cheapest, rtol=1e-9)
    # The best candidate alone is recombined into itself.
    np.testing.assert_array_equal(network.recombine(costs, best[None], best), best)


def test_extreme_sizes_give_finite_numbers_or_are_refused():
    network = JointMUMT(2, 1)
    bound, decision = network.lower_bound([1e30, 1e-30])
    assert 0 < bound <= network.compute_Q([1e30, 1e-30], decision) < np.inf
    with pytest.raises(ValueError, match="^task_size must be 0 or 1e-30 to 1e.30, got 1e-300"):
        network.lower_bound([1e30, 1e-300])

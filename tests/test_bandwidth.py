"""Optimal bandwidth: the allocation, the joint optimum and its bound, and recombined decisions."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize

from experiments.schemes import for_equal_split
from MUMT import MUMT, all_decisions

from .test_mumt import frames


def user_values(network, task_size, decision):
    """MB offloaded, delay on the device, edge processing time, energy: (N,) each, by the model."""
    d = np.reshape(np.asarray(task_size, float), (network.N, network.M))
    x = np.reshape(decision, d.shape)
    bits = 8 * 2**20 * d
    energy = x * bits * (1.5e-7 + 1.42e-7) + (1 - x) * bits * 3.25e-7
    local, edge = (1 - x) * bits * 4.75e-7, x * bits * 1900 / 1e10
    return [array.sum(axis=1) for array in (x * d, local, edge, energy)]


def utility_of(network, task_size, decision, c):
    """Q if the users get bandwidths c (N,), in MB/s."""
    sent, local, edge, energy = user_values(network, task_size, decision)
    upload = np.divide(sent, c, out=np.zeros(len(c)), where=sent > 0)
    return np.sum(energy + network.delay_weight * np.maximum(local, upload + edge))


networks = {"uplink_bandwidth": st.floats(0.1, 1000), "delay_weight": st.floats(0.01, 10)}


@given(frames(), st.fixed_dictionaries(networks))
def test_allocation_meets_the_optimality_conditions(case, constants):
    N, M, (d,), (x,) = case
    network = MUMT(N, M, bandwidth="optimal", **constants)
    c, Q = network.bandwidth_allocation(d, x), network.compute_Q(d, x)
    C, w = network.uplink_bandwidth, network.delay_weight
    sent, local, edge, _ = user_values(network, d, x)
    assert c.shape == (N,) and c.dtype == np.float64
    assert ((c > 0) == (sent > 0)).all() and c.sum() <= C * (1 + 1e-12)
    assert Q == pytest.approx(utility_of(network, d, x, c), rel=1e-12)
    # The gain from a little more bandwidth is one price for all who can use more of it. The others
    # get just as much as makes their upload fast enough, which was worth the price.
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


@given(frames(), st.fixed_dictionaries(networks))
def test_never_above_the_equal_split(case, constants):
    N, M, (d,), (x,) = case
    equal, optimal = (MUMT(N, M, bandwidth=rule, **constants) for rule in ("equal", "optimal"))
    assert optimal.compute_Q(d, x) <= equal.compute_Q(d, x) * (1 + 1e-14)
    shares = equal.bandwidth_allocation(d, x)
    assert shares.tolist() == [
        equal.uplink_bandwidth / N if user.any() else 0 for user in x.reshape(N, M)
    ]
    assert equal.compute_Q(d, x) == pytest.approx(utility_of(equal, d, x, shares), rel=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_a_general_solver(seed):
    random = np.random.default_rng(seed)
    N, M = random.integers(1, 6), random.integers(1, 5)
    network = MUMT(N, M, uplink_bandwidth=random.uniform(2, 40), bandwidth="optimal")
    d, x = random.integers(10, 31, N * M), random.integers(0, 2, N * M)
    x[: M - M // 2] = 1  # somebody sends
    sent, local, edge, energy = user_values(network, d, x)
    C, (sends,) = network.uplink_bandwidth, np.nonzero(sent)
    users = len(sends)
    # Shares of the bandwidth and delays of the users who send, in units that are near 1.
    unit = local.max() + edge.max() + sent.max() / C
    found = optimize.minimize(
        lambda v: v[users:].sum(),
        np.concatenate([np.full(users, 1 / users), np.full(users, 10.0)]),
        method="SLSQP",
        bounds=[(1e-6, 1)] * users + [(0, None)] * users,
        constraints=[
            {"type": "ineq", "fun": lambda v: 1 - v[:users].sum()},
            {"type": "ineq", "fun": lambda v: v[users:] - local[sends] / unit},
            {
                "type": "ineq",
                "fun": lambda v: v[users:] - (sent[sends] / (C * v[:users]) + edge[sends]) / unit,
            },
        ],
        options={"maxiter": 1000, "ftol": 1e-10},
    )
    assert found.success, found.message
    Q = energy.sum() + unit * found.fun + np.delete(local, sends).sum()
    assert network.compute_Q(d, x) == pytest.approx(Q, rel=1e-7)


def test_allocation_by_hand():
    # One of two users sends 10 MB and has nothing else to wait for: it gets all of the bandwidth.
    network = MUMT(2, 1, bandwidth="optimal")
    np.testing.assert_allclose(network.bandwidth_allocation([10, 10], [1, 0]), [12.5, 0])
    by_hand = 24.49473536 + 0.8 + 15.9383552 + 27.262976 + 39.845888
    assert network.compute_Q([10, 10], [1, 0]) == pytest.approx(by_hand, rel=1e-12)
    # Two users who send 10 and 40 MB: bandwidths are as the roots, 1 to 2.
    np.testing.assert_allclose(network.bandwidth_allocation([10, 40], [1, 1]), [12.5 / 3, 25 / 3])
    # A user whose device needs 39.845888 s for the other task does not need the edge any sooner:
    # 10 MB have 39.845888 - 15.9383552 s for their upload. Without use for it, bandwidth is left.
    network = MUMT(1, 2, bandwidth="optimal")
    limit = 10 / (39.845888 - 15.9383552)
    np.testing.assert_allclose(network.bandwidth_allocation([10, 10], [1, 0]), [limit])
    network = MUMT(2, 2, bandwidth="optimal")
    c = network.bandwidth_allocation([10, 10, 10, 10], [1, 0, 1, 1])
    np.testing.assert_allclose(c, [limit, 12.5 - limit])


def test_all_local_and_no_weight_of_delay(published):
    d = published[0][:20]
    equal, optimal = MUMT(3, 3), MUMT(3, 3, bandwidth="optimal")
    none = np.zeros(9)
    np.testing.assert_array_equal(optimal.compute_Q(d, none), equal.compute_Q(d, none))
    np.testing.assert_array_equal(optimal.bandwidth_allocation(d, none), np.zeros((20, 3)))
    # Without weight of delay any allocation is as good: users still get one to send with.
    energy = [MUMT(3, 3, delay_weight=0, bandwidth=rule) for rule in ("equal", "optimal")]
    x = np.tile([1, 0, 0, 1, 1, 0, 0, 0, 0], (20, 1))
    np.testing.assert_array_equal(*(network.compute_Q(d, x) for network in energy))
    c = energy[1].bandwidth_allocation(d, x)
    assert ((c > 0) == [True, True, False]).all()
    np.testing.assert_array_equal(c, optimal.bandwidth_allocation(d, x))
    np.testing.assert_array_equal(energy[1].optimum(d)[0], energy[0].optimum(d)[0])
    np.testing.assert_allclose(energy[1].lower_bound(d), energy[0].optimum(d)[0], rtol=1e-11)


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.floats(1e-6, 1e6))
def test_sizes_of_any_magnitude(first, second, third, uplink):
    network = MUMT(3, 1, bandwidth="optimal", uplink_bandwidth=uplink)
    d = [first, second, third]
    c = network.bandwidth_allocation(d, [1, 1, 1])
    assert (c > 0).all() and c.sum() == pytest.approx(uplink, rel=1e-9)
    assert network.compute_Q(d, [1, 1, 1]) == pytest.approx(
        utility_of(network, d, [1, 1, 1], c), rel=1e-9
    )


def test_all_candidates_of_all_frames_are_one_call(published):
    network, d = MUMT(3, 3, bandwidth="optimal"), published[0][:50]
    x = np.random.default_rng(0).integers(0, 2, (4, 50, 9))
    Q, c = network.compute_Q(d, x), network.bandwidth_allocation(d, x)
    assert Q.shape == (4, 50) and c.shape == (4, 50, 3)
    for k, i in np.ndindex(Q.shape):
        assert Q[k, i] == network.compute_Q(d[i], x[k, i])
        np.testing.assert_array_equal(c[k, i], network.bandwidth_allocation(d[i], x[k, i]))
    assert type(network.compute_Q(d[0], x[0, 0])) is float


@pytest.mark.parametrize("N, M", [(3, 3), (12, 2)])
def test_compiled_code_gives_the_same_bits(N, M):
    from tensorflow.experimental import numpy as tnp

    from memory import tf

    network = MUMT(N, M, bandwidth="optimal", uplink_bandwidth=3 * N)
    random = np.random.default_rng(0)
    d, x = random.integers(10, 31, (500, N * M)), random.integers(0, 2.0, (7, 500, N * M))
    x = x.astype(float)
    costs, best = network.task_costs(d), x[0]

    @tf.function(jit_compile=True)
    def compiled(costs, x, best, level):
        priced = network._at_price(network._user_sums(costs, x, tnp), level, tnp)
        return network.utility(costs, x, tnp), network.recombine(costs, x, best, tnp), *priced

    level = random.uniform(0.1, 2, (500, 1))
    Q, recombined, *priced = compiled(costs, x, best, level)
    np.testing.assert_array_equal(Q, network.compute_Q(d, x))
    np.testing.assert_array_equal(recombined, network.recombine(costs, x, best))
    for array, expected in zip(priced, network._at_price(network._user_sums(costs, x), level)):
        np.testing.assert_array_equal(array, expected)


# The optimum and its bound


@given(frames(), st.floats(1, 100))
def test_joint_optimum_is_the_first_of_the_least_utilities(case, uplink):
    N, M, d, _ = case
    assume(N * M <= 8)
    network = MUMT(N, M, bandwidth="optimal", uplink_bandwidth=uplink)
    Q = [network.compute_Q(d[0], x) for x in itertools.product((0, 1), repeat=N * M)]
    gain_min, gain_mode = network.optimum(d[0])
    assert gain_min == min(Q) and gain_mode.dtype == np.int32
    np.testing.assert_array_equal(gain_mode, all_decisions(N * M)[np.argmin(Q)])


def test_joint_optimum_of_the_published_samples(published):
    d, equal_min = published
    network = MUMT(3, 3, bandwidth="optimal")
    gain_min, gain_mode = network.optimum(d[:2000])
    np.testing.assert_array_equal(network.compute_Q(d[:2000], gain_mode), gain_min)
    # A prototype's figures: 0.34 % less, and 35 % of the decisions are others.
    assert (gain_min <= equal_min[:2000]).all()
    assert gain_min.mean() / equal_min[:2000].mean() == pytest.approx(0.9966, abs=1e-4)
    differ = (gain_mode != MUMT(3, 3).optimum(d[:2000])[1]).any(axis=1)
    assert 0.33 < differ.mean() < 0.38


@given(frames(), st.fixed_dictionaries(networks))
def test_lower_bound_is_never_above_the_optimum(case, constants):
    N, M, (d,), _ = case
    assume(N * M <= 12)
    network = MUMT(N, M, bandwidth="optimal", **constants)
    bound, (gain_min, _) = network.lower_bound(d), network.optimum(d)
    assert type(bound) is float and 0 < bound <= gain_min
    assert network.compute_Q(d, network.decide_by_price(d)) >= gain_min


def test_lower_bound_is_near_the_optimum(published):
    d = published[0][:2000]
    network = MUMT(3, 3, bandwidth="optimal")
    bound, (gain_min, _) = network.lower_bound(d), network.optimum(d)
    assert bound.shape == (2000,) and (bound <= gain_min).all()
    assert np.mean(1 - bound / gain_min) < 2e-4  # a prototype reached 0.02 %
    x = network.decide_by_price(d)
    assert x.shape == d.shape and x.dtype == np.int32
    assert np.mean(gain_min / network.compute_Q(d, x)) > 0.9999
    for i in range(3):
        assert network.lower_bound(d[i]) == bound[i]
        np.testing.assert_array_equal(network.decide_by_price(d[i]), x[i])


def greatest_dual(network, task_size, levels):
    """The greatest dual value of a frame at some levels, with every decision of a user by itself."""
    N, M, C = network.N, network.M, network.uplink_bandwidth
    one = MUMT(1, M, delay_weight=network.delay_weight, uplink_bandwidth=C)
    price = 1 / levels**2  # of all the bandwidth
    dual = -price
    for n in range(N):
        of_user = []
        for x in itertools.product((0, 1), repeat=M):
            sent, local, edge, energy = user_values(one, task_size[n * M : (n + 1) * M], x)
            upload, slack = sent[0] / C, local[0] - edge[0]
            share = np.minimum(levels * np.sqrt(upload), upload / slack if slack > 0 else np.inf)
            delay = np.maximum(local[0], edge[0] + (upload / share if upload else 0))
            of_user.append(energy[0] + delay + price * share)
        dual += np.min(of_user, axis=0)
    return dual.max()


@pytest.mark.parametrize("uplink", [1000, 12.5, 0.5, 0.125, 0.0125])
def test_lower_bound_is_the_greatest_dual_for_any_bandwidth(uplink):
    for seed, (N, M) in enumerate([(2, 2), (3, 2), (1, 3)]):
        network = MUMT(N, M, bandwidth="optimal", uplink_bandwidth=uplink)
        d = np.random.default_rng(seed).integers(10, 31, N * M)
        dual = greatest_dual(network, d, np.geomspace(1e-3, 1e5, 40000))
        bound = network.lower_bound(d)
        assert dual * (1 - 1e-9) <= bound <= dual * (1 + 1e-4)  # the levels are 0.05 % apart
        assert bound <= network.optimum(d)[0]


def test_lower_bound_of_a_large_network():
    d = np.random.default_rng(0).integers(10, 31, (50, 90))
    network = MUMT(30, 3, bandwidth="optimal", uplink_bandwidth=125)
    assert not network.exact
    bound = network.lower_bound(d)
    Q = network.compute_Q(d, network.decide_by_price(d))
    assert (bound < Q).all() and (Q < bound * (1 + 1e-4)).all()
    # No allocation of the bandwidth and no decision is better: the equal split's optimum is not.
    equal = MUMT(30, 3, uplink_bandwidth=125)
    assert (bound < equal.optimum(d)[0]).all()
    with pytest.raises(ValueError, match="90 tasks are too many .* lower_bound bounds it"):
        network.optimum(d)


def test_lower_bound_with_equal_bandwidth_is_the_optimum(published):
    d, gain_min = published
    network = MUMT(3, 3)
    np.testing.assert_array_equal(network.lower_bound(d[:500]), gain_min[:500])
    x = network.decide_by_price(d[:500])
    np.testing.assert_array_equal(network.compute_Q(d[:500], x), gain_min[:500])


def test_one_user_has_an_optimum_beyond_enumeration():
    network = MUMT(1, 13, bandwidth="optimal")
    assert network.exact
    d = np.random.default_rng(0).integers(10, 31, (2, 13))
    gain_min, gain_mode = network.optimum(d)
    np.testing.assert_array_equal(network.compute_Q(d, gain_mode), gain_min)
    np.testing.assert_allclose(gain_min, MUMT(1, 13).optimum(d)[0], rtol=1e-12)


class Priorities(MUMT):
    def user_utility(self, costs, decision, np=np):
        return np.array([1.0, 2.0, 4.0]) * super().user_utility(costs, decision, np)


class Slowest(MUMT):
    def utility(self, costs, decision, np=np):
        return np.max(self.user_utility(costs, decision, np), axis=-1)


class Twice(MUMT):
    def compute_Q(self, task_size, decision):
        return 2 * super().compute_Q(task_size, decision)


class FourCosts(MUMT):
    def task_costs(self, task_size):
        return super().task_costs(task_size)[:4]


def test_what_has_no_bound_is_refused():
    with pytest.raises(ValueError, match="Priorities has its own user_utility: no bound is known"):
        Priorities(3, 5, bandwidth="optimal").lower_bound([10] * 15)
    equal = Priorities(3, 2)
    assert equal.lower_bound([10] * 6) == equal.optimum([10] * 6)[0]
    for bandwidth, (kind, name) in itertools.product(
        ("equal", "optimal"), ((Slowest, "utility"), (Twice, "compute_Q"))
    ):
        with pytest.raises(ValueError, match=f"{kind.__name__} has its own {name}: no bound"):
            kind(3, 2, bandwidth=bandwidth).lower_bound([10] * 6)
    with pytest.raises(ValueError, match="the optimum of Twice's compute_Q is not known"):
        Twice(3, 2).optimum([10] * 6)
    with pytest.raises(ValueError, match="the optimum of Slowest's utility is not known"):
        Slowest(3, 5).optimum([10] * 15)
    assert not Twice(3, 2).exact and not Slowest(3, 5).exact
    assert Slowest(3, 2).optimum([10] * 6)[0] < MUMT(3, 2).optimum([10] * 6)[0]  # all are tried
    with pytest.raises(ValueError, match="task_costs returns 4 costs; 5 were expected"):
        FourCosts(3, 2, bandwidth="optimal").compute_Q([10] * 6, [1] * 6)
    with pytest.raises(ValueError, match="M is 21"):
        MUMT(2, 21, bandwidth="optimal").lower_bound([10] * 42)
    with pytest.raises(ValueError, match="one or two axes"):
        MUMT(1, 1, bandwidth="optimal").lower_bound([[[1]]])
    with pytest.raises(ValueError, match="'fair'; equal or optimal was expected"):
        MUMT(1, 1, bandwidth="fair")


class Own(MUMT):
    """A subclass with an __init__ of its own, as users write them."""

    def __init__(self):
        super().__init__(3, 2, bandwidth="optimal", delay_weight=0)


def test_subclass_with_an_init_of_its_own():
    own, plain = Own(), MUMT(3, 2, bandwidth="optimal")
    d, x = [10, 20, 30, 10, 20, 30], [1, 0, 1, 1, 0, 0]
    np.testing.assert_array_equal(own.bandwidth_allocation(d, x), plain.bandwidth_allocation(d, x))
    assert own.delay_weight == 0
    np.testing.assert_array_equal(for_equal_split(own, d)[0], own.optimum(d)[1])
    assert own.bandwidth == "optimal"


# Recombined decisions


@given(frames(most=5), st.randoms(use_true_random=False))
def test_recombined_decision_is_the_best_of_all_parts(case, random):
    N, M, _, x = case
    d = np.array([random.randint(10, 30) for _ in range(N * M)])
    for network in (MUMT(N, M), *([Priorities(N, M)] if N == 3 else [])):
        candidates, costs = x[:, None].astype(float), network.task_costs(d[None] * 1.0)
        (recombined,) = network.recombine(costs, candidates, candidates[0])
        parts = x.reshape(-1, N, M)
        combinations = itertools.product(range(len(parts)), repeat=N)
        every = [np.ravel([parts[c, n] for n, c in enumerate(chosen)]) for chosen in combinations]
        assert network.compute_Q(d, recombined) == pytest.approx(
            network.compute_Q(d, every).min(), rel=1e-12
        )


def test_recombined_decisions_of_optimal_bandwidth(published):
    d = published[0][:500]
    network = MUMT(3, 3, bandwidth="optimal")
    x = np.random.default_rng(0).integers(0, 2, (6, 500, 9)).astype(float)
    Q = network.compute_Q(d, x)
    best = x[Q.argmin(axis=0), np.arange(500)]
    recombined = network.recombine(network.task_costs(d), x, best)
    # All parts are some candidate's, and on the whole the decisions become far better.
    parts, of_all = recombined.reshape(500, 3, 3), x.reshape(6, 500, 3, 3)
    assert (parts == of_all).all(axis=3).any(axis=0).all()
    gain_min = network.optimum(d)[0]
    before = np.mean(gain_min / Q.min(axis=0))
    assert np.mean(gain_min / network.compute_Q(d, recombined)) > before + 0.03
    # Of the best candidate alone nothing else can be made.
    np.testing.assert_array_equal(network.recombine(network.task_costs(d), best[None], best), best)

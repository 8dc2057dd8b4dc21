"""The wireless powered network of DROO: its model, its optimum, its data, and the rules on it."""

import json

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.optimize import minimize

from ddlo.candidates import OrderPreserving, threshold
from ddlo.enumeration import enumerate_decisions
from ddlo.loop import compile_loop, fast_loop
from experiments import wpmec
from experiments.droo import AdaptiveDROO, AdaptiveOrderPreserving
from experiments.wpmec import WPMEC, channel_gains, load_gains
from main import DDLO, Parameters, run
from memory import MemoryDNN

from ..conftest import check_figure, command

cli = command(wpmec)
# Gains, the best decision, R and a, as published with DROO.
CHECKS = [
    (
        (
            "8.503830075109449e-07 3.0579545577630124e-06 2.2405480322479394e-06 5.438564437995216e-07 "
            "6.129093252079282e-07 1.2537218584868725e-06 3.1600741711386013e-06 2.1984558740923275e-06 "
            "1.5544988937777437e-07 3.880862303766656e-06"
        ),
        [0, 1, 0, 0, 0, 0, 1, 1, 0, 1],
        1510816.99,
        0.67103,
    ),
    (
        (
            "1.0980625297480781e-05 7.181604436325773e-06 3.76137360234801e-06 1.8060608643342346e-06 "
            "1.7312074617350875e-06 4.595231222940204e-06 3.224913051055854e-06 3.1070037269784715e-06 "
            "9.608164635453525e-07 2.3320329882128132e-07"
        ),
        [1, 1, 0, 0, 0, 1, 0, 0, 0, 0],
        3041691.95,
        0.52173,
    ),
]
ETA1, ETA2, EPS = 2.1 ** (1 / 3) / 100, 2.1 / 1e-10, 2e6 / (1.1 * np.log(2))


def rate(gains, weights, x, a, tau):
    """R as the model states it, device by device."""
    total = 0.0
    for n, w in enumerate(weights):
        if x[n] == 0:
            total += w * ETA1 * (gains[n] / 1e-26) ** (1 / 3) * a ** (1 / 3)
        elif tau[n] > 0:
            total += w * EPS * tau[n] * np.log1p(ETA2 * gains[n] ** 2 * a / tau[n])
    return total


@pytest.mark.parametrize("gains, best, expected, a", CHECKS)
def test_published_check_values(gains, best, expected, a):
    network, gains = WPMEC(10), np.array(gains.split(), float)
    Q, decision = network.optimum(gains)
    assert decision.tolist() == best and Q == network.compute_Q(gains, best)
    assert 1 / Q == pytest.approx(expected, rel=1e-6)
    assert network.computation_rate(gains, best) == 1 / Q
    assert network.time_allocation(gains, best)[0] == pytest.approx(a, abs=5e-6)
    assert network.compute_Q(gains, np.ones(10)) > Q


@pytest.mark.parametrize("factor", [1e-3, 1, 1e2])
@pytest.mark.parametrize("N", [1, 4, 30])
def test_allocation_meets_the_optimality_conditions(N, factor):
    network, random = WPMEC(N), np.random.default_rng(N)
    gains = factor * channel_gains(200, N)
    x = random.integers(0, 2, gains.shape)
    x[:2] = [[0], [1]]
    a, tau = network.time_allocation(gains, x)
    assert (tau[x == 0] == 0).all() and (tau[x == 1] > 0).all()
    np.testing.assert_allclose(a + tau.sum(axis=1), 1, rtol=1e-12)
    expected = [rate(*of_one) for of_one in zip(gains, [network.weights] * 200, x, a, tau)]
    np.testing.assert_allclose(network.computation_rate(gains, x), expected, rtol=1e-12)
    # KKT: more time for charging or for any device that sends pays the same, its price.
    w = network.weights
    snr = np.where(x == 1, ETA2 * gains**2 * a[:, None] / np.where(x == 1, tau, 1), 0)
    local = np.where(x == 0, w * ETA1 * np.cbrt(gains / 1e-26), 0).sum(axis=1) / 3
    sent = np.where(x == 1, w * EPS * ETA2 * gains**2 / (1 + snr), 0).sum(axis=1)
    price = local * a ** (-2 / 3) + sent
    paid = w * EPS * (np.log1p(snr) - snr / (1 + snr))
    some = np.broadcast_to(price[:, None], x.shape)[x == 1]
    np.testing.assert_allclose(paid[x == 1], some, rtol=1e-9)


def test_allocation_is_that_of_a_general_solver():
    network, gains = WPMEC(4), channel_gains(12, 4, seed=3)
    x = np.random.default_rng(0).integers(0, 2, gains.shape)
    x[:, 0] = 1
    for h, decision in zip(gains, x):
        senders = np.flatnonzero(decision)

        def loss(shares, h=h, decision=decision, senders=senders):
            tau = np.zeros(4)
            tau[senders] = shares[1:]
            return -rate(h, network.weights, decision, shares[0], tau) / 1e6

        n = len(senders) + 1
        found = minimize(
            loss,
            np.full(n, 1 / n),
            method="SLSQP",
            bounds=[(1e-9, 1)] * n,
            constraints={"type": "ineq", "fun": lambda shares: 1 - shares.sum()},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        best = network.computation_rate(h, decision)
        assert best == pytest.approx(-1e6 * found.fun, rel=1e-7)
        assert best >= -1e6 * found.fun * (1 - 1e-9)


def test_optimum_is_that_of_enumeration_and_the_bound_is_one():
    for N, factor in ((1, 1), (3, 1), (6, 10), (6, 0.1)):
        network, gains = WPMEC(N), factor * channel_gains(300, N, seed=1)
        Q, decision = network.optimum(gains)
        expected = enumerate_decisions(network, gains)
        np.testing.assert_array_equal(Q, expected[0])
        np.testing.assert_array_equal(decision, expected[1])
        bound, near = network.lower_bound(gains)
        assert (bound <= Q).all() and (network.compute_Q(gains, near) >= Q).all()
        assert np.mean(Q / network.compute_Q(gains, near)) > 0.999
    big = WPMEC(30)
    bound, near, kind = big.reference(channel_gains(50, 30))
    ratio = bound / big.compute_Q(channel_gains(50, 30), near)
    assert kind == "lower bound" and ratio.max() <= 1 and ratio.mean() > 0.99
    with pytest.raises(ValueError, match="up to 12 devices, got 30"):
        big.optimum(channel_gains(2, 30))


def test_a_device_that_is_off_counts_for_nothing():
    network, gains = WPMEC(4), channel_gains(20, 4)
    gains[:, 2] = 0
    x = np.random.default_rng(0).integers(0, 2, gains.shape)
    others = WPMEC(3, network.weights[[0, 1, 3]])
    expected = others.compute_Q(gains[:, [0, 1, 3]], x[:, [0, 1, 3]])
    np.testing.assert_allclose(network.compute_Q(gains, x), expected, rtol=1e-12)
    allowed = network.allowed(network.costs(gains), x)
    assert (allowed[:, 2] == 0).all() and (allowed[:, [0, 1, 3]] == x[:, [0, 1, 3]]).all()
    # DDLO makes no decision that is not allowed, compiled or not.
    for compiled in (True, False):
        ddlo = DDLO(MemoryDNN([4, 20, 4], 3, seed=0, scale=network.scale), network)
        frames = np.tile(gains, (40, 1))
        decision = (compile_loop(ddlo) if compiled else ddlo.decide_and_learn)(frames)[1]
        assert (decision[:, 2] == 0).all() and decision.any()
        assert (ddlo.net.memory[:, 4 + 2] == 0).all() and ddlo.net.memory[:, 4:].any()


@pytest.mark.parametrize("rule, dnns", [(threshold, 5), (OrderPreserving(10), 1)])
def test_compiled_loop_decides_as_numpy(rule, dnns):
    network, gains = WPMEC(10), channel_gains(2000, 10)
    decisions = []
    for compiled in (True, False):
        net = MemoryDNN([10, 30, 10], dnns, seed=0, candidates=rule, scale=network.scale)
        ddlo = DDLO(net, network)
        loop = compile_loop(ddlo) if compiled else ddlo.decide_and_learn
        decisions.append(loop(gains)[1])
    np.testing.assert_array_equal(*decisions)


@pytest.mark.parametrize(
    "gains, message",
    [
        ([1e-6, -1e-6], "finite and >= 0, got -1e-06"),
        ([1e-6, np.nan], "finite and >= 0, got nan"),
        ([0, 0], "one above 0 in each frame"),
        ([1e-6], "must have 2 entries"),
    ],
)
def test_bad_gains_are_refused(gains, message):
    for method in (WPMEC(2).optimum, WPMEC(2).lower_bound, lambda h: WPMEC(2).compute_Q(h, [0, 1])):
        with pytest.raises(ValueError, match=message):
            method(gains)


def test_bad_arguments_are_refused():
    for arguments, message in (((0,), "N must"), ((2, [1]), "shape"), ((2, [1, -1]), "> 0")):
        with pytest.raises(ValueError, match=message):
            WPMEC(*arguments)
    with pytest.raises(ValueError, match="0 \\(local\\) or 1"):
        WPMEC(2).compute_Q([1e-6, 1e-6], [0, 0.5])


def test_gains_are_those_of_the_channel_model():
    gains = channel_gains(100000, 10)
    distance = 2.8 + np.arange(10) / 3
    mean = 4.11 * (3e8 / (4 * np.pi * 915e6 * distance)) ** 2.8
    np.testing.assert_allclose(gains.mean(axis=0), mean, rtol=0.02)
    np.testing.assert_allclose(gains.std(axis=0), mean, rtol=0.03)  # of an exponential
    np.testing.assert_array_equal(channel_gains(5, 10, 2), channel_gains(9, 10, 2)[:5])


# DROO's adaptive K


class Recorded(AdaptiveOrderPreserving):
    """A rule that records with how many candidates it was asked for how many frames."""

    def __call__(self, logits, xp=np):
        self.__dict__.setdefault("asked", []).append((self.K, logits.shape[1]))
        return super().__call__(logits, xp)


def test_number_of_candidates_adapts():
    rule, gains, network = Recorded(), channel_gains(2000, 10), WPMEC(10)
    net = MemoryDNN([10, 60, 10], 1, seed=0, candidates=rule, scale=network.scale)
    ddlo = AdaptiveDROO(net, network)
    assert fast_loop(ddlo, 2000) == ddlo.decide_and_learn
    rule.asked.clear()
    chosen = np.concatenate([ddlo.decide_and_learn(part)[0] for part in np.split(gains, [3, 500])])
    numbers = np.repeat(*np.array(rule.asked).T)  # of each frame
    expected, K = [], 10
    for frame in range(2000):
        if frame and frame % 32 == 0:
            K = min(1 + chosen[frame - 32 : frame].max() + 1, 10)
        expected.append(K)
    assert numbers.tolist() == expected and len(set(expected)) > 1
    assert ddlo.scored == sum(expected)


def test_a_resumed_run_adapts_again(tmp_path):
    network, rule = WPMEC(5), AdaptiveOrderPreserving()
    data = (channel_gains(300, 5), network.optimum(channel_gains(300, 5))[0])
    first = Parameters(frames=600, net_num=1, out=tmp_path / "first")
    run(first, network, data, rule, AdaptiveDROO)
    again = Parameters(frames=200, resume=tmp_path / "first/model.npz", out=tmp_path / "again")
    with pytest.raises(ValueError, match="AdaptiveOrderPreserving"):
        run(again, network, data)
    report = run(again, network, data, rule, AdaptiveDROO)
    assert report["frames"] == 200 and 1 <= rule.K <= 5


def test_adaptive_k_needs_its_rule():
    with pytest.raises(ValueError, match="AdaptiveOrderPreserving"):
        AdaptiveDROO(MemoryDNN([2, 2], 1), WPMEC(2))


# Files and the command


def droo_file(path, **changes):
    """Write a data set as DROO's are; changes are of what is in it, None to leave it out."""
    gains = channel_gains(300, 5)
    Q, mode = WPMEC(5).optimum(gains)
    content = {"input_h": gains, "output_mode": mode, "output_obj": 1 / Q[:, None]} | changes
    savemat(path, {key: value for key, value in content.items() if value is not None})
    return path


def test_data_of_droo(tmp_path):
    network, data = load_gains(droo_file(tmp_path / "data_5.mat"))
    assert (network.N, data.reference) == (5, "optimum")
    np.testing.assert_array_equal(data.states, channel_gains(300, 5))
    np.testing.assert_array_equal(data.gain_min, network.optimum(data.states)[0])
    # With more devices nobody can tell whether the decisions are the best ones.
    gains = channel_gains(9, 13)
    network, mode = WPMEC(13), np.ones((9, 13))
    content = {"input_h": gains, "output_mode": mode}
    content["output_obj"] = network.computation_rate(gains, mode)
    _, data = load_gains(droo_file(tmp_path / "data_13.mat", **content))
    assert data.reference == "best known utility"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"output_obj": None}, "must have input_h, output_mode, output_obj, got input_h"),
        ({"input_h": -channel_gains(300, 5)}, "finite and >= 0"),
        ({"input_h": np.zeros((300, 5))}, "one above 0"),
        ({"output_mode": np.ones((300, 4))}, "must have shapes"),
        ({"output_mode": np.full((300, 5), 2)}, "0 .local. or 1"),
        ({"output_mode": np.zeros((300, 5))}, "output_obj of sample 0 .* that of output_mode"),
        (
            {
                "output_mode": np.zeros((300, 5)),
                "output_obj": WPMEC(5).computation_rate(channel_gains(300, 5), np.zeros(5)),
            },
            "output_obj of sample .* the greatest one",
        ),
    ],
)
def test_bad_data_of_droo_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        load_gains(droo_file(tmp_path / "bad.mat", **changes))


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["DDLO", "DROO", "adaptive", "KNN"])
def test_command(tmp_path, monkeypatch, capsys, rule):
    out = tmp_path / "out"
    data = ("--data", droo_file(tmp_path / "data_5.mat")) if rule == "DROO" else ()
    options = ("--rule", rule, "--K", 4, "--users", 5, "--samples", 300, "--frames", 1500)
    assert cli(monkeypatch, *options, *data, "--out", out) is None
    report = json.loads((out / "report.json").read_text())
    assert 0.9 < report["mean_gain_ratio"] <= 1 and report["frames"] == 1500
    assert "smallest_local" not in report["rules"] and "e-07" in capsys.readouterr().out
    history = loadmat(out / "history.mat")
    network, gains = WPMEC(5), channel_gains(300, 5)[history["index"].ravel()]
    Q = network.compute_Q(gains, history["decision"])
    np.testing.assert_array_equal(history["Q"].ravel(), Q)
    check_figure(out / "gain_ratio")


def test_bad_options_end_with_one_message(tmp_path, monkeypatch):
    for options, message in ((("--K", 0), "K must"), (("--data", tmp_path / "no.mat"), "no.mat")):
        code = cli(monkeypatch, *options, "--out", tmp_path / "out")
        assert message in str(code) and "\n" not in str(code)
        assert not (tmp_path / "out").exists()

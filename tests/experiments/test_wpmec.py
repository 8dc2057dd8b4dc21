"""DROO's network, WPMEC: the model, its optimum, its data, DROO's rules and the command."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from ddlo.candidates import OrderPreserving, threshold
from ddlo.enumeration import enumerate_decisions
from ddlo.loop import compile_loop, fast_loop
from experiments.wpmec import __main__ as command_module
from experiments.wpmec.data import channel_gains, load_gains
from experiments.wpmec.droo import AdaptiveDROO, AdaptiveOrderPreserving, ReleasedDROO
from experiments.wpmec.network import WPMEC
from main import DDLO
from memory import MemoryDNN

from ..conftest import command
from ..reference import plain_allocation, plain_rate

cli = command(command_module)
# Gains published with DROO, in 1e-6.
GAINS = """
0.8503830075109449 3.0579545577630124 2.2405480322479394 0.5438564437995216 0.6129093252079282
1.2537218584868725 3.1600741711386013 2.1984558740923275 0.15544988937777437 3.880862303766656
10.980625297480781 7.181604436325773 3.76137360234801 1.8060608643342346 1.7312074617350875
4.595231222940204 3.224913051055854 3.1070037269784715 0.9608164635453525 0.23320329882128132
"""
EXTREMES = st.sampled_from([-30, -29, -15, -6, -1, 0]) | st.floats(-30, 0)  # exponents of gains


def test_published_values():
    gains = 1e-6 * np.array(GAINS.split(), float).reshape(2, 10)
    network, best = WPMEC(10), [[0, 1, 0, 0, 0, 0, 1, 1, 0, 1], [1, 1, 0, 0, 0, 1, 0, 0, 0, 0]]
    assert network.optimum(gains)[1].tolist() == best
    rate, (a, _) = 1 / network.compute_Q(gains, best), network.time_allocation(gains, best)
    np.testing.assert_allclose(rate, [1510816.99, 3041691.95], rtol=1e-6)
    np.testing.assert_allclose(a, [0.67103, 0.52173], atol=5e-6)


@pytest.mark.parametrize("factor", [1, 1e2, 1e4])
@pytest.mark.parametrize("N", [1, 4, 30])
def test_rate_and_allocation_are_those_of_the_model(N, factor):
    network, gains = WPMEC(N), factor * channel_gains(30, N)
    x = np.random.default_rng(N).integers(0, 2, gains.shape)
    x[:2] = [[0], [1]]
    rates, (a, tau) = 1 / network.compute_Q(gains, x), network.time_allocation(gains, x)
    assert ((tau > 0) == x).all()
    for i, frame in enumerate(zip(gains, x, [network.weights] * 30)):
        assert rates[i] == pytest.approx(plain_rate(*frame, *plain_allocation(*frame)), rel=1e-9)
        assert rates[i] == pytest.approx(plain_rate(*frame, a[i], tau[i]), rel=1e-12)


@given(st.lists(st.tuples(st.none() | EXTREMES, st.floats(-30, 30)), min_size=1, max_size=5))
def test_optimum_and_bound_hold_even_at_extremes(devices):
    h, w = zip(*devices)
    gains = channel_gains(2, len(devices))
    gains[1, 1:] = [0 if exponent is None else 10.0**exponent for exponent in h[1:]]
    network = WPMEC(len(devices), 10.0 ** np.array(w))
    Q, decision = network.optimum(gains)
    least, first = enumerate_decisions(network, gains)
    assert (Q == least).all() and (decision == first).all()
    bound, near = network.lower_bound(gains)
    assert (bound > 0).all() and (bound <= Q).all() and (Q <= network.compute_Q(gains, near)).all()


def test_bound_is_close_for_many_devices():
    network, gains = WPMEC(30), channel_gains(50, 30)
    bound, near, reference = network.reference(gains)
    ratio = bound / network.compute_Q(gains, near)
    assert reference == "lower bound" and ratio.max() <= 1 and ratio.mean() > 0.99
    with pytest.raises(ValueError, match="12 devices .* got 30"):
        network.optimum(gains)


def test_a_device_that_is_off_has_no_effect():
    gains = channel_gains(20, 4)
    gains[:, 2] = 0
    x = np.random.default_rng(0).integers(0, 2, gains.shape)
    expected = WPMEC(3, [1, 1.5, 1.5]).compute_Q(gains[:, [0, 1, 3]], x[:, [0, 1, 3]])
    np.testing.assert_allclose(WPMEC(4).compute_Q(gains, x), expected, rtol=1e-12)


@pytest.mark.parametrize("rule, dnns", [(threshold, 5), (OrderPreserving(10), 1)])
def test_compiled_loop_decides_as_numpy(rule, dnns):
    network, gains, decisions = WPMEC(10), channel_gains(2000, 10), []
    gains[:, 2] = 0
    for compiled in (True, False):
        net = MemoryDNN([10, 30, 10], dnns, seed=0, candidates=rule, scale=network.scale)
        loop = compile_loop(DDLO(net, network)) if compiled else DDLO(net, network).decide_and_learn
        decisions.append(loop(gains)[1])
    np.testing.assert_array_equal(*decisions)
    assert not decisions[0][:, 2].any() and decisions[0].any()  # device 2 is off


@pytest.mark.parametrize("wrong", [-1e-6, np.nan, 1e-200, 2])
def test_bad_gains_are_refused(wrong):
    network = WPMEC(2)
    for method in (network.optimum, network.lower_bound, lambda h: network.compute_Q(h, [0, 1])):
        with pytest.raises(ValueError, match=rf"0 \(device off\) or 1e-30 to 1, got {wrong:g}"):
            method([1e-6, wrong])
        with pytest.raises(ValueError, match="one above 0 in each frame"):
            method([0, 0])


def test_weights_are_checked_and_copied():
    for weights in ([1], [1, -1], [1, 1e40]):
        with pytest.raises(ValueError, match="weights must"):
            WPMEC(2, weights)
    weights = np.ones(2)
    network = WPMEC(2, weights)
    weights[:] = 5
    assert (network.weights == 1).all()


def test_gains_fit_the_channel_model():
    gains = channel_gains(100000, 10)
    mean = 4.11 * (3e8 / (4 * np.pi * 915e6 * (2.8 + np.arange(10) / 3))) ** 2.8
    np.testing.assert_allclose(gains.mean(axis=0), mean, rtol=0.02)
    np.testing.assert_allclose(gains.std(axis=0), mean, rtol=0.03)  # exponential


def test_number_of_candidates_adapts():
    rule = AdaptiveOrderPreserving()
    net = MemoryDNN([10, 60, 10], 1, seed=0, candidates=rule, scale=WPMEC.scale)
    ddlo, chosen, scored = AdaptiveDROO(net, WPMEC(10)), [], []
    assert fast_loop(ddlo, 2000) == ddlo.decide_and_learn
    for part in np.split(channel_gains(2000, 10), [3, 31, 40, 500, 960]):
        chosen.extend(ddlo.decide_and_learn(part)[0])
        scored.append(ddlo.scored)
    greatest = [8, *np.max(np.reshape(chosen[:1984], (62, 32)), axis=1)]  # 8: at first K = 10
    numbers = np.repeat(np.minimum(1 + np.array(greatest) + 1, 10), 32)[:2000]
    assert numbers.min() < 10
    assert scored == np.cumsum(numbers)[[2, 30, 39, 499, 959, 1999]].tolist()
    with pytest.raises(ValueError, match="must be an AdaptiveOrderPreserving, got .*threshold"):
        AdaptiveDROO(MemoryDNN([2, 2], 1), WPMEC(2))


def test_released_droo_trains_from_its_first_frames_and_leaves_the_last_of_32_out():
    """The rules of DROO's package, frame by frame."""
    network, h = WPMEC(10), channel_gains(100, 10)
    net = MemoryDNN([10, 20, 10], 1, seed=0, candidates=AdaptiveOrderPreserving())
    net.scale = network.scale
    ddlo, chosen, K = ReleasedDROO(net, network), [], []
    for frame in range(100):
        K.append(net.candidates.K)
        if frame == 1:  # not trained yet
            assert all((b == np.float32(0.1)).all() for b in net.get_weights()[1::2])
        chosen.append(int(ddlo.decide_and_learn(h[frame : frame + 1])[0][0]))
    assert len(net.cost_his[0]) == 10  # at the counters 10, 20, ..., 100
    expected = 10
    for frame in range(100):
        if frame and frame % 32 == 0:
            expected = min(max(chosen[frame - 32 : frame - 1]) + 2, 10)
        assert K[frame] == expected


def droo_file(path, N=5, **changes):
    """Write a data set like DROO's, with decisions to offload all; None leaves a key out."""
    gains, mode = channel_gains(300, N), np.ones((300, N))
    rate = 1 / WPMEC(N).compute_Q(gains, changes.get("output_mode", mode)[:, :N])[:, None]
    content = {"input_h": gains, "output_mode": mode, "output_obj": rate} | changes
    savemat(path, {key: value for key, value in content.items() if value is not None})
    return path


def test_data_of_droo(tmp_path, capsys):
    gains = channel_gains(300, 5)
    Q, best = WPMEC(5).optimum(gains)
    network, data = load_gains(droo_file(tmp_path / "best.mat", output_mode=best))
    assert (network.N, data.reference, capsys.readouterr().out) == (5, "optimum", "")
    assert (data.states == gains).all() and (data.gain_min == Q).all()
    assert (load_gains(droo_file(tmp_path / "edge.mat"))[1].gain_min == Q).all()
    worse = (best == 0).any(axis=1).sum()
    assert f"edge.mat: {worse} of 300 stored decisions are not" in capsys.readouterr().out
    _, data = load_gains(droo_file(tmp_path / "data_13.mat", 13))
    assert data.reference == "best known utility"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"output_obj": None}, "must have .*input_h, output_mode, output_obj"),
        ({"output_obj": np.full((300, 1), 1e6)}, "output_obj must be the rates of output_mode"),
        ({"input_h": -channel_gains(300, 5)}, "gains must be 0"),
        ({"output_mode": np.ones((300, 6))}, r"output_mode must have shape \(300, 5\)"),
    ],
)
def test_bad_data_of_droo_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=f"bad.mat.*{message}"):
        load_gains(droo_file(tmp_path / "bad.mat", **change))


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["DDLO", "DROO", "adaptive", "KNN"])
def test_command(tmp_path, monkeypatch, rule):
    out = tmp_path / "out"
    data = ("--data", droo_file(tmp_path / "data_5.mat")) if rule == "DROO" else ()
    options = ("--rule", rule, "--users", 5, "--samples", 300, "--frames", 1500, "--out", out)
    assert cli(monkeypatch, *options, *data) is None  # with the default K: 6 for DROO
    report, history = json.loads((out / "report.json").read_text()), loadmat(out / "history.mat")
    assert 0.9 < report["mean_gain_ratio"] <= 1 and report["frames"] == 1500
    assert "smallest_local" not in report["rules"]
    Q = WPMEC(5).compute_Q(channel_gains(300, 5)[history["index"].ravel()], history["decision"])
    np.testing.assert_array_equal(history["Q"].ravel(), Q)


@pytest.mark.parametrize(
    "options, message",
    [
        ("--K 0 --samples 20", "K must be an integer >= 1, got 0"),
        ("--K 7 --rule DROO --users 5 --samples 20", "K must be an integer <= 6, got 7"),
        ("--K 33 --rule KNN --users 5 --samples 20", "K must be an integer <= 32, got 33"),
        ("--users 0", "must be an integer >= 1, got 0"),
        ("--samples 1", "samples must be"),
        ("--frames 0 --samples 20", "frames must be"),
        ("--seed -1", "seed must be"),
        ("--data no.mat", "no.mat"),
    ],
)
def test_bad_options_are_refused(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    shown = cli(monkeypatch, *options.split())
    assert message in shown and "\n" not in shown and not any(tmp_path.iterdir())

"""The experiments on WPMEC: their runs, what happens during some of them, and their pictures."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments import plots, wpmec
from experiments.droo import AdaptiveOrderPreserving
from experiments.execution import execute
from experiments.runs import WPMECRun
from experiments.suite import EXPERIMENTS
from experiments.wpmec import WPMEC

from .test_engine import assert_same

ADAPTIVE = WPMECRun(users=4, frames=600, net_num=1, candidates=AdaptiveOrderPreserving())


@pytest.mark.parametrize(
    "rule, run", [("DDLO", WPMECRun(users=4, frames=600, net_num=2)), ("adaptive", ADAPTIVE)]
)
def test_a_run_is_that_of_the_command(tmp_path, rule, run):
    options = wpmec.Options(rule, K=2, users=4, frames=600, out=tmp_path / "out")
    report = wpmec.main(options)
    metrics, curves = execute(run)
    for name in ("mean_gain_ratio", "test_frames", "optimal_share", "reference"):
        assert metrics[name] == report[name]
    assert len(curves["gain_ratio"]) == 600 and metrics["ms_per_training_step"] > 0


def test_adaptive_K_begins_anew_in_every_run():
    longer = replace(ADAPTIVE, users=5, frames=2500)
    first, other, again = (execute(replace(longer, seed=seed)) for seed in (0, 1, 0))
    assert_same(first, again)
    assert (first[1]["gain_ratio"] != other[1]["gain_ratio"]).any()
    assert 2 <= first[0]["candidates_per_frame"] < 5  # the least that DROO's rule leaves, and N


def test_candidates_that_are_scored():
    assert (
        execute(replace(ADAPTIVE, candidates=WPMECRun.candidates, net_num=3))[0][
            "candidates_per_frame"
        ]
        == 3
        == WPMECRun().candidates_per_frame
    )
    labels = {setting.label: setting.run for setting in EXPERIMENTS["two_networks"].settings}
    for network in ("MUMT", "WPMEC"):
        for K in (3, 5, 10):
            ddlo, droo = (labels[f"{network}: {rule}, K = {K}"] for rule in ("DDLO", "DROO"))
            assert ddlo.candidates_per_frame == droo.candidates_per_frame == K
            assert (ddlo.net_num, droo.net_num) == (K, 1)


def test_beyond_12_devices_the_reference_is_a_bound():
    for users, reference in ((12, "optimum"), (13, "lower bound")):
        metrics, _ = execute(WPMECRun("full offloading", users=users, frames=20))
        assert metrics["reference"] == reference and 0 < metrics["mean_gain_ratio"] < 1


def test_weights_are_swapped_from_60_to_80_percent():
    run = WPMECRun(users=3, event="weights")
    gains, gain_min, *_ = run.samples(100)
    swapped = WPMEC(3, [1.5, 1, 1.5])
    np.testing.assert_array_equal(gain_min[60:80], swapped.optimum(gains[60:80])[0])
    for part in (slice(60), slice(80, None)):
        np.testing.assert_array_equal(gain_min[part], WPMEC(3).optimum(gains[part])[0])
    ten = WPMECRun(net_num=2, frames=600, hidden=(5,), event="weights")
    swapped, off = (
        execute(replace(ten, event=name))[1]["gain_ratio"] for name in (ten.event, "devices")
    )
    assert len(swapped) == 600 and (swapped <= 1).all()
    assert (swapped[:360] == off[:360]).all() and (swapped[360:] != off[360:]).any()


def test_devices_are_off_for_a_while():
    gains, gain_min, *_ = WPMECRun(event="devices").samples(200)
    off = np.zeros(gains.shape, bool)
    off[120:150, 2] = off[130:140, 7] = True
    np.testing.assert_array_equal(gains == 0, off)
    np.testing.assert_array_equal(gain_min, WPMEC(10).optimum(gains)[0])
    metrics, _ = execute(WPMECRun("optimum", event="devices", frames=200))
    assert metrics["mean_gain_ratio"] == metrics["optimal_share"] == 1


def test_networks_of_the_sizes_asked_for():
    settings = EXPERIMENTS["wpmec_sizes"].settings
    assert {setting.run.users for setting in settings} == {5, 10, 20, 30}
    for users in (5, 10, 20, 30):
        of_size = {s.label: s.run for s in settings if s.value == f"{users} x 1"}
        assert of_size["DDLO, K = N"].candidates_per_frame == users
        assert of_size["order-preserving (DROO), K = N"].candidates_per_frame == users
        assert ("optimum" in of_size) == (users <= 12)


@pytest.mark.parametrize("seeds", [1, 3])
def test_plot_of_events_by_hand(seeds):
    ratios = [np.linspace(0.9, 0.99, 80) - 0.01 * seed for seed in range(seeds)]
    rows = pd.DataFrame({"label": ["DDLO, K = 3"]})
    figure, data = plots.events((0.25, 0.5))(rows, lambda array: {"DDLO, K = 3": ratios})
    (axes,) = figure.axes
    of_seeds = np.reshape(ratios, (seeds, 40, 2)).mean(axis=2)
    means = of_seeds.mean(axis=0)
    np.testing.assert_allclose(data["mean"], means)
    np.testing.assert_allclose(data.low, of_seeds.min(axis=0))
    np.testing.assert_allclose(data.high, of_seeds.max(axis=0))
    assert data[["from", "to"]].to_numpy()[[0, -1]].tolist() == [[1, 2], [79, 80]]
    line, *events = axes.lines
    np.testing.assert_allclose(line.get_xydata()[:, 1], -np.log10(1 - means))
    assert [event.get_xdata()[0] for event in events] == [20, 40]
    labels = ["DDLO, K = 3"] + (["range of 3 seeds"] if seeds > 1 else [])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == labels

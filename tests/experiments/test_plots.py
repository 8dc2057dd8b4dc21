"""The pictures of the experiments: what they show, and that it is readable."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from ddlo.plots import styled
from experiments import plots, tables
from experiments.runs import released
from experiments.schemes import SCHEMES
from experiments.suite import EXPERIMENTS, Experiment, sweep

from ..core.test_plots import check_readable, texts
from .made import result_of


@styled
def draw(experiment, frames=600, seeds=3, change=lambda runs: runs):
    """Return the figure of an experiment with made-up results, the data in it, and its rows."""
    suite = {"": experiment.rows(frames, seeds)}
    results = {run: result_of(run) for *_, runs in suite[""] for run in runs}
    table = tables.table(suite, {run: metrics for run, (metrics, _) in results.items()})
    rows = tables.summary(change(table))
    rows.attrs["across"] = experiment.across

    def curves(array):
        learned = {label: runs for label, _, runs in suite[""] if runs[0].learns}
        return {
            label: np.array([results[run][1][array] for run in runs], float)
            for label, runs in learned.items()
        }

    return *experiment.plot(rows, curves), rows


def check_told_apart_in_grey(figure):
    """Check that lines with different labels differ in their marker, filling, width or dashes."""
    handles = {}
    for axes in figure.axes:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels())}
    bands = [each for each in handles.values() if isinstance(each, PolyCollection)]
    lines = [each for each in handles.values() if each not in bands]
    lines = [line if hasattr(line, "get_marker") else line[0] for line in lines]
    looks = ("marker", "fillstyle", "linewidth")
    styles = {(*map(line.properties().get, looks), str(line._dash_pattern)) for line in lines}
    assert len(styles) == len(lines) and len(bands) < 2


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_picture_of_every_experiment(name):
    figure, data, rows = draw(EXPERIMENTS[name])
    check_readable(figure)
    for axes in figure.axes:
        place = axes.get_subplotspec()
        assert axes.get_xlabel() or not place.is_last_row()
        ticks = "".join(label.get_text() for label in axes.get_yticklabels())  # may be words
        assert axes.get_ylabel() or not place.is_first_col() or any(map(str.isalpha, ticks))
    check_told_apart_in_grey(figure)
    words = [text.get_text().replace("\n", " ") for text in texts(figure)]
    labels = {"DNN 1", "DNN 2", "DNN 3"} if name == "training_cost" else set(rows.label)
    assert labels <= set(data.label)
    if name == "decision_time":  # its second panel has all K on an axis
        labels -= {"DDLO, K = 1", "DDLO, K = 2", "DDLO, K = 5"}
    if name == "budget":  # a line for each family
        labels = {label.split(":")[0] for label in labels}
    for label in labels:
        assert any(word == label or word.startswith((f"{label}:", f"{label},")) for word in words)


def test_many_and_new_labels_are_told_apart():
    figure, _, rows = draw(sweep("training_interval", range(1, 14)), 20000)
    assert (rows.learns < rows.seeds).any()  # which makes labels long
    check_readable(figure)
    check_told_apart_in_grey(figure)


def test_curves_are_means_with_bands():
    figure, data, _ = draw(EXPERIMENTS["net_num"], 900)
    runs = [released(net_num=2, frames=900, seed=seed) for seed in range(3)]
    ratios = [result_of(run)[1]["gain_ratio"].astype(float) for run in runs]
    line = data[data.label.str.startswith("K = 2")]
    begins, ends = line["from"].to_numpy(), line.to.to_numpy()
    assert begins[0] == 1 and ends[0] == 50 and ends[-1] == 900 and len(ends) > 50
    np.testing.assert_array_equal(begins[1:], ends[:-1] + 1)
    means = np.array([[ratio[i - 1 : k].mean() for i, k in zip(begins, ends)] for ratio in ratios])
    np.testing.assert_allclose(line["mean"], means.mean(axis=0))
    half_width = 4.302653 * means.std(axis=0, ddof=1) / np.sqrt(3)  # Student's t
    low, high = means.mean(axis=0) - half_width, means.mean(axis=0) + half_width
    np.testing.assert_allclose([line.low, line.high], [low, high], rtol=1e-6)
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), line[["to", "mean"]])
    edges = axes.collections[1].get_paths()[0].vertices
    assert {*line.low, *line.high} <= {*edges[:, 1]}
    rule = result_of(released(scheme=SCHEMES["smallest task local"], frames=900))[0]
    assert axes.lines[5].get_ydata()[0] == rule["mean_gain_ratio"]
    assert axes.lines[-1].get_xdata()[0] == 720.5  # where the test begins


@pytest.mark.parametrize("metric", ["mean_gain_ratio", "mean_utility"])
def test_schemes_have_confidence_intervals(metric):
    def change(runs):
        return runs.assign(mean_gain_ratio=np.nan) if metric == "mean_utility" else runs

    experiment = Experiment("", {"random": released(scheme=SCHEMES["random"])})
    figure, _, rows = draw(experiment, change=change)
    mean, ci95 = rows[metric][0], rows[f"{metric}_ci95"][0]
    axes = figure.axes[0]
    (interval,) = axes.containers
    (segment,) = interval[2][0].get_segments()
    np.testing.assert_allclose(segment[:, 0], [mean - ci95, mean + ci95])
    assert interval[0].get_xdata()[0] == mean
    assert axes.get_xlabel() == ("Gain ratio" if "ratio" in metric else "Mean utility (J)")
    check_readable(figure)


def test_recorded_run_of_the_authors_is_beside_ours():
    figure, data, _ = draw(EXPERIMENTS["recorded"], 20000)
    authors = data[data.label == "authors' run"].set_index(["from", "to"])
    assert authors["mean"][8001, 10000] == pytest.approx(0.9894, abs=5e-5)
    assert authors.optimal_share[8001, 10000] == pytest.approx(0.2, abs=5e-4)
    runs = [released(frames=10000, seed=seed) for seed in range(3)]
    ratios = [result_of(run)[1]["gain_ratio"].astype(float) for run in runs]
    for (begin, end), row in data[data.label == "DDLO, K = 3"].set_index(["from", "to"]).iterrows():
        means = [ratio[begin - 1 : end].mean() for ratio in ratios]
        assert (row["mean"], row.ci95) == pytest.approx(tables.interval(means), rel=1e-5)
    (points,) = (line for line in figure.axes[0].lines if line.get_label() == "authors' run")
    assert len(points.get_xdata()) == 99 and points.get_ydata()[0] == 0.924962


def test_networks_where_ddlo_beats_all_rules_are_shaded():
    values = ("DDLO, K = 3", "DDLO, K = 10", "smallest task local", "full offloading")
    ratios = {  # of these; those of DDLO are within 0.01
        "behind": (0.90, 0.95, 0.97, 0.8),
        "ahead with 10": (0.90, 0.95, 0.8, 0.92),
        "not surely": (0.94, 0.95, 0.8, 0.945),
        "ahead": (0.94, 0.95, 0.8, 0.92),
    }
    rows = pd.DataFrame(ratios, values).unstack().reset_index()
    rows.columns = ["label", "value", "mean_gain_ratio"]
    ci95 = 0.01 * rows.value.str.startswith("DDLO")
    (axes,) = plots.learning(rows.assign(seeds=3, mean_gain_ratio_ci95=ci95), None)[0].axes
    shades = {-patch.get_y() - 0.5: patch.get_facecolor()[0] for patch in axes.patches}
    assert shades.keys() == {1, 3} and shades[3] < shades[1]


@pytest.mark.parametrize("frames", [1, 2, 300])
@pytest.mark.parametrize("name", ["net_num", "training_cost", "recorded", "wpmec_devices"])
def test_curves_of_very_short_runs(name, frames):
    assert texts(draw(EXPERIMENTS[name], frames, seeds=1)[0])

"""The pictures of the experiments."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from experiments import drawing, plots, results
from experiments.runs import Run
from experiments.suite import EXPERIMENTS

from .made import Made, result_of


def drawn(experiment, settings=None, frames=600, seeds=2):
    """Return the figure of an experiment whose runs are made up, the data in it, and its rows."""
    settings = list(settings or experiment.settings)
    rows = results.summary(results.table({"": settings}, frames, seeds, Made(), {}))
    rows.attrs["across"] = experiment.across

    def curves(array):
        return {
            setting.label: [result_of(run)[1][array] for run in setting.runs(frames, seeds)]
            for setting in settings
            if setting.run.learns
        }

    return *experiment.plot(rows, curves), rows


def texts(figure):
    """All texts in the legends of a figure and at the ticks of its vertical axes."""
    legends = [legend for legend in (*figure.legends, *(a.get_legend() for a in figure.axes))]
    words = [text for legend in legends if legend for text in legend.get_texts()]
    words += [label for axes in figure.axes for label in axes.get_yticklabels()]
    return [word.get_text().replace("\n", " ") for word in words]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_a_picture(name):
    figure, data, rows = drawn(EXPERIMENTS[name])
    labels = {"DNN 1", "DNN 2", "DNN 3"} if name == "training_cost" else set(rows.label)
    words = texts(figure)
    for label in labels - {f"DDLO, K = {K}" for K in (1, 2, 5)}:  # which a second panel has
        starts = (label + ":", label + ",")
        assert any(word == label or word.startswith(starts) for word in words), label
    grid = [axes.get_subplotspec() for axes in figure.axes]
    for axes, place in zip(figure.axes, grid):
        assert axes.get_xlabel() or not place.is_last_row()
        assert axes.get_ylabel() or len(axes.get_yticklabels()) > 0 or not place.is_first_col()
    assert {*labels} <= {*data.label}


@pytest.mark.parametrize("name", ["net_num", "bandwidth", "learning", "scaling", "joint_scaling"])
def test_lines_are_told_apart_without_colour(name):
    figure, _, rows = drawn(EXPERIMENTS[name])
    axes = figure.axes[0]
    handles, _ = axes.get_legend_handles_labels()
    shown = [handle for handle in handles if not isinstance(handle, PolyCollection)]  # a band
    lines = [handle if hasattr(handle, "get_marker") else handle[0] for handle in shown]
    styles = {
        (line.get_marker(), line.get_linestyle(), repr(getattr(line, "_dash_pattern", "")))
        for line in lines
    }
    of_lines = rows.value if name == "learning" else rows.label
    assert len(styles) == len(lines) >= len(set(of_lines))


def test_convergence_plot_shows_means_with_bands():
    figure, data, _ = drawn(EXPERIMENTS["net_num"], frames=900, seeds=3)
    (axes,) = figure.axes
    (setting,) = [s for s in EXPERIMENTS["net_num"].settings if s.value == 2]
    ratios = [result_of(run)[1]["gain_ratio"].astype(float) for run in setting.runs(900, 3)]
    of_one = data[data.label == "K = 2"]
    begins, ends = of_one["from"].to_numpy(), of_one["to"].to_numpy()
    # Every frame is in one mean, and the first is of 50 frames.
    assert begins[0] == 1 and ends[0] == 50 and ends[-1] == 900 and len(ends) > 50
    np.testing.assert_array_equal(begins[1:], ends[:-1] + 1)
    means = np.array([[r[i - 1 : k].mean() for i, k in zip(begins, ends)] for r in ratios])
    np.testing.assert_allclose(of_one["mean"], means.mean(axis=0), rtol=1e-5)
    half_width = results.interval(means)[1]
    np.testing.assert_allclose(of_one.high - of_one["mean"], half_width, atol=1e-5)
    np.testing.assert_allclose(of_one["mean"] - of_one.low, half_width, atol=1e-5)
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), of_one[["to", "mean"]])
    assert axes.lines[-1].get_xdata()[0] == 720.5  # where the test begins
    # The rule does not change from frame to frame: one line.
    rule = data[data.label == "smallest task local"]
    ratio = result_of(Run("smallest task local", frames=900))[0]["mean_gain_ratio"]
    assert rule["mean"].item() == axes.lines[5].get_ydata()[0] == ratio
    assert "95 % confidence, 3 seeds" in texts(figure)
    # The interval of two seeds is too wide: their range is shown.
    figure, data, _ = drawn(EXPERIMENTS["net_num"], frames=900, seeds=2)
    last = data[data.label == "K = 2"].iloc[-1]
    expected = sorted(means[:2, -1])
    np.testing.assert_allclose([last.low, last.high], expected, rtol=1e-5)
    assert "range, 2 seeds" in texts(figure)


def test_recorded_run_of_the_authors_is_beside_ours():
    figure, data, _ = drawn(EXPERIMENTS["recorded"], frames=20000, seeds=3)
    (setting,) = EXPERIMENTS["recorded"].settings
    ratios = [result_of(run)[1]["gain_ratio"].astype(float) for run in setting.runs(20000, 3)]
    authors = data[data.label == "authors' run"].set_index(["from", "to"])["mean"]
    assert authors[513, 612] == 0.925 and authors[9001, 10000] == 0.9903 and len(authors) == 7
    ours = data[data.label == "DDLO, K = 3"]
    for _, row in ours.iterrows():
        means = [ratio[int(row["from"]) - 1 : int(row["to"])].mean() for ratio in ratios]
        assert (row["mean"], row.ci95) == pytest.approx(results.interval(means), rel=1e-5)
    (axes,) = figure.axes
    assert axes.lines[0].get_xdata()[[0, -1]].tolist() == [512, 10000]
    points = [container[0].get_xydata()[0].tolist() for container in axes.containers]
    assert points[0] == [562.5, 0.925] and len(points) == 7


def test_convergence_plot_tells_which_settings_do_not_learn():
    rows = pd.DataFrame({"label": ["K = 1", "K = 2"], "seeds": 3, "learns": [1, 3]})
    ratios = {label: np.full((3, 100), 0.9) for label in rows.label}
    figure, _ = plots.convergence(rows.assign(test_frames=20), lambda array: ratios)
    assert "K = 1: 1 of 3 seeds learn" in texts(figure) and "K = 2" in texts(figure)


@pytest.mark.parametrize("frames", [1, 2, 300])
@pytest.mark.parametrize("name", ["net_num", "training_cost"])
def test_curves_of_very_short_runs(tmp_path, name, frames):
    figure, _, _ = drawn(EXPERIMENTS[name], frames=frames, seeds=1)
    figure.savefig(tmp_path / "short.png")
    assert (tmp_path / "short.png").stat().st_size > 0


def nearness(gain_ratio):
    """Where a gain ratio is on the axes: 0.9 at 1, 0.99 at 2, and so on."""
    return -np.log10(1 - np.asarray(gain_ratio))


def test_plot_of_schemes_by_hand():
    rows = pd.DataFrame(
        {
            "label": ["optimum", "other"],
            "mean_gain_ratio": [1, 0.99],
            "gain_ratio_5th_percentile": [1, 0.9],
            "ms_per_frame": [0.2, 5],
            "ms_per_frame_batched": [0.1, 2],
        }
    )
    figure, data = plots.schemes(rows, None)
    ratio, time = figure.axes
    mean, low = ratio.lines
    np.testing.assert_allclose(mean.get_xydata(), [[4, 1], [2, 0]])  # 1 is at the end
    np.testing.assert_allclose(low.get_xydata(), [[4, 1], [1, 0]])
    ticks = dict(zip([label.get_text() for label in ratio.get_xticklabels()], ratio.get_xticks()))
    assert ticks["0.99"] == pytest.approx(2) and ticks["1"] == 4
    assert [label.get_text() for label in ratio.get_yticklabels()] == ["optimum", "other"]
    np.testing.assert_allclose(time.lines[0].get_xydata(), [[0.2, 1], [5, 0]])
    np.testing.assert_allclose(time.lines[1].get_xydata(), [[0.1, 1], [2, 0]])
    pd.testing.assert_frame_equal(data, rows)


def test_plot_against_a_constant_by_hand():
    values = [25, 100, 400]
    labels = ["optimum", "random", "one of my own", "another of my own"]
    rows = pd.DataFrame(
        [
            {"label": label, "value": value, "mean_utility": 700 - value + i, "excess": i / 100}
            | {"mean_utility_ci95": 1 if label == "random" else np.nan, "excess_ci95": np.nan}
            for i, label in enumerate(labels)
            for value in values
        ]
    )
    rows.attrs["across"] = "Uplink bandwidth (Mbit/s)"
    figure, _ = plots.against_constant(rows, None)
    utility, excess = figure.axes
    for i, (of_one, above) in enumerate(zip(utility.containers, excess.containers, strict=True)):
        at = [[25, 675 + i], [100, 600 + i], [400, 300 + i]]
        np.testing.assert_allclose(of_one[0].get_xydata().astype(float), at)
        np.testing.assert_allclose(above[0].get_ydata().astype(float), i)  # in %
    assert [bool(of_one.has_yerr) for of_one in utility.containers] == [False, True, False, False]
    assert excess.get_xlabel() == rows.attrs["across"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == labels
    assert utility.get_xscale() == "log"
    weights = rows.assign(value=rows.value - 25)  # a value of 0 has no place on a logarithmic axis
    assert plots.against_constant(weights, None)[0].axes[0].get_xscale() == "linear"


def test_plot_of_dots_by_hand():
    networks, labels = ["3 x 3, equal", "30 x 3, equal"], ["as released", "flips", "both"]
    rows = pd.DataFrame(
        [
            {"label": label, "value": network, "mean_gain_ratio": 0.9 + 0.01 * i + 0.05 * j}
            | {"mean_gain_ratio_ci95": np.nan}
            for j, network in enumerate(networks)
            for i, label in enumerate(labels)
        ]
    )
    rows.attrs["across"] = "users x tasks, bandwidth"
    figure, _ = plots.dots(rows, None)
    (ratio,) = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == networks
    assert [label.get_text() for label in ratio.get_yticklabels()] == labels
    for j, line in enumerate(ratio.lines):
        np.testing.assert_allclose(line.get_ydata(), [0, -1, -2])
        near = nearness(np.array([0.9, 0.91, 0.92]) + 0.05 * j)
        np.testing.assert_allclose(line.get_xdata(), near)


def test_networks_where_ddlo_beats_all_rules_are_shaded():
    ratios = {  # of K = 3 and K = 10, each within 0.01, and of two rules
        "behind": (0.90, 0.95, 0.97, 0.8),
        "ahead with 10": (0.90, 0.95, 0.8, 0.92),
        "not surely": (0.94, 0.95, 0.8, 0.945),
        "ahead": (0.94, 0.95, 0.8, 0.92),
    }
    values = ("DDLO, K = 3", "DDLO, K = 10", "smallest task local", "full offloading")
    rows = pd.DataFrame(
        [
            {"label": network, "value": value, "mean_gain_ratio": ratio}
            | {"mean_gain_ratio_ci95": 0.01 if value.startswith("DDLO") else np.nan}
            for network, of_network in ratios.items()
            for value, ratio in zip(values, of_network)
        ]
    )
    figure, _ = plots.learning(rows, None)
    (axes,) = figure.axes
    shades = {patch.get_y() + 0.5: patch.get_facecolor()[0] for patch in axes.patches}
    assert {-place: round(shade, 2) for place, shade in shades.items()} == {1: 0.94, 3: 0.85}
    assert [label.get_text() for label in axes.get_yticklabels()] == list(ratios)
    np.testing.assert_allclose(axes.lines[2].get_xydata()[:, 0], nearness([0.97, 0.8, 0.8, 0.8]))


def test_plot_of_decision_times_by_hand():
    rows = pd.DataFrame(
        [
            {"label": f"DDLO, K = {K}", "value": users, "ms_per_frame": K + users / 10}
            for K in (1, 3, 10)
            for users in (3, 30)
        ]
        + [{"label": "enumeration of all decisions", "value": 7, "ms_per_frame": 2000}]
    )
    of_users, of_K = plots.decision_time(rows, None)[0].axes
    np.testing.assert_allclose(of_users.lines[0].get_xydata(), [[3, 3.3], [30, 6]])
    np.testing.assert_allclose(of_users.lines[2].get_xydata(), [[7, 2000]])
    assert of_users.lines[-1].get_ydata()[0] == 1000  # a second
    np.testing.assert_allclose(of_K.lines[-1].get_xydata(), [[1, 4], [3, 6], [10, 13]])


def test_plot_of_networks_of_different_sizes_by_hand():
    sizes = ("3 x 3", "30 x 3", "10 x 3", "3 x 6")
    rows = pd.DataFrame(
        [
            {"label": "DDLO, K = 3", "value": size, "mean_gain_ratio": 0.99}
            | {"ms_per_frame": 0.7 if size == "30 x 3" else 0.1, "loop_seconds": 2}
            for size in sizes
        ]
        + [
            {"label": "optimum by MILP", "value": size, "mean_gain_ratio": 1}
            | {"ms_per_frame": 20, "loop_seconds": np.nan}
            for size in sizes
        ]
    )
    figure, _ = plots.scaling(rows, None)
    users, tasks = figure.axes[::2], figure.axes[1::2]
    assert users[2].get_xlabel() == "Users, 3 tasks each"
    assert tasks[2].get_xlabel() == "Tasks of 3 users"
    np.testing.assert_allclose(users[1].lines[0].get_xydata(), [[3, 0.1], [10, 0.1], [30, 0.7]])
    np.testing.assert_allclose(tasks[0].lines[0].get_xydata(), [[3, 2], [6, 2]])  # 1 - 10**-2
    np.testing.assert_allclose(tasks[1].lines[1].get_xydata(), [[3, 20], [6, 20]])
    assert len(users[2].lines) == 1  # the solver does not learn
    assert len(plots.scaling(rows[:3], None)[0].axes) == 3  # by users only


def test_new_schemes_look_different():
    rows = pd.DataFrame({"label": ["mine", "optimum", "theirs", "ours", "local only", "yours"]})
    drawn = [style["color"] + style["marker"] for style in drawing.styles_of(rows)]
    assert len(set(drawn)) == 6

"""The suite of experiments: its settings, its numbers, its pictures, and its command line."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from scipy import stats

from experiments import drawing, figures, plots, results, suite
from experiments.engine import Store
from experiments.runs import Run, execute
from experiments.schemes import JOINT_SCHEMES, SCHEMES, by_chance, scheme_of
from experiments.suite import EXPERIMENTS, Experiment, Setting

from ..conftest import ROOT, check_figure, command, python
from .made import Made, result_of

cli = command(figures)
SWEEPS = ("net_num", "learning_rate", "batch_size", "memory_size", "training_interval")


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


# Settings


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_settings_can_be_run_and_described(name):
    experiment = EXPERIMENTS[name]
    of_all = list(experiment.settings)
    names = [(setting.label, setting.value) for setting in of_all]
    assert len(set(names)) == len(names) > 0
    assert set(experiment.quick) <= set(of_all)
    runs = {}
    for setting in of_all:
        of_one = setting.runs(600, 3)
        has_seeds = of_one[0].learns or by_chance(of_one[0].scheme)
        assert [run.seed for run in of_one] == ([0, 1, 2] if has_seeds else [0])
        for run in of_one:
            runs[str(run)] = run
            assert run.frames == max(1, int(600 * setting.fraction))
            assert run.scheme == "DDLO" or callable(scheme_of(run.scheme))
            assert 0 < run.work < 60
            assert run.network.N * run.network.M == run.users * run.tasks
            hash(run)
    identities = {repr(run.parameters) for run in runs.values()}
    assert len(identities) == len(runs) == len({*runs.values()})  # descriptions tell runs apart
    for metric in experiment.metrics:
        assert metric in results.FORMATS


def test_sweeps_vary_one_parameter_of_the_released_run():
    asked = {
        "net_num": [1, 2, 3, 5, 10],
        "learning_rate": [0.1, 0.01, 0.001, 0.0001],
        "batch_size": [32, 64, 128, 256, 512],
        "memory_size": [256, 512, 1024, 2048, 4096],
        "training_interval": [1, 5, 10, 20, 50],
    }
    for name, values in asked.items():
        *of_one, rule = EXPERIMENTS[name].settings
        assert [setting.value for setting in of_one] == values
        expected = [[Run(seed=s, **{name: value}) for s in range(5)] for value in values]
        assert [setting.runs(20000, 5) for setting in of_one] == expected
        assert rule.runs(20000, 5) == [Run("smallest task local")]
    assert [s.runs(20000, 2) for s in EXPERIMENTS["training_cost"].settings] == [
        [Run(), Run(seed=1)]
    ]


def test_every_scheme_is_compared():
    compared = {setting.run.scheme for setting in EXPERIMENTS["schemes"].settings}
    assert compared == {"DDLO", *SCHEMES}
    joint = [setting.run for setting in EXPERIMENTS["joint"].settings]
    assert {run.scheme for run in joint} == {"DDLO", *JOINT_SCHEMES}
    assert {run.bandwidth for run in joint} == {"optimal"}
    # But for what is the same as another one, or close to it.
    compared -= {"optimum by MILP", "linear relaxation"}
    asked = {
        ("bandwidth", "uplink", 1): {25, 50, 75, 100, 200, 300, 400},
        ("edge_cost", "edge_cost_per_bit", 10**-7): {1.5, 2, 2.5, 3, 3.5},
        ("delay_weight", "delay_weight", 1): {0, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4},
    }
    for (name, field, unit), values in asked.items():
        of_one = EXPERIMENTS[name].settings
        assert {setting.run.scheme for setting in of_one} == compared
        assert {setting.value for setting in of_one} == values
        for setting in of_one:
            assert replace(setting.run, **{field: getattr(Run(), field)}) in {
                other.run for other in EXPERIMENTS["schemes"].settings
            }
            assert getattr(setting.run, field) == setting.value * unit


def test_smallest_task_local_is_in_every_comparison():
    for name, experiment in EXPERIMENTS.items():
        schemes = {setting.run.scheme for setting in experiment.settings}
        alone = name in ("training_cost", "recorded", "ablation")  # compare DDLO with itself
        assert ("smallest task local" in schemes) != alone, name


def test_the_network_as_the_paper_is_read():
    of_one = EXPERIMENTS["paper_reading"].settings
    networks = {(s.run.bandwidth, s.run.uplink, s.value) for s in of_one}
    assert networks == {
        ("equal", 100, "equal, 100 Mbit/s"),
        ("equal", 150, "equal, 150 Mbit/s"),
        ("optimal", 150, "optimal, 150 Mbit/s"),
    }
    joint = {s.label for s in of_one if s.run.bandwidth == "optimal"}
    assert joint >= {"optimum", "DDLO, K = 3", "DDLO, K = 10", "dual heuristic", suite.FLIPPED}


def test_where_learning_pays_is_asked_of_many_networks():
    of_one = EXPERIMENTS["learning"].settings
    by_network = {}
    for setting in of_one:
        by_network.setdefault(setting.label, set()).add(setting.value)
    rules = {"smallest task local", "best fixed decision", "full offloading", "local only"}
    compared = rules | {"DDLO, K = 3", "DDLO, K = 10"}
    assert all(of_network == compared for of_network in by_network.values())
    networks = {setting.label: setting.run.problem for setting in of_one}
    assert len(set(networks.values())) == len(networks) > 20
    local = networks["local time x 1/2, 1, 2 for users 1, 2, 3"].network
    assert local.local_time_per_bit.tolist() == [[4.75e-7 / 2], [4.75e-7], [2 * 4.75e-7]]


def test_decisions_are_timed_up_to_the_wall():
    of_one = EXPERIMENTS["decision_time"].settings
    users = {}
    for setting in of_one:
        assert (setting.run.users, setting.run.tasks) == (setting.value, 3)
        users.setdefault(setting.label, []).append(setting.value)
    assert users.pop("enumeration of all decisions") == [3, 4, 5, 6, 7]
    assert set(map(tuple, users.values())) == {(3, 5, 10, 20, 30)}
    assert users.keys() >= {f"DDLO, K = {K}" for K in (1, 2, 3, 5, 10)}
    assert users.keys() >= {"enumeration user by user", "optimum by MILP"}


@pytest.mark.parametrize("name, bandwidth", [("scaling", "equal"), ("joint_scaling", "optimal")])
def test_networks_of_other_sizes(name, bandwidth):
    of_one = EXPERIMENTS[name].settings
    sizes = {(setting.run.users, setting.run.tasks) for setting in of_one}
    assert sizes >= {(users, 3) for users in (3, 5, 10, 20, 30)}
    if name == "scaling":
        assert sizes >= {(3, tasks) for tasks in (2, 4, 5, 6)}
    for setting in of_one:
        run = setting.run
        assert setting.value == f"{run.users} x {run.tasks}" and run.bandwidth == bandwidth
        assert run.uplink == 100 * run.users / 3  # so that the problem stays alike
        logits = np.zeros((run.net_num, 1, run.users * run.tasks))
        candidates = run.candidates(logits)
        assert candidates.shape[1:] == logits.shape[1:]
        assert len(candidates) <= run.net_num * (1 + run.tasks) or not run.recombine
    # What is the same in several experiments is the same run.
    names = ("schemes", "joint", "ablation")
    others = {setting.run for name in names for setting in EXPERIMENTS[name].settings}
    small = {setting.run for setting in of_one if setting.value == "3 x 3"}
    assert small <= others


# Numbers


def test_interval_by_hand():
    mean, half_width = results.interval([[1, 5], [2, 5], [3, 5]])
    # Three values: 4.3027 standard errors, of 1/sqrt(3).
    np.testing.assert_allclose(mean, [2, 5])
    np.testing.assert_allclose(half_width, [4.302653 / np.sqrt(3), 0], rtol=1e-6)
    mean, half_width = results.interval([0.5])
    assert mean == 0.5 and np.isnan(half_width)


def test_summary_by_hand():
    def row(label, seed, ratio=np.nan, error="", **others):
        of_all = {"label": label, "value": None, "seed": seed, "is_released": label == "a"}
        of_all["frames"] = 20000
        return of_all | {"mean_gain_ratio": ratio, "test_frames": 9, "error": error} | others

    runs = pd.DataFrame(
        [
            row("a", 0, 0.9, fixed_gain_ratio=0.92),
            row("a", 1, 0.95, fixed_gain_ratio=0.92),
            row("a", 2, error="FloatingPointError: diverged"),
            row("b", 0, 1.0),
            row("c", 0, error="KeyError: c"),
        ]
    )
    a, b, c = (of_one for _, of_one in results.summary(runs).iterrows())
    assert (a.label, a.seeds, a.failed, a.learns, a.is_released) == ("a", 2, 1, 1, True)
    assert (a["min"], a["max"]) == (0.9, 0.95)
    assert a.mean_gain_ratio == pytest.approx(0.925)
    # Two values: 12.706 standard errors, of 0.05/2.
    assert a.mean_gain_ratio_ci95 == pytest.approx(12.7062047 * 0.025)
    assert (b.seeds, b.failed, b.mean_gain_ratio) == (1, 0, 1) and np.isnan(b.mean_gain_ratio_ci95)
    assert (c.seeds, c.failed) == (0, 1) and np.isnan(c.mean_gain_ratio)
    assert results.text(a, "mean_gain_ratio") == "0.9250 ± 0.3177"
    assert results.text(b, "mean_gain_ratio") == "1.0000"
    assert results.text(c, "mean_gain_ratio") == results.text(c, "min_max") == "-"
    assert results.text(a, "min_max") == "0.9000 0.9500" and results.text(a, "learns") == "1 of 2"
    assert results.text(b, "learns") == "-"  # a rule
    short = results.summary(runs.assign(frames=2000))  # no time to learn
    assert "learns" not in short


# Pictures


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


# The command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which a small suite of some experiments, whose runs are stored, was run."""
    folder = tmp_path_factory.mktemp("suite")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        store = Store(figures.RUNS)
        for name in ("net_num", "schemes", "bandwidth"):
            for setting in EXPERIMENTS[name].settings:
                for run in setting.runs(900, 3):
                    store.save(run, result_of(run))
        only = ("--only", "net_num", "schemes", "bandwidth")
        assert cli(patch, "--seeds", 3, "--frames", 900, "--out", "out", *only) is None
    return folder


def tables_of(path):
    """The tables in a page of Markdown: lists of rows of cells, by heading."""
    tables, heading = {}, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            tables.setdefault(heading, []).append(cells)
    return tables


def test_files_of_a_suite(folder):
    names = {"net_num", "schemes", "bandwidth"}
    expected = {f"{name}.{suffix}" for name in names for suffix in ("png", "pdf", "csv")}
    files = {file.name for file in (folder / "out").iterdir()}
    assert files == expected | {"results.csv", "results.md"}
    for name in names:
        check_figure(folder / "out" / name)
        assert len(pd.read_csv(folder / "out" / f"{name}.csv")) > 0


def test_table_has_a_row_for_each_run(folder):
    table = pd.read_csv(folder / "out" / "results.csv")
    rows = {
        (name, setting.label, setting.value, run.seed): run
        for name in ("net_num", "schemes", "bandwidth")
        for setting in EXPERIMENTS[name].settings
        for run in setting.runs(900, 3)
    }
    assert len(table) == len(rows) and table.error.isna().all()
    assert set(table[table.is_released].label) == {"K = 3", "DDLO, K = 3"}
    for (name, label, value, seed), run in rows.items():
        row = table[(table.experiment == name) & (table.label == label) & (table.seed == seed)]
        row = row[row.value == value] if value is not None else row
        assert len(row) == 1 and row.frames.item() == 900
        for metric in ("mean_gain_ratio", "mean_utility", "ms_per_frame"):
            assert row[metric].item() == pytest.approx(result_of(run)[0][metric])


def test_tables_on_the_page_agree_with_the_table_of_runs(folder):
    table = pd.read_csv(folder / "out" / "results.csv")
    pages = tables_of(folder / "out" / "results.md")
    head, _, *rows = pages["Gain ratio for different K"]
    assert len(rows) == 6 and rows[-1][0] == "smallest task local"
    # The released package's numbers are of 20,000 frames: nothing is compared with them here.
    assert head[1:] == [results.FORMATS[metric][0] for metric in suite.LEARNING[:-1]]
    for row in rows[:-1]:
        label = row[0].removesuffix(" (as released)")
        ratio = table[(table.experiment == "net_num") & (table.label == label)].mean_gain_ratio
        low, high = stats.t.interval(0.95, 2, loc=ratio.mean(), scale=stats.sem(ratio))
        mean, half_width = map(float, row[head.index("mean gain ratio")].split(" ± "))
        assert mean == pytest.approx((low + high) / 2, abs=5.1e-5)
        assert half_width == pytest.approx((high - low) / 2, abs=5.1e-5)
        ends = [float(end) for end in row[head.index("min and max over seeds")].split()]
        assert ends == pytest.approx([ratio.min(), ratio.max()], abs=5.1e-5)
    assert [row[0] for row in rows if "as released" in row[0]] == ["K = 3 (as released)"]

    head, _, *rows = pages["Comparison of schemes"]
    for row in rows:
        row[0] = row[0].removesuffix(" (as released)")
    assert [row[0] for row in rows] == list(suite.COMPARED)
    for row in rows:
        of_one = table[(table.experiment == "schemes") & (table.label == row[0])]
        mean = float(row[head.index("mean utility (J)")].split(" ± ")[0])
        assert mean == pytest.approx(of_one.mean_utility.mean(), abs=0.0051)
        assert len(of_one) == (3 if "±" in row[head.index("mean utility (J)")] else 1)

    titles = [title for title in pages if "uplink bandwidths" in title]
    assert len(titles) == 2
    head, _, *rows = pages[next(title for title in titles if "above" in title)]
    assert head[1:] == ["25", "50", "75", "100", "200", "300", "400"]
    assert [row[0] for row in rows] == list(suite.ON_NETWORKS)
    for row in rows:
        of_one = table[(table.experiment == "bandwidth") & (table.label == row[0])]
        for value, cell in zip(head[1:], row[1:]):
            excess = 100 * of_one[of_one.value == float(value)].excess.mean()
            assert float(cell.split()[0]) == pytest.approx(excess, abs=0.0051)


def test_table_of_full_runs_has_the_released_numbers_beside_it():
    settings = EXPERIMENTS["net_num"].settings
    runs = results.table({"net_num": settings}, 20000, 3, Made(), {})
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in results.tables("net_num", runs)[""]
    )
    assert head[-2:] == ["seeds that learn", "released package's DNNs, single runs"]
    assert [row[-1] for row in rows[:3]] == [results.RELEASED[f"K = {K}"] for K in (1, 2)] + [
        results.AS_RELEASED
    ]
    assert [row[-2] for row in rows] == ["3 of 3"] * 5 + ["-"]


def test_stored_runs_are_not_done_again(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    fewer = ("--seeds", 2, "--frames", 900, "--only", "schemes", "--out", "again")
    assert cli(monkeypatch, *fewer) is None
    settings = EXPERIMENTS["schemes"].settings
    runs = sum(len(setting.runs(900, 2)) for setting in settings)
    assert f"{runs} runs, {runs} of them done before" in capsys.readouterr().out
    again, before = (pd.read_csv(folder / out / "results.csv") for out in ("again", "out"))
    before = before[(before.experiment == "schemes") & (before.seed < 2)]
    shared = ["label", "seed", "mean_utility", "mean_gain_ratio"]
    pd.testing.assert_frame_equal(again[shared], before[shared].reset_index(drop=True))


def test_other_files_in_the_output_folder_stay(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    (tmp_path / "notes.txt").write_text("kept")
    (tmp_path / "results.md").write_text("old")
    short = ("--seeds", 1, "--frames", 900, "--only", "training_cost", "--out", tmp_path)
    assert cli(monkeypatch, *short) is None
    assert (tmp_path / "notes.txt").read_text() == "kept"
    assert (tmp_path / "results.md").read_text().startswith("# ")


def test_failed_runs_are_reported_and_the_others_shown(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    gone = {Run(net_num=2, frames=900, seed=1): "FloatingPointError: diverged"}
    gone |= {Run(net_num=5, frames=900, seed=s): "KilledWorker: gone" for s in range(3)}
    monkeypatch.setattr(figures, "run_all", lambda runs, *others: (0, gone))
    short = ("--seeds", 3, "--frames", 900, "--only", "net_num", "--out", tmp_path)
    assert "4 of 16 runs failed" in cli(monkeypatch, *short)
    text = (tmp_path / "results.md").read_text()
    assert "- K = 2, seed 1: FloatingPointError: diverged" in text
    assert text.count("KilledWorker: gone") == 3
    (table,) = tables_of(tmp_path / "results.md").values()
    rows = {row[0]: row[1:] for row in table[2:]}
    assert set(rows["K = 5"]) == {"-"} and "nan" not in str(rows)
    ratios = [result_of(Run(net_num=2, frames=900, seed=s))[0] for s in (0, 2)]
    expected = np.mean([metrics["mean_gain_ratio"] for metrics in ratios])
    assert float(rows["K = 2"][0].split()[0]) == pytest.approx(expected, abs=5.1e-5)
    shown = pd.read_csv(tmp_path / "net_num.csv").label.unique()
    assert not any(label.startswith("K = 5") for label in shown) and len(shown) == 5
    errors = pd.read_csv(tmp_path / "results.csv").error.dropna()
    assert sorted(errors) == sorted(gone.values())


def test_experiment_without_any_finished_run_has_no_picture(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    gone = {Run(frames=900): "MemoryError: "}
    monkeypatch.setattr(figures, "run_all", lambda runs, *others: (0, gone))
    short = ("--seeds", 1, "--frames", 900, "--only", "net_num", "training_cost")
    assert "1 of 6 runs failed" in cli(monkeypatch, *short, "--out", tmp_path)
    files = {file.name for file in tmp_path.iterdir()}
    assert "net_num.png" in files and not any("training_cost" in name for name in files)
    short = ("--seeds", 1, "--frames", 900, "--only", "training_cost")
    out = tmp_path / "none"
    assert "all 1 runs failed" in cli(monkeypatch, *short, "--out", out) and not out.exists()


def test_quick_suite_has_short_runs_and_few_networks(tmp_path, monkeypatch):
    asked = []

    def fail_all(runs, *others):
        asked.extend(runs)
        return 0, dict.fromkeys(runs, "")

    monkeypatch.setattr(figures, "run_all", fail_all)
    monkeypatch.chdir(tmp_path)
    assert "runs failed" in cli(monkeypatch, "--quick")
    assert not list(tmp_path.rglob("*.md"))
    assert {run.seed for run in asked} == {0, 1}
    assert max(run.frames for run in asked) == 2000
    assert max(run.users * run.tasks for run in asked if run.learns) <= 30
    assert len(asked) == len(set(asked))
    few = len(asked)
    asked.clear()
    assert "runs failed" in cli(monkeypatch, "--seeds", 2)
    assert max(run.frames for run in asked) == 20000 and len(asked) > 3 * few


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--seeds", 0), "seeds must be"),
        (("--frames", -3), "frames must be"),
        (("--processes", 0), "processes must be"),
        (("--out", ROOT / "LICENSE"), "LICENSE must be a folder"),
    ],
)
def test_bad_options_end_with_one_message(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code = cli(monkeypatch, *arguments)
    assert code.startswith("figures.py: ") and message in code and "\n" not in code
    assert not list(tmp_path.glob("results/figures"))


def test_unknown_experiment(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli(monkeypatch, "--only", "figure_7") == 2
    assert "figure_7" in capsys.readouterr().err and not list(tmp_path.iterdir())


# What users add


def every_other(network, task_size):
    """Offload every other task."""
    decision = np.zeros(np.atleast_2d(task_size).shape, np.int32)
    decision[:, ::2] = 1
    return decision


def test_new_experiment_with_a_new_scheme(tmp_path, monkeypatch):
    monkeypatch.setitem(SCHEMES, "every other", every_other)
    values = ["every other", "full offloading", "local only"]
    settings = [Setting(scheme, Run(scheme), scheme) for scheme in values]
    experiment = Experiment("Mine", settings, plots.schemes, ("mean_utility", "mean_gain_ratio"))
    monkeypatch.setitem(EXPERIMENTS, "mine", experiment)
    monkeypatch.chdir(tmp_path)
    store, expected = Store(figures.RUNS), {}
    for setting in settings:
        (run,) = setting.runs(600, 2)
        store.save(run, execute(run))
        expected[setting.label] = store.load(run)[0]["mean_utility"]
    figures.main(figures.Options(only=("mine",), frames=600, seeds=2))
    out = tmp_path / "results" / "figures"
    names = {"mine.png", "mine.pdf", "mine.csv", "results.csv", "results.md"}
    assert {file.name for file in out.iterdir()} == names
    data = pd.read_csv(out / "mine.csv")
    assert dict(zip(data.label, data.mean_utility)) == pytest.approx(expected)
    assert expected["local only"] > expected["every other"]
    _, _, *rows = tables_of(out / "results.md")["Mine"]
    assert {row[0]: row[1] for row in rows} == {k: f"{Q:.2f}" for k, Q in expected.items()}


def test_new_scheme_is_in_all_experiments_that_compare_schemes():
    code = (
        "from experiments import schemes\n"
        "schemes.SCHEMES['mine'] = schemes.JOINT_SCHEMES['mine'] = schemes.all_edge\n"
        "from experiments.suite import EXPERIMENTS\n"
        "for name, experiment in EXPERIMENTS.items():\n"
        "    if 'mine' in {setting.label for setting in experiment.settings}: print(name)\n"
    )
    code, printed, errors = python("-c", code)
    assert code == 0, errors
    expected = ["schemes", "bandwidth", "edge_cost", "delay_weight", "joint"]
    assert printed.split() == expected


def coin(network, task_size, seed=0):
    """Toss one coin for a frame."""
    toss = np.random.default_rng(seed).integers(0, 2, (len(np.atleast_2d(task_size)), 1))
    return np.tile(toss, network.N * network.M)


def test_new_scheme_by_chance_gets_its_seeds(monkeypatch):
    monkeypatch.setitem(SCHEMES, "coin", coin)
    runs = Setting("coin", Run("coin")).runs(600, 3)
    assert [run.seed for run in runs] == [0, 1, 2]
    assert len({execute(run)[0]["mean_utility"] for run in runs}) == 3
    monkeypatch.setitem(SCHEMES, "every other", every_other)
    assert len(Setting("every other", Run("every other")).runs(600, 3)) == 1


def test_new_schemes_look_different():
    rows = pd.DataFrame({"label": ["mine", "optimum", "theirs", "ours", "local only", "yours"]})
    drawn = [style["color"] + style["marker"] for style in drawing.styles_of(rows)]
    assert len(set(drawn)) == 6

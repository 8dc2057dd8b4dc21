"""Tables of runs: intervals and summaries by hand, headings, and the page."""

import numpy as np
import pandas as pd
import pytest

from experiments import tables
from experiments.runs import released
from experiments.suite import EXPERIMENTS, MEASURED, RELEASED_RATIOS, Experiment, wpmec

from .made import result_of

RUNS = pd.DataFrame(
    {
        "experiment": "mine",
        "label": ["A", "A", "A", "B", "C"],
        "value": None,
        "seed": [0, 1, 2, 0, 0],
        "is_released": False,
        "frames": 20000,
        "mean_gain_ratio": [0.90, 0.92, np.nan, 0.97, np.nan],
        "mean_utility": [700.0, 710.0, np.nan, 650.0, np.nan],
        "fixed_gain_ratio": [0.91, 0.91, np.nan, np.nan, np.nan],
        "ms_per_frame": [0.1234, 0.1236, np.nan, 0.0001, np.nan],
        "unit": ["J", "J", np.nan, "J", np.nan],
        "test_frames": [4000, 4000, np.nan, 4000, np.nan],
        "error": ["", "", "MemoryError: no", "", "OSError: gone"],
    }
)


def columns(lines):
    """Return the columns of a Markdown table: cells by heading."""
    heading, _, *rows = ([cell.strip() for cell in line[1:-1].split(" | ")] for line in lines)
    return dict(zip(heading, zip(*rows)))


def shown(metrics, runs=RUNS, across=""):
    """Return the tables with these metrics: their columns."""
    experiment = Experiment("", {}, metrics=metrics, across=across)
    return [columns(lines) for lines in tables.tables(experiment, runs).values()]


def test_interval_by_hand():
    mean, half_width = tables.interval([[1, 5], [2, 5], [6, 5]])
    np.testing.assert_allclose(mean, [3, 5])
    # Student's t for 2 degrees of freedom, and the standard error of 1, 2 and 6.
    np.testing.assert_allclose(half_width, [4.302653 * np.sqrt(7 / 3), 0], rtol=1e-6)
    mean, half_width = tables.interval([0.5])
    assert mean == 0.5 and np.isnan(half_width)


def test_summary_by_hand():
    rows = tables.summary(RUNS).set_index("label")
    assert list(rows.index) == ["A", "B", "C"]
    assert rows.seeds.tolist() == [2, 1, 0] and rows.failed.tolist() == [1, 0, 1]
    ends = ["mean_gain_ratio_min", "mean_gain_ratio_max", "mean_gain_ratio"]
    assert rows.loc["A", ends].tolist() == [0.9, 0.92, 0.91]
    assert rows.mean_gain_ratio_ci95["A"] == pytest.approx(0.1270620, rel=1e-6)  # 12.7062 * 0.01
    assert np.isnan(rows.mean_gain_ratio_ci95["B"]) and np.isnan(rows.mean_gain_ratio["C"])
    assert rows.learns["A"] == 1 and np.isnan(rows.learns["B"])  # B has no rule to compare with
    assert "learns" not in tables.summary(RUNS.assign(frames=2000))  # too short to learn


def test_cells_by_hand():
    metrics = ("mean_gain_ratio", "min_max", "learns", "mean_utility", "ms_per_frame")
    (table,) = shown(metrics)
    assert list(table)[4] == "mean utility (J)"  # although nothing is known of C's network
    assert list(zip(*table.values())) == [
        ("A", "0.9000 to 0.9200", "0.9000 0.9200", "1 of 2", "705.00 ± 63.53", "0.12"),
        ("B", "0.9700", "0.9700 0.9700", "-", "650.00", "< 0.001"),
        ("C", *["-"] * 5),
    ]


@pytest.mark.parametrize("units, ending", [("J", " (J)"), ("", ""), (["J", "J", "s/bit"], "")])
def test_heading_has_the_unit_that_all_networks_share(units, ending):
    (table,) = shown(("mean_utility",), RUNS[RUNS.error == ""].assign(unit=units))
    assert list(table)[1].endswith("utility" + ending)


def test_values_are_columns():
    runs = RUNS[RUNS.error == ""].assign(label=["A", "B", "A"], value=[0.5, 0.5, 100])
    utility, ratio = shown(("mean_utility", "mean_gain_ratio"), runs, "uplink")
    assert utility == {"uplink": ("A", "B"), "0.5": ("700.00", "710.00"), "100": ("650.00", "-")}
    assert ratio["100"] == ("0.9700", "-")


def test_table_has_a_row_per_run():
    ours = Experiment("", {"K = 3": released(), ("K = 1", 1): released(net_num=1)})
    theirs = Experiment("", {"WPMEC": wpmec()}, fractions={"WPMEC": 0.5})
    suite = {"ours": ours.rows(100, 2), "theirs": theirs.rows(100, 2)}
    runs = [run for rows in suite.values() for *_, runs in rows for run in runs]
    results = {run: result_of(run)[0] for run in runs}
    results[released(net_num=1, frames=100, seed=1)] = "FloatingPointError: diverged"
    table = tables.table(suite, results)
    assert table.experiment.tolist() == ["ours"] * 4 + ["theirs"] * 2
    assert table.label.tolist() == ["K = 3"] * 2 + ["K = 1"] * 2 + ["WPMEC"] * 2
    assert table.seed.tolist() == [0, 1] * 3 and table.frames.tolist() == [100] * 4 + [50] * 2
    assert table.is_released.tolist() == [True] * 2 + [False] * 4
    assert table.unit.dropna().tolist() == ["J"] * 3 + ["s/bit"] * 2
    assert table.error.tolist() == ["", "", "", "FloatingPointError: diverged", "", ""]
    assert table.mean_utility.isna().tolist() == [False] * 3 + [True] + [False] * 2
    assert table.mean_gain_ratio[1] == results[released(frames=100, seed=1)]["mean_gain_ratio"]


@pytest.mark.parametrize("frames", [20000, 2000])
def test_released_numbers_are_beside_full_runs(frames):
    rows = EXPERIMENTS["net_num"].rows(frames, 2)
    results = {run: result_of(run)[0] for *_, runs in rows for run in runs}
    table = tables.table({"net_num": rows}, results)
    labels, *_, last = columns(tables.tables(EXPERIMENTS["net_num"], table)[""]).values()
    beside = dict(zip(labels, last))
    assert (beside["K = 1"] == MEASURED["net_num"][1]) == (frames == 20000)
    assert (beside["K = 3 (as released)"] == RELEASED_RATIOS) == (frames == 20000)


def test_page_has_all_tables_and_failures():
    page = tables.page({"mine": Experiment("My runs", {})}, RUNS, "How it was made.")
    assert page.startswith("# ") and "\n## My runs\n" in page and "How it was made." in page
    assert "- A, seed 2: MemoryError: no\n" in page and "- C, seed 0: OSError: gone\n" in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len(table) == 5 and "nan" not in page
    assert "failed" not in tables.page({"mine": Experiment("", {})}, RUNS[:2], "").lower()

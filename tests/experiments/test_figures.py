"""The command that runs the experiments: its files, tables and messages."""

import sys

import pandas as pd
import pytest

from experiments import figures
from experiments.runs import released
from experiments.suite import EXPERIMENTS

from ..conftest import ROOT, check_figure, command
from .made import Made, result_of
from .test_tables import columns

cli = command(figures)
NAMES = ("net_num", "schemes", "bandwidth")
SHORT = ("--seeds", 3, "--frames", 900)
BAD_OPTIONS = ["--seeds 0", "--frames -3", "--processes 0", f"--out {ROOT / 'LICENSE'}"]
BAD_OPTIONS += ["--sweep users", "--sweep bandwidth equal", "--sweep net_num 1 --only schemes"]
BAD_OPTIONS += ["--sweep net_num 0", "--sweep net_num 1 two", "--sweep no_parameter 1"]
BAD_OPTIONS += ["--sweep frames 100", "--sweep net_num 1.5", "--sweep learning_rate 0.1 -1"]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder in which every run is stored already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)  # as in a script
    monkeypatch.setattr(figures, "run_all", lambda runs, *others: (0, {}))
    monkeypatch.setattr(figures, "Store", lambda folder: Made())
    return tmp_path


def first_table(page):
    """Return the columns of the first table on a page."""
    lines = page.read_text().split("## ")[1].splitlines()
    return columns([line for line in lines if line.startswith("|")])


def test_files_of_a_suite(workplace, monkeypatch):
    out = workplace / "out"
    out.mkdir()
    for name in ("notes.txt", "results.md"):
        (out / name).write_text("old")
    assert cli(monkeypatch, *SHORT, "--out", "out", "--only", *NAMES) is None
    expected = {f"{name}.{suffix}" for name in NAMES for suffix in ("png", "pdf", "csv")}
    files = {file.name for file in out.iterdir()}
    assert files == expected | {"results.csv", "results.md", "notes.txt"}
    assert (out / "notes.txt").read_text() == "old"
    for name in NAMES:
        check_figure(out / name)
    table = pd.read_csv(out / "results.csv")
    rows = [
        (name, label, run.seed, result_of(run)[0]["mean_utility"])
        for name in NAMES
        for label, _, runs in EXPERIMENTS[name].rows(900, 3)
        for run in runs
    ]
    found = table[["experiment", "label", "seed", "mean_utility"]].itertuples(index=False)
    assert [tuple(row) for row in found] == [(*row[:3], pytest.approx(row[3])) for row in rows]
    page = (out / "results.md").read_text()
    assert "python figures.py --seeds 3 " in page and "900 time frames" in page
    assert all(f"## {EXPERIMENTS[name].title}" in page for name in NAMES)
    ratio = table[(table.experiment == "net_num") & (table.label == "K = 2")].mean_gain_ratio
    cell = first_table(out / "results.md")["mean gain ratio"][1]
    assert cell == f"{ratio.min():.4f} to {ratio.max():.4f}"  # the interval would exceed 1


def test_failed_runs_are_reported_and_the_others_shown(workplace, monkeypatch):
    errors = {released(net_num=2, frames=900, seed=1): "FloatingPointError: diverged"}
    errors |= {released(net_num=5, frames=900, seed=s): "KilledWorker: gone" for s in range(3)}
    monkeypatch.setattr(figures, "run_all", lambda *_: (0, errors))
    message = cli(monkeypatch, *SHORT, "--only", "net_num", "--out", ".")
    assert message.startswith("figures.py: 4 of 28 runs failed")
    page = workplace / "results.md"
    assert page.read_text().count("KilledWorker: gone") == 3 and "nan" not in page.read_text()
    rows = dict(zip(*list(first_table(page).values())[:2]))
    assert rows["K = 5"] == "-" and " to " in rows["K = 2"]
    labels = set(pd.read_csv(workplace / "net_num.csv").label)
    assert len(labels) == 5 and not any(label.startswith("K = 5") for label in labels)
    found = pd.read_csv(workplace / "results.csv").error.dropna()
    assert sorted(found) == sorted(errors.values())


def test_experiment_without_a_finished_run_has_no_picture(workplace, monkeypatch):
    errors = {released(frames=900): "MemoryError: "}
    monkeypatch.setattr(figures, "run_all", lambda *_: (0, errors))
    short = ("--seeds", 1, "--frames", 900, "--out", "out", "--only", "training_cost")
    assert cli(monkeypatch, *short) and not (workplace / "out").exists()
    assert "1 of 10 runs failed" in cli(monkeypatch, *short, "net_num")
    assert {file.stem for file in (workplace / "out").iterdir()} == {"net_num", "results"}


def test_quick_suite_has_few_and_short_runs(workplace, monkeypatch):
    asked = []
    monkeypatch.setattr(figures, "run_all", lambda runs, *_: asked.append(runs) or (0, {}))
    monkeypatch.setattr(figures, "write_results", lambda *_: None)
    for options in (["--quick"], ["--seeds", 2]):
        assert cli(monkeypatch, *options) is None
    quick, full = asked
    assert len(set(quick)) == len(quick) < len(full) / 3
    assert {run.seed for run in quick} == {0, 1} and {run.frames for run in full} >= {20000}
    assert max(run.frames for run in quick) == 2000


def test_sweep_as_a_module(workplace, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", figures.__spec__)
    assert cli(monkeypatch, "--sweep", "flips", 0, 2, *SHORT, "--out", "out") is None
    labels = set(pd.read_csv(workplace / "out" / "results.csv").label)
    assert labels == {"flips = 0", "flips = 2", "smallest task local"}
    check_figure(workplace / "out" / "flips")
    page = (workplace / "out" / "results.md").read_text()
    assert "python -m experiments.figures --sweep flips 0 2" in page


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_options_end_with_one_message(workplace, monkeypatch, options):
    message = cli(monkeypatch, *options.split())
    assert message.startswith("figures.py: ") and "\n" not in message
    assert not list(workplace.iterdir())

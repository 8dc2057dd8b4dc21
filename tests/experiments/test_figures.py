"""The command that runs the suite: its files, its tables, its messages."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments import figures, results, suite
from experiments.engine import Store
from experiments.runs import Run
from experiments.suite import EXPERIMENTS

from ..conftest import ROOT, check_figure, command
from .made import result_of

cli = command(figures)


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

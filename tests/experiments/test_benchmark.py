"""The benchmark: what it reports, and that it reports nothing that is fast but wrong."""

import json
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest

from experiments import benchmark, measure, measured
from experiments.plain import PlainWPMEC
from experiments.runs import Run
from experiments.wpmec import WPMEC, channel_gains
from main import DDLO
from memory import MemoryDNN

from ..conftest import command

cli = command(benchmark)


def test_every_part_and_all_that_grows_have_a_title():
    assert list(benchmark.PARTS) == list(measure.PARTS)
    assert set(benchmark.GROWS) == set(measure.GROWTH)


def test_arithmetic_by_hand():
    # 9 x 120 + 120 x 80 + 80 x 9 weights; trainings at 520, 530, ..., 20,000, which are 1949.
    assert measured.arithmetic(Run()) == pytest.approx(
        1e-9 * 11400 * 3 * (6 * 128 * 1949 + 2 * 20000)
    )
    # 6 x 5 + 5 x 6 weights; at 512 to 601 there are 90 trainings, as one comes with each frame.
    tiny = Run(users=2, hidden=(5,), net_num=4, training_interval=1, batch_size=32, frames=600)
    assert measured.arithmetic(tiny) == pytest.approx(1e-9 * 60 * 4 * (6 * 32 * 90 + 2 * 600))
    # Without a training there are only decisions.
    assert measured.arithmetic(Run(frames=500)) == pytest.approx(1e-9 * 11400 * 3 * 2 * 500)


def test_plain_rate_is_the_computation_rate():
    gains = channel_gains(20, 7)
    decision = np.random.default_rng(0).integers(0, 2, (3, 20, 7))
    decision[:2, 0] = [[0] * 7, [1] * 7]
    plain, network = PlainWPMEC(7), WPMEC(7)
    Q = plain.compute_Q(gains, decision)
    np.testing.assert_allclose(Q, network.compute_Q(gains, decision), rtol=1e-12)


def test_spread_of_repeats():
    assert measured.spread([3.0, 1.0, 2.0, 9.0]) == {
        "seconds": 2.5,
        "seconds_least": 1.0,
        "seconds_most": 9.0,
    }


def test_plot_of_growth():
    rows = [
        {"value": value, "frames": 5000, "arithmetic_seconds": value / 50}
        | {"seconds": value / 10, "seconds_least": value / 11, "seconds_most": value / 9}
        for value in (1, 10, 100)
    ]
    (axes,) = benchmark.plot("net_num", rows).axes
    measured, arithmetic = axes.lines
    np.testing.assert_allclose(measured.get_xydata(), [[1, 0.1], [10, 1], [100, 10]])
    np.testing.assert_allclose(arithmetic.get_ydata(), [0.02, 0.2, 2])
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_xlabel() == "DNNs" and axes.get_ylabel() == "Time for 5,000 time frames (s)"
    assert len(axes.get_legend().get_texts()) == 2
    layers = [row | {"value": [30 * row["value"], 20]} for row in rows]
    (axes,) = benchmark.plot("hidden", layers).axes
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [30, 300, 3000])
    (axes,) = benchmark.plot("frames", rows).axes
    assert axes.get_xlabel() == "Time frames" and axes.get_ylabel() == "Time (s)"


def test_page_of_tables():
    about = {
        "command": "python -m experiments.benchmark",
        "machine": "a machine, 4 cores",
        "device": "CPU",
        "versions": {"python": "3.11", "numpy": "2.4"},
        "repeats": 3,
        "wrong": {"loop": "too good to be true"},
    }
    rows = {
        "growth": [
            {"grows": "frames", "value": 10000, "seconds": 1.23456, "memory_mb": 5.5},
            {"grows": "hidden", "value": (30, 20), "seconds": 0.000123456},
        ],
        "startup": [{"step": "start Python", "mean_gain_ratio": 0.99314}],
    }
    lines = benchmark.markdown(about, rows).splitlines()
    assert "a machine, 4 cores" in lines[2] and "numpy 2.4" in lines[2]
    assert any("loop" in line and "too good to be true" in line for line in lines)
    tables = [line for line in lines if line.startswith("|")]
    assert tables == [
        "| grows | value | seconds | memory_mb |",
        "| --- | --- | --- | --- |",
        "| frames | 10,000 | 1.23 | 5.5 |",
        "| hidden | 30, 20 | 0.000123 | - |",
        "| step | mean_gain_ratio |",
        "| --- | --- |",
        "| start Python | 0.9931 |",
    ]
    titles = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert titles == [benchmark.PARTS["growth"], benchmark.PARTS["startup"]]


@pytest.mark.slow
def test_quick_parts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "GAIN_RATIO", {1: (0.7, 0.9)})
    monkeypatch.setattr(measure, "DECISIONS", ((3, 3, 2),))
    out, some = tmp_path / "out", ("loop", "latency", "utility")
    assert cli(monkeypatch, "--quick", "--only", *some, "--out", out) is None
    assert {file.name for file in out.iterdir()} == {"benchmark.json", "benchmark.md"}
    content = json.loads((out / "benchmark.json").read_text())
    about = content.pop("about")
    assert list(content) == list(some) and about["wrong"] == {} and about["repeats"] == 1
    text = (out / "benchmark.md").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out and about["machine"] in text

    (of_loop,) = content["loop"]
    assert (of_loop["net_num"], of_loop["frames"]) == (1, 20000)
    assert 0.7 < of_loop["mean_gain_ratio"] < 0.9 and of_loop["processor_seconds"] > 0
    assert of_loop["gflop"] == pytest.approx(measured.arithmetic(Run(net_num=1)))
    assert of_loop["gflops"] == pytest.approx(of_loop["gflop"] / of_loop["seconds"])
    assert of_loop["gemm_share"] == pytest.approx(of_loop["gflops"] / of_loop["gemm_gflops"])
    assert of_loop["frames_per_second"] == pytest.approx(20000 / of_loop["seconds"])

    alone, block = content["latency"]
    assert (alone["users"], alone["tasks"], alone["net_num"]) == (3, 3, 2)
    assert (alone["frames"], block["frames"]) == (1, 1000) and alone["calls"] == 1000
    assert 0 < alone["median_ms"] <= alone["p99_ms"] and 0 < block["median_ms"] <= block["p99_ms"]

    plain, *others = content["utility"]
    assert plain["times_plain"] == 1
    assert {row["bandwidth"] for row in others} == {"equal", "optimal"}
    for row in (plain, *others):
        assert row["per_second"] == pytest.approx(row["utilities"] / row["seconds"])
    for row in (of_loop, plain, *others):
        assert 0 < row["seconds_least"] <= row["seconds"] <= row["seconds_most"]


class InNoTime:
    """A loop whose every run takes 2 s."""

    def __init__(self, run, samples=None):
        self.run = run
        self.ddlo = SimpleNamespace(net=SimpleNamespace(cost_his=[[0.5] * 10] * 3))

    def row(self, repeats):
        row = {"frames": self.run.frames, "mean_gain_ratio": 0.69, "gflop": 7.0}
        return row | measured.spread([2.0] * repeats), {"Q": np.zeros(1000)}


def test_growth_has_a_picture_of_each_thing_that_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "Measured", InNoTime)
    monkeypatch.setattr(measure, "gemm_gflops", lambda: 14.0)
    grows = {"tasks": (9, 30), "hidden": ((30, 20),), "frames": (7,)}
    monkeypatch.setattr(measure, "GROWTH", grows)
    assert cli(monkeypatch, "--only", "growth", "--out", tmp_path) is None
    kinds = [(what, suffix) for what in grows for suffix in ("png", "pdf", "csv")]
    files = {file.name for file in tmp_path.glob("growth_*")}
    assert files == {f"growth_{what}.{suffix}" for what, suffix in kinds}
    height, width, _ = matplotlib.image.imread(tmp_path / "growth_tasks.png").shape
    assert (height, width) == (780, 1039)  # 88 mm at 300 dpi
    rows = json.loads((tmp_path / "benchmark.json").read_text())["growth"]
    assert [(row["grows"], row["value"], row["frames"]) for row in rows] == [
        ("tasks", 9, 5000),
        ("tasks", 30, 5000),
        ("hidden", [30, 20], 5000),
        ("frames", 7, 7),
    ]
    assert {row["arithmetic_seconds"] for row in rows} == {0.5}
    assert rows[-1]["recorded_mb"] == pytest.approx(0.008 + 30 * 32e-6)


# Fast but wrong


def test_loop_that_learns_other_than_expected_is_refused(monkeypatch):
    monkeypatch.setattr(measure, "Measured", InNoTime)
    monkeypatch.setattr(measure, "gemm_gflops", lambda: 14.0)
    for low, high in ((0.7, 0.9), (0.5, 0.6)):
        monkeypatch.setattr(measure, "GAIN_RATIO", {4: (low, high)})
        with pytest.raises(measured.WrongResult, match=rf"4 DNNs: .*{low}, {high}\], got 0.69"):
            measure.loop(1, quick=True)
    monkeypatch.setattr(measure, "GAIN_RATIO", {4: (0.6, 0.7)})
    (row,) = measure.loop(1, quick=True)
    assert row["net_num"] == 4 and row["mean_gain_ratio"] == 0.69


def test_part_that_is_wrong_is_not_reported(tmp_path, monkeypatch):
    def wrong(repeats, quick):
        raise measured.WrongResult("too good to be true")

    monkeypatch.setitem(measure.PARTS, "loop", wrong)
    some = ("--quick", "--only", "loop", "utility", "--out", tmp_path)
    message = cli(monkeypatch, *some)
    assert message.startswith("benchmark.py: loop ") and "too good to be true" in message
    content = json.loads((tmp_path / "benchmark.json").read_text())
    assert set(content) == {"about", "utility"}
    assert content["about"]["wrong"] == {"loop": "too good to be true"}
    assert "too good to be true" in (tmp_path / "benchmark.md").read_text(encoding="utf-8")


def step_by_step(run):
    """Return a DDLO and its loop, which takes no time to compile."""
    size = run.users * run.tasks
    ddlo = DDLO(MemoryDNN([size, 5, size], 1, candidates=run.candidates), run.network)
    return ddlo, ddlo.decide_and_learn


def test_loop_that_does_something_else_is_refused(monkeypatch):
    def all_edge(run):
        ddlo, _ = step_by_step(run)

        def loop(task_size):
            k, x = ddlo.decide_and_learn(task_size)
            return k, np.ones_like(x)

        return ddlo, loop

    monkeypatch.setattr(measured, "build", all_edge)
    with pytest.raises(measured.WrongResult, match="decision is not what it is step by step"):
        measured.Measured(Run(net_num=1))
    monkeypatch.setattr(measured, "build", step_by_step)
    history, tests = measured.Measured(Run(net_num=1)).history(100, step_by_step(Run())[1])
    assert len(history["Q"]) == 100 and tests == 20


def test_decisions_that_depend_on_the_block_are_refused(monkeypatch):
    def whimsical(run):
        ddlo, loop = step_by_step(run)
        decide = ddlo.decide

        def other(task_size):
            k, x = decide(task_size)
            return k, 1 - x if len(x) == measure.BLOCK else x

        ddlo.decide = other
        return ddlo, loop

    monkeypatch.setattr(measure, "DECISIONS", ((3, 3, 1),))
    monkeypatch.setattr(measure, "CALLS", 20)
    monkeypatch.setattr(measure, "BLOCK_CALLS", 20)
    monkeypatch.setattr(measured, "build", whimsical)
    with pytest.raises(measured.WrongResult, match="how many are made at a time"):
        measure.latency(1, quick=True)


def test_utilities_that_differ_are_refused(monkeypatch):
    plain_Q = measure.plain_Q
    monkeypatch.setattr(measure, "plain_Q", lambda *arguments: plain_Q(*arguments) * (1 + 1e-15))
    with pytest.raises(measured.WrongResult, match="other utilities with equal bandwidth"):
        measure.utility(1, quick=True)


@pytest.mark.slow
def test_wpmec_part():
    plain, _, *others = rows = measure.wpmec(1, quick=True)
    assert [row["frames"] for row in rows] == [100, 100, 2000, 2000]
    assert plain["times_plain"] == 1
    for row in rows:
        assert row["ms_per_frame"] == pytest.approx(1e3 * row["seconds"] / row["frames"])
    assert len({row["mean_gain_ratio"] for row in others}) == 1


def test_other_utilities_on_wpmec_are_refused(monkeypatch):
    class Wrong(PlainWPMEC):
        def compute_Q(self, gains, decision):
            return super().compute_Q(gains, decision) * (1 + 1e-8)

    monkeypatch.setattr(measure, "PlainWPMEC", Wrong)
    monkeypatch.setattr(measured, "build", step_by_step)
    with pytest.raises(measured.WrongResult, match="other utilities"):
        measure.wpmec(1, quick=True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--repeats", 0), "repeats must be"),
        (("--device", "TPU"), "device must be one of CPU"),
    ],
)
def test_bad_options(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code = cli(monkeypatch, *arguments, "--only", "utility", "--quick")
    assert code.startswith("benchmark.py: ") and message in code
    assert not list(tmp_path.iterdir())


def test_output_folder_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("kept")
    code = cli(monkeypatch, "--only", "utility", "--quick", "--out", tmp_path / "file")
    assert "must be a folder" in code and (tmp_path / "file").read_text() == "kept"

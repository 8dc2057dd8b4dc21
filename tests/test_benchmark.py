"""The benchmark: what it reports, and that it reports nothing that is fast but wrong."""

import json

import matplotlib.image
import numpy as np
import pytest

from experiments import benchmark, measure
from experiments.runs import Run

from .conftest import command

PARTS = {"loop", "growth", "latency", "utility", "startup", "sweep"}


cli = command(benchmark)


def test_parts():
    assert set(benchmark.PARTS) == set(measure.PARTS) == PARTS
    assert list(measure.GAIN_RATIO) == [1, 3, 10, 30]
    assert set(benchmark.GROWS) == set(measure.GROWTH)


def test_a_small_benchmark(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "GAIN_RATIO", {3: measure.GAIN_RATIO[3]})
    monkeypatch.setattr(measure, "DECISIONS", ((3, 3, 3), (5, 2, 4)))
    monkeypatch.setattr(measure, "GROWTH_FRAMES", 900)
    grows = {"tasks": (12,), "hidden": ((30, 20),), "frames": (800, 1600)}
    monkeypatch.setattr(measure, "GROWTH", grows)
    assert cli(monkeypatch, "--quick", "--out", tmp_path) is None
    content = json.loads((tmp_path / "benchmark.json").read_text())
    about, parts = content.pop("about"), content
    assert set(parts) == PARTS and about["wrong"] == {} and about["device"] == "CPU"
    text = (tmp_path / "benchmark.md").read_text()
    assert text in capsys.readouterr().out and about["machine"] in text

    assert [row["net_num"] for row in parts["loop"]] == [3]
    for row in parts["loop"]:
        assert row["gflop"] == pytest.approx(
            1e-9 * 11400 * row["net_num"] * (6 * 128 * 1949 + 2 * 20000)
        )
        assert row["gflops"] == pytest.approx(row["gflop"] / row["seconds"])
        assert row["gemm_share"] == pytest.approx(row["gflops"] / row["gemm_gflops"])
        assert row["frames_per_second"] == pytest.approx(20000 / row["seconds"])
    assert 0.991 < parts["loop"][0]["mean_gain_ratio"] < 0.9945

    grown = {(row["grows"], str(row["value"])) for row in parts["growth"]}
    expected = {("tasks", "12"), ("hidden", "[30, 20]")}
    assert grown == expected | {("frames", "800"), ("frames", "1600")}
    for what in grows:
        height, width, _ = matplotlib.image.imread(tmp_path / f"growth_{what}.png").shape
        assert (height, width) == (675, 1050)
    recorded = [row["recorded_mb"] for row in parts["growth"] if row["grows"] == "frames"]
    np.testing.assert_allclose(np.divide(*recorded), 0.5, atol=0.1)

    decisions = [(row["users"], row["net_num"], row["frames"]) for row in parts["latency"]]
    assert decisions == [(n, K, frames) for n, _, K in measure.DECISIONS for frames in (1, 1000)]
    assert all(0 < row["median_ms"] <= row["p99_ms"] for row in parts["latency"])
    assert parts["utility"][0]["way"] == "plain Python" and parts["utility"][0]["times_plain"] == 1
    assert {row["bandwidth"] for row in parts["utility"]} == {"equal", "optimal"}
    steps = {row["step"]: row["seconds"] for row in parts["startup"]}
    assert steps["import TensorFlow"] < steps["main.py, as a whole"]
    one, two = parts["sweep"]
    assert (one["processes"], two["processes"], one["speed_up"]) == (1, 2, 1)
    assert two["speed_up"] == pytest.approx(one["seconds"] / two["seconds"])
    for row in (*parts["loop"], *parts["utility"], *parts["startup"], *parts["sweep"]):
        assert 0 < row["seconds_least"] <= row["seconds"] <= row["seconds_most"]


def test_growth_plot():
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


def test_a_wrong_gain_ratio_is_not_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "GAIN_RATIO", {2: (0.999, 1)})
    monkeypatch.setattr(measure, "gemm_gflops", lambda: 100.0)
    message = cli(monkeypatch, "--quick", "--only", "loop", "utility", "--out", tmp_path)
    assert message.startswith("benchmark.py: loop is not reported: 2 DNNs: mean gain ratio 0.9")
    content = json.loads((tmp_path / "benchmark.json").read_text())
    assert set(content) == {"about", "utility"} and "loop" in content["about"]["wrong"]
    assert "**Not reported:** loop: 2 DNNs" in (tmp_path / "benchmark.md").read_text()


def test_a_loop_that_does_something_else_is_not_reported(monkeypatch):
    true_build = measure.build

    def another_build(run):
        net, loop = true_build(run)

        def all_edge(task_size, costs):
            k, x = loop(task_size, costs)
            return k, np.ones_like(x)

        return net, all_edge

    assert measure.Measured(Run(hidden=(10,))).net.net == [9, 10, 9]
    monkeypatch.setattr(measure, "build", another_build)
    with pytest.raises(measure.WrongResult, match="decision is not what it is step by step"):
        measure.Measured(Run(hidden=(10,)))


def test_decisions_that_depend_on_the_block_are_not_reported(monkeypatch):
    true_decide = measure.decide

    def another(net, network, task_size):
        k, x = true_decide(net, network, task_size)
        return k, 1 - x if len(x) > 1 else x

    monkeypatch.setattr(measure, "DECISIONS", ((3, 3, 1),))
    monkeypatch.setattr(measure, "CALLS", 20)
    monkeypatch.setattr(measure, "decide", another)
    with pytest.raises(measure.WrongResult, match="decisions depend on how many are made"):
        measure.latency(1, quick=True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--repeats", 0), "repeats is 0"),
        (("--device", "TPU"), "there is no device TPU; TensorFlow sees CPU"),
    ],
)
def test_bad_options(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in cli(monkeypatch, *arguments)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    assert "file is a file" in cli(monkeypatch, "--out", "file")

"""The benchmark: its rows, its page, and that it does not report a wrong gain ratio."""

import json

import pytest

from tools.benchmark import __main__ as benchmark
from tools.benchmark import parts

from ..conftest import command

cli = command(benchmark)


@pytest.fixture
def not_compiled(monkeypatch):
    """Spare the tests the time to compile."""
    monkeypatch.setattr(parts, "compile_loop", lambda ddlo: ddlo.decide_and_learn)


@pytest.mark.slow
def test_parts_on_the_command_line(tmp_path, monkeypatch, capsys, not_compiled):
    growth = {"tasks": ("", (9, 30)), "hidden": ("", ((30, 20),)), "frames": ("", (1000, 2000))}
    monkeypatch.setattr(parts, "GROWTH", growth)
    monkeypatch.setattr(parts, "DECISIONS", ((3, 3, 2),))
    some = ("growth", "latency", "utility")
    assert cli(monkeypatch, "--quick", "--only", *some, "--out", tmp_path) is None
    content = json.loads((tmp_path / "benchmark.json").read_text())
    about = content.pop("about")
    assert list(content) == list(some) and about["repeats"] == 1
    page = (tmp_path / "benchmark.md").read_text(encoding="utf-8")
    assert page == benchmark.markdown(about, content) and page in capsys.readouterr().out
    files = {f"growth_{grows}.{kind}" for grows in growth for kind in ("png", "pdf", "csv")}
    assert {path.name for path in tmp_path.glob("growth_*")} == files
    found = [(row["grows"], row["value"], row["frames"]) for row in content["growth"]]
    assert found[1:4] == [("tasks", 30, 5000), ("hidden", [30, 20], 5000), ("frames", 1000, 1000)]
    # 9 x 120 + 120 x 80 + 80 x 9 weights; 149 training steps at frames 520, 530, ..., 2000.
    gflop = 1e-9 * 11400 * 3 * (6 * 128 * 149 + 2 * 2000)
    assert content["growth"][-1]["gflop"] == pytest.approx(gflop)
    single, block = content["latency"]
    assert (single["frames"], single["calls"], block["frames"]) == (1, 1000, 1000)
    assert len(content["utility"]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("part, rows", [("loop", 2), ("startup", 4), ("long", 2)])
def test_slow_parts(part, rows):
    assert len(list(parts.PARTS[part](1, quick=True))) == rows


def test_wrong_gain_ratio_is_not_reported(tmp_path, monkeypatch, not_compiled):
    monkeypatch.setattr(parts, "GAIN_RATIO", {1: (0.999, 1)})
    message = cli(monkeypatch, "--quick", "--only", "loop", "utility", "--out", tmp_path / "out")
    assert "1 DNNs: gain ratio 0.8" in message and not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [("--repeats", 0), ("--device", "TPU")])
def test_bad_options(tmp_path, monkeypatch, option):
    message = cli(monkeypatch, *option, "--only", "utility", "--out", tmp_path / "out")
    assert f"{option[0][2:]} must be" in message and not list(tmp_path.iterdir())

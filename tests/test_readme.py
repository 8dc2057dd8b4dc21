"""What README.md tells users to do works, and what it shows is there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import benchmark, results
from experiments.settings import EXPERIMENTS
from experiments.tables import markdown
from memory import MemoryDNN

from .conftest import ROOT

README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_examples():
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("code", EXAMPLES)
def test_example_runs(tmp_path, code):
    if "results/ten/model" in code:  # of one of the commands before it
        model = tmp_path / "results" / "ten" / "model"
        model.parent.mkdir(parents=True)
        MemoryDNN([9, 120, 80, 9], net_num=10, seed=0).save(model)
    process = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr == "" and process.stdout


def test_links_and_pictures_are_there():
    paths = [path for path in re.findall(r"\]\(([^)]+)\)", README) if "://" not in path]
    assert "docs/gain_ratio.png" in paths
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {"#" + heading.lower().replace(" ", "-") for heading in headings}
    for path in paths:
        assert path in anchors or (ROOT / path).is_file(), path
    for path in re.findall(r"^\| `([\w/]+(?:\.\w+)?/?)` \|", README, re.MULTILINE):
        if "results" not in path and "." in path and "/" in path:
            assert (ROOT / path).is_file(), path


def test_results_are_those_of_one_run_of_the_full_suite():
    folder = ROOT / "docs" / "results"
    content = json.loads((folder / "results.json").read_text())
    assert content["command"] == "python -m experiments.figures" and content["failed"] == {}
    assert (content["seeds"], content["frames"], content["test_frames"]) == (5, 20000, 4000)
    assert list(content["experiments"]) == list(EXPERIMENTS)
    assert results.judge(content["experiments"], 20000, 5) == content["claims"]
    page = (folder / "results.md").read_text()
    assert page == markdown(content)

    section = README.split("## Reproduction results")[1].split("\n## Speed")[0]
    tables = [line for line in section.splitlines() if line.startswith("|")]
    assert len(tables) > 40 and not set(tables) - set(page.splitlines())
    for claim in content["claims"]:
        assert f"| {claim['claim']} | {claim['measured']} | {claim['verdict']} |" in tables
    assert [name for name in EXPERIMENTS if f"(docs/results/{name}.png)" not in section] == []


def test_speed_is_that_of_one_run_of_the_benchmark():
    folder = ROOT / "docs" / "benchmark"
    content = json.loads((folder / "benchmark.json").read_text())
    about = content.pop("about")
    assert about["command"] == "python -m experiments.benchmark" and about["wrong"] == {}
    assert list(content) == list(benchmark.PARTS)
    page = (folder / "benchmark.md").read_text()
    assert page == benchmark.markdown(about, content)
    section = README.split("## Speed")[1].split("\n## Implementation")[0]
    tables = [line for line in section.splitlines() if line.startswith("|") and "](" not in line]
    assert len(tables) > 30 and not set(tables) - {*page.splitlines(), "| | |", "| --- | --- |"}
    pictures = re.findall(r"\((docs/benchmark/\w+\.png)\)", section)
    assert {Path(picture).stem for picture in pictures} == {
        f"growth_{what}" for what in benchmark.GROWS
    }

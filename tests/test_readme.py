"""What README.md tells users to do works, and what it shows is there."""

import os
import re
import subprocess
import sys

import pytest

from .conftest import ROOT

README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_examples():
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("code", EXAMPLES)
def test_example_runs(tmp_path, code):
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
    for path in paths:
        assert (ROOT / path).is_file(), path
    for path in re.findall(r"^\| `([\w/]+(?:\.\w+)?/?)` \|", README, re.MULTILINE):
        if "results" not in path and "." in path and "/" in path:
            assert (ROOT / path).is_file(), path

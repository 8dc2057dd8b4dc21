"""Shared by all tests: the published data set, its network, command lines and processes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from ddlo.command_line import run_command
from ddlo.data import Data
from MUMT import MUMT

# A shell makes its background jobs ignore Ctrl-C; the tests send it to their processes.
signal.signal(signal.SIGINT, signal.default_int_handler)
# No deadline, as machines differ; FUZZ=20 tries 20 times as many examples, and others each time.
FUZZ = int(os.environ.get("FUZZ", "0"))
hypothesis.settings.register_profile(
    "tests",
    deadline=None,
    derandomize=not FUZZ,
    database=None,
    max_examples=100 * max(1, FUZZ),
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("tests")

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "MUMT_data_3X3.mat"


def command(module):
    """Return a function of monkeypatch and arguments that runs a module's command line here.

    It returns the command's error message, its exit code without a message, or None after success.
    """

    def cli(monkeypatch, *arguments):
        name = module.__name__.split(".")[-1]
        names = ("run", "Parameters") if name == "main" else ("main", "Options")
        shown = []
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        with monkeypatch.context() as patch:
            patch.setattr("ddlo.command_line.show_error", shown.append)
            code = run_command(*(getattr(module, each) for each in names))
        assert len(shown) <= 1
        return shown[0] if shown else code or None

    return cli


def start_python(*arguments, **options):
    """Start Python in the repository's folder, without a screen; return the process (Popen)."""
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=environment | {"MPLBACKEND": ""},
        text=True,
        **(pipes | options),
    )


def python(*arguments):
    """Run Python as `start_python` does to its end; return its exit code, stdout and stderr."""
    with start_python(*arguments) as process:
        out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture(scope="session")
def network():
    return MUMT(3, 3)


@pytest.fixture(scope="session")
def data(network):
    """The published data set."""
    return Data.load(DATA, network)


@pytest.fixture(scope="session")
def published(data):
    """task_size (20000, 9) and gain_min (20000,) of the published data set."""
    return data.states, data.gain_min


def check_figure(path):
    """Check that a figure is saved with the width of a column and TrueType fonts, and with its data."""
    import matplotlib.image

    inches = 88 / 25.4
    _, width, _ = matplotlib.image.imread(path.with_suffix(".png")).shape
    assert abs(width - 300 * inches) < 1
    pdf = path.with_suffix(".pdf").read_bytes()
    (box,) = re.findall(rb"/MediaBox \[ *([^]]*)\]", pdf)
    assert float(box.split()[2]) == pytest.approx(72 * inches, abs=0.01)
    assert b"/Type3" not in pdf and b"/CIDFontType2" in pdf  # TrueType
    assert path.with_suffix(".csv").read_text()

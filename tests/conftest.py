"""What the tests share: the published data set, its network, command lines and processes."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import main
from ddlo.command_line import command_line
from ddlo.dataset import load_data
from MUMT import MUMT, Constants

# A shell has its background processes ignore Ctrl-C, and so would those that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "MUMT_data_3X3.mat"

# Users edit the parameters at the top of main.py, on which no test is to depend.
RELEASED = {each.name: each.default for each in dataclasses.fields(Constants)} | {
    "data": DATA,
    "users": 3,
    "tasks": 3,
    "bandwidth": "equal",
    "uplink": 100,
    "frames": 20000,
    "net_num": 3,
    "hidden": (120, 80),
    "learning_rate": 0.01,
    "training_interval": 10,
    "batch_size": 128,
    "memory_size": 1024,
    "flips": 0,
    "user_flips": 0,
    "recombine": False,
    "seed": 0,
    "resume": None,
    "frozen": False,
    "checkpoint": None,
    "device": None,
    "out": None,
    "show": False,
}
OWN = {each.name: each.default for each in dataclasses.fields(main.Parameters)}
for each in dataclasses.fields(main.Parameters):
    each.default = RELEASED[each.name]
    setattr(main.Parameters, each.name, each.default)
    of_init = main.Parameters.__init__
    if each.kw_only:
        of_init.__kwdefaults__[each.name] = each.default
of_init.__defaults__ = tuple(
    each.default for each in dataclasses.fields(main.Parameters) if not each.kw_only
)


def released_options(*given):
    """Return options of main.py that make its own parameters the released ones, but for those given."""
    options = []
    for name, value in RELEASED.items():
        option = f"--{name.replace('_', '-')}"
        if OWN[name] == value or option in given:
            continue
        if isinstance(value, bool):
            options.append(option if value else option.replace("--", "--no-", 1))
        else:
            options += [option, *(value if isinstance(value, tuple) else [value])]
    return options


def command(module):
    """Return a function of monkeypatch and arguments that runs a module's command line here.

    The module is main or one of the experiments. The function returns what the command exits with: a
    message or a code, or None if it ends well.
    """

    def cli(monkeypatch, *arguments):
        name = module.__name__.split(".")[-1]
        names = ("run", "Parameters") if name == "main" else ("main", "Options")
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        try:
            command_line(*(getattr(module, name) for name in names))
        except SystemExit as end:
            return end.code

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
def published(network):
    """task_size (20000, 9) and gain_min (20000,) of the published data set."""
    return load_data(DATA, network)[:2]


def check_figure(path):
    """Check that a figure is saved as a paper's column takes it, and with its data."""
    import matplotlib.image

    _, width, _ = matplotlib.image.imread(path.with_suffix(".png")).shape
    assert width == 1039  # 88 mm at 300 dpi
    pdf = path.with_suffix(".pdf").read_bytes()
    (box,) = re.findall(rb"/MediaBox \[ *([^]]*)\]", pdf)
    assert float(box.split()[2]) == pytest.approx(88 / 25.4 * 72)
    assert b"/Type3" not in pdf and b"/CIDFontType2" in pdf  # TrueType
    assert path.with_suffix(".csv").read_text()

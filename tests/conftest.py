"""What the tests share: the published data set, and the network it was made for."""

import signal
import sys
from pathlib import Path

import pytest

from main import command_line
from MUMT import MUMT, load_data

# A shell has its background processes ignore Ctrl-C, and so would those that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "MUMT_data_3X3.mat"


def command(module):
    """Return a function of monkeypatch and arguments that runs a module's command line here.

    The module is one of the experiments or main. The function returns what the command exits with: a
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


@pytest.fixture(scope="session")
def network():
    return MUMT(3, 3)


@pytest.fixture(scope="session")
def published(network):
    """task_size (20000, 9) and gain_min (20000,) of the published data set."""
    return load_data(DATA, network)

"""Command lines: interruptions, aliases, odd options, lists of commands."""

import re
import signal
import sys
import time
from contextlib import chdir
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import main
from ddlo.command_line import run_command

from ..conftest import DATA, FUZZ, ROOT, command, python, start_python
from .test_files import assert_one_message

cli = command(main)
SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


# Interruptions


@pytest.mark.slow
@pytest.mark.parametrize(
    "number, seconds", [(signal.SIGINT, 0), (signal.SIGTERM, 1), (signal.SIGINT, 4)]
)
def test_signal_ends_main_with_one_line_and_no_files(tmp_path, number, seconds):
    out = tmp_path / "out"
    with start_python("main.py", "--frames", 10**7, "--out", out) as process:
        while process.poll() is None and not out.exists():
            time.sleep(0.001)
        time.sleep(seconds)  # TensorFlow starts, compiles, and the loop runs
        process.send_signal(number)
        shown, errors = process.communicate()
    assert (process.returncode, shown, errors) == (128 + number, "", f"{SIGNALS[number]}\n")
    assert not list(tmp_path.iterdir())


def test_library_errors_do_not_hide_an_interruption(monkeypatch, capsys):
    def careless(parameters):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise ImportError("half imported") from error

    monkeypatch.setattr(sys, "argv", ["careless.py"])
    assert run_command(careless, main.Parameters) == 143
    assert capsys.readouterr().err == "terminated\n"


# Options


@pytest.mark.parametrize(
    "options, name, value",
    [
        (("--K", 5), "net_num", 5),
        (("--lr=0.5",), "learning_rate", 0.5),
        (("--beta", 2), "delay_weight", 2),
        (("--alpha", 1e-7), "edge_cost_per_bit", 1e-7),
        (("--N", 4), "users", 4),
        (("--memory", 7), "memory_size", 7),
        (("--task_num", 2), "tasks", 2),
        (("--batch-size", 9), "batch_size", 9),
        (("--CUL", 12.5), None, 2),  # another unit than --uplink: refused with exit code 2
    ],
)
def test_common_names_of_parameters(monkeypatch, options, name, value):
    found = []
    monkeypatch.setattr(main, "run", found.append)
    code = cli(monkeypatch, *options)
    assert (getattr(found[0], name) if name else code) == value


ODD = ["", "3", "-1", "0", "nan", "inf", "1e-320", "1e308", "None", "True", "equal", "a\nb"]
odd_texts = st.sampled_from([*ODD, "x" * 5000]) | st.text(max_size=20).filter(
    lambda text: "\0" not in text
)


@settings(max_examples=40 * max(1, FUZZ))
@given(
    odd=st.dictionaries(st.sampled_from(fields(main.Parameters)), odd_texts, min_size=1, max_size=3)
)
def test_odd_options_are_accepted_or_refused_in_one_line(tmp_path, odd):
    run = main.run

    def algorithm(*arguments):
        raise ValueError("the parameters are accepted")

    options = ["--frames=20", f"--data={DATA}", "--hidden", "3", "--out=out"]
    options += [f"--{each.name.replace('_', '-')}={value}" for each, value in odd.items()]
    with chdir(tmp_path), pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(main, "run", lambda parameters: run(parameters, algorithm=algorithm))
        message = cli(monkeypatch, *options)
        assert message == 2 or assert_one_message(message, "main.py: ") is None
        assert not list(tmp_path.iterdir())


# Lists of commands


@pytest.mark.parametrize("package", ["experiments", "tools"])
def test_list_of_commands_has_all_of_them(package):
    code, printed, _ = python("-m", package)
    commands = [path.parent for path in (ROOT / package).glob("*/__main__.py")]
    files = (ROOT / package).glob("*.py")
    commands += [path for path in files if "\n    command_line(" in path.read_text()]
    listed = re.findall(rf"^python -m {package}\.(\w+)  ", printed, re.MULTILINE)
    assert code == 0 and listed == sorted(path.stem for path in commands)

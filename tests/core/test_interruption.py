"""Ctrl-C, SIGTERM and kill -9 at any time: one line, an exit code, and nothing left behind."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ddlo.command_line import command_line
from ddlo.files import atomic_file, atomic_folder
from ddlo.interruption import Interrupted, held_back, interruptible

from ..conftest import python, released_options, start_python

SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def wait_until_handled(process):
    """Wait until a process handles SIGTERM, which main.py has it do first of all."""
    bit = 1 << (signal.SIGTERM - 1)
    while process.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        caught = next(line for line in lines if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) & bit:
            return
        time.sleep(0.001)
    raise AssertionError(process.communicate())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="tells when a signal is handled")
@pytest.mark.parametrize("seconds", [0, 0.1, 1.5, 3, 8])
@pytest.mark.parametrize("number", SIGNALS)
def test_signal_ends_main_at_any_time(tmp_path, number, seconds):
    out = tmp_path / "out"
    few = ("--frames", 10**7, "--out", out)
    with start_python("main.py", *few, *released_options("--frames", "--out")) as process:
        wait_until_handled(process)
        time.sleep(seconds)
        process.send_signal(number)
        shown, errors = process.communicate()
    assert (process.returncode, shown, errors) == (128 + number, "", f"{SIGNALS[number]}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="tells when a signal is handled")
def test_terminal_interrupts_all_processes_with_one_line():
    for _ in range(20):
        with start_python("main.py", "--help", start_new_session=True) as process:
            wait_until_handled(process)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
            errors = process.communicate()[1]
        assert (process.returncode, errors) == (130, "interrupted\n")


@dataclass
class NoParameters:
    pass


def test_what_a_library_makes_of_it_is_an_interruption(monkeypatch, capsys):
    def careless(parameters):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise ImportError("half imported") from error

    monkeypatch.setattr(sys, "argv", ["careless.py"])
    with pytest.raises(SystemExit) as end:
        command_line(careless, NoParameters)
    assert end.value.code == 143 and capsys.readouterr().err == "terminated\n"


def test_swallowed_signal_comes_again():
    class Careless:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)  # what it raises is ignored here

    with pytest.raises(Interrupted), interruptible():
        thing = Careless()
        del thing
        time.sleep(10)


def test_signal_waits_for_what_is_done_in_a_moment():
    done = []
    with pytest.raises(Interrupted), interruptible():
        with held_back():
            signal.raise_signal(signal.SIGINT)
            done.append("all")
        done.append("more")
    assert done == ["all"]


def test_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible(), held_back():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# What a killed process leaves

HELD = """
import sys, time
from pathlib import Path
from ddlo.files import atomic_file, atomic_folder
kind, out = sys.argv[1:]
with {"file": atomic_file, "folder": atomic_folder}[kind](Path(out)) as partial:
    (partial / "new.txt" if kind == "folder" else partial).write_text("new")
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["file", "folder"])
def writing(request, tmp_path):
    """A process that is writing to tmp_path, what it is writing to, and how."""
    out = tmp_path / "file.txt" if request.param == "file" else tmp_path
    process = start_python("-c", HELD, request.param, out)
    assert process.stdout.readline() == "ready\n"
    yield process, out, {"file": atomic_file, "folder": atomic_folder}[request.param]
    process.kill()
    process.communicate()


def write(kind, out):
    with kind(out) as partial:
        (partial / "mine.txt" if kind is atomic_folder else partial).write_text("mine")


def test_next_process_sweeps_what_a_killed_one_has_left(tmp_path, writing):
    process, out, kind = writing
    process.kill()
    process.wait()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".partial-")
    write(kind, out)
    (written,) = tmp_path.iterdir()
    assert written.read_text() == "mine"


def test_nobody_sweeps_what_a_living_process_writes(tmp_path, writing):
    _, out, kind = writing
    before = {path.name for path in tmp_path.iterdir()}
    with atomic_file(tmp_path / "other.txt") as partial:
        partial.write_text("other")
    if kind is atomic_folder:
        with pytest.raises(ValueError, match="another run is writing to"):
            write(kind, out)
    assert {path.name for path in tmp_path.iterdir()} == before | {"other.txt"}


def test_folders_of_others_are_not_swept(tmp_path):
    (tmp_path / ".partial-photos").mkdir()
    write(atomic_folder, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", ".partial-photos"}


GUARDED = """
import os, sys
from pathlib import Path
from ddlo.interruption import guard
sys.argv[0] = "program.py"
guard()
from ddlo.files import atomic_folder
with atomic_folder(Path(sys.argv[1])) as folder:
    (folder / "new.txt").write_text("new")
    print("ready", flush=True)
    exec(sys.argv[2])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no process beside it")
@pytest.mark.parametrize("end", ["os.abort()", "os.kill(os.getpid(), 9)", "os._exit(1)"])
def test_program_that_ends_without_a_word(tmp_path, end):
    code, out, errors = python("-c", GUARDED, tmp_path, end)
    assert code and out == "ready\n" and not list(tmp_path.iterdir())
    assert errors == "program.py: ended abruptly: it was killed, or there was too little memory\n"


@pytest.mark.parametrize("end", ["sys.exit(0)", "pass"])
def test_program_that_ends_well_says_nothing(tmp_path, end):
    assert python("-c", GUARDED, tmp_path, end) == (0, "ready\n", "")


@pytest.mark.slow
def test_flags_that_tensorflow_does_not_know(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--nonsense=3")
    few = ("--frames", 20, "--out", tmp_path)
    code, out, errors = python("main.py", *few, *released_options("--frames", "--out"))
    assert code and out == "" and errors.count("\n") == 1
    assert errors.startswith("main.py: ended abruptly: ") and "XLA_FLAGS: --nonsense=3" in errors
    assert not list(tmp_path.iterdir())


FULL = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # as if the disk were full from there on
sys.argv = ["main.py", *sys.argv[1:]]
import runpy
runpy.run_path("main.py", run_name="__main__")
"""


@pytest.mark.slow
def test_full_disk_leaves_the_old_files(tmp_path):
    for name in ("report.json", "model.npz", "gain_ratio.png"):
        (tmp_path / name).write_text("old")
    few = ("--device", "CPU", "--frames", 20, "--out", tmp_path)  # XLA writes files for a GPU
    process = start_python("-c", FULL, *few, *released_options(*few[::2]))
    errors = process.communicate()[1]
    assert process.returncode == 1 and errors.startswith("main.py: ") and errors.count("\n") == 1
    assert {path.read_text() for path in tmp_path.iterdir()} == {"old"}
    assert len(list(tmp_path.iterdir())) == 3

"""Files: written whole or not at all; whatever is wrong with one that is read is one message."""

import csv
import os
import re
import subprocess
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from decimal import Decimal
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import main
from ddlo.candidates import Flips
from ddlo.checkpoint import Checkpoint, saved_parameters
from ddlo.data import Data
from ddlo.files import atomic_file, output_folder, parse_sizes
from ddlo.scale import Scale
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import FUZZ, start_python

# Whole or not at all

HELD = """
import sys, time
from pathlib import Path
from ddlo.files import atomic_file, output_folder
kind, out = sys.argv[1:]
with {"file": atomic_file, "folder": output_folder}[kind](Path(out)) as partial:
    (partial / "new.txt" if kind == "folder" else partial).write_text("new")
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["file", "folder"])
def writing(request, tmp_path):
    """A process that is writing to tmp_path, and what."""
    out = tmp_path / "file.txt" if request.param == "file" else tmp_path
    process = start_python("-c", HELD, request.param, out)
    assert process.stdout.readline() == "ready\n"
    yield process, request.param
    process.kill()
    process.communicate()


def write(out):
    with output_folder(out) as partial:
        (partial / "mine.txt").write_text("mine")


def test_next_run_removes_what_a_killed_one_left(tmp_path, writing):
    process, _ = writing
    process.kill()
    process.wait()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(f".partial-{process.pid}")
    write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_run_does_not_write_where_another_one_does(tmp_path, writing):
    _, kind = writing
    before = {path.name for path in tmp_path.iterdir()}
    with atomic_file(tmp_path / "other.txt") as partial:
        partial.write_text("other")
    if kind == "folder":
        with pytest.raises(ValueError, match="another run is writing to"):
            write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == before | {"other.txt"}


def test_folder_of_an_earlier_process_with_this_number_is_removed(tmp_path):
    # As in a container, where every run has the same number.
    left = tmp_path / f".partial-{os.getpid()}"
    left.mkdir()
    os.utime(left, (1e9, 1e9))
    (tmp_path / ".partial-photos").mkdir()
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", ".partial-photos"}


def test_failure_leaves_no_folder(tmp_path):
    with pytest.raises(KeyError), output_folder(tmp_path / "a" / "b"):
        raise KeyError
    assert not list(tmp_path.iterdir())


FULL = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # as if the disk were full from there on
sys.argv = ["main.py", *sys.argv[1:]]
runpy.run_path("main.py", run_name="__main__")
"""


@pytest.mark.slow
def test_full_disk_leaves_the_old_files(tmp_path):
    for name in ("report.json", "model.npz", "gain_ratio.png"):
        (tmp_path / name).write_text("old")
    few = ("--device", "CPU", "--frames", 20, "--out", tmp_path)  # XLA writes files for a GPU
    process = start_python("-c", FULL, *few, stdout=subprocess.DEVNULL)
    errors = process.communicate()[1]
    assert process.returncode == 1 and errors.startswith("main.py: ") and errors.count("\n") == 1
    assert {path.read_text() for path in tmp_path.iterdir()} == {"old"}
    assert len(list(tmp_path.iterdir())) == 3


# Damaged files

DAMAGE = {
    "changed": lambda content, at, some: content[:at] + some + content[at + len(some) :],
    "inserted": lambda content, at, some: content[:at] + some + content[at:],
    "cut out": lambda content, at, some: content[:at] + content[at + len(some) :],
    "ends early": lambda content, at, some: content[:at],
    "begins late": lambda content, at, some: content[at:],
}
damages = st.lists(
    st.tuples(st.sampled_from(sorted(DAMAGE)), st.floats(0, 1), st.binary(min_size=1, max_size=9)),
    min_size=1,
    max_size=3,
)


def write_damaged(path, content, damages):
    for kind, place, some in damages:
        content = DAMAGE[kind](content, int(place * len(content)), some)
    path.write_bytes(content)


def assert_one_message(message, *words):
    message = str(message)
    assert message and "\n" not in message and len(message) < 600, message
    assert all(str(word) in message for word in words), message


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of the checkpoint of a small run, which is also a saved model."""
    folder = tmp_path_factory.mktemp("model")
    parameters = main.Parameters(frames=20, hidden=(3,), checkpoint=8)
    net = MemoryDNN(
        [9, 3, 9], 3, memory_size=1024, seed=1, scale=Scale(1, 5), candidates=Flips(1, 1, 3)
    )
    ddlo, data = main.DDLO(net, MUMT(3, 3)), Data(np.zeros((2, 9)))
    checkpoint = Checkpoint(parameters, folder, ddlo, data)
    checkpoint.save(np.zeros(16, np.int32), np.zeros((16, 9), np.uint8))
    return checkpoint.path


@settings(max_examples=200 * max(1, FUZZ))
@given(damages=damages)
def test_damaged_model(model, tmp_path, damages):
    path = tmp_path / "damaged.npz"
    write_damaged(path, model.read_bytes(), damages)
    for load in (MemoryDNN.load, lambda path: saved_parameters(path, main.Parameters)):
        try:
            loaded = load(path)
        except ValueError as error:
            assert_one_message(error, path, " is not a saved ")
            continue
        # Damage outside the arrays, which have a checksum, does not matter.
        if isinstance(loaded, MemoryDNN):
            whole = MemoryDNN.load(model)
            h = np.arange(9.0)
            np.testing.assert_array_equal(loaded.decode(h), whole.decode(h))
            assert loaded.content()[1] == whole.content()[1]
        else:
            assert loaded == saved_parameters(model, main.Parameters) | {"out": tmp_path}


class Reader:
    """Loads data sets in another process, as damaged ones may crash SciPy's reader."""

    def __init__(self):
        self._executor = None

    def load(self, path, network):
        """Return the Data, or None if the process crashed."""
        if self._executor is None:
            self._executor = ProcessPoolExecutor(1, get_context("spawn"))
        try:
            return self._executor.submit(Data.load, path, network).result()
        except BrokenProcessPool:
            self.close()
            return None

    def close(self):
        if self._executor:
            self._executor.shutdown()
        self._executor = None


@pytest.fixture(scope="module")
def reader():
    reader = Reader()
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.mat"
    Data.generate(MUMT(2, 2), samples=20).save(path, MUMT(2, 2))
    return path


@settings(max_examples=150 * max(1, FUZZ))
@given(damages=damages)
def test_damaged_data_set(reader, data_set, tmp_path, damages):
    path, network = tmp_path / "damaged.mat", MUMT(2, 2)
    write_damaged(path, data_set.read_bytes(), damages)
    try:
        loaded = reader.load(path, network)
    except ValueError as error:
        assert_one_message(error, path)
        return
    if loaded:
        assert loaded.states.dtype == loaded.gain_min.dtype == np.float64
        expected, _, meaning = network.reference(loaded.states)
        assert loaded.reference == meaning
        np.testing.assert_allclose(loaded.gain_min, expected, rtol=1e-9)


# Task sizes as text

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
cells = (
    st.integers(0, 40).map(str)
    | st.floats(0, 1e31).map(repr)
    | st.sampled_from(
        ["", "nan", "-1", "inf", "1_0", "١٢", "x", '"3"', "1e999", "0x10", "9" * 5000]
    )
    | st.text(max_size=5)
)
lines = st.tuples(st.lists(cells, max_size=6), st.sampled_from([",", ";", "\t", " ", ", "])).map(
    lambda line: line[1].join(line[0])
) | st.text(max_size=2000)


@settings(max_examples=500 * max(1, FUZZ))
@given(lines)
def test_odd_line_of_task_sizes(line):
    try:
        sizes = parse_sizes(line, 4)
    except (ValueError, csv.Error) as error:
        assert_one_message(error)
        return
    if sizes is not None:
        found = [cell.strip().strip('"') for cell in re.split(r"[;\t,]|\s+", line)]
        found = [cell for cell in found if cell]
        assert len(sizes) == len(found) == 4
        for size, cell in zip(sizes, found):
            assert NUMBER.fullmatch(cell) and size == float(Decimal(cell)) and 0 <= size <= 1e30

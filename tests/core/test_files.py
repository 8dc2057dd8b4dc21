"""Files: written whole or not at all; damage to a file that is read is reported in one line."""

import os

import numpy as np
import pytest
import scipy.io
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
    """A process that is writing to tmp_path: a file, or a folder of them."""
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


def test_failures_leave_the_old_files_and_nothing_else(tmp_path, monkeypatch):
    with pytest.raises(KeyError), output_folder(tmp_path / "a" / "b"):
        raise KeyError

    def disk_full(file, *arrays, **options):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", disk_full)
    monkeypatch.setattr(scipy.io, "savemat", disk_full)
    network = MUMT(2, 2)
    for name, save in [
        ("data.mat", lambda path: Data.generate(network, 3).save(path, network)),
        ("model.npz", MemoryDNN([9, 5, 9], 1).save),
    ]:
        (tmp_path / name).write_text("kept")
        with pytest.raises(OSError, match="no space left"):
            save(tmp_path / name)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["kept", "kept"]


# Damaged files


def assert_one_message(message, *words):
    message = str(message)
    assert message and "\n" not in message and len(message) < 600, message
    assert all(str(word) in message for word in words), message


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of the checkpoint of a small run, which is also a saved model."""
    rules = {"scale": Scale(1, 5), "candidates": Flips(1, 1, 3)}
    ddlo = main.DDLO(MemoryDNN([9, 3, 9], 3, seed=1, **rules), MUMT(3, 3))
    parameters = main.Parameters(frames=20, hidden=(3,), checkpoint=8)
    folder = tmp_path_factory.mktemp("model")
    checkpoint = Checkpoint(parameters, folder, ddlo, Data(np.zeros((2, 9))))
    checkpoint.save(np.zeros(16, np.int32), np.zeros((16, 9), np.uint8))
    return checkpoint.path


# A place in the file, the number of bytes to cut out there, and what to insert instead.
splices = st.tuples(st.floats(0, 1), st.sampled_from([0, 1, 9, 10**6]), st.binary(max_size=9))


@settings(max_examples=100 * max(1, FUZZ))
@given(st.lists(splices, min_size=1, max_size=3))
def test_damaged_model(model, tmp_path, splices):
    path, content = tmp_path / "damaged.npz", model.read_bytes()
    for place, cut, inserted in splices:
        at = int(place * len(content))
        content = content[:at] + inserted + content[at + cut :]
    path.write_bytes(content)
    # Damage outside the arrays, which have a checksum, does not matter.
    try:
        loaded, whole, h = MemoryDNN.load(path), MemoryDNN.load(model), np.arange(9.0)
        np.testing.assert_array_equal(loaded.decode(h), whole.decode(h))
        assert loaded.content()[1] == whole.content()[1]
    except ValueError as error:
        assert_one_message(error, path, " is not a saved ")
    try:
        expected = saved_parameters(model, main.Parameters) | {"out": tmp_path}
        assert saved_parameters(path, main.Parameters) == expected
    except ValueError as error:
        assert_one_message(error, path, " is not a saved ")


# Task sizes as text


@pytest.mark.parametrize(
    "line, sizes",
    [
        ("10,20.5, 3e1 ,0", [10, 20.5, 30, 0]),
        ("10 ; 20;30;40", [10, 20, 30, 40]),
        ("10\t20\t30\t40\n", [10, 20, 30, 40]),
        ("10  20 30 40", [10, 20, 30, 40]),
        ('"10",20,"30",40', [10, 20, 30, 40]),
        ("0;1;2;3", None),
        ('"0","1","2","3"', None),
        ("1_1,1_2,2_1,2_2", None),
        ("task 1, and so on", None),
        ("0.0,1.0,2.0,3.0", [0, 1, 2, 3]),
        (" ,, ,", []),
        ("10,b,c,d", ValueError),
        ('"10,5",20,30', ValueError),
        ("nan,nan,nan,nan", ValueError),
        ("10,-1,30,40", ValueError),
        ("10,20,30,1e31", ValueError),
        ("10,20,30", ValueError),
        ("10,20,30,4_0", ValueError),
    ],
)
def test_first_line_of_task_sizes(line, sizes):
    if sizes is ValueError:
        with pytest.raises(ValueError, match="line 1: "):
            parse_sizes(line, 4, number=1)
    else:
        assert parse_sizes(line, 4, number=1) == sizes

"""Whatever is wrong with a file or a value is one message; what is accepted is what is there."""

import csv
import json
import re
import shutil
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import chdir
from dataclasses import dataclass, fields
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Optional

import h5py
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import main
from ddlo.backend import tf
from ddlo.bandwidth import JointMUMT
from ddlo.candidates import Flips
from ddlo.checkpoint import Checkpoint, interrupted_run
from ddlo.dataset import generate, load_data, save_data
from ddlo.files import DIGEST, digest
from ddlo.inputs import RELEASED, Scale, described_scale
from ddlo.models import make_net
from ddlo.sizes import parsed
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import DATA, command
from .fuzzing import (
    assert_one_message,
    changed_content,
    damaged,
    damages,
    fuzzed,
    odd_objects,
    odd_texts,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # of NumPy, that all is not well

# Models


@pytest.fixture(scope="module")
def eagerly():
    """Nothing is compiled, which would take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def model(tmp_path_factory, eagerly):
    """The path of a small saved MemoryDNN that has been trained for some steps."""
    path = tmp_path_factory.mktemp("model") / "model.npz"
    scale = Scale((10.0, 10.0, 5.0), (30.0, 30.0, 5.0))
    sizes = {"batch_size": 4, "memory_size": 600, "training_interval": 3}
    net = MemoryDNN([3, 4, 2], 2, **sizes, seed=1, scale=scale, candidates=Flips(1, 1, 2))
    random = np.random.default_rng(0)
    net.encode(random.normal(size=(530, 3)), random.integers(2, size=(530, 2)))
    net.save(path)
    return path


def content_of(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def as_today(content):
    """What is in a model's file, if it is of an earlier version: without digest, scale, or a log."""
    content.pop(DIGEST, None)
    parameters = {"scale": described_scale(RELEASED)} | json.loads(str(content["parameters"]))
    parameters.pop("output_graph", None)
    return content | {"parameters": json.dumps(parameters, sort_keys=True)}


def check_model(path):
    """Load a model: assert that it is refused with one message, or is what is in its file."""
    try:
        net = MemoryDNN.load(path)
    except ValueError as error:
        assert_one_message(error, path, " is not a saved MemoryDNN: ")
        return
    net.save(path.with_name("again.npz"))
    content, again = (as_today(content_of(each)) for each in (path, path.with_name("again.npz")))
    assert digest(content) == digest(again)
    try:  # it decides and learns, or says what does not go
        decisions = net.decode(np.zeros((1, net.net[0])))
        net.encode(np.zeros((9, net.net[0])), np.zeros((9, net.net[-1])))
    except (ValueError, FloatingPointError) as error:
        assert_one_message(error)
    else:
        assert np.isin(decisions, (0, 1)).all()


@fuzzed(150)
@given(damages)
def test_damaged_model(model, tmp_path, damages):
    path = tmp_path / "damaged.npz"
    path.write_bytes(damaged(model.read_bytes(), damages))
    check_model(path)


@fuzzed(150)
@given(st.data(), st.booleans())
def test_model_with_other_content(model, tmp_path, data, has_digest):
    path = tmp_path / "other.npz"
    content = content_of(model)
    del content[DIGEST]  # as files of earlier versions
    content = data.draw(changed_content(content))
    if has_digest:
        content[DIGEST] = np.array(digest(content))
    np.savez(path, **content)
    check_model(path)


# Checkpoints


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, eagerly):
    """The checkpoint of a small run of 20 frames, after 16 of them."""
    folder = tmp_path_factory.mktemp("checkpoint")
    parameters = main.Parameters(frames=20, hidden=(3,), checkpoint=8, out=folder)
    network = MUMT(3, 3)
    net = make_net(parameters, network, (9, 9), np.zeros((1, 9)))
    checkpoint = Checkpoint.of(
        parameters, folder, main.DDLO(net, network), (np.zeros((2, 9)), None, None)
    )
    chosen, decision = np.zeros(20, np.int32), np.zeros((20, 9), np.uint8)
    checkpoint.save(net, 8, chosen, decision)
    checkpoint.save(net, 16, chosen, decision)
    return checkpoint.folder


@fuzzed(150)
@given(st.data(), damages)
def test_damaged_checkpoint(interrupted, tmp_path, data, damages):
    folder = shutil.copytree(interrupted, tmp_path / "checkpoint", dirs_exist_ok=True)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    path.write_bytes(damaged(path.read_bytes(), damages))
    chosen, decision = np.ones(20, np.int32), np.ones((20, 9), np.uint8)
    try:
        parameters = interrupted_run(main.Parameters(resume=folder), main.Parameters)
        checkpoint = Checkpoint(folder, parameters.checkpoint)
        MemoryDNN.load(checkpoint.model)
        assert checkpoint.restore(chosen, decision) == 16
    except ValueError as error:
        assert_one_message(error, path, " is not ")
        return
    assert (parameters.frames, parameters.hidden, parameters.checkpoint) == (20, (3,), 8)
    assert not chosen[:16].any() and not decision[:16].any()


# Data sets


@pytest.fixture(scope="module", params=["v5", "v7.3"])
def data_set(request, tmp_path_factory):
    """The path of a small data set for MUMT(2, 2) in one of MATLAB's formats."""
    path = tmp_path_factory.mktemp("data") / "data.mat"
    content = generate(MUMT(2, 2), samples=20)
    if request.param == "v5":
        save_data(path, content)
    else:
        write_hdf5(path, content)
    return path


def write_hdf5(file, content):
    """Write a dict as MATLAB writes v7.3, to a path or an open HDF5 file."""
    if isinstance(file, Path):
        with h5py.File(file, "w") as opened:
            return write_hdf5(opened, content)
    for name, value in content.items():
        if isinstance(value, dict):
            write_hdf5(file.create_group(name), value)
        elif isinstance(value, str):
            file[name] = np.array([[ord(letter)] for letter in value], np.uint16)
            file[name].attrs["MATLAB_class"] = np.bytes_("char")
        else:
            file[name] = np.transpose(np.atleast_2d(value))


class Reader:
    """Another process that loads data sets, as damaged ones of v5 may crash SciPy's reader."""

    def __init__(self):
        self._executor = None

    def load(self, path, network):
        """Return what load_data does, or None where the process has crashed."""
        if self._executor is None:
            self._executor = ProcessPoolExecutor(1, get_context("spawn"))
        try:
            return self._executor.submit(load_data, path, network).result()
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


def check_data_set(reader, path, network):
    """Load a data set: assert that it is refused with one message, or that its optima are right."""
    try:
        loaded = reader.load(path, network)
    except ValueError as error:
        assert_one_message(error, path)
        return
    if loaded:
        states, gain_min, reference = loaded
        assert states.dtype == gain_min.dtype == np.float64
        expected, _, meaning = network.reference(states)
        assert reference == meaning
        np.testing.assert_allclose(gain_min, expected, rtol=1e-9)


@fuzzed(100)
@given(damages)
def test_damaged_data_set(reader, data_set, tmp_path, damages):
    path = tmp_path / "damaged.mat"
    path.write_bytes(damaged(data_set.read_bytes(), damages))
    check_data_set(reader, path, MUMT(2, 2))


@pytest.mark.parametrize("network", [MUMT(2, 2), JointMUMT(13, 1)], ids=["equal", "optimal"])
@fuzzed(60)
@given(st.data())
def test_data_set_with_other_content(reader, tmp_path, network, data):
    path = tmp_path / "other.mat"
    content = data.draw(changed_content(generate(network, samples=20)))
    try:
        save_data(path, content)
    except (TypeError, ValueError, OverflowError, IndexError):
        assume(False)  # MATLAB's format has nothing like it
    check_data_set(reader, path, network)


# Parameters from Python


class AllIsWell(Exception):
    """What is raised where a run would begin to compile."""


@fuzzed(300)
@given(
    st.dictionaries(st.sampled_from(fields(main.Parameters)), odd_objects, min_size=1, max_size=2)
)
def test_odd_parameters(tmp_path, eagerly, odd):
    def algorithm(*arguments):
        raise AllIsWell

    # A path is quoted as it is.
    assume(not any(each.type is Path and value == "a\nb" for each, value in odd.items()))
    with chdir(tmp_path):
        few = {"frames": 20, "data": DATA, "hidden": (3,), "out": "out"}
        values = few | {each.name: value for each, value in odd.items()}
        try:
            main.run(main.Parameters(**values), algorithm=algorithm)
        except AllIsWell:
            pass
        except (ValueError, OSError) as error:
            assert_one_message(error)
        assert not list(tmp_path.iterdir())


@dataclass
class OwnParameters(main.Parameters):
    """Parameters as a user may extend them."""

    notes: "list[str] | unknown" = None  # noqa: F821
    limit: Optional[int] = None  # noqa: UP045


def test_own_parameters_are_not_looked_at(tmp_path, eagerly):
    def algorithm(*arguments):
        raise AllIsWell

    with pytest.raises(AllIsWell):
        own = OwnParameters(frames=20, data=DATA, notes=["a"], limit="none", out=tmp_path / "out")
        main.run(own, algorithm=algorithm)


# Task sizes as text

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
cells = (
    st.integers(0, 40).map(str)
    | st.floats(0, 1e31).map(repr)
    | st.sampled_from(
        ["", "nan", "-1", "inf", "1_0", "١٢", "１２", "x", '"3"', "1e999", "0x10", "9" * 5000]
    )
    | st.text(max_size=5)
)
lines = st.tuples(st.lists(cells, max_size=6), st.sampled_from([",", ";", "\t", " ", ", "])).map(
    lambda line: line[1].join(line[0])
) | st.text(max_size=2000)


@fuzzed(1000)
@given(lines)
def test_odd_line_of_task_sizes(line):
    try:
        sizes = parsed(line, 4)
    except (ValueError, csv.Error) as error:
        assert_one_message(error)
        return
    if sizes is not None:
        found = [cell.strip().strip('"') for cell in re.split(r"[;\t,]|\s+", line)]
        found = [cell for cell in found if cell]
        assert len(sizes) == len(found) == 4
        for size, cell in zip(sizes, found):
            assert NUMBER.fullmatch(cell) and size == float(Decimal(cell)) and 0 <= size <= 1e30


# The command line


@fuzzed(300)
@given(st.dictionaries(st.sampled_from(fields(main.Parameters)), odd_texts, min_size=1, max_size=3))
def test_odd_options(tmp_path, eagerly, odd):
    run = main.run

    def algorithm(*arguments):
        raise ValueError("all is well")

    options = ["--frames=20", f"--data={DATA}", "--hidden", "3", "--out=out"]
    for each, value in odd.items():
        options.append(f"--{each.name.replace('_', '-')}={value}")
    with chdir(tmp_path), pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(main, "run", lambda parameters: run(parameters, algorithm=algorithm))
        message = command(main)(monkeypatch, *options)
        assert message == 2 or assert_one_message(message, "main.py: ") is None
        assert not list(tmp_path.iterdir())

"""As in the core: whatever is wrong is one message, for each experiment's command line and the runs."""

import csv
import io
import json
import shutil
import sys
from contextlib import chdir
from dataclasses import fields
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddlo.network import describe_network
from experiments import decide, engine
from experiments.benchmark import PARTS
from experiments.engine import Store
from experiments.runs import Run
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import command
from ..core.fuzzing import (
    assert_one_message,
    changed_content,
    changed_json,
    damaged,
    damages,
    fuzzed,
    odd_texts,
)
from ..core.test_fuzz import content_of, lines
from .made import result_of

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


# Runs that are stored


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A store with a run in it, the file that it is in, and what it gives."""
    run = Run(frames=100)
    monkeypatch.setattr(engine, "execute", result_of)
    store = Store(tmp_path / "runs")
    store.save(run, result_of(run))
    return store, run, store.path(run)


def check_stored(store, run):
    """Load a run that may be damaged: assert that it is the right one, and stored well again."""
    for _ in range(2):
        metrics, curves = store.load(run)
        expected, expected_curves = result_of(run)
        assert metrics == expected and curves.keys() == expected_curves.keys()
        for name, curve in curves.items():
            np.testing.assert_array_equal(curve, expected_curves[name])


@fuzzed(100)
@given(damages)
def test_damaged_run(stored, damages):
    store, run, path = stored
    path.write_bytes(damaged(path.read_bytes(), damages))
    check_stored(store, run)


@fuzzed(100)
@given(st.data())
def test_run_with_other_content(stored, data):
    store, run, path = stored
    content = data.draw(changed_content(content_of(path), keep=["run"]))
    np.savez(path, **content)
    check_stored(store, run)


# Deciding


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a model for MUMT(2, 2) with main.py's parameters.json beside it."""
    folder = tmp_path_factory.mktemp("model")
    MemoryDNN([4, 3, 4], 2, seed=0).save(folder / "model.npz")
    (folder / "parameters.json").write_text(
        json.dumps({"recombine": False, "network": describe_network(MUMT(2, 2))})
    )
    return folder / "model.npz"


@fuzzed(150)
@given(st.data(), damages, st.booleans())
def test_odd_parameters_beside_a_model(model, tmp_path, data, damages, is_damaged):
    copy = shutil.copytree(model.parent, tmp_path / "model", dirs_exist_ok=True)
    path, saved = copy / "parameters.json", (model.parent / "parameters.json").read_bytes()
    if is_damaged:
        path.write_bytes(damaged(saved, damages))
    else:
        path.write_text(json.dumps(data.draw(changed_json(json.loads(saved)))))
    options = decide.Options(copy / "model.npz")
    try:
        network, recombine = decide.saved_run(options)
    except ValueError as error:
        assert_one_message(error)
        return
    described = describe_network(network)
    of_file = json.loads(path.read_text())
    assert recombine is of_file["recombine"]
    of_file["network"].pop("rand_seed", None)  # which means nothing
    for name, value in of_file["network"].items():
        assert described[name] == value or np.array_equal(described[name], float(value)), name


@fuzzed(60)
@given(st.lists(lines, min_size=1, max_size=6))
def test_odd_lines_are_decided_or_refused(model, tmp_path, capsys, lines):
    path = tmp_path / "lines.csv"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace", newline="")
    with pytest.MonkeyPatch.context() as monkeypatch:
        message = cli_of("decide")(monkeypatch, "--model", model, "--task-sizes", path)
    out, errors = capsys.readouterr()
    header, *rows = csv.reader(io.StringIO(out))
    assert all(len(row) == len(header) for row in rows)
    assert all(np.isfinite(np.array(row, float)).all() for row in rows)
    for error in errors.splitlines():
        assert_one_message(error)
    if message:
        assert_one_message(message, f"{len(rows)} decided")


# Command lines


def all_is_well(*arguments, **options):
    """In place of what begins the work."""
    raise ValueError("all is well")


def cli_of(name):
    return command(import_module(f"experiments.{name}"))


# What each of them begins to work with, once its options are good.
WORK = {
    "benchmark": ("experiments.measure.PARTS", dict.fromkeys(PARTS, all_is_well)),
    "decide": ("experiments.decide.rows_of", all_is_well),
    "figures": ("experiments.figures.run_all", all_is_well),
    "generate_data": ("experiments.generate_data.generate", all_is_well),
    "wpmec": ("experiments.wpmec.run", all_is_well),
}


@pytest.mark.parametrize("name", WORK)
@fuzzed(40)
@given(st.data())
def test_odd_options(name, model, tmp_path, data):
    module = import_module(f"experiments.{name}")
    odd = data.draw(
        st.dictionaries(st.sampled_from(fields(module.Options)), odd_texts, min_size=1, max_size=3)
    )
    options = [f"--{each.name.replace('_', '-')}={value}" for each, value in odd.items()]
    if name == "wpmec":
        options = ["--users=3", "--samples=9", "--frames=9", *options]
    if name == "decide":
        sizes = model.with_name("sizes.csv")
        sizes.write_text("1,2,3,4\n")
        options = ["--model", model, "--task-sizes", sizes, *options]
    with chdir(tmp_path), pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(*WORK[name])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1,2,3,4\n")))
        message = cli_of(name)(monkeypatch, *options)
        message = str(message)
        assert message == "2" or assert_one_message(message, f"{name}.py: ") is None
        # The suite's store of runs is there before they are.
        written = [path.name for path in (*tmp_path.iterdir(), *tmp_path.glob("results/*"))]
        assert set(written) <= {"results", "runs"}

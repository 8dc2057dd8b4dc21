"""Damaged files, odd lines and odd options: each is one line of message, never a wrong result."""

import csv
import io
import json
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
from .made import result_of

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

odd = st.sampled_from(
    [None, True, 0, 1, -1, 3.0, 1.5, 1e308, 2**31, 2**63, float("nan"), float("inf"), "", "3"]
    + ["equal", "a\nb", "x" * 5000, [], [1], [[1, 2], [3]], {}, {"a": 1}]
)
odd_texts = odd.map(str) | st.text(max_size=20).filter(lambda text: "\0" not in text)
cells = st.integers(0, 40).map(str) | st.floats(0, 1e31).map(repr) | odd_texts
lines = st.tuples(st.lists(cells, max_size=5), st.sampled_from([",", ";", "\t", " "])).map(
    lambda line: line[1].join(line[0])
)


def assert_one_line(message):
    message = str(message)
    assert message and "\n" not in message and len(message) < 600, message


@given(place=st.floats(0, 1), some=st.binary(max_size=9), is_cut=st.booleans())
def test_damaged_run_is_executed_again(tmp_path, place, some, is_cut):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(engine, "execute", result_of)
        store, run = Store(tmp_path), Run(frames=100)
        expected, expected_curves = result_of(run)
        store.save(run, (expected, expected_curves))
        content = store.path(run).read_bytes()
        at = int(place * len(content))
        rest = b"" if is_cut else content[at + len(some) :]
        store.path(run).write_bytes(content[:at] + some + rest)
        metrics, curves = store.load(run)
    assert metrics == expected and curves.keys() == expected_curves.keys()
    for name, curve in curves.items():
        np.testing.assert_array_equal(curve, expected_curves[name])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a model for MUMT(2, 2) with main.py's parameters.json beside it."""
    folder = tmp_path_factory.mktemp("model")
    MemoryDNN([4, 3, 4], 2, seed=0).save(folder / "model.npz")
    (folder / "parameters.json").write_text(
        json.dumps({"recombine": False, "network": describe_network(MUMT(2, 2))})
    )
    return folder / "model.npz"


@given(st.data())
def test_odd_parameters_beside_a_model(model, tmp_path, data):
    saved = json.loads((model.parent / "parameters.json").read_text())
    part = data.draw(st.sampled_from([saved, saved["network"]]))
    part[data.draw(st.sampled_from([*part, "other"]))] = data.draw(odd)
    (tmp_path / "parameters.json").write_text(json.dumps(saved))
    try:
        network, recombine = decide.saved_network(decide.Options(tmp_path / "model.npz"))
    except ValueError as error:
        assert_one_line(error)
        return
    assert recombine is saved["recombine"]
    described = describe_network(network)
    for name, value in saved["network"].items():
        if name != "rand_seed":  # it has no effect
            assert described[name] == value or np.array_equal(described[name], float(value)), name


@given(st.lists(lines, min_size=1, max_size=6))
def test_odd_lines_are_decided_or_refused(model, tmp_path, capsys, lines):
    path = tmp_path / "lines.csv"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace", newline="")
    with pytest.MonkeyPatch.context() as monkeypatch:
        message = command(decide)(monkeypatch, "--model", model, "--task-sizes", path)
    out, errors = capsys.readouterr()
    header, *rows = csv.reader(io.StringIO(out))
    assert all(len(row) == len(header) for row in rows)
    assert all(np.isfinite(np.array(row, float)).all() for row in rows)
    for error in errors.splitlines():
        assert_one_line(error)
    if message:
        assert_one_line(message)
        assert f"{len(rows)} decided" in message


def all_is_well(*arguments, **options):
    """In place of the work that begins once all options are valid."""
    raise ValueError("all is well")


WORK = {
    "benchmark": ("experiments.measure.PARTS", dict.fromkeys(PARTS, all_is_well)),
    "decide": ("experiments.decide.rows_of", all_is_well),
    "figures": ("experiments.figures.run_all", all_is_well),
    "generate_data": ("experiments.generate_data.Data.generate", all_is_well),
    "wpmec": ("experiments.wpmec.run", all_is_well),
}


@pytest.mark.parametrize("name", WORK)
@given(st.data())
def test_odd_options(name, model, tmp_path, data):
    module = import_module(f"experiments.{name}")
    chosen = st.sampled_from(fields(module.Options))
    given_options = data.draw(st.dictionaries(chosen, odd_texts, min_size=1, max_size=3))
    options = {
        "wpmec": ["--users=3", "--samples=9", "--frames=9"],
        "decide": ["--model", model, "--task-sizes", model.with_name("sizes.csv")],
    }.get(name, [])
    model.with_name("sizes.csv").write_text("1,2,3,4\n")
    options += [f"--{each.name.replace('_', '-')}={v}" for each, v in given_options.items()]
    with chdir(tmp_path), pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(*WORK[name])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1,2,3,4\n")))
        message = command(module)(monkeypatch, *options)
    if message != 2:
        assert_one_line(message)
    written = [path.name for path in (*tmp_path.iterdir(), *tmp_path.glob("results/*"))]
    assert set(written) <= {"results", "runs"}  # the suite's store of runs

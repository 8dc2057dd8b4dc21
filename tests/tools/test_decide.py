"""Deciding with a trained DDLO by command line: what is printed, and what is refused."""

import csv
import gzip
import io
import json
import shutil

import numpy as np
import pytest

import main
from ddlo.bandwidth import JointMUMT
from ddlo.data import Data
from main import DDLO
from memory import MemoryDNN
from MUMT import MUMT
from tools import decide

from ..conftest import command, python, start_python
from ..core.test_files import assert_one_message

NETWORK = JointMUMT(3, 2, uplink_bandwidth=5)
SIZES = np.random.default_rng(0).integers(10, 31, (2500, 6)).astype(float)
LINE = "10,20,30,10,20,30"
ONE = np.array([[10.0, 20, 30, 10, 20, 30]])

cli = command(decide)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a hardly trained model in the output folder of main.py."""
    folder = tmp_path_factory.mktemp("trained")
    Data.generate(NETWORK, 100).save(folder / "data.mat", NETWORK)
    size = {"users": 3, "tasks": 2, "bandwidth": "optimal", "uplink": 40}
    few = {"frames": 60, "hidden": (20,), "seed": 3, "user_flips": 1, "recombine": True}
    main.run(main.Parameters(data=folder / "data.mat", out=folder / "run", **size, **few))
    return folder / "run" / "model.npz"


@pytest.fixture(scope="module")
def ddlo(model):
    return DDLO(MemoryDNN.load(model), NETWORK, recombine=True)


@pytest.fixture
def decided(model, tmp_path, monkeypatch, capsys):
    """A function that decides text: returns the rows by line number, stderr's lines, the error."""

    def decided(text, *options, model=model):
        (tmp_path / "sizes.csv").write_text(text)
        capsys.readouterr()
        error = cli(monkeypatch, "--model", model, "--task-sizes", tmp_path / "sizes.csv", *options)
        out, err = capsys.readouterr()
        return {int(row["line"]): row for row in rows_in(out)}, err.splitlines(), error

    return decided


def rows_in(text):
    return list(csv.DictReader(io.StringIO(text)))


def assert_decided(rows, task_size, ddlo):
    """Assert that rows are what a DDLO decides for task sizes (B, 6), and that the numbers are exact."""
    rows = list(rows)
    x = np.array([[int(row[f"x_{n}_{m}"]) for n in (1, 2, 3) for m in (1, 2)] for row in rows])
    np.testing.assert_array_equal(x, ddlo.decide(task_size)[1])
    assert [float(row["Q"]) for row in rows] == ddlo.network.compute_Q(task_size, x).tolist()
    c = [[float(row[f"c_{n}"]) for n in (1, 2, 3)] for row in rows]
    np.testing.assert_array_equal(c, ddlo.network.bandwidth_allocation(task_size, x))


@pytest.mark.parametrize("header", ["a,b,c,d,e,f", "0,1,2,3,4,5", '"0","1","2","3","4","5"'])
def test_file_with_a_header(ddlo, decided, header):
    rows, told, error = decided("\n".join([header, *(",".join(map(str, row)) for row in SIZES)]))
    assert list(rows) == [*range(2, 2502)] and error is None and told == []
    assert ",".join(rows[2]) == "line,x_1_1,x_1_2,x_2_1,x_2_2,x_3_1,x_3_2,Q,c_1,c_2,c_3"
    assert_decided(rows.values(), SIZES, ddlo)


def test_array(model, ddlo, tmp_path, capsys):
    for array in (np.arange(12).reshape(2, 6), SIZES.astype(np.float32), SIZES[0]):
        np.save(tmp_path / "sizes.npy", array)
        decide.main(decide.Options(str(model), str(tmp_path / "sizes.npy")))
        assert_decided(rows_in(capsys.readouterr().out), np.atleast_2d(array).astype(float), ddlo)


@pytest.mark.slow
def test_standard_input_is_answered_line_by_line(model, ddlo):
    with start_python("-m", "tools.decide", "--model", model, stdin=-1) as process:  # -1: a pipe
        head = process.stdout.readline()
        for task_size in SIZES[:3]:
            process.stdin.write(",".join(map(str, task_size)) + "\n")
            process.stdin.flush()
            rows = rows_in(head + process.stdout.readline())  # before the input ends
            assert_decided(rows, task_size[None], ddlo)
        process.stdin.write(f"10,20\n{LINE}\n")
        rest, error = process.communicate()
    assert [row["line"] for row in rows_in(head + rest)] == ["5"] and process.returncode == 1
    assert error.startswith("line 4: ") and "1 line refused, 4 decided" in error


def test_network_is_that_of_the_model_and_the_options(model, ddlo, tmp_path, decided):
    shutil.copytree(model.parent, tmp_path / "run")
    file = tmp_path / "run" / "parameters.json"
    saved = json.loads(file.read_text())
    other = saved | {"network": saved["network"] | {"delay_weight": 7}, "recombine": False}
    delay = JointMUMT(3, 2, uplink_bandwidth=5, delay_weight=7)
    for content, options, network, recombine in [
        (saved, (), NETWORK, True),
        (saved, ("--uplink", 80), JointMUMT(3, 2, uplink_bandwidth=10), True),
        (other, (), delay, False),
    ]:
        file.write_text(json.dumps(content))
        rows, *_ = decided(LINE, *options, model=tmp_path / "run" / "model")
        assert_decided(rows.values(), ONE, DDLO(ddlo.net, network, recombine))


def test_deciding_needs_no_tensorflow(model):
    options = f"Options({str(model)!r}, {str(model.parent / 'gain_ratio.csv')!r})"
    code = (
        f"import sys; from tools.decide import *\ntry: main({options})\nexcept ValueError: pass\n"
    )
    assert python("-c", f"{code}assert 'tensorflow' not in sys.modules")[0] == 0


def test_bad_lines_are_reported_and_the_others_decided(ddlo, decided):
    text = ["10,20,30", LINE, "", LINE.replace("30", "x"), "a,b,c,d,e,f", LINE, ",,", f"{LINE},"]
    text.append(LINE.replace("30", "1e-31"))
    rows, told, error = decided("\n".join(text))
    assert list(rows) == [2, 6] and error.endswith("5 lines refused, 2 decided")
    assert_decided(rows.values(), np.vstack([ONE, ONE]), ddlo)
    assert [line.split(":")[0] for line in told] == [f"line {n}" for n in (1, 4, 5, 8, 9)]
    assert "'x'" in told[1]
    assert decided("a,b\n\n\n") == ({}, [], "decide.py: 0 lines refused, 0 decided")


def test_sizes_outside_the_range_in_training_are_reported_once(decided):
    assert decided(f"{LINE}\n{LINE.replace('30', '30.01')}")[1:] == ([], None)
    rows, told, error = decided(f"{LINE}\n10,20,45,10,20,30\n500,500,500,500,500,500")
    assert list(rows) == [1, 2, 3] and error is None and len(told) == 1
    assert all(part in told[0] for part in ("line 2", "45 MB", "10 to 30 MB"))


def test_other_files_are_named(model, tmp_path, capsys):
    np.save(tmp_path / "shape.npy", SIZES[:, :5])
    np.save(tmp_path / "object.npy", np.array([1, None]))
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"1,2"))
    kinds = {"shape.npy": "(2500, 5)", "object.npy": "object", "x.gz": r"\x1f\x8b"}
    kinds |= {model: "PK", model.with_name("history.mat"): "MATLAB 5.0", ".": "a folder"}
    for path, kind in kinds.items():
        with pytest.raises(ValueError) as error:
            decide.main(decide.Options(model, tmp_path / path))
        assert_one_message(error.value, tmp_path / path, kind)
    assert not capsys.readouterr().out


BAD = [("model", "nowhere"), ("task_sizes", "nowhere.csv"), ("users", 4), ("users", "3")]
BAD += [("uplink", 0)]


@pytest.mark.parametrize("option, value", BAD)
def test_bad_options_end_with_one_message(model, capsys, option, value):
    with pytest.raises((ValueError, OSError)) as error:
        decide.main(decide.Options(**{"model": model, option: value}))
    assert_one_message(error.value)
    assert option in str(error.value) or str(value) in str(error.value)
    assert not capsys.readouterr().out


def test_parameters_of_another_program_are_refused(model, tmp_path):
    shutil.copy(model, tmp_path / "model.npz")
    saved = json.loads((model.parent / "parameters.json").read_text())
    network = saved["network"]
    for content, word in [
        (saved | {"network": None}, "is not from main.py"),
        (saved | {"recombine": 1}, "recombine"),
        (saved | {"network": network | {"delay_weight": "2"}}, "delay_weight"),
        (saved | {"network": network | {"speed": 2}}, "speed"),
        (saved | {"network": {"class": "JointMUMT"}}, "'N' and 'M'"),
        (saved | {"network": network | {"class": "Deadline"}}, "no MUMT or JointMUMT"),
        (None, "no MUMT or JointMUMT"),
    ]:
        file = tmp_path / "parameters.json"
        file.write_text(json.dumps(content)) if content else file.unlink()
        with pytest.raises(ValueError) as error:
            decide.load(decide.Options(tmp_path / "model"))
        assert_one_message(error.value, word)


def test_shared_dnns_decide_for_another_number_of_users(tmp_path, decided):
    states = SIZES[:60]
    parameters = main.Parameters(users=3, tasks=2, shared=True, frames=60, out=tmp_path / "run")
    main.run(parameters, MUMT(3, 2), states)
    path = tmp_path / "run" / "model.npz"
    d = np.random.default_rng(1).integers(10, 31, (4, 100))
    text = "\n".join(",".join(map(str, row)) for row in d)
    rows, err, error = decided(text, "--users", 50, "--uplink", 1000, model=path)
    assert error is None and err == []
    network = MUMT(50, 2, uplink_bandwidth=125)
    ddlo = DDLO(MemoryDNN.load(path).for_users(50), network)
    decision = ddlo.decide(d)[1]
    for row, x in zip(rows.values(), decision, strict=True):
        assert [int(row[f"x_{n + 1}_{m + 1}"]) for n in range(50) for m in range(2)] == x.tolist()
    assert [float(row["Q"]) for row in rows.values()] == network.compute_Q(d, decision).tolist()
    # Without --uplink the users share that of three: it names the one for equal shares.
    _, err, error = decided(text, "--users", 50, model=path)
    assert error is None and len(err) == 1 and "--uplink 1666.67" in err[0]
    _, err, _ = decided(text.replace("30", "70"), "--users", 50, "--uplink", 1000, model=path)
    assert len(err) == 1 and "70 MB is outside" in err[0]

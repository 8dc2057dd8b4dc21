"""Deciding with a trained DDLO by command line: what is printed, and what is refused."""

import csv
import io
import json
import shutil

import numpy as np
import pytest

import main
from ddlo.bandwidth import JointMUMT
from ddlo.data import Data
from experiments import decide
from main import DDLO, Parameters
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import command, start_python
from ..core.reference import OnlyQ

NETWORK = JointMUMT(3, 2, uplink_bandwidth=5)
SIZES = np.random.default_rng(0).integers(10, 31, (2500, 6))
LINE = "10,20,30,10,20,30"
FRAME = np.array([10.0, 20, 30, 10, 20, 30])

cli = command(decide)


def trained(folder, recombine, network=None):
    """Return the model that main.py saves with all that it writes beside it; hardly trained."""
    Data.generate(network or NETWORK, 100).save(folder / "data.mat", network or NETWORK)
    size = {"users": 3, "tasks": 2, "bandwidth": "optimal", "uplink": 40}
    few = {"frames": 60, "hidden": (20,), "training_interval": 1000, "seed": 3}
    flips = {"user_flips": 1, "recombine": recombine}
    parameters = Parameters(data=folder / "data.mat", out=folder / "run", **size, **few, **flips)
    main.run(parameters, network)
    return folder / "run" / "model"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("trained"), recombine=True)


@pytest.fixture(scope="module")
def ddlo(model):
    return DDLO(MemoryDNN.load(model), NETWORK, recombine=True)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def assert_decided(rows, task_size, ddlo):
    """Assert that rows are what a DDLO decides for task sizes (B, 6), and that the numbers are exact."""
    x = np.array([[int(row[f"x_{n}_{m}"]) for n in (1, 2, 3) for m in (1, 2)] for row in rows])
    np.testing.assert_array_equal(x, ddlo.decide(np.array(task_size, float))[1])
    network = ddlo.network
    assert [float(row["Q"]) for row in rows] == network.compute_Q(task_size, x).tolist()
    c = [[float(row[f"c_{n}"]) for n in (1, 2, 3)] for row in rows]
    np.testing.assert_array_equal(c, network.bandwidth_allocation(task_size, x))


@pytest.fixture
def one_line(tmp_path):
    (tmp_path / "one.csv").write_text(LINE + "\n")
    return ("--task-sizes", tmp_path / "one.csv")


# What is decided


def test_decisions_of_a_file_with_a_header(model, ddlo, tmp_path, monkeypatch, capsys):
    file = tmp_path / "sizes.csv"
    np.savetxt(file, SIZES, fmt="%d", delimiter=",", header="a,b,c,d,e,f", comments="")
    assert cli(monkeypatch, "--model", model, "--task-sizes", file) is None
    out, err = capsys.readouterr()
    rows = rows_of(out)
    x = ["x_1_1", "x_1_2", "x_2_1", "x_2_2", "x_3_1", "x_3_2"]
    assert list(rows[0]) == ["line", *x, "Q", "c_1", "c_2", "c_3"]
    assert err == "skipped: 1 header, 0 empty lines\n" and [
        int(row["line"]) for row in rows
    ] == list(range(2, 2502))
    assert_decided(rows, SIZES, ddlo)
    assert len({tuple(row.values())[1:7] for row in rows}) > 10


@pytest.mark.slow
def test_standard_input_is_answered_line_by_line(model, ddlo):
    arguments = ("-m", "experiments.decide", "--model", model)
    with start_python(*arguments, stdin=-1) as process:  # -1: a pipe
        head = process.stdout.readline()
        for task_size in SIZES[:3]:
            process.stdin.write(",".join(map(str, task_size)) + "\n")
            process.stdin.flush()
            rows = rows_of(head + process.stdout.readline())  # before the input ends
            assert_decided(rows, task_size[None], ddlo)
        process.stdin.write("10,20\n" + LINE + "\n")
        rest, error = process.communicate()
        assert [row["line"] for row in rows_of(head + rest)] == ["5"]
        assert process.returncode == 1
        assert (
            error.splitlines()[0].startswith("line 4: ") and "1 lines refused, 4 decided" in error
        )


def test_bad_lines_are_reported_and_the_others_decided(model, ddlo, tmp_path, monkeypatch, capsys):
    lines = [
        LINE,
        "10,20,30,10,20",
        "",
        "10,20,x,10,20,30",
        "10,20,0,10,20,30",
        "10,20,nan,10,20,30",
        "10,20,1e999,10,20,30",
        '10,"20,30,10,20,30',
        "no,size,is,a,number,here",
        '"10.5",20, 30 ,10,20,3e1',
        "10,20,30,10,20,\x00",
        "10,20,30,10,20,30,",
        "\N{BYTE ORDER MARK}10,20,30,10,20,30",
        "10,20,30,10,20,11",
        "10,20,-1,10,20,30",
    ]
    file = tmp_path / "sizes.csv"
    file.write_bytes("\n".join(lines).encode() + b"\n\xff,20,30,10,20,30\n10,20,30,10,20,12")
    code = cli(monkeypatch, "--model", model, "--task-sizes", file)
    assert code.startswith("decide.py: ") and "11 lines refused, 5 decided" in code
    out, err = capsys.readouterr()
    rows = rows_of(out)
    assert [int(row["line"]) for row in rows] == [1, 5, 10, 14, 17]
    half = [10.5, *FRAME[1:]]
    idle = [*FRAME[:2], 0, *FRAME[3:]]
    decided = [FRAME, idle, half, [*FRAME[:5], 11], [*FRAME[:5], 12]]
    assert_decided(rows, np.array(decided), ddlo)
    *told, skipped = err.splitlines()
    assert skipped == "skipped: 0 header, 1 empty lines"
    told = dict(line.removeprefix("line ").split(": ", 1) for line in told)
    assert list(map(int, told)) == [2, 4, 6, 7, 8, 9, 11, 12, 13, 15, 16]
    assert "6 task sizes, got 5" in told["2"] and "6 task sizes, got 7" in told["12"]
    assert "'x'" in told["4"] and "'nan'" in told["6"] and "no entry is a number" in told["9"]


def test_header_is_ignored_in_the_first_line_only(model, tmp_path, monkeypatch, capsys):
    file = tmp_path / "sizes.csv"
    for text, lines, told in [
        ("task 1, and so on\n" + LINE, ["2"], ["skipped: 1 header, 0 empty lines"]),
        (f"\n{LINE}\n", ["2"], ["skipped: 0 header, 1 empty lines"]),
        # No header: a number is in it.
        ("10,b,c,d,e,f\n" + LINE, ["2"], ["line 1: a task size must be finite MB >= 0, got 'b'"]),
        (f"{LINE}\na,b,c,d,e,f\n{LINE}", ["1", "3"], ["line 2: no entry is a number"]),
        ("", [], []),
        ("a,b\n\n\n", [], ["skipped: 1 header, 2 empty lines"]),
    ]:
        file.write_text(text)
        code = cli(monkeypatch, "--model", model, "--task-sizes", file)
        out, err = capsys.readouterr()
        assert [row["line"] for row in rows_of(out)] == lines
        assert err.splitlines() == told
        assert bool(code) == (
            not lines or "line" in err[:4]
        )  # something was refused or nothing decided
        assert out.startswith("line,x_1_1,")


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "  ", " ; ", ", "])
def test_lines_may_have_any_separator(model, ddlo, tmp_path, monkeypatch, capsys, separator):
    file = tmp_path / "sizes.csv"
    file.write_text(separator.join(f"{size}" for size in FRAME) + "\n")
    assert cli(monkeypatch, "--model", model, "--task-sizes", file) is None
    assert_decided(rows_of(capsys.readouterr().out), np.array([FRAME]), ddlo)


def test_recombination_is_as_the_model_was_trained(tmp_path, model, ddlo, monkeypatch, capsys):
    file = tmp_path / "sizes.csv"
    np.savetxt(file, SIZES[:50], fmt="%d", delimiter=",")
    other = tmp_path / "other"
    shutil.copytree(model.parent, other)
    saved = json.loads((other / "parameters.json").read_text())
    assert saved["recombine"] is True
    (other / "parameters.json").write_text(json.dumps(saved | {"recombine": False}))
    plain = DDLO(ddlo.net, NETWORK)
    decided = []
    for path, expected in [(model, ddlo), (other / "model", plain)]:
        assert cli(monkeypatch, "--model", path, "--task-sizes", file) is None
        decided.append(rows_of(capsys.readouterr().out))
        assert_decided(decided[-1], SIZES[:50], expected)
    assert decided[0] != decided[1]


def test_model_without_parameters(model, ddlo, tmp_path, one_line, monkeypatch, capsys):
    shutil.copy(model.with_suffix(".npz"), tmp_path / "alone.npz")
    asked = ("--model", tmp_path / "alone", *one_line)
    assert "--users and --tasks" in cli(monkeypatch, *asked)
    assert "--users and --tasks" in cli(monkeypatch, *asked, "--users", 3)
    assert capsys.readouterr().out == ""
    assert cli(monkeypatch, *asked, "--users", 3, "--tasks", 2) is None
    equal = DDLO(ddlo.net, MUMT(3, 2))
    assert_decided(rows_of(capsys.readouterr().out), FRAME[None], equal)
    network = ("--users", 3, "--tasks", 2, "--bandwidth", "optimal", "--uplink", 40)
    assert cli(monkeypatch, *asked, *network) is None
    assert_decided(rows_of(capsys.readouterr().out), FRAME[None], DDLO(ddlo.net, NETWORK))


def test_options_override_what_the_model_was_trained_for(
    model, ddlo, one_line, monkeypatch, capsys
):
    for options, network in [
        (("--uplink", 400), JointMUMT(3, 2, uplink_bandwidth=50)),
        (("--bandwidth", "equal"), MUMT(3, 2, uplink_bandwidth=5)),
    ]:
        assert cli(monkeypatch, "--model", model, *one_line, *options) is None
        expected = DDLO(ddlo.net, network, recombine=True)
        assert_decided(rows_of(capsys.readouterr().out), FRAME[None], expected)


def test_constants_of_the_saved_network_count(model, ddlo, tmp_path, one_line, monkeypatch, capsys):
    shutil.copytree(model.parent, tmp_path / "run")
    file = tmp_path / "run" / "parameters.json"
    saved = json.loads(file.read_text())
    saved["network"]["delay_weight"] = 7
    file.write_text(json.dumps(saved))
    assert cli(monkeypatch, "--model", tmp_path / "run" / "model", *one_line) is None
    network = JointMUMT(3, 2, uplink_bandwidth=5, delay_weight=7)
    expected = DDLO(ddlo.net, network, recombine=True)
    assert_decided(rows_of(capsys.readouterr().out), FRAME[None], expected)


# What is refused


def test_model_of_a_custom_network_is_refused(tmp_path, one_line, monkeypatch, capsys):
    class Deadline(OnlyQ):
        """A network of the user's own."""

    own = trained(tmp_path, recombine=False, network=Deadline(3, 2))
    capsys.readouterr()  # the report of the training
    code = cli(monkeypatch, "--model", own, *one_line)
    assert "Deadline" in code and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--model", "nowhere"), "nowhere"),
        (("--task-sizes", "nowhere.csv"), "nowhere.csv"),
        (("--task-sizes", "."), "."),
        (("--users", 4), "must be for 8 tasks, of 4 users with 2 each, got 6"),
        (("--users", 0), "N must be an integer >= 1, got 0"),
        (("--uplink", 0), "uplink must be"),
    ],
)
def test_bad_options_end_with_one_message(model, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    code = cli(monkeypatch, "--model", model, *arguments)
    assert code.startswith("decide.py: ") and message in code and "\n" not in code
    assert capsys.readouterr().out == "" and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "is not from main.py"),
        ("[]", "is not from main.py"),
        ("{}", "is not from main.py"),
        ('{"network": {"class": "MUMT", "N": 3, "M": 2}}', "is not from main.py"),
        ('{"network": {"N": 3, "M": 2}, "recombine": false}', "is not from main.py"),
        ('{"network": {"class": "MUMT"}, "recombine": false}', "--users and --tasks"),
        (
            '{"network": {"class": "MUMT", "N": 3, "M": 2, "x": 1}, "recombine": false}',
            "is not from main.py",
        ),
        (
            '{"network": {"class": "MUMT", "N": 3, "M": "2"}, "recombine": false}',
            "M must be an integer",
        ),
    ],
)
def test_damaged_parameters_are_refused(
    model, tmp_path, one_line, monkeypatch, capsys, content, message
):
    shutil.copy(model.with_suffix(".npz"), tmp_path / "model.npz")
    (tmp_path / "parameters.json").write_text(content)
    assert message in cli(monkeypatch, "--model", tmp_path / "model", *one_line)
    assert capsys.readouterr().out == ""

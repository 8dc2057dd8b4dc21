"""Deciding with a trained DDLO by command line: what is printed, and what is refused."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest

import main
from experiments import decide
from experiments.generate_data import generate, save_data
from main import Parameters
from memory import MemoryDNN
from MUMT import MUMT

from .conftest import ROOT, command

NETWORK = MUMT(3, 2, bandwidth="optimal", uplink_bandwidth=5)
SIZES = np.random.default_rng(0).integers(10, 31, (2500, 6))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """What main.py has saved after a short training on a network with optimal bandwidth."""
    folder = tmp_path_factory.mktemp("trained")
    save_data(folder / "data.mat", generate(NETWORK, 300))
    network = {"tasks": 2, "bandwidth": "optimal", "uplink": 40, "data": folder / "data.mat"}
    mended = {"user_flips": 1, "recombine": True}
    main.run(Parameters(frames=900, hidden=(20,), out=folder / "run", **network, **mended))
    return folder / "run" / "model"


cli = command(decide)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def assert_decided(row, task_size, net):
    x = [int(row[f"x_{n}_{m}"]) for n in (1, 2, 3) for m in (1, 2)]
    np.testing.assert_array_equal(x, main.decide(net, NETWORK, task_size[None])[1][0])
    assert float(row["Q"]) == NETWORK.compute_Q(task_size, x)
    c = [float(row[f"c_{n}"]) for n in (1, 2, 3)]
    np.testing.assert_array_equal(c, NETWORK.bandwidth_allocation(task_size, x))


def test_decisions_of_a_file(model, tmp_path, monkeypatch, capsys):
    file = tmp_path / "sizes.csv"
    np.savetxt(file, SIZES, fmt="%d", delimiter=",", header="a,b,c,d,e,f", comments="")
    assert cli(monkeypatch, "--model", model, "--task-sizes", file) is None
    out, err = capsys.readouterr()
    decisions, net = rows(out), MemoryDNN.load(model)
    assert err == "" and [int(row["line"]) for row in decisions] == list(range(2, 2502))
    x = ["x_1_1", "x_1_2", "x_2_1", "x_2_2", "x_3_1", "x_3_2"]
    assert list(decisions[0]) == ["line", *x, "Q", "c_1", "c_2", "c_3"]
    for i in (0, 999, 1000, 2499):
        assert_decided(decisions[i], SIZES[i], net)


def test_standard_input_is_answered_line_by_line(model):
    command = [sys.executable, "-m", "experiments.decide", "--model", str(model)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        head, net = process.stdout.readline(), MemoryDNN.load(model)
        for task_size in SIZES[:3]:
            process.stdin.write(",".join(map(str, task_size)) + "\n")
            process.stdin.flush()
            (row,) = rows(head + process.stdout.readline())  # before the input ends
            assert_decided(row, task_size, net)
        rest, error = process.communicate()
        assert (rest, error, process.returncode) == ("", "", 0)


def test_bad_lines_are_told_of_and_take_no_others_with_them(model, tmp_path, monkeypatch, capsys):
    lines = [
        "10,20,30,10,20,30",
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
        "10,20,1e39,10,20,30",
    ]
    file = tmp_path / "sizes.csv"
    file.write_bytes("\n".join(lines).encode() + b"\n\xff,20,30,10,20,30\n10,20,30,10,20,12")
    message = cli(monkeypatch, "--model", model, "--task-sizes", file)
    assert message == "decide.py: 12 of 16 lines refused"
    out, err = capsys.readouterr()
    assert [int(row["line"]) for row in rows(out)] == [1, 10, 14, 17]
    net = MemoryDNN.load(model)
    for row, sizes in zip(rows(out), ([30], [10.5, 20, 30, 10, 20, 30], [11], [12])):
        full = np.array([10, 20, 30, 10, 20, *sizes] if len(sizes) == 1 else sizes, float)
        assert_decided(row, full, net)
    told = dict(line.removeprefix("line ").split(": ", 1) for line in err.splitlines())
    assert list(map(int, told)) == [2, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16]
    assert told["2"] == "5 entries; 6 task sizes were expected"
    assert told["4"] == "an entry 'x'; positive, finite MB were expected"
    assert told["9"] == "no entry is a number" and "7 entries" in told["12"]


def test_model_without_parameters(model, tmp_path, monkeypatch, capsys):
    alone = tmp_path / "alone.npz"
    alone.write_bytes(model.with_suffix(".npz").read_bytes())
    (tmp_path / "sizes.csv").write_text("10,20,30,10,20,30\n")
    asked = ("--model", alone, "--task-sizes", tmp_path / "sizes.csv")
    assert "--users and --tasks can" in cli(monkeypatch, *asked)
    network = ("--users", 3, "--tasks", 2, "--bandwidth", "optimal", "--uplink", 40)
    assert cli(monkeypatch, *asked, *network) is None
    (row,) = rows(capsys.readouterr().out)
    assert_decided(row, np.array([10, 20, 30, 10, 20, 30]), MemoryDNN.load(model))
    # One that an older main.py has saved, which had one bandwidth only.
    (tmp_path / "parameters.json").write_text(json.dumps({"users": 3, "tasks": 2}))
    assert cli(monkeypatch, *asked) is None
    (row,) = rows(capsys.readouterr().out)
    assert float(row["c_1"]) in (0, 12.5 / 3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--model", "nowhere"), "No such file or directory: 'nowhere.npz'"),
        (("--task-sizes", "nowhere.csv"), "No such file or directory: 'nowhere.csv'"),
        (("--model", "results/nowhere/model"), "No such file or directory: 'results/nowhere/model"),
        (("--users", 4), "is for 6 tasks; 8 were expected, for 4 users with 2 tasks each"),
        (("--uplink", 0), "uplink_bandwidth is 0.0"),
    ],
)
def test_bad_options(model, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    network = () if "--users" in arguments else ("--users", 3, "--tasks", 2)
    assert message in cli(monkeypatch, "--model", model, *network, *arguments)
    assert capsys.readouterr().out == "" and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "is not what main.py writes"),
        ("[]", "is not what main.py writes"),
        ('{"users": 3}', "is not what main.py writes"),
        ('{"network": {"class": "MUMT"}}', "does not tell it; --users and --tasks can tell it"),
        ('{"network": {"class": "MUMT", "N": 3, "M": 2, "x": 1}}', "is not what main.py writes"),
        ('{"network": {"class": "MUMT", "N": 3, "M": "2"}}', "M is '2'; a whole number"),
        ('{"network": {"class": "Deadline"}}', "was trained for a Deadline, a network of your own"),
    ],
)
def test_damaged_parameters(model, tmp_path, monkeypatch, capsys, content, message):
    (tmp_path / "model.npz").write_bytes(model.with_suffix(".npz").read_bytes())
    (tmp_path / "parameters.json").write_text(content)
    assert message in cli(monkeypatch, "--model", tmp_path / "model")
    assert capsys.readouterr().out == ""

"""A model that lives on: a run that goes on with a saved one, or only decides with it."""

import json
import subprocess
import sys

import numpy as np
import pytest

import main
from ddlo.dataset import generate, save_data
from ddlo.inputs import Scale
from main import DDLO
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import DATA, ROOT, command, released_options
from .test_memory import assert_same_state
from .test_run import history_of, untrained

cli = command(main)


def small(out, **changes):
    few = {"frames": 700, "hidden": (), "training_interval": 50, "memory_size": 200}
    return untrained(out, **few | changes)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The folder of a run that others go on with."""
    out = tmp_path_factory.mktemp("first") / "run"
    main.run(small(out, seed=4, flips=1, recombine=True, learning_rate=0.02))
    return out


def test_resumed_run_goes_on_as_if_it_had_not_been_interrupted(first, tmp_path, published):
    parameters = main.Parameters(
        data=DATA, frames=300, resume=first / "model", out=tmp_path / "out"
    )
    report = main.run(parameters)
    net = MemoryDNN.load(first / "model")
    ddlo, history = DDLO(net, MUMT(3, 3), recombine=True), history_of(tmp_path / "out")
    _, decision = ddlo.decide_and_learn(published[0][history["index"][0]])
    np.testing.assert_array_equal(history["decision"], decision)
    assert_same_state(net, MemoryDNN.load(tmp_path / "out" / "model"))
    np.testing.assert_array_equal(history["costs"], net.cost_his)
    assert history["costs"].shape[1] == 4 + 6  # up to counters 700 and 1000
    saved = json.loads((tmp_path / "out" / "parameters.json").read_text())
    assert saved["learning_rate"] == 0.02 and saved["flips"] == 1 and saved["recombine"] is True
    assert saved["hidden"] == [] and report["frames"] == 300


def test_frozen_model_decides_another_data_set_and_stays_as_it_is(first, tmp_path, monkeypatch):
    network = MUMT(3, 3, delay_weight=2)
    save_data(tmp_path / "other.mat", generate(network, 60, (5, 50)))
    options = ("--data", tmp_path / "other.mat", "--delay-weight", 2, "--frames", 90, "--frozen")
    assert (
        cli(monkeypatch, *options, "--resume", first / "model", "--out", tmp_path / "out") is None
    )
    history, net = history_of(tmp_path / "out"), MemoryDNN.load(first / "model")
    d = generate(network, 60, (5, 50))["task_size"][history["index"][0]]
    ddlo = DDLO(net, network, recombine=True)
    assert ddlo.scale == Scale.of(np.array([[10] * 9, [30] * 9]))  # that of its training
    np.testing.assert_array_equal(history["decision"], ddlo.decide(d)[1])
    assert_same_state(net, MemoryDNN.load(tmp_path / "out" / "model"))


@pytest.mark.parametrize(
    "options, message",
    [
        (("--frozen",), "frozen needs a trained model"),
        (("--resume", "{model}", "--net-num", 5), "net_num of .* is 3, got 5: leave it out"),
        (("--resume", "{model}", "--hidden", 7), r"hidden of .* is \(\), got \(7,\)"),
        (("--resume", "{model}", "--flips", 3), "flips of .* is 1, got 3"),
        (("--resume", "nowhere"), "no file nowhere.npz, which should be a saved MemoryDNN"),
        (("--resume", "{data}"), "is not a saved MemoryDNN"),
        (("--resume", "{model}", "--users", 2, "--data", "{two}"), "states of 6 entries .* got 9"),
    ],
)
def test_what_cannot_be_resumed(first, tmp_path, monkeypatch, options, message):
    save_data(tmp_path / "two.mat", generate(MUMT(2, 3), 20))
    places = {"model": first / "model", "data": DATA, "two": tmp_path / "two.mat"}
    options = [str(option).format(**places) for option in options]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(cli(monkeypatch, *options, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_same_parameters_may_be_given_again(first, tmp_path, monkeypatch):
    options = ("--resume", first / "model", "--learning-rate", 0.02, "--net-num", 3, "--frozen")
    assert cli(monkeypatch, *options, "--frames", 20, "--out", tmp_path / "out") is None


def test_main_finds_its_data_from_another_folder(tmp_path):
    few = ("--frames", "20", "--hidden", "5", "--training-interval", "99", "--out", "here")
    released = map(str, released_options("--data", *few))
    command = [sys.executable, str(ROOT / "main.py"), *few, *released]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    assert (tmp_path / "here" / "report.json").is_file()


@pytest.mark.parametrize(
    "option, meant",
    [
        ("--K", "net-num"),
        ("--lr", "learning-rate"),
        ("-N", "users"),
        ("--uplink_bandwidth", "uplink"),
    ],
)
def test_option_by_another_name(monkeypatch, tmp_path, option, meant):
    code = cli(monkeypatch, option, 5, "--out", tmp_path / "out")
    assert code == f"main.py: there is no option {option}: --{meant} is meant"
    assert cli(monkeypatch, f"{option}=5").endswith(f"--{meant} is meant")


def test_save_into_a_missing_folder_names_it(first, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*missing to write model.npz to"):
        MemoryDNN.load(first / "model").save(tmp_path / "missing" / "model")

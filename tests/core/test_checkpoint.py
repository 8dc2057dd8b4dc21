"""Resuming: a saved model, and a long run that was killed, to the last bit."""

import dataclasses
import json
import re

import numpy as np
import pytest

import main
from ddlo.checkpoint import Checkpoint
from ddlo.data import Data
from ddlo.scale import Scale
from experiments.wpmec.droo import AdaptiveDROO, AdaptiveOrderPreserving
from main import DDLO, Parameters
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import DATA, command
from .reference import OnlyQ, Weighted, assert_same_arrays, assert_same_state, history_of, untrained

cli = command(main)

# A saved model


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The folder of a run that others continue."""
    out = tmp_path_factory.mktemp("first") / "run"
    few = {"frames": 700, "hidden": (), "training_interval": 50, "memory_size": 200}
    main.run(untrained(out, **few, seed=4, flips=1, recombine=True, learning_rate=0.02))
    return out


def test_resumed_model_continues_as_if_it_had_not_stopped(first, tmp_path, published):
    report = main.run(Parameters(frames=300, resume=first / "model", out=tmp_path / "out"))
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


def test_frozen_model_decides_another_data_set_and_does_not_change(first, tmp_path, monkeypatch):
    network = MUMT(3, 3, delay_weight=2)
    data = Data.generate(network, 60, (5, 50))
    data.save(tmp_path / "other.mat", network)
    options = ("--data", tmp_path / "other.mat", "--beta", 2, "--frames", 90, "--frozen")
    out = ("--out", tmp_path / "out")
    assert cli(monkeypatch, *options, "--resume", first / "model", *out) is None
    history, net = history_of(tmp_path / "out"), MemoryDNN.load(first / "model")
    assert history["index"][0].tolist() == [*range(60), *range(30)]  # all frames are a test
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["test_frames"] == 90
    assert report["mean_gain_ratio"] == pytest.approx(history["gain_ratio"].mean(), rel=1e-12)
    assert net.scale == Scale.of(np.array([[10] * 9, [30] * 9]))  # that of its training
    ddlo = DDLO(net, network, recombine=True)
    d = data.states[history["index"][0]]
    np.testing.assert_array_equal(history["decision"], ddlo.decide(d)[1])
    assert_same_state(net, MemoryDNN.load(tmp_path / "out" / "model"))


def test_given_parameters_count_and_the_others_are_the_saved_ones(first, tmp_path, monkeypatch):
    few = {"resume": first / "model", "out": tmp_path, "frames": 20}
    options = [part for name, value in few.items() for part in (f"--{name}", value)]
    later = Parameters(**few)
    later.learning_rate = 0.01  # the default, but set
    for run, rate, interval in [
        (lambda: cli(monkeypatch, *options), 0.02, 50),
        (lambda: cli(monkeypatch, *options, "--lr", 0.01, "--interval", 30), 0.01, 30),
        (lambda: main.run(Parameters(**few)), 0.02, 50),
        (lambda: main.run(Parameters(**few, learning_rate=0.01)), 0.01, 50),
        (lambda: main.run(later), 0.01, 50),
    ]:
        run()
        net = MemoryDNN.load(tmp_path / "model")
        assert (net.lr, net.training_interval, net.memory_size) == (rate, interval, 200)
    # dataclasses.replace gives all parameters.
    with pytest.raises(ValueError, match="of .*model is"):
        main.run(dataclasses.replace(Parameters(**few), frames=10))


@pytest.mark.parametrize(
    "options, message",
    [
        ("--frozen", "frozen"),
        ("--resume {model} --net-num 5", "net_num of .* is 3, got 5"),
        ("--resume {model} --hidden 120 80", r"hidden of .* is \[\], got \[120, 80\]"),
        ("--resume {model} --memory-size 1024", "memory_size of .* is 200, got 1024"),
        ("--resume {model} --seed 0", "seed of .* is 4, got 0"),
        ("--resume nowhere", "no such file: nowhere.npz"),
        ("--resume {folder}", "got a folder"),
        ("--resume {two}", "two.mat is not a saved model or a checkpoint: it is no NumPy archive"),
        ("--resume {model} --users 2 --data {two}", "must have 6 inputs .* got 9"),
    ],
)
def test_what_cannot_be_resumed(first, tmp_path, monkeypatch, options, message):
    Data.generate(MUMT(2, 3), 20).save(tmp_path / "two.mat", MUMT(2, 3))
    places = {"model": first / "model", "folder": first, "two": tmp_path / "two.mat"}
    shown = cli(monkeypatch, *options.format(**places).split(), "--out", tmp_path / "out")
    assert re.search(message, shown) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "network",
    [Weighted(3, 3), MUMT(3, 3, p=2), MUMT(3, 3, local_time_per_bit=[[2e-7], [3e-7], [4e-7]])],
)
def test_network_that_parameters_do_not_describe_must_be_given(tmp_path, monkeypatch, network):
    main.run(untrained(tmp_path / "first"), network, STATES)
    model = tmp_path / "first" / "model"
    shown = cli(monkeypatch, "--resume", model, "--frames", 20, "--out", tmp_path / "out")
    assert "give main.run the network" in shown and not (tmp_path / "out").exists()
    again = Parameters(frames=20, resume=model, out=tmp_path / "out")
    assert main.run(again, network, STATES)["frames"] == 20


def test_model_of_an_older_version_takes_defaults_for_new_parameters(first, tmp_path):
    content = dict(np.load(first / "model.npz"))
    parameters = json.loads(str(content["parameters"])) | {"output_graph": False}
    del parameters["scale"], parameters["beta1"]
    content |= {"parameters": json.dumps(parameters), "digest": "a text of an older version"}
    np.savez(tmp_path / "model.npz", **content)
    saved = json.loads((first / "parameters.json").read_text())
    del saved["user_flips"], saved["checkpoint"]
    (tmp_path / "parameters.json").write_text(json.dumps(saved))
    assert MemoryDNN.load(tmp_path / "model").beta1 == 0.09
    main.run(Parameters(resume=tmp_path / "model", frames=20, out=tmp_path / "out"))


# A checkpoint

SMALL = {"data": DATA, "frames": 900, "hidden": (20,), "net_num": 2, "checkpoint": 333}
UNTRAINED = {"frames": 60, "checkpoint": 7, "training_interval": 1000}  # not compiled
STATES = np.random.default_rng(0).uniform(10, 30, (50, 9))
CASES = {
    "while training": ({"recombine": True, "flips": 2, "user_flips": 1}, {}),
    "no optimum": (UNTRAINED, {"network": OnlyQ(3, 3), "data": STATES}),
    "custom rule and scale": (
        UNTRAINED,
        {"network": Weighted(3, 3), "data": STATES, "candidates": lambda logits, xp: logits > 0.1},
    ),
}


class Killed(Exception):
    """Ends a run in place of a signal."""


def killed_after(saves, monkeypatch, parameters, **custom):
    """Run until so many checkpoints are saved."""
    save, left = Checkpoint.save, [saves]

    def save_and_die(self, *arguments):
        save(self, *arguments)
        left[0] -= 1
        if not left[0]:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoint, "save", save_and_die)
        main.run(Parameters(**parameters), **custom)


def assert_same_results(folder, other):
    """Check that two runs have the same history and leave the same model, to the last bit."""
    assert_same_arrays(history_of(folder), history_of(other))
    assert_same_arrays(*(dict(np.load(each / "model.npz")) for each in (folder, other)))


@pytest.mark.parametrize("case", CASES)
def test_resumed_run_is_the_run_that_was_not_interrupted(tmp_path, monkeypatch, case):
    changes, custom = CASES[case]
    parameters = SMALL | changes
    main.run(Parameters(**parameters, out=tmp_path / "whole"), **custom)
    assert not (tmp_path / "whole" / "checkpoint.npz").exists()

    out = tmp_path / "out"
    killed_after(1, monkeypatch, parameters | {"out": out}, **custom)
    assert [path.name for path in out.iterdir()] == ["checkpoint.npz"]
    resume = {"resume": out / "checkpoint.npz"}
    killed_after(1, monkeypatch, resume, **custom)  # once more
    report = main.run(Parameters(**resume), **custom)
    assert report["frames"] == parameters["frames"] and not (out / "checkpoint.npz").exists()
    assert_same_results(out, tmp_path / "whole")


@pytest.mark.parametrize("frozen", [False, True])
def test_continued_and_frozen_models_resume(first, tmp_path, monkeypatch, frozen):
    whole, out = tmp_path / "whole", tmp_path / "out"
    model = {"resume": first / "model.npz", "frames": 120, "frozen": frozen}
    main.run(Parameters(**model, out=whole))
    killed_after(2, monkeypatch, model | {"checkpoint": 40, "out": out})
    main.run(Parameters(resume=out / "checkpoint.npz"))
    assert_same_results(out, whole)


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """The checkpoint of a short run on its own data set."""
    data, out = tmp_path / "data.mat", tmp_path / "out"
    Data.generate(MUMT(3, 3), 30).save(data, MUMT(3, 3))
    killed_after(1, monkeypatch, SMALL | UNTRAINED | {"checkpoint": 20, "data": data, "out": out})
    return out / "checkpoint.npz"


class Another(MUMT, compiled=True):
    """A network of another class, with the same constants."""


class AnotherDDLO(DDLO, compiled=True):
    pass


def another_rule(logits, xp=np):
    return logits > 1


@pytest.mark.parametrize(
    "given, custom, message",
    [
        ({"frames": 100}, {}, "frames"),
        ({"hidden": (120, 80)}, {}, "hidden"),  # the default, but given
        ({"checkpoint": None}, {}, "checkpoint"),
        ({}, {"network": MUMT(3, 3, delay_weight=2), "data": STATES}, "another network"),
        ({}, {"network": Another(3, 3)}, "another network"),
        ({}, {"data": (STATES, MUMT(3, 3).optimum(STATES)[0])}, "another data set"),
        ({}, {"candidates": another_rule}, "another candidate rule"),
        ({}, {"algorithm": AnotherDDLO}, "another algorithm"),
    ],
)
def test_another_problem_is_refused(interrupted, given, custom, message):
    before = interrupted.read_bytes()
    with pytest.raises(ValueError, match=message):
        main.run(Parameters(resume=interrupted, **given), **custom)
    assert interrupted.read_bytes() == before


def test_new_checkpoints_that_are_refused(interrupted, tmp_path):
    adaptive = {"candidates": AdaptiveOrderPreserving(), "algorithm": AdaptiveDROO}
    for changes, custom, message in [
        ({"out": interrupted.parent}, {}, "--resume"),  # would overwrite it
        ({"net_num": 1}, adaptive, "checkpoint must be None for AdaptiveDROO"),  # has a state
        ({"checkpoint": 0}, {}, "checkpoint must"),
    ]:
        with pytest.raises(ValueError, match=message):
            main.run(Parameters(**SMALL | {"out": tmp_path / "new"} | changes), **custom)
    assert not (tmp_path / "new").exists() and interrupted.exists()


def test_checkpoint_and_data_may_move(interrupted, tmp_path):
    moved, out = interrupted.rename(tmp_path / "saved.bak"), tmp_path / "new"
    data = (tmp_path / "data.mat").rename(tmp_path / "moved.mat")
    same = {"frames": 60, "hidden": [20], "device": "CPU"}
    report = main.run(Parameters(resume=moved, data=data, out=out, **same))
    assert report["frames"] == 60 and not moved.exists() and (out / "report.json").exists()

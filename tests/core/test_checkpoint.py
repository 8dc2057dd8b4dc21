"""Resuming: a saved model, and a long run that was killed, to the last bit."""

import dataclasses
import json
import signal
import time

import numpy as np
import pytest

import main
from ddlo.checkpoint import Checkpoint
from ddlo.data import Data
from ddlo.scale import Scale
from experiments.droo import AdaptiveDROO, AdaptiveOrderPreserving
from main import DDLO, Parameters
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import DATA, command, start_python
from .reference import OnlyQ
from .test_main import history_of, untrained
from .test_memory import assert_same_state

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
    assert net.scale == Scale.of(np.array([[10] * 9, [30] * 9]))  # that of its training
    ddlo = DDLO(net, network, recombine=True)
    d = data.states[history["index"][0]]
    np.testing.assert_array_equal(history["decision"], ddlo.decide(d)[1])
    assert_same_state(net, MemoryDNN.load(tmp_path / "out" / "model"))


def test_typed_parameters_count_and_the_others_are_the_saved_ones(first, tmp_path, monkeypatch):
    resume = ("--resume", first / "model", "--out", tmp_path / "out", "--frames", 60)
    for options, rate, interval in (((), 0.02, 50), (("--lr", 0.01, "--interval", 20), 0.01, 20)):
        assert cli(monkeypatch, *resume, *options) is None
        net = MemoryDNN.load(tmp_path / "out" / "model")
        assert (net.lr, net.training_interval, net.memory_size) == (rate, interval, 200)
    # From Python too, also if it is the default, given or set later.
    parameters = Parameters(resume=first / "model", out=tmp_path / "out", frames=60)
    parameters.learning_rate = 0.01
    main.run(parameters)
    assert MemoryDNN.load(tmp_path / "out" / "model").lr == 0.01
    for given, rate in (({}, 0.02), ({"learning_rate": 0.01}, 0.01)):
        main.run(Parameters(resume=first / "model", out=tmp_path / "out", frames=60, **given))
        assert MemoryDNN.load(tmp_path / "out" / "model").lr == rate


@pytest.mark.parametrize(
    "options, message",
    [
        (("--frozen",), "frozen needs a saved model"),
        (("--resume", "{model}", "--net-num", 5), "net_num of .* is 3, got 5"),
        (("--resume", "{model}", "--hidden", 120, 80), r"hidden of .* is \(\), got \(120, 80\)"),
        (("--resume", "{model}", "--memory-size", 1024), "memory_size of .* is 200, got 1024"),
        (("--resume", "{model}", "--seed", 0), "seed of .* is 4, got 0"),
        (("--resume", "nowhere"), "no such file: nowhere.npz"),
        (("--resume", "{data}"), "is not a saved model"),
        (("--resume", "{model}", "--users", 2, "--data", "{two}"), "must have 6 inputs .* got 9"),
    ],
)
def test_what_cannot_be_resumed(first, tmp_path, monkeypatch, options, message):
    Data.generate(MUMT(2, 3), 20).save(tmp_path / "two.mat", MUMT(2, 3))
    places = {"model": first / "model", "data": DATA, "two": tmp_path / "two.mat"}
    options = [str(option).format(**places) for option in options]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(cli(monkeypatch, *options, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_model_of_an_older_version_takes_defaults_for_new_parameters(first, tmp_path):
    with np.load(first / "model.npz") as file:
        content = dict(file)
    parameters = json.loads(str(content["parameters"]))
    del parameters["scale"], parameters["beta1"]
    parameters["output_graph"] = False
    content |= {"parameters": json.dumps(parameters), "digest": "a text of an older version"}
    np.savez(tmp_path / "model.npz", **content)
    saved = json.loads((first / "parameters.json").read_text())
    del saved["user_flips"], saved["checkpoint"]
    (tmp_path / "parameters.json").write_text(json.dumps(saved))
    assert MemoryDNN.load(tmp_path / "model").beta1 == 0.09
    report = main.run(Parameters(resume=tmp_path / "model", frames=20, out=tmp_path / "out"))
    assert report["frames"] == 20


# A checkpoint

SMALL = {"data": DATA, "frames": 1500, "hidden": (20,), "net_num": 2, "checkpoint": 400}
STATES = np.random.default_rng(0).uniform(10, 30, (50, 9))
CASES = {
    "published": ({}, {}),
    "at any frame": ({"checkpoint": 333, "recombine": True, "flips": 2, "user_flips": 1}, {}),
    "no optimum": ({"frames": 1200}, {"network": OnlyQ(3, 3), "data": STATES}),
    "custom rule": ({}, {"candidates": lambda logits, xp: logits > 0.1}),
    "often": ({"frames": 60, "checkpoint": 7}, {}),
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


def content_of(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def assert_same_results(folder, other):
    for read in (history_of, lambda out: content_of(out / "model.npz")):
        mine, others = read(folder), read(other)
        assert mine.keys() == others.keys()
        for name, array in mine.items():
            np.testing.assert_array_equal(array, others[name])


@pytest.mark.parametrize("case", CASES)
def test_resumed_run_is_the_run_that_was_not_interrupted(tmp_path, monkeypatch, case):
    changes, custom = CASES[case]
    parameters = SMALL | changes
    main.run(Parameters(**parameters, out=tmp_path / "whole"), **custom)
    assert not (tmp_path / "whole" / "checkpoint.npz").exists()

    out = tmp_path / "out"
    killed_after(1, monkeypatch, parameters | {"out": out}, **custom)
    assert [path.name for path in out.iterdir()] == ["checkpoint.npz"]
    again = {"resume": out / "checkpoint.npz"}
    killed_after(1, monkeypatch, again, **custom)  # and once more
    report = main.run(Parameters(**again), **custom)
    assert report["frames"] == parameters["frames"] and not (out / "checkpoint.npz").exists()
    assert_same_results(out, tmp_path / "whole")


def test_frozen_and_continued_models_resume(tmp_path, monkeypatch):
    main.run(Parameters(**SMALL | {"frames": 700, "checkpoint": None}, out=tmp_path / "first"))
    model = {"resume": tmp_path / "first" / "model.npz", "data": DATA, "frames": 900}
    for frozen in (False, True):
        whole, out = tmp_path / f"whole {frozen}", tmp_path / f"out {frozen}"
        main.run(Parameters(**model, frozen=frozen, out=whole))
        killed_after(2, monkeypatch, model | {"frozen": frozen, "checkpoint": 250, "out": out})
        main.run(Parameters(resume=out / "checkpoint.npz"))
        assert_same_results(out, whole)


class Scaled(MUMT, compiled=True):
    @staticmethod
    def scale(task_size):
        return task_size / 10


def test_network_with_its_own_scale_resumes(tmp_path, monkeypatch):
    few, custom = {"frames": 60, "checkpoint": 20, "hidden": (5,)}, {"network": Scaled(3, 3)}
    main.run(Parameters(**few, out=tmp_path / "whole"), **custom)
    killed_after(1, monkeypatch, few | {"out": tmp_path / "out"}, **custom)
    main.run(Parameters(resume=tmp_path / "out" / "checkpoint.npz"), **custom)
    assert_same_results(tmp_path / "out", tmp_path / "whole")


@pytest.mark.slow
def test_killed_process_resumes(tmp_path):
    out = tmp_path / "out"
    few = ("--frames", 20000, "--hidden", 20, "--checkpoint", 500, "--out", out)
    with start_python("main.py", *few) as process:
        while process.poll() is None and not (out / "checkpoint.npz").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    report = main.run(Parameters(resume=out / "checkpoint.npz"))
    assert report["frames"] == 20000
    assert not list(out.glob(".partial*"))  # what the killed process left
    main.run(Parameters(data=DATA, frames=20000, hidden=(20,), out=tmp_path / "whole"))
    assert_same_results(out, tmp_path / "whole")


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """The checkpoint of a short run on its own data set."""
    Data.generate(MUMT(3, 3), 30).save(tmp_path / "data.mat", MUMT(3, 3))
    parameters = SMALL | {"data": tmp_path / "data.mat", "frames": 60, "checkpoint": 20}
    killed_after(1, monkeypatch, parameters | {"out": tmp_path / "out"})
    return tmp_path / "out" / "checkpoint.npz"


@pytest.mark.parametrize(
    "given, message",
    [
        ({"frames": 100}, "frames"),
        ({"hidden": (120, 80)}, "hidden"),  # the default, but typed
        ({"learning_rate": 0.1}, "learning_rate"),
        ({"checkpoint": 10}, "checkpoint"),
        ({"checkpoint": None}, "checkpoint"),
        ({"delay_weight": np.array([[2.0], [1], [1]])}, "another network"),
    ],
)
def test_other_parameters_are_refused(interrupted, given, message):
    if "delay_weight" in given:
        given["data"] = interrupted.parent / "other.mat"
        network = MUMT(3, 3, delay_weight=given["delay_weight"])
        Data.generate(network, 30).save(given["data"], network)
    with pytest.raises(ValueError, match=message):
        main.run(Parameters(resume=interrupted, **given))
    out = interrupted.parents[1] / "elsewhere"
    main.run(Parameters(resume=interrupted, frames=60, hidden=[20], device="CPU", out=out))
    assert (out / "report.json").exists() and not interrupted.exists()


class Another(MUMT, compiled=True):
    """A network of another class, with the same constants."""


class AnotherDDLO(DDLO, compiled=True):
    pass


def another_rule(logits, xp=np):
    return logits > 1


@pytest.mark.parametrize(
    "message, other",
    [
        ("another network", {"network": MUMT(3, 3, delay_weight=2), "data": STATES}),
        ("another network", {"network": Another(3, 3)}),
        ("another data set", {"data": STATES}),
        ("another candidate rule", {"candidates": another_rule}),
        ("another algorithm", {"algorithm": AnotherDDLO}),
    ],
)
def test_another_problem_is_refused(interrupted, message, other):
    with pytest.raises(ValueError, match=message):
        main.run(Parameters(resume=interrupted), **other)


def test_another_data_file_is_refused(interrupted):
    Data.generate(MUMT(3, 3), 31).save(interrupted.parents[1] / "data.mat", MUMT(3, 3))
    with pytest.raises(ValueError, match="another data set"):
        main.run(Parameters(resume=interrupted))


def test_checkpoint_and_data_may_move(interrupted, tmp_path):
    moved = interrupted.rename(tmp_path / "saved.bak")
    data = (tmp_path / "data.mat").rename(tmp_path / "moved.mat")
    report = main.run(Parameters(resume=moved, data=data, out=tmp_path / "new"))
    assert report["frames"] == 60 and not moved.exists()


def test_new_run_does_not_overwrite_a_checkpoint(interrupted):
    with pytest.raises(ValueError, match="is from an interrupted run: --resume"):
        main.run(Parameters(**SMALL, out=interrupted.parent))


def test_algorithm_with_a_state_is_refused(tmp_path):
    with pytest.raises(ValueError, match="checkpoint must be None for AdaptiveDROO"):
        main.run(
            Parameters(**SMALL | {"net_num": 1}, out=tmp_path / "out"),
            candidates=AdaptiveOrderPreserving(),
            algorithm=AdaptiveDROO,
        )
    with pytest.raises(ValueError, match="checkpoint must be an integer >= 1, got 0"):
        main.run(Parameters(**SMALL | {"checkpoint": 0}, out=tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_replaced_parameters_are_all_given(first, tmp_path):
    parameters = dataclasses.replace(Parameters(resume=first / "model"), out=tmp_path / "out")
    with pytest.raises(ValueError, match="of .*model is"):
        main.run(parameters)

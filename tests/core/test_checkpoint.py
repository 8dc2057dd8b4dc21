"""A long run that is killed resumes from its checkpoint, and is the run that was never interrupted."""

import signal
import time

import numpy as np
import pytest

import main
from ddlo import checkpoint
from ddlo.checkpoint import Checkpoint, recorder
from ddlo.dataset import generate, load_data, save_data
from experiments.droo import AdaptiveDROO, AdaptiveOrderPreserving
from MUMT import MUMT

from ..conftest import DATA, released_options, start_python
from .reference import OnlyQ
from .test_fuzz import content_of
from .test_run import history_of

SMALL = {"data": DATA, "frames": 1500, "hidden": (20,), "net_num": 2}
STATES = np.random.default_rng(0).uniform(10, 30, (50, 9))
CASES = {
    "released": ({}, {}),
    "at any frame": ({"checkpoint": 333, "recombine": True, "flips": 2, "user_flips": 1}, {}),
    "no optimum": ({"frames": 1200}, {"network": OnlyQ(3, 3), "data": STATES}),
    "own rule": ({}, {"candidates": lambda logits, xp: logits > 0.1}),
    "often": ({"frames": 60, "checkpoint": 7}, {}),
}


class Killed(Exception):
    """What ends a run in place of a signal."""


def killed_after(saves, monkeypatch, parameters, **custom):
    """Run until so many checkpoints are saved."""
    save = Checkpoint.save

    def save_and_die(self, *arguments):
        save(self, *arguments)
        if self.frames >= saves * self.every:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoint, "save", save_and_die)
        main.run(main.Parameters(**parameters), **custom)


def assert_same_results(folder, other):
    history, of_other = history_of(folder), history_of(other)
    assert history.keys() == of_other.keys()
    for name, array in history.items():
        np.testing.assert_array_equal(array, of_other[name])
    model, of_other = (content_of(each / "model.npz") for each in (folder, other))
    assert model.keys() == of_other.keys()
    for name, array in model.items():
        np.testing.assert_array_equal(array, of_other[name])


@pytest.mark.parametrize("case", CASES)
def test_resumed_run_is_the_run_that_was_not_interrupted(tmp_path, monkeypatch, case):
    changes, custom = CASES[case]
    parameters = SMALL | {"checkpoint": 400} | changes
    main.run(main.Parameters(**parameters, out=tmp_path / "whole"), **custom)
    assert not (tmp_path / "whole" / "checkpoint").exists()

    out = tmp_path / "out"
    killed_after(1, monkeypatch, parameters | {"out": out}, **custom)
    (out / "checkpoint" / "frames-400-9999.npz").write_text("of another run")
    assert [path.name for path in out.iterdir()] == ["checkpoint"]
    again = {"resume": out / "checkpoint"}
    killed_after(3, monkeypatch, again, **custom)  # and once more
    report = main.run(main.Parameters(**again), **custom)
    assert report["frames"] == parameters["frames"] and not (out / "checkpoint").exists()
    assert_same_results(out, tmp_path / "whole")


def test_frozen_run_and_one_that_goes_on_with_a_model_resume(tmp_path, monkeypatch):
    main.run(main.Parameters(**SMALL | {"frames": 700}, out=tmp_path / "first"))
    model = {"resume": tmp_path / "first" / "model.npz", "data": DATA, "frames": 900}
    for frozen in (False, True):
        whole, out = tmp_path / f"whole {frozen}", tmp_path / f"out {frozen}"
        main.run(main.Parameters(**model, frozen=frozen, out=whole))
        killed_after(2, monkeypatch, model | {"frozen": frozen, "checkpoint": 250, "out": out})
        main.run(main.Parameters(resume=out / "checkpoint"))
        assert_same_results(out, whole)


@pytest.mark.slow
def test_killed_process_resumes(tmp_path):
    few = {"--frames": 20000, "--hidden": 20, "--checkpoint": 500, "--out": tmp_path / "out"}
    options = [part for option in few.items() for part in option]
    with start_python("main.py", *options, *released_options(*few)) as process:
        while process.poll() is None and not list(tmp_path.glob("out/checkpoint/model-*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    report = main.run(main.Parameters(resume=tmp_path / "out" / "checkpoint"))
    assert report["frames"] == 20000
    main.run(main.Parameters(data=DATA, frames=20000, hidden=(20,), out=tmp_path / "whole"))
    assert_same_results(tmp_path / "out", tmp_path / "whole")


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """The checkpoint of a short run on a data set of its own."""
    save_data(tmp_path / "data.mat", generate(MUMT(3, 3), 30))
    parameters = SMALL | {"data": tmp_path / "data.mat", "frames": 60, "checkpoint": 20}
    killed_after(1, monkeypatch, parameters | {"out": tmp_path / "out"})
    return tmp_path / "out" / "checkpoint"


@pytest.mark.parametrize(
    "given, message",
    [
        ({"frames": 100}, "frames of the run in .* is 60, got 100"),
        ({"checkpoint": 10}, "checkpoint of the run in .* is 20, got 10"),
        ({"hidden": (7,)}, "hidden of the run in .*got"),
        ({"delay_weight": np.array([[2.0], [1], [1]])}, "delay_weight of the run in"),
        ({"out": "elsewhere"}, "out of the run in"),
    ],
)
def test_parameters_of_the_interrupted_run_count(interrupted, given, message):
    with pytest.raises(ValueError, match=message):
        main.run(main.Parameters(resume=interrupted, **given))
    main.run(main.Parameters(resume=interrupted, frames=60, hidden=[20], device="CPU"))


class Another(MUMT):
    """A network of another class, with the same constants."""


def another_rule(logits, xp=np):
    return logits > 1


class AnotherDDLO(main.DDLO):
    pass


@pytest.mark.parametrize(
    "what, other",
    [
        ("network", {"network": MUMT(3, 3, delay_weight=2)}),
        ("network", {"network": Another(3, 3)}),
        ("data set", {"data": STATES}),
        ("candidate rule", {"candidates": another_rule}),
        ("algorithm", {"algorithm": AnotherDDLO}),
    ],
)
def test_another_problem_is_refused(interrupted, what, other):
    if "network" in other:
        data = load_data(interrupted.parents[1] / "data.mat", MUMT(3, 3))
        other = {"data": data} | other
    with pytest.raises(ValueError, match=f"^the run in .* has another {what}: .* got "):
        main.run(main.Parameters(resume=interrupted), **other)


def test_another_data_file_is_refused(interrupted):
    save_data(interrupted.parents[1] / "data.mat", generate(MUMT(3, 3), 31))
    with pytest.raises(ValueError, match="^the run in .* has another data set"):
        main.run(main.Parameters(resume=interrupted))


def test_what_has_no_model_is_of_no_run(tmp_path, monkeypatch):
    def killed(self, path):
        raise Killed

    few = SMALL | {"frames": 60, "out": tmp_path / "out"}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("memory.MemoryDNN.save", killed)
        main.run(main.Parameters(**few, checkpoint=30, seed=7))
    killed_after(1, monkeypatch, few | {"checkpoint": 20})
    assert {path.name for path in (tmp_path / "out" / "checkpoint").iterdir()} == {
        "run.npz",
        "frames-0-20.npz",
        "model-20.npz",
    }


def test_new_run_does_not_overwrite_a_checkpoint(interrupted):
    with pytest.raises(ValueError, match="is of an interrupted run: --resume"):
        main.run(main.Parameters(**SMALL, checkpoint=9, out=interrupted.parent))
    with pytest.raises(ValueError, match="must be a saved model or a checkpoint, got the folder"):
        main.run(main.Parameters(resume=interrupted.parent))


def test_what_is_not_saved_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="^checkpoint must be None for AdaptiveDROO, whose greatest"
    ):
        main.run(
            main.Parameters(**SMALL | {"net_num": 1}, checkpoint=9, out=tmp_path / "out"),
            candidates=AdaptiveOrderPreserving(),
            algorithm=AdaptiveDROO,
        )
    with pytest.raises(ValueError, match="^checkpoint must be an integer >= 1, got 0"):
        main.run(main.Parameters(**SMALL, checkpoint=0, out=tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_large_arrays_are_recorded_on_disk(tmp_path, monkeypatch):
    few = SMALL | {"frames": 700}
    main.run(main.Parameters(**few, out=tmp_path / "memory"))
    monkeypatch.setattr(checkpoint, "IN_MEMORY", 1000)
    assert isinstance(recorder(tmp_path)((10, 200), np.uint8), np.memmap)
    main.run(main.Parameters(**few, out=tmp_path / "disk"))
    assert_same_results(tmp_path / "memory", tmp_path / "disk")

"""A run of main.py, called and by command line: its files, its report, and how it fails."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
import tensorflow as tf

import main
from ddlo.bandwidth import JointMUMT
from ddlo.baselines import smallest_local
from ddlo.candidates import Flips
from ddlo.data import Data
from ddlo.report import make_report, print_report, seconds
from main import Parameters
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import DATA, ROOT, command, python
from .reference import OnlyQ, assert_same_arrays, history_of, untrained

cli = command(main)

PLOTS = ("gain_ratio", "training_cost")
FILES = {
    *(f"{name}.{suffix}" for name in PLOTS for suffix in ("png", "pdf", "csv")),
    "history.mat",
    "model.npz",
    "parameters.json",
    "report.json",
}


# The run by command line

FEW = ("--frames", 1300, "--net-num", 2, "--seed", 7, "--memory-size", 200, "--hidden", 30, 20)


def set_threads(patch, number):
    """Set the threads of TensorFlow and NumPy, and the hash seed, of the processes started next."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        patch.setenv(name, str(number))
    patch.setenv("PYTHONHASHSEED", str(number))


@pytest.fixture(scope="module")
def by_command_line(tmp_path_factory):
    """The folder of a run, its exit code, stdout and stderr."""
    out = tmp_path_factory.mktemp("results") / "run"
    with pytest.MonkeyPatch.context() as patch:
        set_threads(patch, 2)
        return out, *python("main.py", *FEW, "--show", "--out", out)


@pytest.mark.slow
def test_command_line_end_to_end(by_command_line):
    out, code, printed, errors = by_command_line
    assert code == 0 and errors == ""  # no chatter of TensorFlow, no progress bar into a file
    assert {file.name for file in out.iterdir()} == FILES
    report = json.loads((out / "report.json").read_text())
    assert f"{report['mean_gain_ratio']:.5f}" in printed
    assert f"{report['released_gain_ratio']:.5f} by the released" in printed
    assert str(out) in printed and "no screen to show the plots on" in printed
    assert report["total_seconds"] > report["loop_seconds"] > 0
    parameters = json.loads((out / "parameters.json").read_text())
    assert parameters["frames"] == 1300 and parameters["hidden"] == [30, 20]
    assert {"python", "tensorflow", "numpy"} <= set(parameters["versions"])
    if (ROOT / ".git").exists():  # a downloaded archive has no commit
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", parameters["commit"])
    assert parameters["network"].pop("class") == "MUMT"
    assert MUMT(**parameters["network"]) == MUMT(3, 3)
    history, data = history_of(out), scipy.io.loadmat(DATA)
    shapes = dict.fromkeys(("index", "chosen", "Q", "gain_ratio", "energy", "delay"), (1, 1300))
    shapes |= {"decision": (1300, 9), "costs": (2, 79)}  # at counters 520, 530, ..., 1300
    assert {key: array.shape for key, array in history.items()} == shapes
    index = history["index"][0]
    np.testing.assert_array_equal(index, Data(data["task_size"]).time_frames(1300)[0])
    Q = MUMT(3, 3).compute_Q(data["task_size"][index], history["decision"])
    np.testing.assert_array_equal(history["Q"][0], Q)
    np.testing.assert_array_equal(history["gain_ratio"][0], data["gain_min"][0, index] / Q)
    np.testing.assert_allclose(history["energy"] + history["delay"], history["Q"], rtol=1e-12)
    assert report["mean_delay"] == history["delay"][0, -260:].mean()
    assert report["mean_gain_ratio"] == history["gain_ratio"][0, -260:].mean()
    assert set(history["chosen"][0]) == {0, 1}
    net = MemoryDNN.load(out / "model")
    assert net.net == [9, 30, 20, 9] and net.memory_counter == 1301
    np.testing.assert_array_equal(net.cost_his, history["costs"])


@pytest.mark.slow
def test_same_seed_gives_the_same_run_with_compute_Q_alone(by_command_line, tmp_path):
    few = {"frames": 1300, "net_num": 2, "seed": 7, "memory_size": 200, "hidden": (30, 20)}
    report = main.run(Parameters(data=DATA, **few, out=tmp_path), OnlyQ(3, 3))
    compiled = json.loads((by_command_line[0] / "report.json").read_text())
    history = history_of(by_command_line[0])
    del history["energy"], history["delay"], compiled["mean_energy"], compiled["mean_delay"]
    assert_same_arrays(history_of(tmp_path), history)
    assert report.keys() == compiled.keys()
    assert report["mean_utility"]["best_fixed"] == pytest.approx(
        compiled["mean_utility"]["best_fixed"], rel=0.01
    )  # from some frames only, where Q is not separable
    for key in ("mean_gain_ratio", "optimal_share", "distinct_decisions"):
        assert report[key] == compiled[key]
    saved = json.loads((tmp_path / "parameters.json").read_text())
    assert saved["network"] == {"class": "OnlyQ", "N": 3, "M": 3, "bandwidth": [12.5, 7]}


@pytest.mark.slow
def test_threads_hashes_and_the_folder_do_not_change_a_bit(by_command_line, tmp_path, monkeypatch):
    set_threads(monkeypatch, 1)
    run = [sys.executable, ROOT / "main.py", *FEW, "--out", "here"]
    done = subprocess.run([*map(str, run)], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0 and done.stderr == b""
    first, second = by_command_line[0], tmp_path / "here"
    assert_same_arrays(history_of(first), history_of(second))
    assert (first / "gain_ratio.csv").read_bytes() == (second / "gain_ratio.csv").read_bytes()


def test_help_describes_all_parameters_without_heavy_imports():
    code = (
        "import sys, runpy; sys.argv = ['main.py', '--help']\n"
        "try: runpy.run_path('main.py', run_name='__main__')\n"
        "finally: print({'tensorflow', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    code, printed, _ = python("-c", code)
    assert code == 0 and printed.endswith("set()\n")
    # All parameters are described, by the comments beside them.
    options = re.sub(r", --no-[a-z-]+|│", "", printed).split("--")[1:]
    described = {option.split()[0] for option in options if len(option.split("(default")[0]) > 30}
    assert {field.name.replace("_", "-") for field in dataclasses.fields(Parameters)} <= described
    # DDLO's parameters come first, then the network's constants, rounded.
    assert printed.index("--net-num") < printed.index("--show") < printed.index("--delay-weight")
    assert re.search(r"\(default:[\s│]+3.25e-07\)", printed)
    assert printed.count("python main.py --") == 2


def test_joint_bandwidth_by_command_line(tmp_path, monkeypatch, capsys):
    data, out = tmp_path / "data.mat", tmp_path / "out"
    network = JointMUMT(7, 2, uplink_bandwidth=7.5)
    Data.generate(network, 100).save(data, network)
    run = ("--users", 7, "--tasks", 2, "--bandwidth", "optimal", "--uplink", 60, "--data", data)
    flips = ("--user-flips", 2, "--recombine", "--training-interval", 1000)
    assert cli(monkeypatch, *run, *flips, "--frames", 200, "--hidden", 20, "--out", out) is None
    assert "unknown; gain ratios are relative to the lower bound" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["reference"] == "lower bound" and report["optimal_share"] is None
    assert 0.99 < report["mean_gain_ratio"] < 1
    assert "lower bound" in report["mean_utility"] and "optimum" not in report["mean_utility"]
    history = history_of(out)
    d = scipy.io.loadmat(data)["task_size"][history["index"][0]]
    np.testing.assert_array_equal(network.compute_Q(d, history["decision"]), history["Q"][0])
    assert MemoryDNN.load(out / "model").candidates == Flips(0, 2, 7)
    assert json.loads((out / "parameters.json").read_text())["network"]["class"] == "JointMUMT"


# Runs that are called


def test_default_output_folders_do_not_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        main.run(untrained(None))
    folders = list((tmp_path / "results").iterdir())
    assert len(folders) == 2
    assert all({file.name for file in folder.iterdir()} == FILES for folder in folders)


# The report


def test_report_by_hand():
    network, sizes = MUMT(1, 1), np.array([[10.0], [20.0]])
    gain_min = network.compute_Q(sizes, [1])  # at 10 MB 41.2 J at the edge, 67.1 J on the device
    index, decision = np.array([0, 0, 1, 0]), np.array([[0], [1], [0], [1]])
    Q = network.compute_Q(sizes[index], decision)
    history = {"index": index, "Q": Q, "decision": decision, "gain_ratio": gain_min[index] / Q}
    report, fixed = make_report(history, 3, network, Data(sizes, gain_min, "optimum"), seed=0)
    assert fixed == {}  # there is an optimum to compare with
    edge, local = network.compute_Q([10], [1]), network.compute_Q([10], [0])
    assert report["mean_gain_ratio"] == pytest.approx((1 + edge / local + 1) / 3)
    assert report["released_gain_ratio"] == pytest.approx((1 + edge / local) / 3)
    assert report["reference"] == "optimum" and report["optimal_share"] == pytest.approx(2 / 3)
    assert report["distinct_decisions"] == 2
    utility, rules = report["mean_utility"], report["rules"]
    assert utility["ddlo"] == pytest.approx((edge + 2 * local + edge) / 3)
    for name in ("optimum", "all_edge", "best_fixed"):
        assert utility[name] == pytest.approx(edge * 4 / 3)
    for name in ("all_local", "smallest_local"):  # the only task is the smallest
        assert utility[name] == pytest.approx(local * 4 / 3)
    assert utility["all_edge"] <= utility["random"] <= utility["all_local"]
    assert rules["best_fixed"] == 1 and not report["beats_best_fixed"]
    assert rules["smallest_local"] == rules["all_local"] < report["mean_gain_ratio"]


def test_one_decision_for_all_frames_does_not_beat_the_best_fixed_one(network, data, capsys):
    index, (optimum, best) = np.arange(1000), network.optimum(data.states[:1000])
    for decision, beats in ((np.tile([1, 1, 0], (1000, 3)), False), (best, True)):
        Q = network.compute_Q(data.states[index], decision)
        history = {"index": index, "Q": Q, "decision": decision, "gain_ratio": optimum / Q}
        report, _ = make_report(history, 200, network, data, 0)
        assert report["beats_best_fixed"] == beats == (report["distinct_decisions"] > 1)
        print_report(report | seconds(0, 0, 0, 0, 1000), "out")
        shown = "does not beat the best fixed decision" in capsys.readouterr().out
        assert shown != beats


def test_smallest_task_local_by_hand(network, published):
    x = smallest_local(MUMT(2, 3), [[10, 9, 11, 0, 5, 4], [7, 7, 8, 0, 0, 0]])
    assert x.tolist() == [[1, 0, 1, 1, 1, 0], [0, 1, 1, 0, 1, 1]]
    d, gain_min = (array[-4000:] for array in published)
    ratio = gain_min / network.compute_Q(d, smallest_local(network, d))
    assert round(ratio.mean(), 5) == 0.99243 and round(np.mean(ratio == 1), 2) == 0.16


# Runs that fail


@pytest.mark.parametrize(
    "option, value, message",
    [
        ("frames", 0, "frames must"),
        ("tasks", 4, "(samples, 12)"),
        ("uplink", 50, "other constants"),
        ("bandwidth", "optimal", "bandwidth, got equal"),
        ("data", "LICENSE", "LICENSE must be a MATLAB file"),
        ("device", "GPU:77", "device must"),
        ("hidden", 0, "net must"),
        ("out", "LICENSE", "LICENSE must be a folder"),
        ("flips", 10, "flips must"),
    ],
)
def test_bad_parameters_end_with_one_message_and_no_folder(
    tmp_path, monkeypatch, option, value, message
):
    monkeypatch.chdir(ROOT)
    few = ("--frames", 1000, "--out", tmp_path / "a" / "b")
    shown = cli(monkeypatch, *few, f"--{option}", value)
    assert message in shown and "\n" not in shown and shown.startswith("main.py: ")
    assert not list(tmp_path.iterdir())


def test_bad_parameters_end_with_an_exit_code_and_no_traceback(tmp_path):
    code, printed, errors = python("main.py", "--data", tmp_path / "nowhere.mat")
    assert code == 1 and printed == ""
    assert errors.startswith("main.py: no such data set: ") and errors.count("\n") == 1


@pytest.mark.parametrize(
    "error, message",
    [
        (MemoryError(), "out of memory"),
        (tf.errors.ResourceExhaustedError(None, None, "on a device"), "out of memory"),
        (FloatingPointError("the training diverges"), "the training diverges"),
    ],
)
def test_errors_in_a_run_end_with_one_message(tmp_path, monkeypatch, error, message):
    def fail(*arguments, **parameters):
        raise error

    monkeypatch.setattr("ddlo.checkpoint.MemoryDNN", fail)
    monkeypatch.chdir(ROOT)
    assert cli(monkeypatch, "--out", tmp_path / "out") == f"main.py: {message}"
    assert not list(tmp_path.iterdir())


def test_files_that_are_there_stay_or_are_replaced_as_a_whole(tmp_path, monkeypatch):
    def disk_full(path, content):
        raise OSError("no space left")

    (tmp_path / "notes.txt").write_text("kept")
    (tmp_path / "report.json").write_text("old")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space left"):
        patch.setattr("ddlo.files.write_json", disk_full)
        main.run(untrained(tmp_path))
    assert {file.read_text() for file in tmp_path.iterdir()} == {"kept", "old"}
    main.run(untrained(tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == FILES | {"notes.txt"}
    assert json.loads((tmp_path / "report.json").read_text())["frames"] == 50


def test_excess_is_a_ratio_of_means(tmp_path, capsys):
    """A frame with a large utility counts more in it than in the mean gain ratio."""
    network, states = MUMT(1, 1), np.array([[1.0]] * 8 + [[1.0], [1000.0]])
    gain_min, _ = network.optimum(states)
    report = main.run(Parameters(frames=10, out=tmp_path), network, (states, gain_min))
    Q = history_of(tmp_path)["Q"][0, -2:]
    assert report["excess"] == pytest.approx(Q.mean() / gain_min[-2:].mean() - 1, abs=1e-12)
    assert report["mean_gain_ratio"] == pytest.approx((gain_min[-2:] / Q).mean(), abs=1e-12)
    assert f"{report['excess']:.2%} above the optimum" in capsys.readouterr().out
    known = (states, 10 * gain_min, "best known utility")
    report = main.run(Parameters(frames=10, out=tmp_path), network, known)
    assert f"{-report['excess']:.2%} below the best known utility" in capsys.readouterr().out


def test_tensorflow_without_eager_execution_is_named(tmp_path):
    code = (
        "import tensorflow as tf; tf.compat.v1.disable_v2_behavior(); import main; "
        "main.command_line(main.run, main.Parameters)"
    )
    result, _, err = python("-c", code, "--frames", 600, "--out", tmp_path / "out")
    assert result == 1 and "eager execution" in err.splitlines()[-1] and "Traceback" not in err

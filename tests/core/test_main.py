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
from ddlo.report import make_report, print_report
from main import Parameters
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import DATA, ROOT, command, python
from .reference import OnlyQ

cli = command(main)

PLOTS = ("gain_ratio", "training_cost")
FILES = {
    *(f"{name}.{suffix}" for name in PLOTS for suffix in ("png", "pdf", "csv")),
    "history.mat",
    "model.npz",
    "parameters.json",
    "report.json",
}


def untrained(out, **changes):
    """Parameters of a run without a training step: nothing is compiled for it."""
    few = {"frames": 50, "hidden": (20,), "training_interval": 1000}
    return Parameters(**{"data": DATA, "out": out} | few | changes)


def history_of(out):
    return {
        key: array for key, array in scipy.io.loadmat(out / "history.mat").items() if key[0] != "_"
    }


def timeless(report):
    return {key: value for key, value in report.items() if "seconds" not in key}


# The run by command line


@pytest.fixture(scope="module")
def by_command_line(tmp_path_factory):
    """The folder of a run, its exit code, stdout and stderr."""
    out = tmp_path_factory.mktemp("results") / "run"
    run = ("main.py", "--frames", 1300, "--net-num", 2, "--seed", 7, "--memory-size", 200)
    run += ("--hidden", 30, 20, "--show", "--out", out)
    return out, *python(*run)


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
    assert {key: array.shape for key, array in history.items()} == {
        "index": (1, 1300),
        "chosen": (1, 1300),
        "decision": (1300, 9),
        "Q": (1, 1300),
        "gain_ratio": (1, 1300),
        "energy": (1, 1300),
        "delay": (1, 1300),
        "costs": (2, 79),  # at counters 520, 530, ..., 1300
    }
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
def test_same_seed_same_run_with_the_same_utility_as_a_custom_one(by_command_line, tmp_path):
    parameters = Parameters(
        data=DATA, frames=1300, net_num=2, seed=7, memory_size=200, hidden=(30, 20)
    )
    parameters.out = tmp_path / "custom"
    report = main.run(parameters, OnlyQ(3, 3))
    histories = [history_of(out) for out in (by_command_line[0], parameters.out)]
    only_mumt = {"energy", "delay"}
    assert histories[0].keys() - only_mumt == histories[1].keys()
    for key, array in histories[1].items():
        np.testing.assert_array_equal(array, histories[0][key])
    released = timeless(json.loads((by_command_line[0] / "report.json").read_text()))
    del released["mean_energy"], released["mean_delay"]
    assert timeless(report).keys() == released.keys()
    assert report["mean_utility"]["best_fixed"] == pytest.approx(
        released["mean_utility"]["best_fixed"], rel=0.01
    )  # of some frames only, where Q is not separable
    for key in ("mean_gain_ratio", "optimal_share", "distinct_decisions"):
        assert report[key] == released[key]
    saved = json.loads((parameters.out / "parameters.json").read_text())
    assert saved["network"] == {"class": "OnlyQ", "N": 3, "M": 3, "bandwidth": [12.5, 7]}


def test_help_lists_the_parameters_and_waits_for_no_heavy_import():
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
    # DDLO's own come first, then the network's constants, which read well.
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
    history, content = history_of(out), scipy.io.loadmat(data)
    d = content["task_size"][history["index"][0]]
    np.testing.assert_array_equal(network.compute_Q(d, history["decision"]), history["Q"][0])
    assert MemoryDNN.load(out / "model").candidates == Flips(0, 2, 7)
    assert json.loads((out / "parameters.json").read_text())["network"]["class"] == "JointMUMT"


# Runs that are called


def test_nothing_is_compiled_without_a_training_step(tmp_path, monkeypatch):
    monkeypatch.setattr("ddlo.loop.compile_loop", None)
    main.run(untrained(tmp_path / "out"))
    assert history_of(tmp_path / "out")["costs"].shape == (3, 0)


def test_network_that_is_given_counts_and_not_the_parameters(tmp_path):
    network = MUMT(4, 2, delay_weight=2)
    Data.generate(network, 100).save(tmp_path / "data.mat", network)
    parameters = untrained(tmp_path / "out", data=tmp_path / "data.mat", user_flips=2)
    parameters.recombine = True
    assert main.run(parameters, network)["mean_gain_ratio"] > 0.99
    assert MemoryDNN.load(tmp_path / "out" / "model").candidates == Flips(0, 2, 4)


def test_utility_below_the_optimum_is_an_error_but_not_below_the_best_known_one(tmp_path, network):
    states = Data.generate(network, 100).states
    gain_min = network.compute_Q(states, np.ones(9))
    parameters = untrained(tmp_path / "out")
    with pytest.raises(ValueError, match="gain_min must be the optimum, got .* a utility of"):
        main.run(parameters, data=(states, gain_min))
    assert not parameters.out.exists()
    report = main.run(parameters, data=(states, gain_min, "best known utility"))
    assert report["reference"] == "best known utility" and report["optimal_share"] is None


def test_default_output_folders_do_not_collide(tmp_path, monkeypatch):
    Data.generate(MUMT(1, 1), 20).save(tmp_path / "data.mat", MUMT(1, 1))
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        main.run(untrained(None, data=tmp_path / "data.mat", users=1, tasks=1))
    folders = list((tmp_path / "results").iterdir())
    assert len(folders) == 2
    assert all({file.name for file in folder.iterdir()} == FILES for folder in folders)


# The report


def test_report_by_hand():
    network = MUMT(1, 1)
    task_size = np.array([[10.0], [20.0]])
    # For 10 MB it is 41.2 J at the edge, 67.1 J on the device.
    gain_min = network.compute_Q(task_size, [1])
    index = np.array([0, 0, 1, 0])
    Q = network.compute_Q(task_size[index], [[0], [1], [0], [1]])
    decision = np.array([[0], [1], [0], [1]])
    history = {"index": index, "Q": Q, "decision": decision, "gain_ratio": gain_min[index] / Q}
    report, fixed = make_report(history, 3, network, Data(task_size, gain_min, "optimum"), seed=0)
    assert fixed == {}  # there is an optimum to compare with
    edge, local = network.compute_Q([10], [1]), network.compute_Q([10], [0])
    assert report["frames"] == 4 and report["test_frames"] == 3
    assert report["mean_gain_ratio"] == pytest.approx((1 + edge / local + 1) / 3)
    assert report["released_gain_ratio"] == pytest.approx((1 + edge / local) / 3)
    assert report["reference"] == "optimum" and report["optimal_share"] == pytest.approx(2 / 3)
    utility = report["mean_utility"]
    assert utility["ddlo"] == pytest.approx((edge + 2 * local + edge) / 3)
    assert utility["optimum"] == utility["all_edge"] == pytest.approx(edge * 4 / 3)
    assert utility["all_local"] == pytest.approx(local * 4 / 3)
    assert utility["all_edge"] <= utility["random"] <= utility["all_local"]
    assert utility["best_fixed"] == utility["all_edge"]
    assert utility["smallest_local"] == utility["all_local"]  # of the only task
    assert report["rules"]["best_fixed"] == 1 and not report["beats_best_fixed"]
    assert (
        report["rules"]["smallest_local"]
        == report["rules"]["all_local"]
        < report["mean_gain_ratio"]
    )
    assert report["distinct_decisions"] == 2
    assert all(type(value) is not np.float64 for value in [*report.values(), *utility.values()])


def test_one_decision_for_all_frames_does_not_beat_the_best_fixed_one(network, data, capsys):
    task_size, gain_min = data[:2]
    index, collapsed = np.arange(1000), np.tile([1, 1, 0], 3)
    for decision in (collapsed, np.ones(9)):
        Q = network.compute_Q(task_size[index], decision)
        ratio = gain_min[index] / Q
        history = {"index": index, "Q": Q, "decision": np.tile(decision, (1000, 1))}
        report, _ = make_report(history | {"gain_ratio": ratio}, 200, network, data, 0)
        assert report["distinct_decisions"] == 1 and not report["beats_best_fixed"]
        seconds = ("loop_seconds", "seconds_per_frame", "compile_seconds", "total_seconds")
        print_report(report | dict.fromkeys(seconds, 0), "out")
        printed = capsys.readouterr().out
        assert "DDLO does not beat the best fixed decision" in printed
        assert "distinct decisions 1 in" in printed
    optimum, x = network.optimum(task_size[index])
    history = {"index": index, "Q": optimum, "decision": x, "gain_ratio": np.ones(1000)}
    report, _ = make_report(history, 200, network, data, 0)
    assert report["beats_best_fixed"] and report["distinct_decisions"] > 5


def test_smallest_task_local_by_hand(network, published):
    x = smallest_local(MUMT(2, 3), [[10, 9, 11, 0, 5, 4], [7, 7, 8, 0, 0, 0]])
    assert x.tolist() == [[1, 0, 1, 1, 1, 0], [0, 1, 1, 0, 1, 1]]
    d, gain_min = (array[-4000:] for array in published)
    ratio = gain_min / network.compute_Q(d, smallest_local(network, d))
    assert round(ratio.mean(), 5) == 0.99243 and round(np.mean(ratio == 1), 2) == 0.16


# Runs that fail


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--frames", 0), "frames must be an integer >= 1, got 0"),
        (("--users", 0), "N must be"),
        (("--tasks", 4), "(samples, 12)"),
        (("--users", 9, "--tasks", 1), "gain_min of sample 0"),
        (("--uplink", 50), "other constants"),
        (("--bandwidth", "optimal"), "for optimal bandwidth, got equal"),
        (("--data", "LICENSE"), "LICENSE must be a MATLAB file, got text"),
        (("--device", "GPU:77"), "device must be one of CPU"),
        (("--hidden", 120, 0), "net[2] must be"),
        (("--net-num", 10**23), "net_num must be an integer <= 2147483647"),
        (("--out", "LICENSE"), "LICENSE must be a folder to write to, got a file"),
        (("--flips", 10), "flips must be an integer <= 9, got 10"),
    ],
)
def test_bad_parameters_end_with_one_message_and_no_folder(
    tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(ROOT)
    (tmp_path / "there").mkdir()
    out = tmp_path / "there" / "a" / "b"
    code = cli(monkeypatch, "--frames", 1000, "--out", out, *arguments)
    assert message in code and "\n" not in code and code.startswith("main.py: ")
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


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
def test_errors_on_the_way_end_with_one_message(tmp_path, monkeypatch, error, message):
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


@pytest.mark.slow
def test_threads_and_hashes_do_not_change_a_bit(tmp_path, monkeypatch):
    few = {"--frames": 1300, "--net-num": 4}
    options = [part for option in few.items() for part in option]
    for threads in (1, 2):
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.setenv(name, str(threads))
        monkeypatch.setenv("PYTHONHASHSEED", str(threads))
        assert python("main.py", *options, "--out", tmp_path / str(threads))[0] == 0
    one, two = (history_of(tmp_path / threads) for threads in "12")
    assert one.keys() == two.keys() and one["costs"].shape == (4, 79)
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])
    one, two = ((tmp_path / threads / "gain_ratio.csv").read_bytes() for threads in "12")
    assert one == two


def test_main_finds_its_data_from_another_folder(tmp_path):
    few = ("--frames", "20", "--hidden", "5", "--training-interval", "99", "--out", "here")
    command = [sys.executable, str(ROOT / "main.py"), *few]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    assert (tmp_path / "here" / "report.json").is_file()


def test_one_instance_in_every_frame_is_learnt(tmp_path, published):
    # Inputs of 0 would give logits of 0 and all tasks local, a gain ratio of 0.58.
    d = np.repeat(published[0][:1], 50, axis=0)
    gain_min = np.repeat(published[1][:1], 50)
    report = main.run(Parameters(frames=1000, out=tmp_path), data=(d, gain_min))
    assert report["mean_gain_ratio"] > 0.8

"""Many runs: what one gives, how it is kept and found again, and that all of many are done."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from importlib import import_module

import numpy as np
import pytest
from scipy.io import loadmat

import main
from ddlo.candidates import Flips, OrderPreserving
from ddlo.data import Data, task_sizes
from experiments.engine import Store, run_all
from experiments.execution import execute
from experiments.origin import origin
from experiments.runs import Run
from experiments.schemes import coordinate_descent
from experiments.suite import normalised
from MUMT import MUMT, Constants

from ..conftest import DATA, ROOT
from .deadly import Deadly
from .made import result_of

SHORT = Run(frames=600, hidden=(5,), net_num=2)
QUICK = [Run("full offloading", frames=50), Run("random", frames=50), Run("random", 1, frames=50)]


def timeless(metrics):
    return {k: v for k, v in metrics.items() if "seconds" not in k and not k.startswith("ms_")}


def assert_same(result, other):
    """Assert that two results of runs differ in nothing but the times they took."""
    assert timeless(result[0]) == timeless(other[0])
    assert result[1].keys() == other[1].keys()
    for key, array in result[1].items():
        np.testing.assert_array_equal(array, other[1][key])


@pytest.fixture(scope="module")
def short():
    return execute(SHORT)


# One run


def test_defaults_are_the_released_values():
    released = main.Parameters()
    for name in ("users", "tasks", "uplink", "frames", "net_num", "hidden", "learning_rate"):
        assert getattr(Run(), name) == getattr(released, name)
    for name in ("training_interval", "batch_size", "memory_size", "recombine", "bandwidth"):
        assert getattr(Run(), name) == getattr(released, name)
    assert ROOT / Run().data == DATA and Run().network == MUMT(3, 3)


@pytest.mark.slow
def test_a_run_is_the_run_of_main(short, tmp_path):
    few = {"frames": 600, "hidden": (5,), "net_num": 2}
    report = main.run(main.Parameters(data=DATA, out=tmp_path / "out", **few))
    metrics, curves = short
    history = loadmat(tmp_path / "out" / "history.mat")
    np.testing.assert_array_equal(curves["gain_ratio"], np.float32(history["gain_ratio"][0]))
    np.testing.assert_array_equal(curves["costs"], np.float32(history["costs"]))
    assert curves["costs"].shape == (2, 9) and len(curves["gain_ratio"]) == 600
    for name in ("mean_gain_ratio", "test_frames", "optimal_share", "reference"):
        assert metrics[name] == report[name]
    assert metrics["mean_utility"] == report["mean_utility"]["ddlo"]


def test_metrics_of_a_run(short):
    metrics, curves = short
    ratio = curves["gain_ratio"]
    assert metrics["test_frames"] == 120
    assert metrics["mean_gain_ratio"] == pytest.approx(ratio[-120:].mean())
    assert metrics["gain_ratio_5th_percentile"] == pytest.approx(np.percentile(ratio[-120:], 5))
    assert metrics["untrained_gain_ratio"] == pytest.approx(ratio[:500].mean())
    assert metrics["last_cost"] == pytest.approx(curves["costs"][:, -1:].mean())
    for name in ("loop_seconds", "ms_per_frame", "ms_per_frame_batched"):
        assert 0 < metrics[name] < 1000 * metrics["run_seconds"]
    assert "core" in metrics["machine"]


def test_a_seed_is_the_same_run_whatever_was_run_before(short):
    others = [execute(replace(SHORT, seed=1)), execute(replace(SHORT, uplink=50))]
    assert_same(execute(SHORT), short)
    for other in others:
        assert (other[1]["gain_ratio"] != short[1]["gain_ratio"]).any()


@pytest.mark.parametrize("bandwidth", ["equal", "optimal"])
def test_schemes_in_a_network_of_another_size(bandwidth):
    size = {"data": "", "users": 2, "tasks": 1, "uplink": 200, "bandwidth": bandwidth}
    run = Run("coordinate descent", frames=200, delay_weight=2, **size)
    metrics, curves = execute(run)
    assert curves == {} and "loop_seconds" not in metrics and metrics["test_frames"] == 40
    network = run.network
    assert (network.uplink_bandwidth, network.delay_weight) == (25, 2)
    d = task_sizes(range(16000, 16040), 2, 1)
    Q = network.compute_Q(d, coordinate_descent(network, d))
    gain_min = network.optimum(d)[0]
    assert metrics["mean_utility"] == Q.mean()
    assert metrics["mean_gain_ratio"] == pytest.approx((gain_min / Q).mean(), rel=1e-12)
    assert metrics["excess"] == pytest.approx(Q.mean() / gain_min.mean() - 1, rel=1e-9)


def test_schemes_on_the_published_data():
    run = Run("best fixed decision", frames=500)
    of_all = {name: execute(replace(run, scheme=name))[0] for name in (run.scheme, "optimum")}
    assert of_all["optimum"]["mean_gain_ratio"] == of_all["optimum"]["optimal_share"] == 1
    assert of_all["optimum"]["excess"] == 0
    assert 0.9 < of_all[run.scheme]["mean_gain_ratio"] < 1
    seeds = [execute(replace(QUICK[1], seed=seed))[0]["mean_utility"] for seed in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]


def test_names_of_runs():
    assert str(Run()) == "scheme=DDLO, seed=0"
    assert str(Run("optimum by MILP", uplink=50)) == "scheme=optimum by MILP, seed=0, uplink=50.0"
    described = str(Run(candidates=OrderPreserving(3), hidden=(5,), seed=2))
    assert described.startswith("scheme=DDLO, seed=2, ")
    assert "hidden=(5,)" in described and "OrderPreserving(K=3)" in described


# The store


def test_store_keeps_what_a_run_gave(tmp_path):
    store, run = Store(tmp_path / "runs"), QUICK[1]
    assert run not in store
    result = execute(run)
    store.save(run, result)
    for other in (store, Store(tmp_path / "runs")):
        assert run in other and QUICK[2] not in other
        assert other.load(run) == result  # the times, too: it is not executed again
    made = result_of(SHORT)
    store.save(SHORT, made)
    assert_same(Store(tmp_path / "runs").load(SHORT), made)


def test_store_executes_what_it_does_not_have(tmp_path):
    store = Store(tmp_path)
    assert_same(store.load(QUICK[2]), execute(QUICK[2]))
    assert QUICK[2] in Store(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"no archive", "cut off"])
def test_damaged_entry_is_executed_again(tmp_path, damage):
    run = QUICK[1]
    Store(tmp_path).save(run, execute(run))
    (entry,) = tmp_path.iterdir()
    content = entry.read_bytes()
    entry.write_bytes(content[: len(content) // 2] if damage == "cut off" else damage)
    result = Store(tmp_path).load(run)
    assert_same(result, execute(run))
    assert Store(tmp_path).load(run) == result  # it is mended


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"frames": 51},
        {"net_num": 4},
        {"hidden": (120,)},
        {"learning_rate": 0.02},
        {"training_interval": 5},
        {"batch_size": 64},
        {"memory_size": 512},
        {"uplink": 50},
        {"delay_weight": 2},
        {"scheme": "optimum"},
        {"bandwidth": "optimal"},
        {"candidates": Flips(1)},
        {"candidates": Flips(0, 1)},
        {"recombine": True},
        {"beta1": 0.9},
        {"scale": normalised},
        {"data": ""},
        {"data": "", "users": 4},
        {"data": "", "tasks": 4},
    ],
)
def test_run_with_another_parameter_is_not_found(tmp_path, change):
    store = Store(tmp_path)
    store.save(Run(), ({}, {}))
    assert replace(Run(), **change) not in store
    assert Run(uplink=100.0, delay_weight=1.0) in Store(tmp_path)  # the same numbers


def test_run_on_other_data_is_not_found(tmp_path):
    run = replace(QUICK[0], data=os.path.relpath(tmp_path / "data.mat", ROOT))
    Data.generate(MUMT(3, 3), 100).save(tmp_path / "data.mat", MUMT(3, 3))
    before = execute(run)
    Store(tmp_path).save(run, before)
    assert run in Store(tmp_path)
    Data.generate(MUMT(3, 3), 50).save(tmp_path / "data.mat", MUMT(3, 3))
    assert run not in Store(tmp_path)
    assert execute(run)[0]["mean_utility"] != before[0]["mean_utility"]  # it is read anew


def test_run_with_other_versions_is_not_found(tmp_path):
    Store(tmp_path).save(Run(), ({}, {}))
    code = (
        "import importlib.metadata as metadata, pathlib, sys\n"
        "version = metadata.version\n"
        "metadata.version = lambda name: '9.9' if name == sys.argv[2] else version(name)\n"
        "from experiments.engine import Store\n"
        "from experiments.runs import Run\n"
        "print(Run() in Store(pathlib.Path(sys.argv[1])))\n"
    )
    for package, is_found in (("numpy", "False"), ("nothing", "True")):
        arguments = [sys.executable, "-c", code, tmp_path, package]
        found = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
        assert found.stdout.split() == [is_found]


LEARNING, OTHER = {Run(), Run(data=""), Run(candidates=Flips(1))}, {Run("optimum"), Run("random")}


@pytest.mark.slow
def test_run_with_other_code_is_not_found(tmp_path):
    copy = tmp_path / "copy"
    for path in [*ROOT.glob("*.py"), *ROOT.glob("ddlo/*.py"), *ROOT.glob("experiments/*.py"), DATA]:
        (copy / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        (copy / path.relative_to(ROOT)).write_bytes(path.read_bytes())
    code = (
        "from experiments.origin import origin\n"
        "from experiments.droo import AdaptiveOrderPreserving\n"
        "from experiments.runs import Run, WPMECRun\n"
        "adaptive = WPMECRun(net_num=1, candidates=AdaptiveOrderPreserving())\n"
        "runs = [Run(), Run(data=''), adaptive, Run('optimum'), Run('random')]\n"
        "print(*(origin(run)['code'] for run in runs))\n"
    )

    def digests():
        process = subprocess.run(
            [sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=True
        )
        return process.stdout.split()

    before = digests()
    assert before[3] == before[4] != before[0] == before[1]
    for name, old, new, changed in [
        ("memory.py", "1 / self.net[0], (", "2 / self.net[0], (", [1, 1, 1, 1, 1]),
        ("MUMT.py", "float = 3.25 * 10**-7", "float = 3.26 * 10**-7", [1, 1, 1, 1, 1]),
        ("ddlo/candidates.py", "return logits > 0", "return logits >= 0", [1, 1, 1, 1, 1]),
        ("experiments/wpmec.py", "noise_power = 1e-10", "noise_power = 1e-9", [1, 1, 1, 1, 1]),
        ("experiments/schemes.py", '"mip_rel_gap": 0', '"mip_rel_gap": 1', [0, 0, 0, 1, 1]),
        (
            "main.py",
            "    net_num: int = ",
            "    net_num: int = 1",
            [0, 0, 0, 0, 0],
        ),  # Run has its own
        ("main.py", "  # 1 and 2", "  # steps 1 and 2", [0, 0, 0, 0, 0]),
        ("experiments/plots.py", "LABEL_WIDTH = 31", "LABEL_WIDTH = 32", [0, 0, 0, 0, 0]),
    ]:
        text = (copy / name).read_text()
        assert text.count(old) == 1
        (copy / name).write_text(text.replace(old, new))
        assert [int(a != b) for a, b in zip(before, digests())] == changed, name
        (copy / name).write_text(text)


# Many runs

ANY_OTHER = """
def rule(logits, xp=None):
    return logits > {threshold}
"""


@pytest.mark.slow
def test_all_runs_are_done_but_those_that_fail(tmp_path, monkeypatch, capfd, short):
    (tmp_path / "edited.py").write_text(ANY_OTHER.format(threshold=0))
    monkeypatch.syspath_prepend(tmp_path)
    edited = replace(SHORT, candidates=import_module("edited").rule)
    origin(edited)
    (tmp_path / "edited.py").write_text(ANY_OTHER.format(threshold=1))  # workers import this
    failing = {
        Deadly("local only", frames=50): "KilledWorker: ",
        Run("no scheme", frames=50): "ValueError: scheme must be DDLO or",
        edited: "RuntimeError: the worker must have the same data, code and versions",
    }
    innocent, before = [SHORT, replace(SHORT, seed=1), *QUICK], Run("optimum", frames=50)
    store = Store(tmp_path / "runs")
    store.save(before, ({"of": "before"}, {}))
    done, failed = run_all([before, *innocent, *failing, SHORT], store, workers=2)
    assert failed.keys() == failing.keys() and done == len(innocent)
    for run, message in failing.items():
        assert failed[run].startswith(message) and run not in store
    told = capfd.readouterr().err.splitlines()
    assert sorted(told) == sorted(f"failed: {run}: {failed[run]}" for run in failing)
    stored = Store(tmp_path / "runs")
    for run in innocent:
        assert run in stored
    assert stored.load(before) == ({"of": "before"}, {})  # it is not done again
    assert_same(stored.load(SHORT), short)
    for run in QUICK:
        assert_same(stored.load(run), execute(run))

    def refuse(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr("distributed.Client", refuse)
    assert run_all(innocent, stored, workers=2) == (0, {})


def test_runs_on_a_cluster_by_its_address(tmp_path, short):
    from distributed import LocalCluster

    # Threads of this process, which execute one run at a time.
    options = {"processes": False, "protocol": "tcp", "dashboard_address": ":0"}
    todo = [SHORT, replace(SHORT, seed=1), Run("no scheme", frames=50), *QUICK]
    store = Store(tmp_path)
    with LocalCluster(n_workers=1, threads_per_worker=4, **options) as cluster:
        done, failed = run_all(todo, store, scheduler=cluster.scheduler_address)
    assert done == 5 and list(failed) == [todo[2]]
    assert_same(store.load(SHORT), short)
    assert_same(store.load(todo[1]), execute(todo[1]))


def test_bad_data_are_refused_before_anything_runs(tmp_path):
    for run, message in [
        (replace(QUICK[0], data="data/nowhere.mat"), "no such data set"),
        (replace(QUICK[0], users=2), "task_size must have shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            run_all([QUICK[1], run], Store(tmp_path / "runs"))
    assert QUICK[1] not in Store(tmp_path / "runs")


FIGURES = ["-m", "experiments.figures", "--only", "training_cost", "--frames", "900"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="a terminal interrupts in another way")
def test_interrupted_suite_resumes(tmp_path):
    def start(seeds):
        return subprocess.Popen(
            [sys.executable, *FIGURES, "--seeds", str(seeds), "--processes", "1"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    store = Store(tmp_path / "results" / "runs")
    of_all = [Run(frames=900, seed=seed) for seed in range(60)]
    with start(seeds=60) as process:
        end = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end and of_all[0] not in store:
            time.sleep(0.1)
        time.sleep(1)  # all of the first batch are stored, and the second one is under way
        assert process.poll() is None and of_all[0] in store
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: the workers get it, too
        printed, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "interrupted\n")
    done = sum(run in store for run in of_all)
    assert 1 <= done < 60 and printed.startswith(f"{done} of 60 runs are in ")
    assert printed.count("\n") == 1 and not (tmp_path / "results" / "figures").exists()

    with start(seeds=done) as process:
        printed, errors = process.communicate()
    assert process.returncode == 0 and errors == ""
    assert printed.startswith(f"{done} runs, {done} of them done before")
    assert (tmp_path / "results" / "figures" / "training_cost.png").is_file()


@pytest.mark.parametrize("name", [field.name for field in fields(Constants)])
def test_optimum_is_found_again_for_any_other_constant(name):
    changed = {name: 1.7 * getattr(Run(), name)}
    metrics = [
        execute(Run(scheme, frames=200, **changed))[0] for scheme in ("optimum", "local only")
    ]
    assert metrics[0]["mean_gain_ratio"] == metrics[0]["optimal_share"] == 1
    assert metrics[1]["mean_gain_ratio"] < 1
    released = execute(Run("optimum", frames=200))[0]
    assert metrics[0]["mean_utility"] != released["mean_utility"]

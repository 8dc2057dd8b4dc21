"""Runs: what they give, how they are stored and found again, and that all of many are done."""

import json
import os
import signal
import sys
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

import main
import memory
from experiments import parallel, runs, store
from experiments.generate_data import generate, save_data, task_sizes
from experiments.parallel import run_all
from experiments.runs import VARIANTS, Run, execute
from experiments.store import RunStore
from MUMT import MUMT

from .conftest import DATA, ROOT

SHORT = Run(frames=700, net_num=2, hidden=(10,))
QUICK = [Run("all_edge", frames=50), Run("random", frames=50), Run("random", frames=50, seed=1)]


@dataclass(frozen=True)
class Deadly(Run):
    """A run whose process dies, as when memory runs out."""

    @property
    def network(self):
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Slow(Run):
    """A run that is under way for long enough to be so whenever another one dies."""

    @property
    def network(self):
        time.sleep(3)
        return super().network


def test_a_run_is_the_run_of_main(tmp_path):
    parameters = main.Parameters(
        data=DATA, frames=700, net_num=2, hidden=(10,), seed=4, out=tmp_path / "out"
    )
    report = main.run(parameters)
    arrays, about = execute(replace(SHORT, seed=4))
    history = np.load(tmp_path / "out" / "history.npz")
    assert set(arrays) == set(history)
    for key in history:
        np.testing.assert_array_equal(arrays[key], history[key])
    assert about["test_frames"] == report["test_frames"] == 140
    assert about["versions"]["numpy"] == np.__version__ and "core" in about["machine"]
    assert about["block_seconds"] > 0 and about["frame_seconds"] > 0


def test_the_released_values_are_the_defaults():
    run = Run()
    assert (run.users, run.tasks, run.uplink, run.delay_weight, run.frames) == (3, 3, 100, 1, 20000)
    assert (run.net_num, run.hidden, run.learning_rate) == (3, (120, 80), 0.01)
    assert (run.training_interval, run.batch_size, run.memory_size) == (10, 128, 1024)
    assert ROOT / run.data == DATA
    assert run.network == MUMT(3, 3, rand_seed=0)


def test_a_seed_is_the_same_run_whatever_was_run_before():
    first = execute(SHORT)[0]
    execute(replace(SHORT, seed=1))
    execute(replace(SHORT, uplink=50))
    again = execute(SHORT)[0]
    for key in first:
        np.testing.assert_array_equal(first[key], again[key])


@pytest.mark.parametrize(
    "run",
    [
        Run("coordinate_descent", frames=500, uplink=40, delay_weight=2),
        replace(SHORT, uplink=40, delay_weight=2),
        replace(SHORT, scheme="droo", net_num=5, uplink=40, delay_weight=2),
    ],
)
def test_runs_in_other_networks(run, published):
    network = MUMT(3, 3, uplink_bandwidth=5, delay_weight=2)
    arrays, about = execute(run)
    d = published[0][arrays["index"]]
    np.testing.assert_array_equal(arrays["Q"], network.compute_Q(d, arrays["decision"]))
    np.testing.assert_array_equal(arrays["gain_ratio"], network.optimum(d)[0] / arrays["Q"])
    assert (arrays["gain_ratio"] <= 1).all() and about["test_frames"] == run.frames // 5
    assert len(arrays["Q"]) == (about["test_frames"] if "coord" in run.scheme else run.frames)


@pytest.mark.parametrize("bandwidth", ["equal", "optimal"])
def test_runs_in_networks_of_other_sizes(bandwidth):
    size = {"data": "", "users": 7, "tasks": 2, "uplink": 200, "bandwidth": bandwidth}
    network = MUMT(7, 2, uplink_bandwidth=25, bandwidth=bandwidth)
    mended = replace(SHORT, flips=2, user_flips=1, recombine=True, **size)
    others = ["coordinate_descent", "by_price", "for_equal_split"]
    for run in (mended, *(Run(scheme, frames=200, **size) for scheme in others)):
        arrays, about = execute(run)
        d = task_sizes(arrays["index"], 7, 2)
        np.testing.assert_array_equal(arrays["Q"], network.compute_Q(d, arrays["decision"]))
        bound = network.lower_bound(d)
        np.testing.assert_allclose(arrays["gain_ratio"], bound / arrays["Q"], rtol=1e-14)
        assert ("fixed_gain_ratio" in about) == (bandwidth == "equal" and run.learns)
        assert ("loop_seconds" in about) == run.learns
        if run.scheme in ("by_price", "for_equal_split") and bandwidth == "equal":
            assert arrays["gain_ratio"].min() == 1
    assert len(execute(mended)[0]["Q"]) == 700


def test_variants_are_done_and_undone():
    short = replace(SHORT, frames=900)
    released, normalised, usual = (
        execute(replace(short, variant=variant))[0] for variant in ("", *VARIANTS)
    )
    np.testing.assert_array_equal(execute(short)[0]["Q"], released["Q"])
    assert main.dnn_input(np.array([10.0, 30])).tolist() == [-100, 100]
    assert memory.BETA1 == np.float32(0.09)
    # The first training costs differ where inputs do; with another beta1 only later ones.
    assert (normalised["costs"][:, 0] != released["costs"][:, 0]).all()
    assert (usual["costs"][:, 0] == released["costs"][:, 0]).all()
    assert (usual["costs"][:, -1] != released["costs"][:, -1]).all()
    assert set(VARIANTS) == {"normalised inputs", "beta1 = 0.9"}


def test_the_random_schemes_seed_is_the_runs():
    decisions = [execute(run)[0]["decision"] for run in QUICK[1:]]
    assert (decisions[0] != decisions[1]).any()
    np.testing.assert_array_equal(execute(QUICK[1])[0]["decision"], decisions[0])


def test_store(tmp_path):
    store = RunStore(tmp_path / "runs")
    run = QUICK[1]
    assert run not in store and not (tmp_path / "runs").exists()
    arrays, about = execute(run)
    store.save(run, arrays, about)
    assert run in store and run in RunStore(tmp_path / "runs")
    assert [file.suffix for file in (tmp_path / "runs").iterdir()] == [".npz"]
    stored, stored_about = store.load(run)
    for key in arrays:
        np.testing.assert_array_equal(stored[key], arrays[key])
    assert stored_about["run"]["scheme"] == "random" and stored_about["run"]["frames"] == 50
    assert stored_about["versions"] == main.versions() and stored_about["code"]
    assert {key: stored_about[key] for key in about} == about and store.about(run) == stored_about


def test_damaged_files_of_the_store(tmp_path):
    store = RunStore(tmp_path)
    store.save(QUICK[0], *execute(QUICK[0]))
    path = store.path(QUICK[0])
    content = path.read_bytes()
    for cut_off in (b"", content[:1000]):
        path.write_bytes(cut_off)
        assert QUICK[0] not in store  # is done again
    path.write_bytes(content[:60] + b"\0" * 500 + content[560:])
    with pytest.raises(ValueError, match=f"{path.name} is damaged, and can be deleted"):
        store.load(QUICK[0])


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
        {"scheme": "droo"},
        {"bandwidth": "optimal"},
        {"flips": 1},
        {"user_flips": 1},
        {"recombine": True},
        {"variant": "beta1 = 0.9"},
        {"data": ""},
    ],
)
def test_another_parameter_is_another_run(tmp_path, change):
    store = RunStore(tmp_path)
    store.save(Run(), {}, {})
    assert Run() in store and replace(Run(), **change) not in store


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A copy of the package's code, which runs are taken to come from now."""
    for path in [*ROOT.glob("*.py"), *ROOT.glob("experiments/*.py"), DATA]:
        copy = tmp_path / "copy" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(store, "ROOT", tmp_path / "copy")
    store._code.cache_clear()
    yield tmp_path / "copy"
    store._code.cache_clear()


LEARNING = {Run(), Run("droo"), Run(data="")}
OTHER = {Run("milp"), Run("best_fixed")}


@pytest.mark.parametrize(
    "name, old, new, changed",
    [
        ("memory.py", "EPSILON = np.float32(0.09)", "EPSILON = np.float32(0.9)", LEARNING | OTHER),
        ("main.py", "return 10 * task_size - 200", "return task_size - 20", LEARNING | OTHER),
        ("MUMT.py", "3.25 * 10**-7", "3.26 * 10**-7", LEARNING | OTHER),
        ("experiments/runs.py", "net.reset(run.seed)", "net.reset(0)", LEARNING | OTHER),
        ("experiments/droo.py", "threshold <= 0", "threshold < 0", {Run("droo")}),
        ("experiments/schemes.py", '"mip_rel_gap": 0', '"mip_rel_gap": 1', OTHER),
        ("memory.py", "# Adam's constants;", "# Constants of Adam;", set()),
        ("main.py", "net_num: int = 3", "net_num: int = 10", set()),  # Run has its own
        ("experiments/generate_data.py", "randint(10, 31", "randint(10, 30", {Run(data="")}),
        ("experiments/plots.py", "EARLY = 2000", "EARLY = 3000", set()),
    ],
)
def test_another_algorithm_is_another_run(tmp_path, sources, name, old, new, changed):
    for run in LEARNING | OTHER:
        RunStore(tmp_path).save(run, {}, {})
    text = (sources / name).read_text()
    assert old in text
    (sources / name).write_text(text.replace(old, new))
    store._code.cache_clear()
    assert {run for run in LEARNING | OTHER if run not in RunStore(tmp_path)} == changed


def test_other_versions_and_other_data_are_another_run(tmp_path, monkeypatch):
    RunStore(tmp_path).save(Run(), {}, {})
    with monkeypatch.context() as patch:
        patch.setattr(store, "_versions", lambda: {"tensorflow": "3.0"})
        assert Run() not in RunStore(tmp_path)
    assert Run() in RunStore(tmp_path)
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(store, "ROOT", tmp_path)
    for source in (*store.SOURCES, store.DROO_SOURCE, store.SCHEMES_SOURCE, store.DATA_SOURCE):
        (tmp_path / source).parent.mkdir(exist_ok=True)
        (tmp_path / source).write_bytes((ROOT / source).read_bytes())
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    (tmp_path / Run().data).write_bytes(DATA.read_bytes())
    assert Run() in RunStore(tmp_path)
    before = execute(QUICK[0])[0]
    save_data(tmp_path / Run().data, generate(MUMT(3, 3), 100))
    assert Run() not in RunStore(tmp_path)
    assert (execute(QUICK[0])[0]["Q"] != before["Q"]).any()  # the file is read anew


def test_all_runs_are_done_but_those_stored_and_those_that_fail(tmp_path, capfd):
    store = RunStore(tmp_path)
    diverging = replace(SHORT, learning_rate=1e30)
    todo = [SHORT, diverging, *QUICK, SHORT]
    done, failed = run_all(todo, store, processes=2)
    assert list(failed) == [diverging] and diverging not in store and done == 4
    assert failed[diverging].startswith("FloatingPointError: the training cost of DNN 1 is nan")
    message = capfd.readouterr().err
    assert "failed: scheme=ddlo, seed=0, frames=700, net_num=2, hidden=(10,)" in message
    assert "learning_rate=1e+30: FloatingPointError" in message and message.count("\n") == 1
    assert all(run in store for run in [SHORT, *QUICK])
    np.testing.assert_array_equal(store.load(SHORT)[0]["Q"], execute(SHORT)[0]["Q"])

    times = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(times) == 4
    done, failed = run_all([*todo, replace(QUICK[0], frames=60)], store, processes=1)
    assert done == 1 and list(failed) == [diverging]
    assert {file: file.stat().st_mtime_ns for file in times} == times  # not done again
    assert len(list(tmp_path.iterdir())) == 5


def test_runs_that_share_what_is_compiled_go_to_one_process():
    few = [replace(SHORT, net_num=K, seed=seed) for K in (2, 3, 5) for seed in range(2)]
    assert [len(batch) for batch in parallel._batches(few, 1)] == [2, 2, 2]
    many = [Run(seed=seed, uplink=uplink) for uplink in (50, 100) for seed in range(30)]
    batches = parallel._batches(many, 2)
    assert [run for batch in batches for run in batch] == many
    work = [sum(run.work for run in batch) for batch in batches]
    assert parallel.BATCH_SECONDS - many[0].work < max(work) <= parallel.BATCH_SECONDS
    # So few runs as there are processes, or fewer, are all done at the same time.
    assert len(parallel._batches(many[:2], 2)) == 2


def test_a_process_that_dies_takes_no_other_run_with_it(tmp_path):
    store = RunStore(tmp_path)
    deadly = Deadly("optimum", frames=50)
    others = [replace(QUICK[1], seed=seed) for seed in range(6)]
    slow = Slow("optimum", frames=60)
    done, failed = run_all([slow, *others[:3], deadly, *others[3:]], store, processes=2)
    assert list(failed) == [deadly] and "TerminatedWorkerError" in failed[deadly]
    assert done == 7 and all(run in store for run in [slow, *others])


def test_runs_on_a_dask_cluster_of_two_workers(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    store = RunStore(tmp_path)
    diverging = replace(SHORT, learning_rate=1e30)
    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster:
        todo = [SHORT, replace(SHORT, seed=1), diverging, *QUICK]
        _, failed = run_all(todo, store, scheduler=cluster.scheduler_address)
    assert list(failed) == [diverging]
    for run in (todo[0], todo[1], *QUICK):
        np.testing.assert_array_equal(store.load(run)[0]["Q"], execute(run)[0]["Q"])


def test_without_dask(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match="pip install distributed"):
        run_all(QUICK, RunStore(tmp_path), scheduler="tcp://127.0.0.1:1")
    assert not list(tmp_path.iterdir())


def test_a_worker_with_other_code_is_refused():
    run, arrays, message = parallel._outcome(QUICK[0], store.origin(QUICK[0]) | {"code": "other"})
    assert run == QUICK[0] and arrays is None and "other data, code or versions" in message
    assert parallel._outcome(QUICK[0], store.origin(QUICK[0]))[1] is not None


def test_missing_data_set_is_told_at_the_door(tmp_path):
    with pytest.raises(ValueError, match="no data set"):
        run_all([replace(QUICK[0], data="data/nowhere.mat")], RunStore(tmp_path))
    with pytest.raises(ValueError, match="task_size has shape"):
        run_all([replace(QUICK[0], users=2)], RunStore(tmp_path))


def test_a_run_that_cannot_be_stored_ends_it_all(tmp_path):
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(OSError):
        run_all(QUICK, RunStore(tmp_path / "runs"), processes=1)
    assert (tmp_path / "runs").read_text() == "in the way"


def test_names_of_runs():
    assert str(Run()) == "scheme=ddlo, seed=0"
    assert str(Run("milp", uplink=50)) == "scheme=milp, seed=0, uplink=50"
    assert json.dumps(str(SHORT)) == '"scheme=ddlo, seed=0, frames=700, net_num=2, hidden=(10,)"'

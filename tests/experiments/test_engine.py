"""Many runs: the store, failing runs, clusters and interruption."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from importlib import import_module

import dask
import psutil
import pytest
from distributed import LocalCluster

from ddlo.data import Data
from experiments.engine import Store, run_all
from experiments.execution import execute
from experiments.runs import released
from experiments.schemes import SCHEMES
from MUMT import MUMT

from ..conftest import ROOT
from .deadly import DEADLY, FAILING, WAITING
from .test_runs import SHORT, assert_same

RANDOM = [released(scheme=SCHEMES["random"], frames=50, seed=seed) for seed in range(3)]
MADE = ({"mean_utility": 1.5}, {})


def is_in(store, *runs):
    return [store.load(run) is not None for run in runs]


# The store


def test_run_on_other_data_is_not_found(tmp_path):
    store, path, network = Store(tmp_path / "runs"), tmp_path / "data.mat", MUMT(3, 3)
    run = replace(RANDOM[0], data=path)
    Data.generate(network, 100).save(path, network)
    before = execute(run)
    store.save(run, before)
    path.rename(tmp_path / "moved.mat")
    Data.generate(network, 50).save(path, network)
    run = replace(run)
    assert is_in(store, run, replace(run, data=tmp_path / "moved.mat")) == [False, True]
    assert execute(run)[0]["mean_utility"] != before[0]["mean_utility"]


def test_file_of_another_run_is_not_taken(tmp_path):
    store = Store(tmp_path)
    store.save(SHORT, MADE)
    shutil.copy(store.path(SHORT), store.path(RANDOM[0]))
    assert is_in(store, SHORT, RANDOM[0]) == [True, False]


@pytest.mark.parametrize("end", [0, -30])
def test_damaged_file_is_executed_again(tmp_path, end):
    store = Store(tmp_path)
    store.save(SHORT, MADE)
    path = store.path(SHORT)
    path.write_bytes(path.read_bytes()[:end])
    assert not is_in(store, SHORT)[0]


PROBE = """
import importlib.metadata as metadata
import sys

version = metadata.version
metadata.version = lambda name: "9.9" if name in sys.argv else version(name)
from experiments.engine import Store
from experiments.runs import released
from experiments.schemes import SCHEMES
from mine import Late

runs = [released(), released(scheme=SCHEMES["optimum"]), released(network=Late(2, 1))]
store = Store("runs")
if "save" in sys.argv:
    [store.save(run, ({}, {})) for run in runs]
print(*(int(store.load(run) is not None) for run in runs))
"""
MINE = """
from MUMT import MUMT
from tariff import PRICE

class Late(MUMT, compiled=True):
    def cost_terms(self, d, upload):
        return [PRICE * cost for cost in super().cost_terms(d, upload)]
"""


@pytest.mark.slow
def test_run_with_other_code_or_versions_is_not_found(tmp_path):
    for path in [*ROOT.glob("*.py"), *ROOT.glob("ddlo/*.py"), *ROOT.glob("experiments/**/*.py")]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for name, text in (("probe", PROBE), ("mine", MINE), ("tariff", "PRICE = 2\n")):
        (tmp_path / f"{name}.py").write_text(text)

    def found(*arguments):
        command = [sys.executable, "-B", "probe.py", *arguments]
        return subprocess.check_output(command, cwd=tmp_path, text=True).split()

    def edit(name, old, new):
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1))

    assert found("save") == found() == ["1", "1", "1"]
    assert found("numpy") == ["0", "0", "0"]
    edit("main.py", "    net_num: int = 3 ", "    net_num: int = 4 ")
    edit("main.py", "  # 1 and 2\n", "  # steps 1 and 2\n")
    edit("main.py", "\n    command_line(run, Parameters)", "\n    pass")
    edit("experiments/plots.py", "import", "A = 1\nimport")
    edit("experiments/tables.py", "import", "A = 1\nimport")
    assert found() == ["1", "1", "1"]
    for name, old, new, expected in [
        ("main.py", "results.append((k, x))", "results += [(k, x)]", "000"),
        ("ddlo/dnns.py", "1 / layers[k][0], shape", "2 / layers[k][0], shape", "000"),
        ("experiments/schemes.py", '"mip_rel_gap": 0', '"mip_rel_gap": 1', "101"),
        ("mine.py", "PRICE *", "2 * PRICE *", "110"),
        ("tariff.py", "2", "3", "110"),
    ]:
        edit(name, old, new)
        assert found() == list(expected), name
        edit(name, new, old)


# Many runs


@pytest.mark.slow
def test_all_runs_are_done_but_those_that_fail(tmp_path, monkeypatch, capfd):
    rule = "def rule(logits, xp):\n    return logits > {}\n"
    (tmp_path / "edited.py").write_text(rule.format(0))
    monkeypatch.syspath_prepend(tmp_path)
    edited = replace(SHORT, candidates=import_module("edited").rule)
    store = Store(tmp_path / "runs")
    assert store.load(edited) is None
    (tmp_path / "edited.py").write_text(rule.format(1))  # workers import this
    failing = {DEADLY: "KilledWorker", FAILING: "ValueError: not today", edited: "other code"}
    good, before = [SHORT, *RANDOM], WAITING
    store.save(before, MADE)
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):  # saves time
        done, failed = run_all([before, *good, *failing, SHORT], store, workers=2)
    assert failed.keys() == failing.keys() and done == len(good)
    for run, reason in failing.items():
        assert reason in failed[run] and "\n" not in failed[run] and store.load(run) is None
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == len(failing) and all(
        any(str(run) in line for line in lines) for run in failing
    )
    assert store.load(before) == MADE  # it is not executed again
    for run in good:
        assert_same(store.load(run), execute(run))
    monkeypatch.setattr("distributed.LocalCluster", None)
    assert run_all([before, *good], store) == (0, {})


def test_runs_on_a_cluster_by_its_address(tmp_path):
    # Threads of this process, which execute one run at a time.
    options = {"processes": False, "protocol": "tcp", "dashboard_address": ":0"}
    store, todo = Store(tmp_path), [SHORT, FAILING, *RANDOM]
    with LocalCluster(n_workers=1, threads_per_worker=4, **options) as cluster:
        done, failed = run_all(todo, store, scheduler=cluster.scheduler_address)
    assert done == 4 and list(failed) == [FAILING]
    for run in (SHORT, *RANDOM):
        assert_same(store.load(run), execute(run))


@pytest.mark.slow
def test_lost_cluster_is_one_error(tmp_path, capfd):
    class ClosingStore(Store):
        def save(self, *result):
            super().save(*result)
            cluster.close()

    runs, store = [replace(WAITING, seed=seed) for seed in range(2)], ClosingStore(tmp_path)
    options = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, **options)
    address = cluster.scheduler_address
    with pytest.raises(OSError, match="cluster was lost"):
        run_all(runs, store, scheduler=address)
    assert is_in(store, *runs) == [True, False]
    with pytest.raises(OSError, match=address.removeprefix("tcp://")):
        run_all(runs, store, scheduler=address)  # nobody is there
    assert capfd.readouterr().err == ""


# A suite of a user, and its end


def start_suite(folder, *arguments):
    """Start Python in a folder as the leader of a session, like a command in a terminal."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


OWN = """
from experiments.figures import run_suite
from experiments.runs import released
from experiments.schemes import SCHEMES
from experiments.suite import Experiment
from MUMT import MUMT

PENALTY = 50.0


class Late(MUMT, compiled=True):
    def user_utility(self, costs, decision, xp):
        energy, local, offload = self.user_costs(costs, decision, xp)
        delay = xp.maximum(local, offload)
        return energy + delay + xp.where(delay > 100, PENALTY, 0.0)


if __name__ == "__main__":
    few = {"network": Late(2, 2), "hidden": (5,)}
    runs = {"DDLO": released(**few), "local": released(**few, scheme=SCHEMES["local only"])}
    print(*run_suite({"late": Experiment("Late", runs)}, 1, 100, processes=1).mean_utility)
"""


@pytest.mark.slow
def test_suite_in_a_script_of_a_user(tmp_path):
    def run(script):
        (tmp_path / "own.py").write_text(script)
        with start_suite(tmp_path, "own.py") as process:
            out, err = process.communicate()
        assert (process.returncode, err) == (0, ""), err
        done, numbers = out.splitlines()
        return int(re.match("2 runs, ([0-9]) of them", done)[1]), numbers.split()

    done, before = run(OWN)
    assert done == 0 and (tmp_path / "results" / "figures" / "late.png").is_file()
    assert run(OWN + "    print\n") == (2, before)
    done, after = run(OWN.replace("50.0", "70.0"))
    assert done == 0 and all(float(a) > float(b) for a, b in zip(after, before))


SUITE = """
from ddlo.command_line import command_line
from experiments.figures import Options, run_suite
from experiments.suite import Experiment
from tests.experiments.deadly import WAITING

def main(options):
    run_suite({"waiting": Experiment("Waiting", {"waiting": WAITING})}, 3, 50, processes=2)

command_line(main, Options)
"""


def wait_until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def processes_of(session):
    """Return the living processes of a session."""
    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(OSError):  # it has ended
            is_living = process.info["status"] != psutil.STATUS_ZOMBIE
            if os.getsid(process.pid) == session and is_living:
                found.append(process)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="processes are ended in another way")
@pytest.mark.parametrize(
    "number, end, is_started",
    [
        (signal.SIGINT, os.killpg, False),
        (signal.SIGTERM, os.kill, False),
        (signal.SIGINT, os.killpg, True),  # as a terminal does
        (signal.SIGTERM, os.kill, True),
    ],
)
def test_interrupted_suite_resumes(tmp_path, number, end, is_started):
    store = Store(tmp_path / "results" / "runs")
    runs = [replace(WAITING, seed=seed) for seed in range(3)]
    with start_suite(tmp_path, "-c", SUITE) as process:
        # The first process of a suite is Python's resource tracker, the next ones are workers.
        wait_until(
            lambda: is_in(store, *runs)[0] if is_started else len(processes_of(process.pid)) > 2
        )
        end(process.pid, number)
        _, errors = process.communicate()
    expected = (130, "interrupted\n") if number == signal.SIGINT else (143, "terminated\n")
    assert (process.returncode, errors) == expected
    wait_until(lambda: not processes_of(process.pid))
    assert is_in(store, *runs) == [is_started, False, False]
    assert not (tmp_path / "results" / "figures").exists()
    if is_started:
        (tmp_path / "go").touch()
        with start_suite(tmp_path, "-c", SUITE) as process:
            printed, errors = process.communicate()
        assert errors == "" and printed.startswith("3 runs, 1 of them done before")

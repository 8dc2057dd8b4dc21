"""A suite on a real cluster, whose parts are killed: what is finished is kept, the next call goes on."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from experiments.engine import Store
from experiments.runs import Run

from ..conftest import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="processes are ended in another way"),
]
SEEDS = 40
RUNS = [Run(frames=900, seed=seed) for seed in range(SEEDS)]
FIGURES = ["-m", "experiments.figures", "--only", "training_cost", "--frames", "900"]


def start(folder, *arguments, root=ROOT):
    """Start Python there, with the package of this or another folder, as a process group."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process):
    """End a process and its children, as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


class Cluster:
    """`dask scheduler` and workers on the loopback."""

    def __init__(self, folder):
        self.folder, self.workers = folder, []
        options = ("--host", "127.0.0.1", "--port", 0, "--no-dashboard")
        self.scheduler = start(folder, "-m", "distributed.cli.dask_scheduler", *options)
        for line in self.scheduler.stderr:
            if found := re.search(r"Scheduler at: +(tcp://\S+)", line):
                self.address = found[1]
                break

    def add_worker(self, root=ROOT):
        options = (self.address, "--nthreads", 1, "--no-dashboard")
        module = ("-m", "distributed.cli.dask_worker")
        self.workers.append(start(self.folder, *module, *options, root=root))

    def close(self):
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                kill(process)


@pytest.fixture
def cluster(tmp_path):
    (tmp_path / "dask").mkdir()
    cluster = Cluster(tmp_path / "dask")
    yield cluster
    cluster.close()


def suite(folder, *options, seeds=SEEDS):
    return start(folder, *FIGURES, "--seeds", seeds, *options)


def stored(folder):
    store = Store(folder / "results" / "runs")
    return [run for run in RUNS if run in store]


def wait_for_some(folder, process, some=1):
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end and len(stored(folder)) < some:
        time.sleep(0.05)
    assert process.poll() is None and len(stored(folder)) >= some


def check_resumed(folder):
    """Check that what is finished is kept, and that the next suite takes it over."""
    done = len(stored(folder))
    assert 1 <= done < SEEDS and not list((folder / "results" / "figures").glob("[!.]*"))
    printed, errors = suite(folder, "--processes", 1).communicate()
    assert printed.startswith(f"{SEEDS} runs, {done} of them done before") and errors == ""
    assert not list((folder / "results").rglob(".*"))  # what a killed suite could not remove


def test_killed_worker_takes_no_run_with_it(tmp_path, cluster):
    for _ in range(2):
        cluster.add_worker()
    process = suite(tmp_path, "--scheduler", cluster.address)
    wait_for_some(tmp_path, process)
    kill(cluster.workers[0])
    printed, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "") and len(stored(tmp_path)) == SEEDS
    assert printed.startswith(f"{SEEDS} runs, 0 of them done before")


def test_killed_scheduler_is_one_message(tmp_path, cluster):
    for _ in range(2):
        cluster.add_worker()
    process = suite(tmp_path, "--scheduler", cluster.address)
    wait_for_some(tmp_path, process)
    kill(cluster.scheduler)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert errors.startswith("figures.py: the Dask cluster was lost") and errors.count("\n") == 1
    check_resumed(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_suite_that_is_ended_leaves_what_is_finished(tmp_path, number):
    process = suite(tmp_path, "--processes", 2)
    wait_for_some(tmp_path, process)
    process.send_signal(number)
    printed, errors = process.communicate(timeout=120)
    if number == signal.SIGTERM:
        done = len(stored(tmp_path))
        assert (process.returncode, errors) == (143, "terminated\n")
        assert printed.startswith(f"{done} of {SEEDS} runs are in ")
        assert not list((tmp_path / "results").rglob(".*"))
    check_resumed(tmp_path)


def test_worker_with_other_code_is_told_of(tmp_path, cluster):
    other = tmp_path / "other"
    for name in ("ddlo", "experiments", "data"):
        shutil.copytree(ROOT / name, other / name)
    for name in ("main.py", "memory.py", "MUMT.py"):
        shutil.copy(ROOT / name, other)
    with open(other / "memory.py", "a") as file:
        file.write("EDITED = True\n")
    cluster.add_worker(other)
    process = suite(tmp_path, "--scheduler", cluster.address, seeds=2)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and not stored(tmp_path)
    first, second, last = errors.splitlines()
    assert "the worker must have the same data, code and versions" in first and first != second
    assert last == "figures.py: all 2 runs failed"


FULL = """
import resource, runpy, sys
sys.argv = sys.argv[1:]
# As if the disk were full when so many bytes are in a file: a run's is larger.
resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
runpy.run_module(sys.argv[0], run_name="__main__")
"""


def test_full_disk_is_one_message(tmp_path):
    long = (*FIGURES[:-1], 6000, "--processes", 1)
    process = start(tmp_path, *long, "--seeds", 2)
    assert process.communicate()[0].startswith("2 runs")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    process = start(tmp_path, "-c", FULL, *long[1:], "--seeds", 3)
    errors = process.communicate()[1]
    assert process.returncode == 1 and "File too large" in errors and errors.count("\n") == 1
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after

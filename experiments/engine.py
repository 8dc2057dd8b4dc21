"""Many runs: on the cores of this machine or on a cluster, by Dask; finished ones kept in files."""

import hashlib
import json
import logging
import signal
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from itertools import groupby
from multiprocessing import resource_tracker
from pathlib import Path

from tqdm import tqdm

from ddlo.data import Data
from ddlo.files import read_archive, write_archive
from MUMT import MUMT

from .execution import execute
from .origin import ROOT, origin

TEXTS = ("run", "metrics")  # in a run's file, beside its curves
# Runs that share a compilation, which takes a second or more, go to one worker for so many seconds.
BATCH_SECONDS = 10
# A worker of a cluster may have several threads, but a process has one net.
_one_at_a_time = threading.Lock()


class Store:
    """Finished runs in a folder, a file each: arrays and JSON, as write_archive writes them.

    A run is found again only if its parameters and its `origin` are what they were.
    """

    def __init__(self, folder):
        self._folder = Path(folder)
        self._identities = {}

    def _identity(self, run):
        if run not in self._identities:
            self._identities[run] = {"parameters": run.parameters, "origin": origin(run)}
        return self._identities[run]

    def path(self, run):
        """Return the path of the file that a run's result has, or would have."""
        identity = json.dumps(self._identity(run), sort_keys=True)
        return self._folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.npz"

    def __contains__(self, run):
        return self.path(run).exists()

    def save(self, run, result):
        """Keep the result of a run, metrics and curves. Raises OSError if it cannot be stored."""
        metrics, curves = result
        self._folder.mkdir(parents=True, exist_ok=True)
        texts = dict(zip(TEXTS, (self._identity(run), metrics)))
        write_archive(self.path(run), curves, texts)

    def load(self, run):
        """Return the result of a run; if it is missing or damaged, the run is executed again."""
        try:
            with read_archive(self.path(run), "a finished run") as (curves, text):
                return text("metrics"), {name: curves[name] for name in curves.keys() - TEXTS}
        except (FileNotFoundError, ValueError):
            result = execute(run)
            self.save(run, result)
            return result


def run_all(runs, store, workers=None, scheduler=None):
    """Execute the runs that are not in the store yet, and store each when it is finished.

    Parameters
    ----------
    runs : sequence of Run
    store : Store
    workers : int, processes on this machine; None for one on each core
    scheduler : str, the address of a Dask cluster that executes them instead

    Returns
    -------
    int
        How many runs were executed: the others were stored already, or failed.
    dict of str by Run
        What went wrong, of the runs that failed.

    Raises
    ------
    ValueError
        If a data set is not as expected.
    OSError
        If the cluster cannot be reached or is lost, or a run cannot be stored.
    """
    for data, users, tasks in {(run.data, run.users, run.tasks) for run in runs if run.data}:
        Data.load(ROOT / data, MUMT(users, tasks))
    from dask.system import CPU_COUNT

    todo, failed = [run for run in dict.fromkeys(runs) if run not in store], {}
    if not todo:
        return 0, failed
    workers = min(workers or CPU_COUNT, len(todo))
    bar = tqdm(
        total=sum(run.work for run in todo),
        desc="runs",
        smoothing=0,  # runs differ too much for a recent speed
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}, {remaining} left{postfix}",
        disable=None,
    )
    done = 0
    with bar, _client(workers, scheduler) as client:

        def record(run, result):
            nonlocal done
            if isinstance(result, str):
                failed[run] = result
                tqdm.write(f"failed: {run}: {result}", file=sys.stderr)
            else:
                store.save(run, result)
                done += 1
            bar.set_postfix_str(f"{done + len(failed)} of {len(todo)} done", refresh=False)
            bar.update(run.work)

        lost = []  # with their worker: one of them ends it, and the others are innocent
        for batch, results in _completed(client, _batches(todo, workers)):
            if isinstance(results, str):
                lost += batch
            else:
                for run, result in zip(batch, results):
                    record(run, result)
        for run in lost:  # so that now it ends alone
            for _, results in _completed(client, [(run,)]):
                record(run, results if isinstance(results, str) else results[0])
    return done, failed


def _batches(runs, workers):
    """Return the runs in tuples that a worker executes one after the other, having compiled once.

    They are short enough that workers share the load and an interruption loses little. What takes
    longest comes first, so that at the end no worker waits long for another.
    """
    work = Counter()
    for run in runs:
        work[run.compiled] += run.work
    order = {compiled: i for i, compiled in enumerate(work)}
    runs = sorted(
        runs,
        key=lambda run: (-work[run.compiled], order[run.compiled], str(run.problem)),
    )
    limit = min(BATCH_SECONDS, sum(work.values()) / (2 * workers))
    batches = []
    for _, group in groupby(runs, key=lambda run: run.compiled):
        seconds = limit
        for run in group:
            if seconds + run.work > limit:
                batches.append([])
                seconds = 0
            batches[-1].append(run)
            seconds += run.work
    return [tuple(batch) for batch in batches]


def _completed(client, batches):
    """Have batches executed; yield each with its results, or with what went wrong with its worker."""
    from distributed import as_completed

    futures = {
        client.submit(_execute_batch, batch, [origin(run) for run in batch], pure=False): batch
        for batch in batches
    }
    for future in as_completed(list(futures)):
        if future.status == "finished":
            try:
                results = future.result()
            except OSError as error:
                raise OSError(f"the Dask cluster was lost: {error}") from error
            yield futures[future], results
        elif future.status == "error":
            yield futures[future], _in_a_line(future.exception())
        else:
            raise OSError(f"the Dask cluster was lost: a run is {future.status}")
        future.release()


def _execute_batch(batch, origins):
    """Execute runs where they were sent to; return their results, or what went wrong as text."""
    return [_execute(run, expected) for run, expected in zip(batch, origins)]


def _execute(run, expected):
    # tqdm's own lock is one between processes, whose semaphore stays behind if this one is ended.
    tqdm.set_lock(threading.RLock())
    with _one_at_a_time:
        try:
            if origin(run) != expected:
                raise RuntimeError(
                    f"the worker must have the same data, code and versions, {expected}, got "
                    f"{origin(run)}"
                )
            return execute(run)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other runs continue
            return _in_a_line(error)


def _in_a_line(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@contextmanager
def _client(workers, scheduler):
    """Yield a client of a Dask cluster: of the scheduler's, or of processes of this machine."""
    import dask
    from distributed import Client, LocalCluster

    if scheduler:
        # If it is lost, we say so in one line.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        with Client(scheduler, timeout=10) as client:
            yield client
        return
    # A run that ends its process fails at once; no batch waits at one worker while another is idle;
    # and no profiler takes time from what is timed. One run a core: threads of a library's own would
    # only fight for them, so that Dask gives each worker one.
    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.worker.profile.enabled": False,
    }
    with (
        dask.config.set(settings),
        _interruption_for_this_thread_only(),
    ):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        )
    with cluster, Client(cluster) as client:
        yield client


@contextmanager
def _interruption_for_this_thread_only():
    """Hold back Ctrl-C here, and for good in threads and processes started meanwhile.

    This thread ends them then; they would each print that they were interrupted. Where the system
    has no way to hold it back (Windows), they do.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would lift it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

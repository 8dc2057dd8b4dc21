"""Many runs at a time: on the cores of this machine, or on a Dask cluster."""

import signal
import sys
import threading
import warnings
from collections import Counter
from contextlib import closing, contextmanager
from itertools import groupby

import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from MUMT import MUMT, load_data

from .runs import ROOT, execute
from .store import origin

# Runs that share what is compiled, which takes a second, are sent to one process for so long.
BATCH_SECONDS = 10
_one_at_a_time = threading.Lock()  # Dask's workers may have several threads, a process one net


def run_all(runs, store, processes=None, scheduler=None):
    """Do the runs that are not in the store yet, in parallel, and store each when it is done.

    Parameters
    ----------
    runs : sequence of Run
    store : RunStore
    processes : int, how many at a time on this machine; None for one on each core
    scheduler : str, the address of a Dask cluster that does them instead

    Returns
    -------
    int
        How many runs were done: the others are stored already, or failed.
    dict of str by Run
        What went wrong, of the runs that failed.

    Raises
    ------
    ValueError
        If a data set is not as expected, or the package for Dask is missing.
    OSError
        If the cluster cannot be reached, or a run cannot be stored.
    """
    for data, users, tasks in {(run.data, run.users, run.tasks) for run in runs if run.data}:
        load_data(ROOT / data, MUMT(users, tasks))
    work = Counter()
    for run in runs:
        work[run.compiled] += run.work
    todo = [run for run in dict.fromkeys(runs) if run not in store]
    # What takes longest comes first, so that at the end no core waits long for another, and runs
    # that share what is compiled, or an optimum, follow each other.
    todo.sort(
        key=lambda run: (-work[run.compiled], str(run.compiled), run.uplink, run.delay_weight)
    )
    failed = {}
    if not todo:
        return 0, failed
    bar = tqdm(
        total=sum(run.work for run in todo),
        desc="runs",
        smoothing=0,  # runs differ too much for a recent speed
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}, {remaining} left{postfix}",
        disable=None,
    )
    processes = min(processes or joblib.cpu_count(), len(todo))
    workers = _cluster(scheduler) if scheduler else _processes(processes)
    with bar, workers, closing(_outcomes(_batches(todo, processes))) as outcomes:
        for i, (run, arrays, about) in enumerate(outcomes, start=1):
            if arrays is None:
                failed[run] = about
                tqdm.write(f"failed: {run}: {about}", file=sys.stderr)
            else:
                with _uninterrupted():  # else a folder of half a file may stay behind
                    store.save(run, arrays, about)
            bar.set_postfix_str(f"{i} of {len(todo)} done", refresh=False)
            bar.update(run.work)
    return len(todo) - len(failed), failed


@contextmanager
def _processes(number):
    """Have joblib use so many processes of this machine."""
    # One run a core: threads of a library's own would only fight for them.
    with (
        joblib.parallel_config("loky", n_jobs=number, inner_max_num_threads=1),
        warnings.catch_warnings(),
    ):
        # Of runs that an interruption cancels, and of processes that it replaces.
        warnings.filterwarnings("ignore", category=UserWarning, module="joblib")
        try:
            with _interruption_for_this_process_only():
                # They import TensorFlow before all else: joblib takes it for a leak of memory, and
                # ends the process, where it comes later.
                parallel = joblib.Parallel(return_as="generator")
                started = parallel(joblib.delayed(_import_memory)() for _ in range(number))
            list(started)
            yield
        finally:  # they would stay, with the memory that TensorFlow takes
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _import_memory():
    import memory  # noqa: F401


@contextmanager
def _interruption_for_this_process_only():
    """Hold back Ctrl-C, and for good in processes started meanwhile: this one ends them then.

    They would each print that they were interrupted. Where the system has no way to hold it back
    (Windows), they do.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _uninterrupted():
    """Have Ctrl-C wait until what is done in a moment is done."""
    if threading.current_thread() is not threading.main_thread():
        yield  # it does not come here
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *arguments: pressed.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def _cluster(scheduler):
    """Have joblib use the workers of a Dask cluster."""
    try:
        from distributed import Client
    except ImportError:
        raise ValueError(
            "the package distributed is missing; pip install distributed brings it and Dask"
        ) from None
    with Client(scheduler, timeout=10), joblib.parallel_config("dask"):
        yield


def _batches(runs, processes):
    """Return the runs in tuples that a process does one after the other, having compiled once.

    They are short enough that a process can take over from another, and an interruption loses little.
    """
    most = min(BATCH_SECONDS, sum(run.work for run in runs) / (2 * processes))
    batches = []
    for _, group in groupby(runs, key=lambda run: run.compiled):
        work = np.inf
        for run in group:
            work += run.work
            if work > most:
                batches.append([])
                work = run.work
            batches[-1].append(run)
    return [tuple(batch) for batch in batches]


def _outcomes(batches):
    """Do runs in parallel; yield each with its arrays and `about`, or with None and what failed."""
    left, suspects = list(batches), []
    while left or suspects:
        # Of the runs that were under way when a process died, the one to blame dies alone as well.
        alone = bool(suspects)
        queue = suspects if alone else left
        under_way = []

        def tasks(queue=tuple(queue), under_way=under_way):
            for batch in queue:
                under_way.append(batch)
                yield joblib.delayed(_batch_outcomes)(batch, [origin(run) for run in batch])

        parallel = joblib.Parallel(
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch=1 if alone else "n_jobs",
        )
        try:
            for batch, outcomes in parallel(tasks()):
                queue.remove(batch)
                under_way.remove(batch)
                yield from outcomes
        # A run's own exceptions are in its outcome: here a process died, or the cluster did.
        except Exception as error:
            if not under_way:
                raise
            for batch in under_way:
                queue.remove(batch)
            runs = [run for batch in under_way for run in batch]
            if len(runs) > 1:
                suspects += [(run,) for run in runs]
            else:
                yield runs[0], None, _in_a_line(error)


def _batch_outcomes(batch, expected):
    """Do the runs of a batch where it was sent to, and return it with their outcomes."""
    return batch, [_outcome(run, of_run) for run, of_run in zip(batch, expected)]


def _outcome(run, expected):
    """Do a run where it was sent to, and return its outcome."""
    # tqdm's own lock is one between processes, and its semaphore stays behind if this one is killed.
    tqdm.set_lock(threading.RLock())
    with _one_at_a_time:
        try:
            if origin(run) != expected:
                raise RuntimeError(
                    f"the worker has other data, code or versions, {origin(run)}; {expected} was "
                    "expected"
                )
            return run, *execute(run)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other runs go on
            return run, None, _in_a_line(error)


def _in_a_line(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())}"

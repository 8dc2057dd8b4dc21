"""Many runs, on the cores of this machine or on a Dask cluster; finished ones are kept in files."""

import ast
import importlib.util
import json
import logging
import multiprocessing
import pickle
import re
import signal
import sys
import sysconfig
import threading
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from hashlib import sha256
from itertools import accumulate, cycle
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ddlo.dnns import BACKENDS
from ddlo.files import read_archive, write_archive
from ddlo.report import package_versions

from .runs import TaskSizes, execute

# Modules that only show results or start runs.
WITHOUT_EFFECT = {
    f"experiments.{name}" for name in ("engine", "figures", "plots", "suite", "tables")
}
WITHOUT_EFFECT |= {f"ddlo.{name}" for name in ("command_line", "gym_env", "plots", "report")}
LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
# A process has one net: a worker of a cluster may have several threads.
_one_at_a_time = threading.Lock()


class Store:
    """Finished runs in a folder, a file each, found by their `identity`."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def path(self, run):
        """Return the path of a run's file."""
        text = json.dumps(identity(run), sort_keys=True)
        return self.folder / f"{sha256(text.encode()).hexdigest()[:32]}.npz"

    def save(self, run, result):
        """Store the metrics and curves of a run. Raises OSError if that fails."""
        metrics, curves = result
        self.folder.mkdir(parents=True, exist_ok=True)
        write_archive(self.path(run), curves, {"run": identity(run), "metrics": metrics})

    def load(self, run):
        """Return the metrics and curves of a run, or None without a valid file of this run."""
        archive = read_archive(self.path(run), "a finished run")
        with suppress(FileNotFoundError, ValueError), archive as (curves, text):
            if text("run") == identity(run):
                others = curves.keys() - {"run", "metrics"}
                return text("metrics"), {name: curves[name] for name in others}
        return None


@cache
def identity(run):
    """Return what a run's results depend on: parameters, data, code and versions, as JSON values."""
    code = digest(modules(run))
    states = None if isinstance(run.states, TaskSizes) else states_digest(run.problem)
    return {
        "run": run.parameters,
        "states": states,
        "code": code,
        "versions": versions(run.backend),
    }


@cache
def states_digest(run):
    """Return a digest of a run's states: their function may read files."""
    states = np.asarray(run.states(run.networks[0][1], run.frames))
    return sha256(repr((states.shape, states.dtype)).encode() + states.tobytes()).hexdigest()


versions = cache(package_versions)


def modules(run):
    """Return the names of the modules of a run's functions and classes."""
    names = set()
    for text in re.findall(r'"([\w.]+)\.\w+"', run.key):  # may be of a nested class
        names |= {*accumulate(text.split("."), "{}.{}".format)}
    return frozenset({"experiments.runs", BACKENDS[run.backend]} | names & sys.modules.keys())


@cache
def digest(names):
    """Return a digest of the code of local modules and of all local modules that they import."""
    found, missing = {}, sorted(names - WITHOUT_EFFECT)
    while missing:
        name = missing.pop()
        if name not in found and (module := source(name)):
            found[name], imported = module
            missing += imported - WITHOUT_EFFECT
    return sha256(repr(sorted(found.items())).encode()).hexdigest()


@cache
def source(name):
    """Return the digest of a local module's code and the names it imports; None for other modules.

    Comments, the class Parameters of main.py and the block below `if __name__ == "__main__"` do not
    count: a run has its own parameters.
    """
    path = local_file(name)
    if path is None:
        return None
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'")
        and not (name == "main" and getattr(node, "name", None) == "Parameters")
    ]
    package = name if Path(path).name == "__init__.py" else name.rpartition(".")[0]
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            imported |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return sha256(ast.dump(tree).encode()).hexdigest(), imported


def local_file(name):
    """Return the path of a module that is not part of Python or of an installed package, or None."""
    parent, _, _ = name.rpartition(".")
    if name in sys.modules:
        path = getattr(sys.modules[name], "__file__", None)
    elif parent and Path(local_file(parent) or "").name != "__init__.py":  # a name in a module
        path = None
    else:
        path = getattr(importlib.util.find_spec(name), "origin", None)
    is_local = path and path.endswith(".py") and not path.startswith(tuple(LIBRARIES))
    return path if is_local else None


def run_all(runs, store, workers=None, scheduler=None):
    """Execute the runs that are not in the store yet; store each as soon as it is finished.

    `workers` is the number of processes on this machine, by default one per core; `scheduler` the
    address of a Dask cluster to use instead. Returns the number of runs executed, and errors by run of
    those that failed. Raises OSError if the cluster cannot be reached or is lost, or a run cannot be
    stored.
    """
    todo = [run for run in dict.fromkeys(runs) if store.load(run) is None]
    if not todo:
        return 0, {}
    from distributed import as_completed

    failed = {}
    # Long runs come first, so that at the end no worker waits for another one.
    todo.sort(key=lambda run: (-run.net_num * run.frames, loop_key(run)))
    with (
        tqdm(total=len(todo), desc="runs", smoothing=0, disable=None) as bar,
        client_of(min(workers or sys.maxsize, len(todo)), scheduler) as client,
    ):
        # Runs that share a compiled loop prefer one worker, which keeps the last one; idle workers help.
        workers = cycle(client.scheduler_info(n_workers=-1)["workers"])
        home = {key: next(workers) for key in dict.fromkeys(map(loop_key, todo))}
        futures = {}
        for run in todo:
            place = {"workers": home[loop_key(run)], "allow_other_workers": True}
            sent = pickle.dumps(run), identity(run)
            futures[client.submit(execute_pickled, *sent, pure=False, **place)] = run
        for future in as_completed(list(futures)):
            run, error = futures.pop(future), None
            if future.status == "finished":
                store.save(run, future.result())
            elif future.status == "error":
                error = future.exception()
                failed[run] = f"{type(error).__name__}: {' '.join(str(error).split())}"
                tqdm.write(f"failed: {run}: {failed[run]}", file=sys.stderr)
            else:
                raise OSError("the Dask cluster was lost")
            bar.update()
    return len(todo) - len(failed), failed


def loop_key(run):
    """Return a text that is equal for runs that share a compiled loop."""
    return run.compiled.key if run.learns else run.key


def execute_pickled(pickled, expected):
    """Execute a run on a worker. Raises RuntimeError if its code, data or versions differ.

    Dask would also send the classes of a user's script, as the client has them. This loads the worker's.
    """
    # The default lock leaves a semaphore behind when a worker is killed.
    tqdm.set_lock(threading.RLock())
    run = pickle.loads(pickled)
    with _one_at_a_time:
        if identity(run) != expected:
            raise RuntimeError(
                "the worker has other code, data or package versions than this process"
            )
        try:
            return execute(run)
        except SystemExit as end:  # would end the worker
            raise RuntimeError(f"the run called sys.exit({end.code!r})") from None


@contextmanager
def client_of(workers, scheduler):
    """Yield a Dask client: of the scheduler's cluster, or of processes of this machine."""
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # we report losses
    if scheduler:
        with Client(scheduler, timeout=10) as client:
            yield client
        return
    settings = {
        "distributed.scheduler.worker-saturation": 1.0,  # no run waits at one worker for another
        "distributed.worker.profile.enabled": False,  # it would take time from what is timed
    }
    workers = min(workers, dask.system.CPU_COUNT)
    local = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": ":0"}
    cluster = None
    with ExitStack() as stack:
        try:
            with dask.config.set(settings), uninterrupted():
                try:
                    cluster = LocalCluster(
                        n_workers=workers, silence_logs=logging.CRITICAL, **local
                    )
                except RuntimeError as error:
                    raise OSError(f"the worker processes do not start: {error}") from None
                stack.enter_context(cluster)
            yield stack.enter_context(Client(cluster))
        except KeyboardInterrupt:  # Dask would let busy workers finish
            logging.getLogger("distributed").setLevel(logging.CRITICAL)
            for nanny in cluster.workers.values() if cluster else ():
                nanny.auto_restart = False
            for process in multiprocessing.active_children():
                process.kill()
            raise


@contextmanager
def uninterrupted():
    """Delay Ctrl-C and SIGTERM, and block them in threads and processes started here.

    A terminal sends Ctrl-C to every process, and each would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock them
    received, numbers, handlers = [], (signal.SIGINT, signal.SIGTERM), {}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        with suppress(ValueError):  # only the main thread has handlers
            for number in numbers:  # NumPy's threads, which started before, still receive them
                handlers[number] = signal.signal(
                    number, lambda *signals: received.append(signals[0])
                )
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in received[:1]:
            signal.raise_signal(number)

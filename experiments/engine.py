"""Many runs, on the cores of this machine or on a Dask cluster; finished ones are kept in files."""

import ast
import json
import logging
import pickle
import re
import signal
import sys
import threading
from collections import defaultdict
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from hashlib import sha256
from importlib.util import resolve_name
from itertools import cycle
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ddlo.dnns import BACKENDS
from ddlo.files import read_archive, write_archive
from ddlo.report import package_versions

from .execution import execute
from .runs import TaskSizes

# Modules that only show results or start runs.
WITHOUT_EFFECT = {f"ddlo.{name}" for name in ("command_line", "gym_env", "plots", "report")}
WITHOUT_EFFECT |= {f"experiments.{n}" for n in ("engine", "figures", "plots", "suite", "tables")}
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
        """Return the metrics and curves of a run, or None if it is not stored."""
        archive = read_archive(self.path(run), "a finished run")
        with suppress(FileNotFoundError, ValueError), archive as (arrays, text):
            if text("run") == identity(run):  # else a copy of another file
                curves = {name: arrays[name] for name in arrays.keys() - {"run", "metrics"}}
                return text("metrics"), curves
        return None


# Identity


@cache
def identity(run):
    """Return everything that a run's results depend on, as JSON values."""
    # The module of the backend is imported by its name.
    names = {"experiments.execution", BACKENDS[run.backend]}
    names |= {*re.findall(r'"(\w+\.[\w.]+)"', run.key)}  # of functions and classes
    return {
        "run": run.parameters,
        "states": None if isinstance(run.states, TaskSizes) else states_digest(run.problem),
        "code": code_digest(frozenset(names)),
        "versions": versions(run.backend),
    }


versions = cache(package_versions)


@cache
def states_digest(problem):
    """Return a digest of a problem's states: their function may read files."""
    states = np.asarray(problem.states(problem.networks[0][1], problem.frames))
    return sha256(repr((states.shape, states.dtype)).encode() + states.tobytes()).hexdigest()


@cache
def code_digest(names):
    """Return a digest of the local modules in which names are, and of those that they import."""
    found, missing = {}, {*names}
    while missing:
        name = missing.pop()
        if name not in found:
            found[name], others = code(name)
            missing |= others
    return sha256(repr(sorted(found.items())).encode()).hexdigest()


@cache
def code(name):
    """Return the code of a local module, "" for any other name, and names that it depends on.

    Comments, the class Parameters of main.py and the block below `if __name__ == "__main__"` do not
    count: a run has its own parameters.
    """
    package = name.rpartition(".")[0]
    path, names = local_file(name), {package} - {""}
    if path is None or name in WITHOUT_EFFECT:
        return "", names
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'")
        and not (name == "main" and getattr(node, "name", None) == "Parameters")
    ]
    if path.name == "__init__.py":
        package = name
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return ast.dump(tree), names


def local_file(name):
    """Return the path of a module that is not part of Python or of an installed package, or None."""
    paths = [Path(getattr(sys.modules.get(name), "__file__", None) or "")]
    for folder in sys.path:
        module = Path(folder, *name.split("."))
        paths += [module / "__init__.py", module.with_name(f"{module.name}.py")]
    path = next(filter(Path.is_file, paths), Path())
    is_library = name.partition(".")[0] in sys.stdlib_module_names
    is_library |= bool({"site-packages", "dist-packages"} & {*path.parts})
    return None if is_library or path.suffix != ".py" else path


# Execution


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
    todo.sort(key=lambda run: (-run.net_num * run.frames, run.compiled.key))
    with (
        tqdm(total=len(todo), desc="runs", smoothing=0, disable=None) as bar,
        client_of(len(todo), workers, scheduler) as client,
    ):
        # Runs that share a compiled loop prefer one worker, which keeps the last one; idle workers help.
        addresses = cycle(client.scheduler_info(n_workers=-1)["workers"])
        home, futures = defaultdict(lambda: next(addresses)), {}
        for run in todo:
            place = {"workers": home[run.compiled], "allow_other_workers": True}
            sent = pickle.dumps(run), identity(run)
            futures[client.submit(execute_pickled, *sent, pure=False, **place)] = run
        for future in as_completed(list(futures)):
            run = futures.pop(future)
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
        return execute(run)


@contextmanager
def client_of(most, workers, scheduler=None):
    """Yield a Dask client of the scheduler's cluster, or of up to `most` processes of this machine."""
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # we report losses
    if scheduler:
        with Client(scheduler, timeout=10) as client:
            yield client
        return
    workers = {"n_workers": min(workers or dask.system.CPU_COUNT, most), "threads_per_worker": 1}
    others = {"memory_limit": 0, "dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with ExitStack() as stack:
        # The profile would take time from what is timed.
        with dask.config.set({"distributed.worker.profile.enabled": False}), delayed_signals():
            try:
                cluster = stack.enter_context(LocalCluster(**workers, **others))
            except RuntimeError as error:
                raise OSError(f"the worker processes do not start: {error}") from None
        yield stack.enter_context(Client(cluster))


@contextmanager
def delayed_signals():
    """Delay Ctrl-C and SIGTERM, and block them in threads and processes that start meanwhile.

    A terminal sends Ctrl-C to every process, and each would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock them
    received, handlers = [], {}
    for number in (signal.SIGINT, signal.SIGTERM):  # threads that have started still receive them
        handlers[number] = signal.signal(number, lambda number, frame: received.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in received[:1]:
            signal.raise_signal(number)

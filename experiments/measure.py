"""What the benchmark measures: a function for each part, that returns its rows.

All raise WrongResult if what was measured did not do what it should: fast but wrong is wrong.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from ddlo.bandwidth import JointMUMT
from ddlo.dataset import load_data, time_frames
from ddlo.sizes import task_sizes
from main import run_frames
from MUMT import MUMT

from .origin import ROOT
from .runs import Run, build, timed

# Mean test gain ratios after 20,000 frames, by the number of DNNs: about what single runs of the
# released package's DNNs reach, and other seeds of ours.
GAIN_RATIO = {1: (0.70, 0.90), 3: (0.991, 0.9945), 10: (0.9955, 0.9995), 30: (0.998, 1)}
SAME_FRAMES = 700  # compared with DDLO step by step; from frame 519 on there are training steps
GROWTH = {
    "net_num": (1, 2, 5, 10, 20, 50, 100),
    "tasks": (9, 30, 90, 150, 300),  # in all, 3 of each user
    "hidden": ((30, 20), (60, 40), (120, 80), (240, 160), (480, 320)),
    "frames": (1_000, 10_000, 100_000, 1_000_000),
}
GROWTH_FRAMES = 5000  # where something else grows
LONG = 10**6  # time frames, that are run twice only
DECISIONS = ((3, 3, 3), (3, 3, 10), (30, 3, 10))  # users, tasks of each, DNNs
SWEEPS = ("net_num", "learning_rate", "batch_size", "memory_size", "training_interval")
CALLS, BLOCK, BLOCK_CALLS = 10_000, 1000, 200


class WrongResult(Exception):
    """What was measured did not do what it should."""


def spread(seconds):
    """Return the median of repeated measurements, the least and the most, as a dict."""
    low, high = min(seconds), max(seconds)
    return {"seconds": float(np.median(seconds)), "seconds_least": low, "seconds_most": high}


@cache
def gemm_gflops():
    """Return one core's rate of float32 matrix products, 1024 x 1024, in GFLOP/s: NumPy's median."""
    n = 1024
    a, b = np.random.default_rng(0).random((2, n, n), np.float32)
    product = np.empty_like(a)
    with threadpool_limits(1):
        np.matmul(a, b, out=product)
        seconds = [timed(np.matmul, a, b, out=product)[1] for _ in range(20)]
    return 2e-9 * n**3 / np.median(seconds)


def arithmetic(run):
    """Return the GFLOP of a run's matrix products: 6 for a weight, DNN and trained row, 2 to decide."""
    size = run.users * run.tasks
    weights = sum(n_in * n_out for n_in, n_out in pairwise((size, *run.hidden, size)))
    # Training steps are at counters from 512 on that the interval divides; a run ends at frames + 1.
    steps = max(0, (run.frames + 1) // run.training_interval - 511 // run.training_interval)
    training = 6 * weights * run.batch_size * run.net_num * steps
    return 1e-9 * (training + 2 * weights * run.net_num * run.frames)


class Measured:
    """A DDLO on a network of some size, compiled, that can be run again and again.

    Raises WrongResult unless its first frames are, bit for bit, those of a run step by step.
    """

    def __init__(self, run):
        self.run, network = run, run.network
        if run.data:
            self.task_size, self.gain_min, _ = load_data(ROOT / run.data, network)
        else:
            self.task_size = task_sizes(range(2000), run.users, run.tasks).astype(float)
            self.gain_min = network.optimum(self.task_size)[0]
        self.ddlo, self.loop = build(run)
        loops = (self.loop, self.ddlo.decide_and_learn)
        compiled, plain = (self.history(SAME_FRAMES, loop)[0] for loop in loops)
        for key in compiled:
            if (compiled[key] != plain[key]).any():
                raise WrongResult(f"{run}: {key} is not what it is step by step")

    def history(self, frames, loop):
        """Do a run; return its history and how many are test frames."""
        self.ddlo.net.reset(0)
        index, tests = time_frames(frames, len(self.task_size))
        arguments = (loop, self.ddlo, self.task_size, self.gain_min, index)
        return run_frames(*arguments, quiet=True), tests

    def row(self, repeats):
        """Return a run's times and rates, over so many repeats, as a row; and its history."""
        seconds, processor = [], []
        for _ in range(repeats):
            history = None  # that of the repeat before takes memory
            started = time.process_time()
            (history, tests), of_one = timed(self.history, self.run.frames, self.loop)
            seconds.append(of_one)
            processor.append(time.process_time() - started)
        gflop, median = arithmetic(self.run), np.median(seconds)
        return {
            "frames": self.run.frames,
            **spread(seconds),
            "frames_per_second": self.run.frames / median,
            "processor_seconds": float(np.median(processor)),
            "gflop": gflop,
            "gflops": gflop / median,
            "gemm_share": gflop / median / gemm_gflops(),
            "mean_gain_ratio": history["gain_ratio"][-tests:].mean(),
        }, history


def loop(repeats, quick):
    """Measure 20,000 frames of the released setting, for different numbers of DNNs."""
    rows = []
    for net_num, (low, high) in list(GAIN_RATIO.items())[: 2 if quick else None]:
        row, _ = Measured(Run(net_num=net_num)).row(repeats)
        if not low <= row["mean_gain_ratio"] <= high:
            raise WrongResult(
                f"{net_num} DNNs: mean gain ratio must be in [{low}, {high}], got "
                f"{row['mean_gain_ratio']:.4f}"
            )
        rows.append({"net_num": net_num} | row | {"gemm_gflops": gemm_gflops()})
    return rows


def growth(repeats, quick):
    """Measure how cost grows with the DNNs, the tasks, the hidden layers and the frames."""
    rows = []
    for what, values in GROWTH.items():
        for value in values[: 2 if quick else None]:
            grown = {what: value}
            if what == "tasks":
                users = value // 3
                grown = {"data": "", "users": users, "uplink": 100 * users / 3}
            run = Run(**({"frames": GROWTH_FRAMES} | grown))
            measured = Measured(run)
            before = resident_mb()
            row, history = measured.row(repeats if run.frames < LONG else min(repeats, 2))
            costs = np.size(measured.ddlo.net.cost_his)
            recorded = sum(array.nbytes for array in history.values()) / 1e6
            # Training costs are in lists, of 8 bytes for the place and 24 for the float.
            memory = {
                "memory_mb": resident_mb() - before,
                "recorded_mb": recorded + 32e-6 * costs,
            }
            row = {"grows": what, "value": value} | row | (memory if what == "frames" else {})
            rows.append(row | {"arithmetic_seconds": row["gflop"] / gemm_gflops()})
    return rows


def resident_mb():
    """Return this process's resident memory in MB, or NaN where the system does not tell it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return 1e-6 * pages * os.sysconf("SC_PAGE_SIZE")


def latency(repeats, quick):
    """Measure one decision of a trained DDLO, and a block of them: decode, score, pick."""
    rows = []
    for users, tasks, net_num in DECISIONS:
        is_published = (users, tasks) == (3, 3)
        network = {"users": users, "tasks": tasks, "uplink": 100 * users / 3}
        data = Run.data if is_published else ""
        measured = Measured(Run(net_num=net_num, data=data, frames=2000, **network))
        measured.history(2000, measured.loop)
        d = measured.task_size[-BLOCK:]
        for frames, calls in ((1, CALLS), (BLOCK, BLOCK_CALLS)):
            calls = calls // 10 if quick else calls
            seconds, decisions = [], []
            for call in range(calls):
                part = d[call % len(d), None] if frames == 1 else d
                (_, x), of_one = timed(measured.ddlo.decide, part)
                seconds.append(of_one)
                decisions.append(x)
            alone = measured.ddlo.decide(d)[1]
            expected = [
                alone[call % len(d), None] if frames == 1 else alone for call in range(calls)
            ]
            if not np.array_equal(decisions, expected):
                raise WrongResult(f"{network}: decisions depend on how many are made at a time")
            median, late = np.percentile(seconds, [50, 99])
            row = {"users": users, "tasks": tasks, "net_num": net_num, "frames": frames}
            rows.append(row | {"calls": calls, "median_ms": 1e3 * median, "p99_ms": 1e3 * late})
    return rows


def plain_Q(task_size, decision, N, M, beta=1, CUL=100 / 8):
    """Return Q as the model states it, task by task in Python's floats, with equal bandwidth."""
    Q = 0.0
    for n in range(N):
        energy = local = offload = 0.0
        for m in range(M):
            d, x = float(task_size[n * M + m]), int(decision[n * M + m])
            b = d * 8 * 2**20
            energy += x * (b * (1.5 * 10**-7) + b * (1.42 * 10**-7)) + (1 - x) * (
                b * (3.25 * 10**-7)
            )
            local += (1 - x) * (b * (4.75 * 10**-7))
            offload += x * (d / (CUL / N) + d * 1900 * 8 * 2**20 / (10 * 10**9))
        Q += energy + beta * max(local, offload)
    return Q


def utility(repeats, quick):
    """Measure utilities of 3 x 3 tasks: the plain formula, compute_Q at batch size 1 and batched."""
    frames = 2000 if quick else 20000
    d = task_sizes(range(frames), 3, 3).astype(float)
    x = np.random.default_rng(0).integers(0, 2, d.shape)
    equal, optimal = MUMT(3, 3), JointMUMT(3, 3)

    def one_by_one(function):
        return [function(*of_frame) for of_frame in zip(d, x)]

    ways = {
        ("equal", "plain Python"): lambda: one_by_one(lambda d, x: plain_Q(d, x, 3, 3)),
        ("equal", "compute_Q, batch size 1"): lambda: one_by_one(equal.compute_Q),
        ("equal", "compute_Q, batched"): lambda: equal.compute_Q(d, x),
        ("optimal", "compute_Q, batch size 1"): lambda: one_by_one(optimal.compute_Q),
        ("optimal", "compute_Q, batched"): lambda: optimal.compute_Q(d, x),
    }
    rows, values = [], {}
    for (bandwidth, way), function in ways.items():
        results, seconds = zip(*(timed(function) for _ in range(repeats)))
        values.setdefault(bandwidth, results[0])
        if not np.array_equal(results[0], values[bandwidth]):
            raise WrongResult(f"{way} gives other utilities with {bandwidth} bandwidth")
        row = {"bandwidth": bandwidth, "way": way, "utilities": frames} | spread(seconds)
        rows.append(row | {"per_second": frames / row["seconds"]})
    for row in rows:
        row["times_plain"] = row["per_second"] / rows[0]["per_second"]
    return rows


# The steps of `python main.py`, in a process of their own.
STARTUP = """
import json, sys, time
laps, last = {}, time.perf_counter()
def lap(step):
    global last
    laps[step], last = time.perf_counter() - last, time.perf_counter()
import main
lap("import main, NumPy and tyro")
from ddlo.dataset import load_data, time_frames
from MUMT import MUMT
p, network = main.Parameters(), MUMT(3, 3)
task_size, gain_min, _ = load_data(p.data, network)
index, tests = time_frames(p.frames, len(task_size))
lap("load the data, SciPy")
from memory import MemoryDNN
from ddlo.compiled import compile_loop
lap("import TensorFlow")
ddlo = main.DDLO(MemoryDNN([9, *p.hidden, 9], p.net_num, seed=0), network)
loop = compile_loop(ddlo)
lap("make and compile the loop")
history = main.run_frames(loop, ddlo, task_size, gain_min, index, quiet=True)
lap("20,000 frames")
main.plot_history(history, tests, main.Path(sys.argv[1]))
ddlo.net.plot_cost(sys.argv[1] + "/training_cost")
lap("both plots")
ddlo.net.save(sys.argv[1] + "/model")
lap("save the model")
print(json.dumps([laps, history["gain_ratio"][-tests:].mean()]))
"""


def startup(repeats, quick):
    """Measure what `python main.py` does besides the loop, step by step and as a whole."""
    laps = {}

    def add(step, seconds):
        laps.setdefault(step, []).append(seconds)

    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            add("start Python", _python("-c", "")[0])
            add("main.py --help, as a whole", _python("main.py", "--help")[0])
            steps, ratio = json.loads(_python("-c", STARTUP, folder)[1])
            for step, seconds in steps.items():
                add(step, seconds)
            add("main.py, as a whole", _python("main.py", "--out", folder)[0])
            report = json.loads(Path(folder, "report.json").read_text())
            low, high = GAIN_RATIO[3]
            if not low <= ratio <= high or ratio != report["mean_gain_ratio"]:
                raise WrongResult(
                    f"main.py: mean gain ratio {report['mean_gain_ratio']}, not {ratio}"
                )
    return [{"step": step} | spread(seconds) for step, seconds in laps.items()]


# All runs of the convergence sweeps, in a process of their own, that tells how long they take.
SWEEP = """
import json, os, sys, time
from experiments.engine import Store, run_all
from experiments.suite import EXPERIMENTS
folder, processes, seeds, frames, *names = sys.argv[1:]
runs = [
    run
    for name in names
    for setting in EXPERIMENTS[name].settings
    for run in setting.runs(int(frames), int(seeds))
]
if __name__ == "__main__":
    store, started = Store(folder), time.perf_counter()
    done, failed = run_all(runs, store, int(processes))
    seconds = time.perf_counter() - started
    ratios = [store.load(run)[0]["mean_gain_ratio"] for run in runs]
    print(json.dumps([seconds, sum(os.times()[2:4]), done, len(failed), ratios]))
"""


def sweep(repeats, quick):
    """Measure the convergence sweeps in one process and in two, each from nothing."""
    names, seeds, frames = (["training_cost"], 2, 600) if quick else (SWEEPS, 5, 20000)
    seconds, busy, ratios = {1: [], 2: []}, {1: [], 2: []}, []
    for _ in range(min(repeats, 2)):  # which takes minutes
        for processes in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                arguments = (folder, processes, seeds, frames, *names)
                output = _python("-c", SWEEP, *map(str, arguments))[1]
            of_all, processor, done, failed, of_runs = json.loads(output)
            seconds[processes].append(of_all)
            busy[processes].append(processor / of_all)
            ratios.append(of_runs)
            if failed or of_runs != ratios[0]:
                raise WrongResult(f"{failed} runs of the sweeps failed, or runs are not the same")
    one = np.median(seconds[1])
    return [
        {"processes": processes, "runs": done, "frames": frames}
        | spread(seconds[processes])
        | {
            "cores_busy": np.median(busy[processes]),
            "speed_up": one / np.median(seconds[processes]),
        }
        for processes in seconds
    ]


def _python(*arguments):
    """Run Python in the package's folder; return how long it takes, and what it prints."""
    process, seconds = timed(
        subprocess.run,
        [sys.executable, *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise WrongResult(f"python {' '.join(arguments)[:40]}: {process.stderr[-300:]}")
    return seconds, process.stdout


PARTS = {part.__name__: part for part in (loop, growth, latency, utility, startup, sweep)}

"""What the benchmark measures: a function for each part, that returns its rows.

All raise WrongResult if what was measured did not do what it should: fast but wrong is wrong.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ddlo.bandwidth import JointMUMT
from ddlo.data import task_sizes
from MUMT import MUMT

from .execution import timed
from .measured import Measured, WrongResult, gemm_gflops, resident_mb, some_task_sizes, spread
from .origin import ROOT
from .plain import PlainWPMEC, decision_by_hand, plain_Q
from .runs import Run, WPMECRun
from .wpmec import channel_gains

# Mean test gain ratios after 20,000 frames, by the number of DNNs: about what single runs of the
# released package's DNNs reach, and other seeds of ours.
GAIN_RATIO = {1: (0.70, 0.90), 3: (0.991, 0.9945), 10: (0.9955, 0.9995), 30: (0.998, 1)}
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
            samples = None
            if what == "tasks":
                users = value // 3
                grown = {"data": "", "users": users, "uplink": 100 * users / 3}
                samples = some_task_sizes(users, 3)
            run = Run(**({"frames": GROWTH_FRAMES} | grown))
            measured = Measured(run, samples)
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


def latency(repeats, quick):
    """Measure one decision of a trained DDLO, and a block of them: decode, score, pick."""
    rows = []
    for users, tasks, net_num in DECISIONS:
        is_published = (users, tasks) == (3, 3)
        network = {"users": users, "tasks": tasks, "uplink": 100 * users / 3}
        samples = None if is_published else some_task_sizes(users, tasks)
        measured = Measured(Run(net_num=net_num, frames=2000, **network), samples)
        measured.history(2000, measured.loop)
        d = measured.samples[-BLOCK:]
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
            decisions = np.array(decisions)
            if not np.array_equal(decisions, expected):
                raise WrongResult(f"{network}: decisions depend on how many are made at a time")
            median, late = np.percentile(seconds, [50, 99])
            row = {"users": users, "tasks": tasks, "net_num": net_num, "frames": frames}
            row |= {"calls": calls, "median_ms": 1e3 * median, "p99_ms": 1e3 * late}
            if frames == 1:
                ddlo = measured.ddlo
                by_hand = decision_by_hand(ddlo.net.get_weights(), ddlo.network)
                hand = [timed(by_hand, d[call % len(d), None]) for call in range(calls)]
                found, expected = (
                    ddlo.network.compute_Q(d[np.arange(calls) % len(d)], x)
                    for x in ([x for (_, x), _ in hand], decisions[:, 0])
                )  # of equally good decisions rounding may choose another
                if not np.allclose(found, expected, rtol=1e-12, atol=0):
                    raise WrongResult(f"{network}: DDLO by hand decides worse or better")
                row["times_by_hand"] = median / np.median([seconds for _, seconds in hand])
            rows.append(row)
    return rows


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


def wpmec(repeats, quick):
    """Measure the loop on WPMEC, 10 devices and 10 DNNs: plain Python, NumPy and compiled."""
    frames, few = (2000, 100) if quick else (20000, 1000)
    run = WPMECRun(net_num=10, frames=frames)
    measured = Measured(run, channel_gains(frames, run.users))
    ddlo, network, plain = measured.ddlo, run.network, PlainWPMEC(run.users)
    some = measured.samples[:100]
    x = np.random.default_rng(0).integers(0, 2, (10, *some.shape))
    if not np.allclose(plain.compute_Q(some, x), network.compute_Q(some, x), rtol=1e-9, atol=0):
        raise WrongResult("plain Python gives other utilities than compute_Q")

    def one_by_one(gains):
        of_frames = [ddlo.decide_and_learn(gains[i, None]) for i in range(len(gains))]
        return tuple(np.concatenate(parts) for parts in zip(*of_frames))

    ways = {
        "plain Python, frame by frame": (plain, one_by_one, few),
        "NumPy, frame by frame": (network, one_by_one, few),
        "NumPy, in blocks": (network, ddlo.decide_and_learn, frames),
        "compiled": (network, measured.loop, frames),
    }
    rows, expected = [], None
    for way, (ddlo.network, loop, frames) in ways.items():
        results = [timed(measured.history, frames, loop) for _ in range(repeats)]
        (history, tests), _ = results[0]
        decision = history["decision"][: few - few // 5]  # which all ways have
        expected = decision if expected is None else expected
        if (decision != expected).any():
            raise WrongResult(f"{way} decides otherwise")
        row = {"way": way, "frames": frames} | spread([seconds for _, seconds in results])
        row["ms_per_frame"] = 1e3 * row["seconds"] / frames
        row["times_plain"] = (rows or [row])[0]["ms_per_frame"] / row["ms_per_frame"]
        if frames == run.frames:
            row["mean_gain_ratio"] = history["gain_ratio"][-tests:].mean()
        rows.append(row)
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
from ddlo.data import Data
from MUMT import MUMT
p, network = main.Parameters(), MUMT(3, 3)
data = Data.load(p.data, network)
index, tests = data.time_frames(p.frames)
lap("load the data, SciPy")
import ddlo.backend
lap("import TensorFlow")
from memory import MemoryDNN
from ddlo.loop import compile_loop, run_frames
from ddlo.plots import plot_history
ddlo = main.DDLO(MemoryDNN([9, *p.hidden, 9], p.net_num, seed=0), network)
loop = compile_loop(ddlo)
lap("make and compile the loop")
history = run_frames(loop, ddlo, data, index, quiet=True)
lap("20,000 frames")
plot_history(history, tests, main.Path(sys.argv[1]))
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


# A whole command, and the most memory that it had, in MB. (Linux counts that of the process which started
# this one among what getrusage tells.)
COMMAND = """
import re, runpy, sys
from pathlib import Path
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__")
except SystemExit as end:
    if end.code:
        raise
status = Path("/proc/self/status")
print(int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1]) / 1000 if status.exists() else "nan")
"""


def long(repeats, quick):
    """Measure whole commands on few and on many frames and lines, once each: time and memory."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        lines, model = Path(folder, "lines.csv"), Path(folder, "model.npz")
        for frames in (20_000, 40_000 if quick else LONG):
            seconds, output = _python("-c", COMMAND, "main", f"--frames={frames}", "--out", folder)
            rows.append({"command": "main", "frames": frames, "seconds": seconds})
            rows[-1]["peak_mb"] = float(output.split()[-1])
        for number in (10_000, 20_000 if quick else LONG):
            sizes = task_sizes(range(number), 3, 3)
            np.savetxt(lines, sizes, "%d", ",")
            options = (f"--model={model}", f"--task-sizes={lines}")
            seconds, output = _python("-c", COMMAND, "experiments.decide", *options)
            *header_and_rows, peak = output.splitlines()
            if len(header_and_rows) != number + 1:
                raise WrongResult(f"decide: {len(header_and_rows) - 1} of {number} lines decided")
            rows.append({"command": "decide", "lines": number, "seconds": seconds})
            rows[-1]["peak_mb"] = float(peak)
    for row in rows:
        row["per_second"] = row.get("frames", row.get("lines")) / row["seconds"]
    return rows


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


PARTS = {
    part.__name__: part for part in (loop, growth, latency, utility, wpmec, startup, long, sweep)
}

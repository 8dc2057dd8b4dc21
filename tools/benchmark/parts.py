"""The parts of the benchmark: functions of (repeats, quick) that yield the rows of a table.

Their docstrings are the titles of the tables. They raise ValueError if fast code is wrong.
"""

import json
import subprocess
import sys
import time
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from ddlo.checkpoint import make_net
from ddlo.data import task_sizes
from ddlo.loop import compile_loop, run_frames
from experiments import suite
from experiments.runs import released, samples, timed
from main import DDLO
from MUMT import MUMT

from .plain import PlainWPMEC, plain_Q

# Mean test gain ratios after 20,000 frames, by K: those of other seeds and of the released package.
GAIN_RATIO = {1: (0.70, 0.90), 3: (0.991, 0.9945), 10: (0.9955, 0.9995), 30: (0.998, 1)}
HIDDEN = "Neurons of the first hidden layer (the second has two thirds)"
GROWTH = {
    "net_num": ("DNNs", (1, 2, 5, 10, 20, 50, 100)),
    "tasks": ("Tasks in all, 3 of each user", (9, 30, 90, 150, 300)),
    "hidden": (HIDDEN, ((30, 20), (60, 40), (120, 80), (240, 160), (480, 320))),
    "frames": ("Time frames", (1_000, 10_000, 100_000, 1_000_000)),
}
DECISIONS = ((3, 3, 3), (3, 3, 10), (30, 3, 10))  # users, tasks of each, DNNs


def check(is_right, message):
    """Raise ValueError with a message unless a result is right."""
    if not is_right:
        raise ValueError(message)


class Measured:
    """A compiled run of DDLO. Raises ValueError if its first frames differ from frame by frame."""

    def __init__(self, run):
        self.run, self.data = run, samples(run.problem)
        ((_, network),) = run.networks
        # Not experiments.runs.build: there TensorFlow uses a single core.
        self.ddlo = DDLO(make_net(run, network, self.data.training), network)
        self.loop = compile_loop(self.ddlo)
        # 700 frames, because training begins at 519.
        fast, slow = (self.history(700, loop)[0] for loop in (self.loop, self.one_by_one))
        wrong = [key for key in fast if (fast[key] != slow[key]).any()]
        check(not wrong, f"{run}: {', '.join(wrong)} not as frame by frame")

    def one_by_one(self, states):
        """Decide states and learn from them, frame by frame."""
        frames = [self.ddlo.decide_and_learn(state[None]) for state in states]
        return tuple(map(np.concatenate, zip(*frames)))

    def history(self, frames, loop):
        """Start again and run; return the history and the mean gain ratio of the test frames."""
        self.ddlo.net.reset(self.run.seed)
        index, tests = self.data.time_frames(frames)
        history = run_frames(loop, self.ddlo, self.data, index, quiet=True)
        return history, history["gain_ratio"][-tests:].mean()

    def row(self, repeats):
        """Return a row with the times and rates of the run, and its history."""
        net, frames = self.ddlo.net, self.run.frames
        work, wall = time.process_time(), time.perf_counter()
        (history, ratio), row = repeated(repeats, self.history, frames, self.loop)
        cores = (time.process_time() - work) / (time.perf_counter() - wall)
        # A weight takes 2 operations to decide a frame, and 6 to learn from it.
        weights = net.net_num * sum(n_in * n_out for n_in, n_out in pairwise(net.net))
        gflop = 2e-9 * weights * (frames + 3 * net.batch_size * len(net.cost_his[0]))
        gflops = gflop / row["seconds"]
        row |= {"frames_per_second": frames / row["seconds"], "gflop": gflop, "gflops": gflops}
        row |= {"cores": cores, "gemm_share": gflops / (cores * gemm()), "mean_gain_ratio": ratio}
        return {"frames": frames} | row, history


def loop(repeats, quick):
    """The loop over the frames, 3 x 3, for different numbers of DNNs"""
    for net_num in list(GAIN_RATIO)[: 2 if quick else None]:
        row, _ = Measured(released(net_num=net_num)).row(repeats)
        check_gain_ratio(f"{net_num} DNNs", net_num, row)
        yield {"net_num": net_num} | row | {"gemm_gflops": gemm()}


def growth(repeats, quick):
    """How the cost of the loop grows"""
    memory = psutil.Process().memory_info
    for grows, value in [(k, v) for k in GROWTH for v in GROWTH[k][1][: 2 if quick else None]]:
        users = {"users": value // 3, "uplink": 100 * value / 9} if grows == "tasks" else {}
        measured = Measured(released(**{"frames": 5000} | (users or {grows: value})))
        before = memory().rss
        row, history = measured.row(min(repeats, 2) if value == 10**6 else repeats)
        row["arithmetic_seconds"] = row["gflop"] / gemm()
        if grows == "frames":
            costs = 32 * np.size(measured.ddlo.net.cost_his)  # floats in lists
            recorded = costs + sum(array.nbytes for array in history.values())
            row |= {"memory_mb": 1e-6 * (memory().rss - before), "recorded_mb": 1e-6 * recorded}
        yield {"grows": grows, "value": value} | row


def latency(repeats, quick):
    """Deciding with a trained DDLO: decode, score, pick"""
    for users, tasks, net_num in DECISIONS:
        size = {"users": users, "tasks": tasks, "net_num": net_num}
        measured = Measured(released(frames=2000, uplink=100 * users / 3, **size))
        measured.history(2000, measured.loop)
        decide, d = measured.ddlo.decide, measured.data.states[-1000:]
        _, best = decide(d)
        for blocks in (list(d[:, None]) * (1 if quick else 10), [d] * (20 if quick else 200)):
            found, seconds = zip(*(timed(decide, block) for block in blocks))
            same = np.reshape([x for _, x in found], (-1, *d.shape)) == best
            check(same.all(), f"{size}: decisions depend on the size of the block")
            median, p99 = np.percentile(seconds, [50, 99])
            row = size | {"frames": len(blocks[0]), "calls": len(blocks)}
            yield row | {"median_ms": 1e3 * median, "p99_ms": 1e3 * p99}


def utility(repeats, quick):
    """Utilities of 3 x 3 tasks"""
    d = task_sizes(range(2000 if quick else 20000), 3, 3).astype(float)
    x = np.random.default_rng(0).integers(0, 2, d.shape)

    def one_by_one(compute_Q):
        return lambda d, x: [compute_Q(*frame) for frame in zip(d, x)]

    compute_Q, expected, plain = MUMT(3, 3).compute_Q, None, None
    for way, function in {
        "plain Python": one_by_one(partial(plain_Q, N=3, M=3)),
        "compute_Q, batch size 1": one_by_one(compute_Q),
        "compute_Q, batched": compute_Q,
    }.items():
        Q, row = repeated(repeats, function, d, x)
        expected, plain = (Q, row["seconds"]) if expected is None else (expected, plain)
        check(np.array_equal(Q, expected), f"{way} gives other utilities")
        row |= {"per_second": len(d) / row["seconds"], "times_plain": plain / row["seconds"]}
        yield {"way": way, "utilities": len(d)} | row


def wpmec(repeats, quick):
    """The loop over the frames on WPMEC, 10 devices and 10 DNNs"""
    many, few = (2000, 100) if quick else (20000, 1000)
    measured, expected = Measured(suite.wpmec(net_num=10, frames=many)), None
    ddlo, network = measured.ddlo, measured.ddlo.network
    same = slice(few - few // 5)  # frames that are equal in all ways
    for way, frames, loop, used in (
        ("plain Python, frame by frame", few, measured.one_by_one, PlainWPMEC(10)),
        ("NumPy, frame by frame", few, measured.one_by_one, network),
        ("NumPy, in blocks", many, ddlo.decide_and_learn, network),
        ("compiled", many, measured.loop, network),
    ):
        ddlo.network = used
        (history, ratio), row = repeated(repeats, measured.history, frames, loop)
        ms, (x, Q) = 1e3 * row["seconds"] / frames, (history[k][same] for k in ("decision", "Q"))
        expected = expected or (x, Q, ms)
        check((x == expected[0]).all(), f"{way} decides otherwise")
        check(np.allclose(Q, expected[1], 1e-9, 0), f"{way} gives other utilities")
        row |= {"ms_per_frame": ms, "times_plain": expected[2] / ms}
        row |= {"mean_gain_ratio": ratio} if frames == many else {}
        yield {"way": way, "frames": frames} | row


def startup(repeats, quick):
    """What `python main.py` does, step by step and as a whole"""
    with TemporaryDirectory() as out:
        for step, arguments in {
            "start Python and import TensorFlow": ("-c", "import ddlo.backend"),
            "main.py, as a whole": ("main.py", "--out", out),
        }.items():
            yield {"step": step} | repeated(repeats, python, *arguments)[1]
        report = json.loads(Path(out, "report.json").read_text())
    check_gain_ratio("main.py", 3, report)
    yield {"step": "make and compile the loop, last time", "seconds": report["compile_seconds"]}
    yield {"step": "20,000 frames, last time", "seconds": report["loop_seconds"]}


# A small process starts the command, because Linux counts the parent's memory as its child's.
PEAK = """import resource, subprocess, sys
subprocess.run([sys.executable, *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def long(repeats, quick):
    """Whole commands on few and on many frames and lines, once each"""
    with TemporaryDirectory() as out:
        sizes = f"{out}/sizes.csv"
        decide = ("-m", "tools.decide", f"--model={out}/model.npz", f"--task-sizes={sizes}")
        for number in (20_000, 40_000 if quick else 10**6):
            np.savetxt(sizes, task_sizes(range(number), 3, 3), "%d", ",")
            main = ("main.py", "--out", out, f"--frames={number}")
            for name, counted, command in (("main", "frames", main), ("decide", "lines", decide)):
                output, seconds = timed(python, "-c", PEAK, *command)
                _, *lines, peak = output.splitlines()
                is_whole = name == "main" or len(lines) == number
                check(is_whole, f"tools.decide: {len(lines)} of {number} lines")
                row = {"command": name, counted: number, "seconds": seconds}
                yield row | {"peak_mb": 1.024e-3 * int(peak), "per_second": number / seconds}


PARTS = {part.__name__: part for part in (loop, growth, latency, utility, wpmec, startup, long)}


def check_gain_ratio(name, net_num, row):
    """Raise ValueError unless the mean gain ratio is one of K = net_num."""
    (low, high), ratio = GAIN_RATIO[net_num], row["mean_gain_ratio"]
    check(low <= ratio <= high, f"{name}: gain ratio {ratio} not in [{low}, {high}]")


def repeated(repeats, function, *arguments):
    """Call a function repeatedly; return the first result, and the median and range of the times."""
    results, seconds = zip(*(timed(function, *arguments) for _ in range(repeats)))
    times = float(np.median(seconds)), min(seconds), max(seconds)
    return results[0], dict(zip(("seconds", "seconds_least", "seconds_most"), times))


@cache
def gemm():
    """Return one core's rate of float32 matrix products, 1024 x 1024, in GFLOP/s: NumPy's median."""
    a, b = np.random.default_rng(0).random((2, 1024, 1024), np.float32)
    with threadpool_limits(1):
        return 2e-9 * 1024**3 / np.median([timed(np.matmul, a, b)[1] for _ in range(20)])


def python(*arguments):
    """Run Python in the package's folder; return what it prints."""
    options = {"cwd": Path(__file__).parents[2], "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, *arguments], check=False, **options)
    check(done.returncode == 0, f"python {' '.join(arguments)[:40]}: {done.stderr[-300:]}")
    return done.stdout

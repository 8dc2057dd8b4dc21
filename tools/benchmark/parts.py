"""The parts of the benchmark: functions of (repeats, quick) that yield the rows of a table.

Their docstrings are the titles of the tables. They raise ValueError if a gain ratio is wrong.
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
from threadpoolctl import threadpool_limits

from ddlo.checkpoint import make_net
from ddlo.data import task_sizes
from ddlo.loop import compile_loop, run_frames
from experiments.execution import timed
from experiments.runs import released, samples
from main import DDLO
from MUMT import MUMT

from .plain import plain_Q

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


def measured(repeats, **changes):
    """Measure compiled runs; return the row, the history, the DDLO and the states of its samples."""
    run = released(**changes)
    data, ((_, network),) = samples(run.problem), run.networks
    # Not experiments.execution.build: there TensorFlow uses a single core.
    ddlo = DDLO(make_net(run, network, data.training), network)
    net, loop, (index, tests) = ddlo.net, compile_loop(ddlo), data.time_frames(run.frames)

    def start_again():
        net.reset(run.seed)
        return run_frames(loop, ddlo, data, index, quiet=True)

    work, wall = time.process_time(), time.perf_counter()
    history, row = repeated(repeats, start_again)
    cores = (time.process_time() - work) / (time.perf_counter() - wall)
    # A weight takes 2 operations to decide a frame, and 6 to learn from it.
    weights = net.net_num * sum(n_in * n_out for n_in, n_out in pairwise(net.net))
    gflop = 2e-9 * weights * (run.frames + 3 * net.batch_size * len(net.cost_his[0]))
    gflops = gflop / row["seconds"]
    row |= {"frames_per_second": run.frames / row["seconds"], "gflop": gflop, "gflops": gflops}
    ratio = history["gain_ratio"][-tests:].mean()
    row |= {"cores": cores, "gemm_share": gflops / (cores * gemm()), "mean_gain_ratio": ratio}
    return {"frames": run.frames} | row, history, ddlo, data.states


def loop(repeats, quick):
    """The loop over the frames, 3 x 3, for different numbers of DNNs"""
    for net_num in list(GAIN_RATIO)[: 2 if quick else None]:
        row, *_ = measured(repeats, net_num=net_num)
        check_gain_ratio(net_num, row["mean_gain_ratio"])
        yield {"net_num": net_num} | row | {"gemm_gflops": gemm()}


def growth(repeats, quick):
    """How the cost of the loop grows"""
    for grows, value in [(k, v) for k in GROWTH for v in GROWTH[k][1][: 2 if quick else None]]:
        size = (
            {"users": value // 3, "uplink": 100 * value / 9} if grows == "tasks" else {grows: value}
        )
        few = min(repeats, 2) if value == 10**6 else repeats
        row, history, ddlo, _ = measured(few, **{"frames": 5000} | size)
        row["arithmetic_seconds"] = row["gflop"] / gemm()
        if grows == "frames":
            costs = 32 * np.size(ddlo.net.cost_his)  # floats in lists
            recorded = costs + sum(array.nbytes for array in history.values())
            row["recorded_mb"] = 1e-6 * recorded
        yield {"grows": grows, "value": value} | row


def latency(repeats, quick):
    """Deciding with a trained DDLO: decode, score, pick"""
    for users, tasks, net_num in DECISIONS:
        size = {"users": users, "tasks": tasks, "net_num": net_num}
        *_, ddlo, states = measured(1, frames=2000, uplink=100 * users / 3, **size)
        d = states[-1000:]
        for blocks in (list(d[:, None]) * (1 if quick else 10), [d] * (20 if quick else 200)):
            seconds = [timed(ddlo.decide, block)[1] for block in blocks]
            median, p99 = 1e3 * np.percentile(seconds, [50, 99])
            row = size | {"frames": len(blocks[0]), "calls": len(blocks)}
            yield row | {"median_ms": median, "p99_ms": p99}


def utility(repeats, quick):
    """Utilities of 3 x 3 tasks"""
    d = task_sizes(range(2000 if quick else 20000), 3, 3).astype(float)
    x = np.random.default_rng(0).integers(0, 2, d.shape)

    def one_by_one(compute_Q):
        return lambda d, x: [compute_Q(*frame) for frame in zip(d, x)]

    compute_Q, plain = MUMT(3, 3).compute_Q, None
    for way, function in {
        "plain Python": one_by_one(partial(plain_Q, N=3, M=3)),
        "compute_Q, batch size 1": one_by_one(compute_Q),
        "compute_Q, batched": compute_Q,
    }.items():
        row = repeated(repeats, function, d, x)[1]
        plain = plain or row["seconds"]
        row |= {"per_second": len(d) / row["seconds"], "times_plain": plain / row["seconds"]}
        yield {"way": way, "utilities": len(d)} | row


def startup(repeats, quick):
    """What `python main.py` does, step by step and as a whole"""
    with TemporaryDirectory() as out:
        for step, arguments in {
            "start Python and import TensorFlow": ("-c", "import ddlo.backend"),
            "main.py, as a whole": ("main.py", "--out", out),
        }.items():
            yield {"step": step} | repeated(repeats, python, *arguments)[1]
        report = json.loads(Path(out, "report.json").read_text())
    check_gain_ratio(3, report["mean_gain_ratio"])
    yield {"step": "make and compile the loop, last time", "seconds": report["compile_seconds"]}
    yield {"step": "20,000 frames, last time", "seconds": report["loop_seconds"]}


# A small process starts the command, because Linux counts the parent's memory as its child's.
PEAK = """import resource, subprocess, sys
subprocess.run([sys.executable, *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def long(repeats, quick):
    """`python -m tools.decide` on few and on many lines, once each"""
    with TemporaryDirectory() as out:
        python("main.py", "--out", out)
        sizes, module = Path(out, "sizes.csv"), ("-m", "tools.decide")
        for lines in (20_000, 40_000 if quick else 10**6):
            np.savetxt(sizes, task_sizes(range(lines), 3, 3), "%d", ",")
            options = f"--model={out}/model.npz", f"--task-sizes={sizes}"
            output, seconds = timed(python, "-c", PEAK, *module, *options)
            peak = 1.024e-3 * int(output.splitlines()[-1])
            yield {
                "lines": lines,
                "seconds": seconds,
                "peak_mb": peak,
                "per_second": lines / seconds,
            }


PARTS = {part.__name__: part for part in (loop, growth, latency, utility, startup, long)}


def check_gain_ratio(net_num, ratio):
    """Raise ValueError unless a mean gain ratio is one of K = net_num."""
    low, high = GAIN_RATIO[net_num]
    if not low <= ratio <= high:
        raise ValueError(f"{net_num} DNNs: gain ratio {ratio} not in [{low}, {high}]")


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
    if done.returncode:
        raise ValueError(f"python {' '.join(arguments)[:40]}: {done.stderr[-300:]}")
    return done.stdout

"""A DDLO whose speed is measured, and what its times are compared with."""

import os
import time
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from ddlo.data import Data, task_sizes
from ddlo.loop import run_frames
from ddlo.scale import Scale

from .execution import build, timed
from .origin import ROOT

SAME_FRAMES = 700  # compared with DDLO step by step; from frame 519 on there are training steps


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

    Its samples are those of the run's data set, or others. Raises WrongResult unless its first frames
    are, bit for bit, those of a run step by step.
    """

    def __init__(self, run, samples=None):
        self.run = run
        if samples is None:
            self.data = Data.load(ROOT / run.data, run.network)
        else:
            self.data = Data.generate(run.network, states=samples)
        self.samples = self.data.states
        self.ddlo, self.loop = build(run)
        self.ddlo.net.scale = run.network.scale or Scale.of(self.samples)
        loops = (self.loop, self.ddlo.decide_and_learn)
        compiled, plain = (self.history(SAME_FRAMES, loop)[0] for loop in loops)
        for key in compiled:
            if (compiled[key] != plain[key]).any():
                raise WrongResult(f"{run}: {key} is not what it is step by step")

    def history(self, frames, loop):
        """Do a run; return its history and how many are test frames."""
        self.ddlo.net.reset(0)
        index, tests = self.data.time_frames(frames)
        return run_frames(loop, self.ddlo, self.data, index, quiet=True), tests

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


def some_task_sizes(users, tasks):
    """Return task sizes in MB, float64 (2000, N*M), like those of the published data set."""
    return task_sizes(range(2000), users, tasks).astype(float)


def resident_mb():
    """Return this process's resident memory in MB, or NaN where the system does not tell it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return 1e-6 * pages * os.sysconf("SC_PAGE_SIZE")

"""Execution of a run: its metrics and curves, and the compiled loops that runs share."""

import copy
import os
import platform
import time
import warnings
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ddlo.baselines import all_edge, best_fixed
from ddlo.checkpoint import scale_for
from ddlo.loop import fast_loop, run_frames

from .runs import make_ddlo, samples

# Test frames that are timed one by one, at most for these seconds, and as a block; training steps.
TIMED_FRAMES, TIMED_SECONDS, TIMED_BLOCK, TIMED_STEPS = 100, 0.5, 1000, 30
RECOVERY = 100  # frames whose mean gain ratio shows a recovery from a change


def execute(run):
    """Execute a run; return its metrics, a dict, and curves, float32 arrays by name.

    The metrics are of the test frames. mean_utility has a `unit`; excess is relative, of the mean
    utility over that of the reference, the numerator of gain ratios; ms_per_frame is the median time
    of a decision; candidates_per_frame counts the utilities that a frame takes. If DDLO decides, there
    are also loop_seconds, to decide and learn in all frames; last_cost, the mean over the last fifth of
    the training steps; ms_per_training_step, of all DNNs; fixed_gain_ratio, of the best fixed decision,
    if Q is a sum over users; the metrics of `recovery` if there is a change; and the curves gain_ratio
    (frames,) and costs (K, training steps). Gain ratios are NaN without a reference.
    """
    data, network, curves = samples(run.problem), run.networks[-1][1], {}
    index, tests = data.time_frames(run.frames)
    test = index[-tests:]
    d = data.states[test]
    if run.learns:
        ddlo, history, seconds = learn(run, data, index)
        Q, costs = history["Q"][-tests:], np.array(ddlo.net.cost_his, np.float32)
        ratio = history.get("gain_ratio", np.full(run.frames, np.nan))
        curves = {"gain_ratio": ratio.astype(np.float32), "costs": costs}
        logits = np.zeros((ddlo.net.net_num, 1, ddlo.net.n_out))
        scored = len(ddlo.net.candidates(logits, np)) + run.recombine
        scored = getattr(ddlo, "scored", scored * run.frames) / run.frames
        metrics = {"loop_seconds": seconds, "candidates_per_frame": scored}
        if run.change is not None:
            metrics |= recovery(ratio, int(run.change * run.frames))
        if costs.size:
            metrics["last_cost"] = costs[:, -max(1, costs.shape[1] // 5) :].mean()
        if network.separable:
            fixed = network.compute_Q(d, best_fixed(network, d))
            metrics["fixed_gain_ratio"] = compare(data, fixed, test)["mean_gain_ratio"]
        decide, block = ddlo.decide, d[:TIMED_BLOCK]
        decide(d[:1])  # converts the trained weights
        batched = timed(decide, block)[1] / len(block)
    else:
        counting, counts = counted(network)
        decide = partial(run.scheme.decide, counting, seed=run.seed)
        decide(d[:1])  # imports what it needs
        counts.clear()
        x, seconds = timed(decide, d)
        batched, Q, metrics = seconds / tests, network.compute_Q(d, x), {}
        if not run.scheme.by_formula:
            metrics["candidates_per_frame"] = sum(counts) / tests
    seconds = []
    while len(seconds) < min(TIMED_FRAMES, tests) and sum(seconds) < TIMED_SECONDS:
        seconds.append(timed(decide, d[len(seconds), None])[1])
    if run.learns:  # last, because it changes the weights
        steps = [timed(ddlo.net.learn)[1] for _ in range(TIMED_STEPS)]
        metrics["ms_per_training_step"] = 1e3 * np.median(steps)
    metrics |= compare(data, Q, test) | {
        "mean_utility": Q.mean(),
        "unit": network.unit,
        "ms_per_frame": 1e3 * np.median(seconds),
        "ms_per_frame_batched": 1e3 * batched,
        "ms_per_utility": 1e3 * timed(network.compute_Q, d, all_edge(network, d))[1] / tests,
        "test_frames": tests,
        "reference": data.reference,
        "machine": machine(),
    }
    return metrics, curves


def counted(network):
    """Return a copy of a network, and a list of the numbers of utilities that it evaluates."""
    copied, counts = copy.copy(network), []

    def counting(function, *arguments):
        Q = function(*arguments)
        counts.append(np.size(Q))
        return Q

    copied.compute_Q = partial(counting, network.compute_Q)
    copied.score = partial(counting, network.score)
    return copied, counts


def recovery(ratio, change):
    """Return how deep the gain ratio falls after a change, and the frames until it has recovered.

    Both compare means of 100 frames with the mean of the 1,000 frames before. A run has recovered when
    all later means are at most 0.005 below: infinity if it never has, NaN if fewer frames follow.
    """
    if len(ratio) - change < RECOVERY:
        return {"fall": np.nan, "frames_to_recover": np.nan}
    before = ratio[max(0, change - 1000) : change].mean()
    means = np.convolve(ratio[change:], np.ones(RECOVERY) / RECOVERY, "valid")
    below = np.flatnonzero(means < before - 0.005)
    frames = below[-1] + 1 + RECOVERY if len(below) else 0
    if frames == len(means) + RECOVERY:  # the last one is below, too
        frames = np.inf
    return {"fall": before - means.min(initial=before), "frames_to_recover": frames}


def compare(data, Q, test):
    """Return the metrics that compare utilities in the test samples with the reference."""
    ratio, known = np.full(len(test), np.nan), data.gain_min is not None
    if data.measure == "gain_ratio":
        ratio = data.compare(Q, test)
    return {
        "mean_gain_ratio": ratio.mean(),
        "gain_ratio_5th_percentile": np.percentile(ratio, 5),
        "optimal_share": data.optimal_share(Q, test) if known else np.nan,
        "excess": Q.mean() / data.gain_min[test].mean() - 1 if known else np.nan,
    }


def learn(run, data, index):
    """Run DDLO on the samples `index`; return the DDLO, its history and the seconds it took."""
    # A stateful algorithm cannot be compiled and is made again for each run.
    ddlo, loops = (build if run.algorithm.compiled else build.__wrapped__)(run.compiled)
    (_, first), *_ = run.networks
    ddlo.net.scale = run.scale or scale_for(first, data.training, ddlo.net.shared)
    ddlo.frames = run.frames
    ddlo.net.reset(run.seed)
    histories, seconds = [], 0
    with warnings.catch_warnings():
        if run.change is not None:  # states after it may be far from the scale
            warnings.simplefilter("ignore")
        for (part, ddlo.network), loop in zip(run.networks, loops):
            history, lap = timed(run_frames, loop, ddlo, data, index[part], quiet=True)
            histories.append(history)
            seconds += lap
    return ddlo, {k: np.concatenate([each[k] for each in histories]) for k in histories[0]}, seconds


@lru_cache(maxsize=1)
def build(run):
    """Return the DDLO of a run and a loop for each of its networks, compiled if possible."""
    if run.backend == "tensorflow":  # a run a core: its threads would only compete
        from ddlo.backend import tf

        with suppress(RuntimeError):  # too late in a process that has used TensorFlow
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
    ddlo, loops = make_ddlo(run), []
    for _, ddlo.network in run.networks:
        loops.append(fast_loop(ddlo, run.frames))
    return ddlo, loops


def timed(function, *arguments, **options):
    """Return the result of a call and the seconds it took."""
    started = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - started


def machine():
    """Return the name of the processor and the number of its cores."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # Linux has the better name
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {os.cpu_count()} cores"

"""Executing a run: what it finds, and how long it takes."""

import copy
import os
import platform
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np

from ddlo.baselines import best_fixed
from ddlo.loop import run_frames
from ddlo.scale import Scale
from main import DDLO

from .droo import AdaptiveDROO
from .origin import digest_of
from .runs import parts_of
from .schemes import BEST_FIXED, by_chance, scheme_of

UNTRAINED = 500  # time frames before any training step, whatever the parameters
# Test frames are decided one by one to measure the decision time: so many, for so many seconds.
TIMED_FRAMES, TIMED_SECONDS = 100, 0.5
TIMED_STEPS = 30  # training steps that are timed
TIMED_BLOCK = 1000  # and, by DDLO, so many at a time: other schemes decide all at a time


def execute(run):
    """Execute a run.

    Returns
    -------
    dict
        Metrics of the test frames: mean_gain_ratio; gain_ratio_5th_percentile; optimal_share;
        mean_utility, in J, or s/bit on WPMEC; excess, of the mean utility over the mean reference, relative;
        ms_per_frame, the time of a decision at batch size 1 (median), and ms_per_frame_batched;
        test_frames; reference, what the gain ratio is relative to; run_seconds; machine. Of DDLO
        also loop_seconds, of deciding and learning in all frames; untrained_gain_ratio, that of the
        frames before training; last_cost, the mean over the last fifth of the training steps;
        candidates_per_frame, how many are scored; ms_per_training_step, of all DNNs; and, where the
        utility is separable, fixed_gain_ratio, that of the best fixed decision.
    dict of float32 arrays
        Of DDLO gain_ratio (frames,) and costs (K, training steps).

    Raises
    ------
    ValueError, FloatingPointError, RuntimeError
        As the data set, the network, MemoryDNN and the schemes do.
    """
    started = time.perf_counter()
    network, metrics, curves = run.network, {}, {}
    data = problem_data(run.problem, digest_of(run.data), run.frames)
    states, gain_min = data.states, data.gain_min
    index, tests = data.time_frames(run.frames)
    test = index[-tests:]
    d = states[test]
    if run.scheme == BEST_FIXED or (run.learns and network.separable):
        fixed = best_fixed(network, d)
    if run.learns:
        ddlo, loop = _compiled(run.compiled)
        if run.adapts:  # to what was decided before: this run begins anew
            ddlo = AdaptiveDROO(ddlo.net, run.network, run.recombine)
            loop = ddlo.decide_and_learn
        ddlo.net.scale = run.scale or network.scale or Scale.of(data.training)
        ddlo.net.reset(run.seed)
        histories, metrics["loop_seconds"] = [], 0
        for ddlo.network, part in parts_of(run.networks(), run.frames):
            of_part, seconds = timed(run_frames, loop, ddlo, data, index[part], quiet=True)
            histories.append(of_part)
            metrics["loop_seconds"] += seconds
        history = {key: np.concatenate([of_part[key] for of_part in histories]) for key in of_part}
        costs = np.array(ddlo.net.cost_his, np.float32)
        curves = {"gain_ratio": history["gain_ratio"].astype(np.float32), "costs": costs}
        Q = history["Q"][-tests:]
        scored = ddlo.scored if run.adapts else run.candidates_per_frame * run.frames
        metrics["candidates_per_frame"] = scored / run.frames
        metrics["untrained_gain_ratio"] = history["gain_ratio"][:UNTRAINED].mean()
        if costs.size:
            metrics["last_cost"] = costs[:, -max(1, costs.shape[1] // 5) :].mean()
        if network.separable:
            metrics["fixed_gain_ratio"] = np.mean(gain_min[test] / network.compute_Q(d, fixed))

        def scheme(state):
            return ddlo.decide(state)[1]

        scheme(d[:1])  # fetches the trained weights
        block_seconds = timed(scheme, d[:TIMED_BLOCK])[1] / min(TIMED_BLOCK, tests)
    else:

        def scheme(state):
            if run.scheme == BEST_FIXED:  # of all test frames, not of these
                return np.tile(fixed, (len(state), 1))
            seed = {"seed": run.seed} if by_chance(run.scheme) else {}
            return scheme_of(run.scheme)(network, state, **seed)

        scheme(d[:1])  # imports what it needs
        x, seconds = timed(scheme, d)
        block_seconds, Q = seconds / tests, network.compute_Q(d, x)
    seconds = []
    while len(seconds) < min(TIMED_FRAMES, tests) and sum(seconds) < TIMED_SECONDS:
        seconds.append(timed(scheme, d[len(seconds), None])[1])
    if run.learns:  # at last, as it changes the weights
        steps = [timed(ddlo.net.learn)[1] for _ in range(TIMED_STEPS)]
        metrics["ms_per_training_step"] = 1e3 * np.median(steps)
    ratio = data.compare(Q, test)
    metrics |= {
        "mean_gain_ratio": ratio.mean(),
        "gain_ratio_5th_percentile": np.percentile(ratio, 5),
        "optimal_share": data.optimal_share(Q, test),
        "mean_utility": Q.mean(),
        "excess": Q.mean() / gain_min[test].mean() - 1,
        "ms_per_frame": 1e3 * np.median(seconds),
        "ms_per_frame_batched": 1e3 * block_seconds,
        "test_frames": tests,
        "reference": data.reference,
        "run_seconds": time.perf_counter() - started,
        "machine": machine(),
    }
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in metrics.items()}, curves


def timed(function, *arguments, **options):
    """Return what a call returns, and how many seconds it takes."""
    started = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - started


@lru_cache
def problem_data(problem, digest, frames):
    """Return the `samples` of a run's `problem` for so many frames, once for each digest of its file."""
    return problem.samples(frames)


@lru_cache(maxsize=1)
def _compiled(run):
    """What `build` returns for runs that have this `Run.compiled`."""
    from ddlo.backend import tf

    # One run a core: threads of TensorFlow's own would only fight for them. It is too late for this
    # in a process that has used TensorFlow for something else.
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return build(run)


def build(run):
    """Return the DDLO of a run, unseeded, and its loop, compiled unless the run adapts."""
    from ddlo.loop import compile_loop
    from memory import MemoryDNN

    size = run.users * run.tasks
    net = MemoryDNN(
        [size, *run.hidden, size],
        run.net_num,
        learning_rate=run.learning_rate,
        training_interval=run.training_interval,
        batch_size=run.batch_size,
        memory_size=run.memory_size,
        candidates=copy.copy(run.candidates),  # whose K changes if the run adapts
        beta1=run.beta1,
    )
    if run.adapts:
        ddlo = AdaptiveDROO(net, run.network, run.recombine)
        return ddlo, ddlo.decide_and_learn
    ddlo = DDLO(net, run.network, run.recombine)
    return ddlo, compile_loop(ddlo)


def machine():
    """Return the name of the processor and the number of its cores that can be used."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # Linux has the better name
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {os.cpu_count()} cores"

"""Made-up results of runs, in no time: metrics and curves as `execution.execute` returns them."""

import zlib

import numpy as np

from ddlo.data import Data


def result_of(run):
    """Return the metrics and curves of a run: always the same, and others for another run."""
    random = np.random.default_rng(zlib.crc32(run.key.encode()))
    tests = Data(np.empty((20000, 9))).time_frames(run.frames)[1]
    ratio = random.uniform(0.9, 1) - 0.01 * random.random(run.frames)
    metrics, curves = {"candidates_per_frame": random.integers(1, 100)}, {}
    if run.learns:
        ratio -= 0.3 * np.exp(-np.arange(run.frames) / 300)
        costs = 0.1 + random.random((run.net_num, max(0, (run.frames - 510) // 10)))
        curves = {"gain_ratio": ratio.astype(np.float32), "costs": costs.astype(np.float32)}
        metrics = {"loop_seconds": 1 + random.random(), "candidates_per_frame": run.net_num}
        metrics |= {"ms_per_training_step": 1.0, "fixed_gain_ratio": 0.95}
        if run.change is not None:
            metrics |= {"fall": random.random(), "frames_to_recover": random.integers(100, 9000)}
        if costs.size:
            metrics["last_cost"] = costs[:, -1].mean()
    test = ratio[-tests:]
    return metrics | {
        "mean_gain_ratio": test.mean(),
        "gain_ratio_5th_percentile": np.percentile(test, 5),
        "optimal_share": random.random(),
        "mean_utility": 600 + 100 * random.random(),
        "unit": run.networks[-1][1].unit,
        "excess": 0.1 * random.random(),
        "ms_per_frame": 0.1 + random.random(),
        "ms_per_utility": 0.001 * random.random(),
        "ms_per_frame_batched": 0.001 + 0.01 * random.random(),
        "test_frames": tests,
        "machine": "a machine, 4 cores",
    }, curves


class Made:
    """A store that has every run."""

    def load(self, run):
        return result_of(run)

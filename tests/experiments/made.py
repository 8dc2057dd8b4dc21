"""What many runs could have found, made up in no time: metrics and curves as execute returns them."""

import zlib

import numpy as np

from ddlo.data import Data


def result_of(run):
    """Return metrics and curves for a run: always the same, and others for another run."""
    random = np.random.default_rng(zlib.crc32(str(run).encode()))
    tests = Data(np.empty((20000, 9))).time_frames(run.frames)[1]
    ratio = 1 - 0.01 * random.random(run.frames)
    metrics, curves = {}, {}
    if run.learns:
        ratio -= 0.3 * np.exp(-np.arange(run.frames) / 300)
        costs = 0.1 + random.random((run.net_num, max(0, (run.frames - 510) // 10)))
        curves = {"gain_ratio": ratio.astype(np.float32), "costs": costs.astype(np.float32)}
        metrics = {"loop_seconds": 1 + random.random(), "untrained_gain_ratio": ratio[:500].mean()}
        if getattr(run, "bandwidth", "") == "equal":
            metrics["fixed_gain_ratio"] = 0.9
        metrics |= {"candidates_per_frame": run.candidates_per_frame, "ms_per_training_step": 1.0}
        if costs.size:
            metrics["last_cost"] = costs[:, -1].mean()
    test = ratio[-tests:]
    metrics |= {
        "mean_gain_ratio": test.mean(),
        "gain_ratio_5th_percentile": np.percentile(test, 5),
        "optimal_share": random.random(),
        "mean_utility": 600 + 100 * random.random(),
        "excess": 0.1 * random.random(),
        "ms_per_frame": 0.1 + random.random(),
        "ms_per_frame_batched": 0.001 + 0.01 * random.random(),
        "test_frames": tests,
        "reference": "optimum",
        "run_seconds": 1.0,
        "machine": "a machine, 4 cores",
    }
    return metrics, curves


class Made:
    """A store that has every run."""

    def load(self, run):
        return result_of(run)

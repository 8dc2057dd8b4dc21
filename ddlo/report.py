"""What a run reports: numbers, plots, and training costs for TensorBoard."""

import os
import platform
from importlib.metadata import version

import numpy as np

from ddlo import checks
from MUMT import all_decisions

ROLLING = 60  # time frames under the rolling mean of the gain ratio, as released


def make_report(history, tests, network, data, seed):
    """Return what a run reached in its last `tests` frames, the test, as a dict.

    `history` is that of run_frames, `data` what load_data returns; the seed is of the random scheme.
    """
    task_size, gain_min, reference = data
    index, Q, ratio = (history[key][-tests:] for key in ("index", "Q", "gain_ratio"))
    d = task_size[index]
    schemes = {
        "all_edge": np.ones(d.shape),
        "all_local": np.zeros(d.shape),
        "random": np.random.default_rng(seed).integers(0, 2, d.shape),
    }
    if history["gain_ratio"].max() > 1 + 1e-9:
        reference = "best known utility"  # was known: there is a better decision
    mean_utility = {"ddlo": Q.mean(), reference: gain_min[index].mean()}
    mean_utility |= {name: network.compute_Q(d, x).mean() for name, x in schemes.items()}
    return {
        "frames": len(history["Q"]),
        "test_frames": tests,
        "reference": reference,  # what the gain ratio is relative to
        "mean_gain_ratio": ratio.mean(),
        # As released: the very last frame is missing in the sum, but counted in the mean.
        "released_gain_ratio": ratio[:-1].sum() / tests,
        "optimal_share": optimal_share(ratio) if reference == "optimum" else None,
        "mean_utility": mean_utility,
    }


def optimal_share(gain_ratio):
    """Return the fraction of time frames whose decision is optimal, but for rounding."""
    return np.mean(gain_ratio > 1 - 1e-12)


def best_fixed(network, task_size):
    """Return the one decision, int32 (N*M,), with the least mean Q if it is made in all frames.

    No scheme, as it has to see many frames before it can decide one; to learn is to do better. Found
    user by user, with 2**M decisions each. Raises ValueError if Q is not separable across users.
    """
    if not network.separable:
        raise ValueError(
            f"the best fixed decision needs a separable Q, not {type(network).__name__}'s"
        )
    task_size = checks.block("task_size", network.checked_sizes(task_size))
    costs = network.task_costs(np.atleast_2d(task_size))
    decisions = all_decisions(network.M)
    mean = [
        network.user_utility(costs, np.tile(decision, network.N)).mean(axis=0)
        for decision in decisions
    ]
    return decisions[np.argmin(mean, axis=0)].astype(np.int32).ravel()


def print_report(report, out):
    """Print the report of a run that has written its files into the folder `out`."""
    r = report
    optimal = f"unknown; gain ratios are relative to the {r['reference']}"
    if r["optimal_share"] is not None:
        optimal = f"{r['optimal_share']:.1%} of the test frames"
    utility = ", ".join(f"{name} {Q:.2f}" for name, Q in r["mean_utility"].items())
    print(
        f"mean gain ratio    {r['mean_gain_ratio']:.5f} in the {r['test_frames']} test frames, the "
        f"last of {r['frames']}\n"
        f"                   {r['released_gain_ratio']:.5f} by the released package's formula\n"
        f"optimal decisions  {optimal}\n"
        f"mean utility (J)   {utility}\n"
        f"time               {r['loop_seconds']:.2f} s for the loop, "
        f"{1e6 * r['seconds_per_frame']:.0f} us per frame; "
        f"{r['compile_seconds']:.2f} s to compile it; {r['total_seconds']:.2f} s in total\n"
        f"files              {out}{os.sep}"
    )


def versions():
    """Return the versions of Python and of the packages that results may depend on, as a dict."""
    packages = ("tensorflow", "keras", "numpy", "scipy", "matplotlib")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def save_history(path, history, costs):
    """Write the history of run_frames and training costs (K lists) to a MATLAB v5 file."""
    import scipy.io

    arrays = history | {"costs": np.array(costs)}
    scipy.io.savemat(path, arrays, oned_as="row", do_compression=True)


def rolling_mean(values, window):
    """Return the means of the last `window` values up to each one, or of as many as there are."""
    total = np.concatenate([np.zeros(window), np.cumsum(values, dtype=float)])
    return (total[window:] - total[:-window]) / np.minimum(np.arange(1, len(values) + 1), window)


def plot_gain_ratio(gain_ratio, tests, path=None):
    """Plot gain ratios (frames,), the last `tests` of them of test frames, as a rolling mean.

    A band goes from the rolling minimum to the maximum. Saved to `path` if given, else shown in a
    window.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    frame = np.arange(1, len(gain_ratio) + 1)
    window = {"size": ROLLING, "origin": (ROLLING - 1) // 2, "mode": "nearest"}  # ends at the frame
    low, high = minimum_filter1d(gain_ratio, **window), maximum_filter1d(gain_ratio, **window)
    mean = rolling_mean(gain_ratio, ROLLING)

    def draw(axes):
        axes.fill_between(
            frame, low, high, alpha=0.2, linewidth=0, label=f"range of {ROLLING} frames"
        )
        axes.plot(frame, mean, label=f"mean of {ROLLING} frames")
        axes.axvline(
            frame[-tests] - 0.5, color="k", linestyle="--", linewidth=1, label="test begins"
        )
        axes.set(xlabel="Time frame", ylabel="Gain ratio (least utility / utility reached)")
        axes.legend(loc="lower right", framealpha=1)

    _plot(draw, path)


def plot_training_cost(costs, path=None):
    """Plot the training cost of every DNN, K lists of float, against training steps.

    Saved to `path` if given; else shown in a window, or without a screen saved to training_cost.png.
    """
    if path is None and not has_screen():
        path = "training_cost.png"
        print(f"no screen to show the training cost on: saved to {path}")
    step = np.arange(1, len(costs[0]) + 1)

    def draw(axes):
        for k, cost in enumerate(costs):
            axes.plot(step, cost, linewidth=0.7, alpha=0.8, label=f"DNN {k + 1}")
        axes.set(xlabel="Training step", ylabel="Training cost (cross-entropy, nats)", yscale="log")
        if len(costs) <= 12:  # a longer legend would hide the lines
            axes.legend(ncols=3, loc="upper right", framealpha=1)

    _plot(draw, path)


def show(net, gain_ratio, tests):
    """Open windows with the plots of a run until the user closes them."""
    import matplotlib.pyplot as plt

    if not has_screen():
        print("no screen to show the plots on")
        return
    with plt.ion():
        plot_gain_ratio(gain_ratio, tests)
        net.plot_cost()
    plt.show()


def has_screen():
    """Whether Matplotlib can open windows here."""
    import matplotlib.pyplot as plt

    return plt.get_backend().lower() != "agg"


def log_costs(writer, costs, steps):
    """Write training costs (training steps, K) for TensorBoard, as steps after the first `steps`."""
    from ddlo.backend import tf

    # tf.summary.scalar would need the tensorboard package to write what only its reader needs.
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin)
    with writer.as_default():
        for i, k in np.ndindex(costs.shape):
            name = f"training cost/DNN {k + 1}"
            tf.summary.write(name, costs[i, k], step=steps + i + 1, metadata=metadata)
    writer.flush()


def _plot(draw, path):
    """Draw on a new figure's axes, and save it to the path or show it in a window."""
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    figure = (plt.figure if path is None else Figure)(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.margins(x=0)
    axes.grid(alpha=0.3)
    plt.show() if path is None else figure.savefig(path, dpi=150)

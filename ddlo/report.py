"""What a run reports: numbers, plots, and training costs for TensorBoard."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ddlo import FRAMES_PER_CALL
from ddlo.comparison import MEASURES, compared, measure_of, optimal_share
from ddlo.matfiles import write_mat
from ddlo.rules import best_fixed, rules

ROLLING = 60  # time frames under the rolling mean of the gain ratio, as released
# What the rules without learning are called in texts.
LABELS = {
    "best_fixed": "best fixed decision",
    "smallest_local": "smallest task local",
    "all_edge": "full offloading",
    "all_local": "local only",
}
AXES = {
    "gain_ratio": "Gain ratio (least utility / utility reached)",
    "difference": "Utility above the least one",
    "Q": "Utility Q (smaller is better)",
}


def make_report(history, tests, network, data, seed):
    """Return what a run reached in its last `tests` frames, the test, and what rules reach.

    `history` is that of run_frames, `data` the states (samples, S), gain_min and what it is; the seed is
    of the random scheme. Returns two dicts: the report, of Python's numbers and texts, and the utility
    in all frames of each rule in LABELS, {} unless gain_min is None: what there is to compare with then.
    """
    states, gain_min, reference = data
    measure, index = measure_of(gain_min), history["index"]
    test = index[-tests:]
    Q, decision = history["Q"][-tests:], history["decision"][-tests:]
    fixed = best_fixed(network, states[test])
    decisions = rules(network, states[test], fixed, seed)
    of_rules = {name: network.compute_Q(states[test], x) for name, x in decisions.items()}
    distinct = len(np.unique(decision, axis=0))
    report = {
        "frames": len(history["Q"]),
        "test_frames": tests,
        "reference": reference,  # what the measure is relative to
        "measure": measure,
        "distinct_decisions": distinct,
    }
    mean_utility, measures = {"ddlo": Q.mean()}, {"ddlo": Q, **of_rules}
    if gain_min is not None:
        mean_utility[reference] = gain_min[test].mean()
        report["optimal_share"] = (
            optimal_share(Q, gain_min[test]) if reference == "optimum" else None
        )
        measures = {
            name: compared(measure, values, gain_min[test], reference)
            for name, values in measures.items()
        }
    means = {name: values.mean() for name, values in measures.items()}
    report[f"mean_{measure}"] = means["ddlo"]
    if measure == "gain_ratio":
        # As released: the very last frame is missing in the sum, but counted in the mean.
        report["released_gain_ratio"] = history["gain_ratio"][-tests:-1].sum() / tests
    # One decision in all frames beats no best one, of which only some frames may have been looked at.
    beaten = Q.mean() < of_rules["best_fixed"].mean()
    report["beats_best_fixed"] = distinct > 1 and beaten
    report["rules"] = {name: means[name] for name in decisions}
    report["mean_utility"] = mean_utility | {name: Q.mean() for name, Q in of_rules.items()}
    for name in ("energy", "delay"):
        if name in history:
            report[f"mean_{name}"] = history[name][-tests:].mean()
    in_all_frames = {}
    if gain_min is None:
        every = rules(network, states[index], fixed, seed)
        in_all_frames = {
            name: network.compute_Q(states[index], every[name]) for name in LABELS if name in every
        }
    return _plain(report), in_all_frames


def energy_and_delay(network, states, decision):
    """Return the sums over users of energy, in J, and delay, in s: arrays (frames,) in a dict.

    A user's delay is the greater one of local and offload delay. {} for a network without the method
    `energy_and_delays`.
    """
    if not hasattr(network, "energy_and_delays"):
        return {}
    energy, delay = np.empty(len(states)), np.empty(len(states))
    for start in range(0, len(states), FRAMES_PER_CALL):
        part = slice(start, start + FRAMES_PER_CALL)
        of_users, local, offload = network.energy_and_delays(states[part], decision[part])
        energy[part], delay[part] = of_users.sum(-1), np.maximum(local, offload).sum(-1)
    return {"energy": energy, "delay": delay}


def print_report(report, out):
    """Print the report of a run that has written its files into the folder `out`."""
    r, measure = report, report["measure"]
    digits = 5 if measure == "gain_ratio" else 4
    name = MEASURES[measure].format(reference=r["reference"])
    ddlo = f"{r[f'mean_{measure}']:.{digits}f}"
    rules = [f"{r['rules'][key]:.{digits}f} {LABELS[key]}" for key in LABELS if key in r["rules"]]
    lines = [
        (f"mean {name}", f"{ddlo} in the {r['test_frames']} test frames, the last of {r['frames']}")
    ]
    if measure == "gain_ratio":
        lines.append(("", f"{r['released_gain_ratio']:.5f} by the released package's formula"))
    elif measure == "difference":
        lines.append(("", "a gain ratio has no meaning where utilities are negative"))
    lines.append(("without learning", ", ".join(rules[:2])))
    if not r["beats_best_fixed"]:
        lines.append(
            ("", "DDLO does not beat the best fixed decision, the same one in every frame")
        )
    if "optimal_share" in r:
        optimal = f"unknown; {measure.replace('_', ' ')}s are relative to the {r['reference']}"
        if r["optimal_share"] is not None:
            optimal = f"{r['optimal_share']:.1%} of the test frames"
        lines.append(("optimal decisions", optimal))
    utility = ", ".join(f"{name} {Q:.2f}" for name, Q in r["mean_utility"].items())
    loop = (
        f"{r['loop_seconds']:.2f} s for the loop, {1e6 * r['seconds_per_frame']:.0f} us per frame"
    )
    lines += [
        ("distinct decisions", f"{r['distinct_decisions']} in the test frames"),
        ("mean utility (J)" if "mean_energy" in r else "mean utility", utility),
    ]
    if "mean_energy" in r:
        of_users = f"{r['mean_energy']:.2f} J, {r['mean_delay']:.2f} s, summed over users"
        lines.append(("energy, delay", of_users))
    of_all = f"{r['compile_seconds']:.2f} s to compile it; {r['total_seconds']:.2f} s in total"
    lines += [("time", f"{loop}; {of_all}"), ("files", f"{out}{os.sep}")]
    width = max(len(heading) for heading, _ in lines) + 1
    print("\n".join(f"{heading:{width}}{text}" for heading, text in lines))


def versions():
    """Return the versions of Python and of packages, and the commit of the code, as a dict."""
    return {"versions": package_versions(), "commit": commit()}


def package_versions():
    """Return the versions of Python and of the packages that results may depend on, as a dict."""
    packages = ("tensorflow", "keras", "numpy", "scipy", "matplotlib")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def commit():
    """Return Git's name of the code's commit, with -dirty if files were changed; None without Git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        folder = Path(__file__).parent
        return subprocess.check_output(
            command, cwd=folder, stderr=subprocess.DEVNULL, text=True
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def save_history(path, history, costs):
    """Write the history of run_frames and training costs (K lists) to a MATLAB v5 file."""
    write_mat(path, history | {"costs": np.array(costs)})


def rolling_mean(values, window):
    """Return the means of the last `window` values up to each one, or of as many as there are."""
    total = np.concatenate([np.zeros(window), np.cumsum(values, dtype=float)])
    return (total[window:] - total[:-window]) / np.minimum(np.arange(1, len(values) + 1), window)


def plot_history(history, tests, folder=None, fixed=None):
    """Plot the measure of a history, the last `tests` frames of which are test frames.

    That is the gain ratio, or else the difference or the utility, as a rolling mean; a band goes from
    the rolling minimum to the maximum. `fixed` are utilities (frames,) of rules by name, to be plotted
    beside it. Saved to `folder` as gain_ratio.png, difference.png or Q.png, else shown in a window.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    measure = next(name for name in MEASURES if name in history)
    values, label = history[measure], AXES[measure]
    frame = np.arange(1, len(values) + 1)
    window = {"size": ROLLING, "origin": (ROLLING - 1) // 2, "mode": "nearest"}  # ends at the frame
    low, high = minimum_filter1d(values, **window), maximum_filter1d(values, **window)
    mean = rolling_mean(values, ROLLING)

    def draw(axes):
        axes.fill_between(
            frame, low, high, alpha=0.2, linewidth=0, label=f"DDLO, range of {ROLLING} frames"
        )
        axes.plot(frame, mean, label=f"DDLO, mean of {ROLLING} frames")
        for (name, Q), style in zip((fixed or {}).items(), ("--", "-.", ":", (0, (5, 1, 1, 1)))):
            axes.plot(frame, rolling_mean(Q, ROLLING), linestyle=style, label=LABELS[name])
        axes.axvline(
            frame[-tests] - 0.5, color="k", linestyle="--", linewidth=1, label="test begins"
        )
        axes.set(xlabel="Time frame", ylabel=label)
        axes.legend(loc="lower right" if measure == "gain_ratio" else "best", framealpha=1)

    _plot(draw, folder and folder / f"{measure}.png")


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


def show(net, history, tests, fixed):
    """Open windows with the plots of a run until the user closes them."""
    import matplotlib.pyplot as plt

    if not has_screen():
        print("no screen to show the plots on")
        return
    with plt.ion():
        plot_history(history, tests, fixed=fixed)
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


def _plain(value):
    """A dict of NumPy's numbers as one of Python's."""
    if isinstance(value, dict):
        return {name: _plain(of_name) for name, of_name in value.items()}
    return value.item() if isinstance(value, np.generic) else value

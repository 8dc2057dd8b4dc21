"""The pictures of the experiments: readable in grey and by colour-blind readers."""

from itertools import cycle

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, LogLocator, NullLocator

from main import rolling_mean

from .results import UNTRAINED, failures, interval
from .settings import MILP, NETWORKS, SWEEPS

EARLY = 2000  # time frames in the first panel
# Time frames, and training steps, under the rolling means of the first and the second panel.
FRAMES_WINDOWS, STEPS_WINDOWS = (60, 200), (1, 20)
POINTS = 1000  # of a curve that are drawn in a panel
GAIN_RATIOS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)
LEAST = 1e-4  # distance of a gain ratio to 1 that is shown, also of an optimal one
FEW = 3  # with less seeds than this an interval is so wide that the range says more
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
# Of the schemes: colours of Okabe and Ito, which colour-blind readers tell apart, and markers.
STYLES = {
    "optimum": {"color": "k", "marker": "", "linewidth": 3, "alpha": 0.3},
    MILP: {"color": "k", "marker": "+", "linestyle": "none", "markersize": 9, "zorder": 3},
    "DDLO, K = 3": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "DDLO, K = 10": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    "DROO's rule, K = 3": {"color": "#D55E00", "marker": "^", "linestyle": "-"},
    "DROO's rule, K = 10": {"color": "#D55E00", "marker": "v", "linestyle": "--"},
    "coordinate descent": {"color": "#009E73", "marker": "D", "linestyle": ":"},
    "linear relaxation": {"color": "#CC79A7", "marker": "P", "linestyle": "-."},
    "best fixed decision": {"color": "#F0E442", "marker": "h", "linestyle": ":"},
    "all edge": {"color": "#56B4E9", "marker": "*", "linestyle": "-"},
    "random": {"color": "#E69F00", "marker": "X", "linestyle": "--"},
    "all local": {"color": "0.5", "marker": "<", "linestyle": "-."},
}
OTHER = {"color": "0.3", "marker": "p", "linestyle": "-"}  # a scheme that is not among them


def plot(experiment, settings, rows, store):
    """Return the picture of an experiment, a Figure.

    From its settings, their rows (`summarise`), and the store with their runs; settings none of
    whose runs was done are left out.
    """
    pairs = [(setting, row) for setting, row in zip(settings, rows) if row["seeds"]]
    rows = [row for _, row in pairs]
    if experiment in SWEEPS:
        return plot_convergence(pairs, store)
    if experiment in NETWORKS:
        return plot_networks(NETWORKS[experiment][1], rows)
    if experiment == "schemes":
        return plot_schemes(rows)
    return plot_training_cost(pairs[0][0], store)


def plot_convergence(pairs, store):
    """Plot gain ratios against time frames: rolling means, averaged over the seeds, with bands."""
    curves = {}
    for setting, row in pairs:
        results = [store.load(run) for run in setting.runs if run in store]
        failing = failures(row)
        label = f"{row['label']}{failing and ': '}{failing}"
        curves[label] = np.stack([arrays["gain_ratio"] for arrays, _ in results])
    figure, (early, whole) = _draw_curves(curves, EARLY, FRAMES_WINDOWS, "Time frame")
    for axes in (early, whole):
        # Linear in the logarithm of the distance to the optimum: good ratios differ by little.
        axes.set_yscale("function", functions=(_nearness, lambda nearness: 1 - 10**-nearness))
        axes.yaxis.set_major_locator(FixedLocator(GAIN_RATIOS))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    means = np.concatenate([line.get_ydata() for line in [*early.lines, *whole.lines]])
    early.set_ylim(1 - 1.3 * (1 - means.min()), 1 - 0.5 * max(1 - means.max(), LEAST))
    early.set_ylabel("Gain ratio (axis logarithmic in the distance to 1)")
    frames, tests = len(results[0][0]["gain_ratio"]), results[0][1]["test_frames"]
    begin = whole.axvline(frames - tests + 0.5, color="k", linestyle="--", linewidth=1)
    begin.set_label("test begins")
    _legend(figure, whole)
    return figure


def plot_training_cost(setting, store):
    """Plot the training cost of each DNN against training steps, averaged over the seeds."""
    costs = np.stack([store.load(run)[0]["costs"] for run in setting.runs if run in store])
    curves = {f"DNN {k + 1}": costs[:, k] for k in range(costs.shape[1])}
    early_steps = (EARLY - UNTRAINED) // setting.runs[0].training_interval
    figure, (early, whole) = _draw_curves(curves, early_steps, STEPS_WINDOWS, "Training step")
    if costs.size:  # runs may have ended before the first training
        early.set_yscale("log")
        early.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        early.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        early.yaxis.set_minor_locator(NullLocator())
    early.set_ylabel("Training cost (cross-entropy, nats)")
    _legend(figure, whole)
    return figure


def plot_schemes(rows):
    """Plot each scheme's gain ratio, mean and 5th percentile, and the time of its decisions."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    ratio, time = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    place = np.arange(len(rows))[::-1]

    def values(name):
        return np.array([row[name]["mean"] for row in rows])

    means, low = values("mean_gain_ratio"), values("gain_ratio_5th_percentile")
    ratio.hlines(place, *_nearness(np.stack([low, means])), color="0.6", linewidth=3)
    ratio.plot(_nearness(means), place, "ko", label="mean")
    ratio.plot(_nearness(low), place, "k|", markersize=12, label="5th percentile")
    ticks = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.997, 0.999]
    optimal = -np.log10(LEAST)
    ratio.set_xticks([*_nearness(np.array(ticks)), optimal], [*map("{:g}".format, ticks), "1"])
    ratio.set_yticks(place, [row["label"] for row in rows])
    ratio.set_xlim(right=optimal + 0.25)
    ratio.set_xlabel("Gain ratio in the test frames (axis logarithmic in the distance to 1)")
    time.plot(values("frame_ms"), place, "ko", label="one by one")
    time.plot(values("block_ms"), place, "kD", fillstyle="none", label="all in one call")
    time.set_xscale("log")
    time.set_xlabel("Time of a decision (ms a frame)")
    for axes in (ratio, time):
        axes.grid(alpha=0.3)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    return figure


def plot_networks(label, rows):
    """Plot each scheme's mean utility, and its excess over the optimum, against a constant."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    utility, excess = figure.subplots(1, 2)
    for scheme in dict.fromkeys(row["label"] for row in rows):
        of_scheme = [row for row in rows if row["label"] == scheme]
        x = [row["value"] for row in of_scheme]
        for axes, name, factor in ((utility, "mean_utility", 1), (excess, "excess", 100)):
            mean = [factor * row[name]["mean"] for row in of_scheme]
            half = [factor * (row[name]["half"] or 0) for row in of_scheme]
            style = STYLES.get(scheme, OTHER)
            axes.errorbar(x, mean, half if any(half) else None, label=scheme, capsize=2, **style)
    utility.set_ylabel("Mean utility (J)")
    excess.set_ylabel("Mean utility above the optimum (%)")
    excess.set_yscale("symlog", linthresh=0.01, linscale=0.5)
    excess.set_ylim(bottom=-0.002)
    for axes in (utility, excess):
        if min(x) > 0:
            axes.set_xscale("log")
            axes.set_xticks(x, [f"{value:g}" for value in x])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    _legend(figure, utility)
    return figure


def _nearness(gain_ratio):
    """Where a gain ratio is on a logarithmic axis; optimal ones, too, have a place on it."""
    return -np.log10(np.maximum(1 - gain_ratio, LEAST))


def _draw_curves(curves, early_steps, windows, label):
    """Draw values (seeds, steps) by name, their early steps and all: rolling means with bands.

    The bands are 95 % confidence intervals of the mean over seeds, or the range of a few seeds.
    """
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(2, 3))
    colors = colormaps["cividis"](np.linspace(0, 0.75, len(curves)))
    steps = next(iter(curves.values())).shape[1]
    for axes, most, window in zip(panels, (min(early_steps, steps), steps), windows):
        window = max(1, min(window, most // 10))
        for (name, values), color, line in zip(curves.items(), colors, cycle(LINES)):
            means = np.array([rolling_mean(of_seed[:most], window) for of_seed in values])
            mean, half = interval(means)
            low, high = mean - half, mean + half
            if len(means) < FEW:
                low, high = means.min(axis=0), means.max(axis=0)
            # Means of less than the window would jump where the first values leave it.
            shown = np.unique(np.linspace(window - 1, most - 1, POINTS).astype(int))[:most]
            x, low, high = shown + 1, low[shown], high[shown]
            axes.plot(x, mean[shown], color=color, linestyle=line, label=name)
            axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        axes.set_xlabel(label + (f" (means of the last {window})" if window > 1 else ""))
        axes.set_xlim(1, max(2, most))
        axes.grid(alpha=0.3)
    seeds = len(means)
    band = "95 % confidence" if seeds >= FEW else "range"
    if seeds > 1:
        panels[1].fill_between([], [], [], color="k", alpha=0.2, label=f"{band}, {seeds} seeds")
    return figure, panels


def _legend(figure, axes):
    """Put the legend of the axes below all panels, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    rows = -(-sum(10 + len(label) for label in labels) // 110)
    columns = -(-len(labels) // rows)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)

"""The pictures of the experiments: readable in grey and by colour-blind readers."""

from itertools import cycle

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FormatStrFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
)

from main import rolling_mean

from .results import UNTRAINED, failures, interval
from .settings import BY_PRICE, FOR_EQUAL, MENDED, MILP, NETWORKS, SWEEPS

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
    MENDED: {"color": "#0072B2", "marker": "x", "linestyle": "-."},
    BY_PRICE: {"color": "#E69F00", "marker": "X", "linestyle": "--"},
    FOR_EQUAL: {"color": "#CC79A7", "marker": "P", "linestyle": "-."},
}
# Of the networks that the mends are tried in, from the smallest.
NETWORK_STYLES = (
    {"color": "#0072B2", "marker": "o"},
    {"color": "#D55E00", "marker": "s"},
    {"color": "#0072B2", "marker": "o", "fillstyle": "none"},
    {"color": "#D55E00", "marker": "s", "fillstyle": "none"},
)
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
    if experiment in ("schemes", "joint"):
        return plot_schemes(rows)
    if experiment == "mends":
        return plot_mends(rows)
    if experiment in ("scaling", "joint_scaling"):
        return plot_scaling(rows)
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
    ratio.set_yticks(place, [row["label"] for row in rows])
    _gain_ratio_axis(ratio.xaxis)
    ratio.set_xlabel("Gain ratio in the test frames (axis logarithmic in the distance to 1)")
    time.plot(values("frame_ms"), place, "ko", label="one by one")
    time.plot(values("block_ms"), place, "kD", fillstyle="none", label="many in one call")
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


def plot_mends(rows):
    """Plot each mend's gain ratio, and the time of a run with it, in several networks."""
    labels, networks = (list(dict.fromkeys(row[key] for row in rows)) for key in ("label", "value"))
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    ratio, time = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for network, style in zip(networks, cycle(NETWORK_STYLES)):
        of_network = [row for row in rows if row["value"] == network]
        place = [-labels.index(row["label"]) for row in of_network]
        for axes, name in ((ratio, "mean_gain_ratio"), (time, "loop_seconds")):
            means = np.array([row[name]["mean"] for row in of_network])
            x = _nearness(means) if axes is ratio else means
            axes.plot(x, place, linestyle="none", label=network, **style)
        for row, y in zip(of_network, place):
            mean, half = row["mean_gain_ratio"]["mean"], row["mean_gain_ratio"]["half"] or 0
            ends = _nearness(np.array([mean - half, mean + half]))
            ratio.hlines(y, *ends, color=style["color"], linewidth=1)
    ratio.set_yticks(-np.arange(len(labels)), labels)
    _gain_ratio_axis(ratio.xaxis)
    ratio.set_xlabel("Gain ratio in the test frames (axis logarithmic in the distance to 1)")
    log_axis(time.xaxis)
    time.set_xlabel("Time to decide and learn all frames (s)")
    for axes in (ratio, time):
        axes.grid(alpha=0.3)
    _legend(figure, ratio, title="users x tasks, bandwidth")
    return figure


def plot_scaling(rows):
    """Plot schemes against users, against tasks of a user, or both: against what differs.

    From the top: gain ratio, time of a decision, time to decide and learn all frames. The values of
    the rows are "users x tasks".
    """
    sizes = np.array([[int(count) for count in row["value"].split(" x ")] for row in rows])
    names = ("Users, with {} tasks each", "Tasks of a user, for {} users")
    others = sizes[0][::-1]  # the first size is that of both axes
    shown = [axis for axis in (0, 1) if len(set(sizes[:, axis])) > 1] or [0]
    figure = Figure(figsize=(5 * max(2, len(shown)), 10), layout="constrained")
    panels = figure.subplots(3, len(shown), sharex="col", sharey="row", squeeze=False)
    numbers = ("mean_gain_ratio", "frame_ms", "loop_seconds")
    for axis, column in zip(shown, panels.T):
        for label in dict.fromkeys(row["label"] for row in rows):
            of_label = [
                (size[axis], row)
                for size, row in zip(sizes.tolist(), rows)
                if row["label"] == label and size[1 - axis] == others[axis]
            ]
            of_label.sort(key=lambda pair: pair[0])
            for axes, name in zip(column, numbers):
                pairs = [(x, row[name]["mean"]) for x, row in of_label if name in row]
                if pairs:
                    x, mean = np.array(pairs).T
                    y = _nearness(mean) if name == "mean_gain_ratio" else mean
                    axes.plot(x, y, label=label, **STYLES.get(label, OTHER))
        ticks = sorted({size[axis] for size in sizes.tolist() if size[1 - axis] == others[axis]})
        column[-1].set_xticks(ticks)
        column[-1].set_xlabel(names[axis].format(others[axis]))
    ratio, decision, loop = panels[:, 0]
    ratio.set_ylabel("Gain ratio (logarithmic in 1 - it)")
    decision.set_ylabel("Time of a decision, one by one (ms)")
    loop.set_ylabel("Time to decide and learn all frames (s)")
    for axes in panels[0]:
        _gain_ratio_axis(axes.yaxis)
    for axes in panels[1:].ravel():
        log_axis(axes.yaxis)
    for axes in panels.ravel():
        axes.grid(alpha=0.3)
    _legend(figure, panels[0, 0])
    return figure


def log_axis(axis):
    """Make an axis logarithmic, with labels that are few but not too few."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = axis.get_data_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def _gain_ratio_axis(axis):
    """Label an axis of `_nearness`, whose end is that of optimal ones."""
    ticks = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.997, 0.999]
    optimal = -np.log10(LEAST)
    axis.set_ticks([*_nearness(np.array(ticks)), optimal], [*map("{:g}".format, ticks), "1"])
    axis.set_tick_params(labelsize="small")
    limits = {"right" if axis.axis_name == "x" else "top": optimal + 0.25}
    getattr(axis.axes, f"set_{axis.axis_name}lim")(**limits)


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


def _legend(figure, axes, **options):
    """Put the legend of the axes below all panels, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    rows = -(-sum(10 + len(label) for label in labels) // 110)
    columns = -(-len(labels) // rows)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **options)

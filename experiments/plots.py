"""The plots of the experiments: readable in grey and by colour-blind readers.

Each takes the rows of a summary (results.py), a DataFrame, and `curves`, a function that returns the
curves of all seeds by label; it returns a figure and a DataFrame of the data that is drawn in it.
"""

from itertools import cycle

import numpy as np

from ddlo.report import rolling_mean

# Matplotlib, pandas and SciPy are imported where they are needed: --help does without them.

EARLY_FRAMES, EARLY_STEPS = 2000, 150  # time frames, and training steps, in the first panel
# Time frames, and training steps, under the rolling means of the first and the second panel.
FRAMES_WINDOWS, STEPS_WINDOWS = (60, 200), (1, 20)
POINTS = 1000  # of a curve that are drawn in a panel
GAIN_RATIOS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)
LEAST = 1e-4  # distance of a gain ratio to 1 that is shown, also of an optimal one
FEW = 3  # with fewer seeds than this an interval is so wide that the range says more
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
# Colours of Okabe and Ito, which colour-blind readers tell apart, and markers: for labels, and then in
# turn for those that are not among them.
STYLES = {
    "optimum": {"color": "k", "marker": "", "linewidth": 3, "alpha": 0.3},
    "optimum by MILP": {
        "color": "k",
        "marker": "+",
        "linestyle": "none",
        "markersize": 9,
        "zorder": 3,
    },
    "DDLO, K = 3": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "DDLO, K = 10": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    "DDLO, K = 3, user flips, recombined": {"color": "#0072B2", "marker": "x", "linestyle": "-."},
    "order-preserving (DROO), K = 3": {"color": "#D55E00", "marker": "^", "linestyle": "-"},
    "order-preserving (DROO), K = 10": {"color": "#D55E00", "marker": "v", "linestyle": "--"},
    "coordinate descent": {"color": "#009E73", "marker": "D", "linestyle": ":"},
    "linear relaxation": {"color": "#CC79A7", "marker": "P", "linestyle": "-."},
    "best fixed decision": {"color": "#F0E442", "marker": "h", "linestyle": ":"},
    "full offloading": {"color": "#56B4E9", "marker": "*", "linestyle": "-"},
    "random": {"color": "#E69F00", "marker": "X", "linestyle": "--"},
    "local only": {"color": "0.5", "marker": "<", "linestyle": "-."},
    "dual heuristic": {"color": "#E69F00", "marker": "X", "linestyle": "--"},
    "equal-split optimum, bandwidth re-allocated": {
        "color": "#CC79A7",
        "marker": "P",
        "linestyle": "-.",
    },
}
OTHERS = [
    {"color": color, "marker": marker, "linestyle": "-"}
    for color, marker in zip(("0.2", "#009E73", "#D55E00", "#0072B2"), ("p", "d", ">", "H"))
]
# Of the networks in the ablation study, from the smallest.
NETWORK_STYLES = (
    {"color": "#0072B2", "marker": "o"},
    {"color": "#D55E00", "marker": "s"},
    {"color": "#0072B2", "marker": "o", "fillstyle": "none"},
    {"color": "#D55E00", "marker": "s", "fillstyle": "none"},
)


def convergence(rows, curves):
    """Plot gain ratios against time frames: rolling means, averaged over the seeds, with bands."""
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

    labelled = {}
    for label, of_seeds in curves("gain_ratio").items():
        row = rows[rows.label == label].iloc[0]
        few = row.get("learns", row.seeds) < row.seeds
        failing = f": {row.seeds - row.learns:g} of {row.seeds} seeds do not learn" if few else ""
        labelled[label + failing] = np.stack(of_seeds)
    figure, (early, whole), data = _curves(labelled, EARLY_FRAMES, FRAMES_WINDOWS, "Time frame")
    for axes in (early, whole):
        # Linear in the logarithm of the distance to the optimum: good ratios differ by little.
        axes.set_yscale("function", functions=(_nearness, lambda nearness: 1 - 10**-nearness))
        axes.yaxis.set_major_locator(FixedLocator(GAIN_RATIOS))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    means = np.concatenate([line.get_ydata() for line in [*early.lines, *whole.lines]])
    early.set_ylim(1 - 1.3 * (1 - means.min()), 1 - 0.5 * max(1 - means.max(), LEAST))
    early.set_ylabel("Gain ratio (log of 1 - gain ratio)")
    frames, tests = len(of_seeds[0]), rows.test_frames.max()
    begin = whole.axvline(frames - tests + 0.5, color="k", linestyle="--", linewidth=1)
    begin.set_label("test begins")
    _legend(figure, whole)
    return figure, data


def training_cost(rows, curves):
    """Plot the training cost of each DNN against training steps, averaged over the seeds."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    costs = np.stack(next(iter(curves("costs").values())))
    labelled = {f"DNN {k + 1}": costs[:, k] for k in range(costs.shape[1])}
    figure, (early, whole), data = _curves(labelled, EARLY_STEPS, STEPS_WINDOWS, "Training step")
    if costs.size:  # runs may have ended before the first training step
        early.set_yscale("log")
        early.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        early.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        early.yaxis.set_minor_locator(NullLocator())
    early.set_ylabel("Training cost (cross-entropy, nats)")
    _legend(figure, whole)
    return figure, data


def schemes(rows, curves):
    """Plot each scheme's gain ratio, mean and 5th percentile, and the time of its decisions."""
    figure = _figure(10, 4.5)
    ratio, time = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    place = np.arange(len(rows))[::-1]
    mean, low = rows.mean_gain_ratio.to_numpy(), rows.gain_ratio_5th_percentile.to_numpy()
    ratio.hlines(place, *_nearness(np.stack([low, mean])), color="0.6", linewidth=3)
    ratio.plot(_nearness(mean), place, "ko", label="mean")
    ratio.plot(_nearness(low), place, "k|", markersize=12, label="5th percentile")
    ratio.set_yticks(place, rows.label)
    _gain_ratio_axis(ratio.xaxis)
    ratio.set_xlabel("Gain ratio in the test frames (log of 1 - gain ratio)")
    time.plot(rows.ms_per_frame, place, "ko", label="batch size 1")
    time.plot(rows.ms_per_frame_batched, place, "kD", fillstyle="none", label="batched")
    time.set_xscale("log")
    time.set_xlabel("Decision time (ms per frame)")
    for axes in (ratio, time):
        axes.grid(alpha=0.3)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    return figure, _data(rows)


def against_constant(rows, curves):
    """Plot each scheme's mean utility, and its excess over the optimum, against a constant."""
    from matplotlib.ticker import NullLocator

    figure = _figure(10, 4.5)
    utility, excess = figure.subplots(1, 2)
    for (label, of_label), style in zip(rows.groupby("label", sort=False), _styles(rows)):
        x = of_label.value.astype(float)
        for axes, name, factor in ((utility, "mean_utility", 1), (excess, "excess", 100)):
            ci95 = factor * of_label[f"{name}_ci95"].fillna(0)
            ci95 = ci95 if ci95.any() else None
            axes.errorbar(x, factor * of_label[name], ci95, label=label, capsize=2, **style)
    utility.set_ylabel("Mean utility (J)")
    excess.set_ylabel("Mean utility above the optimum (%)")
    excess.set_yscale("symlog", linthresh=0.01, linscale=0.5)
    excess.set_ylim(bottom=-0.002)
    for axes in (utility, excess):
        if x.min() > 0:
            axes.set_xscale("log")
            axes.set_xticks(x, [f"{value:g}" for value in x])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(rows.attrs["across"])
        axes.grid(alpha=0.3)
    _legend(figure, utility)
    return figure, _data(rows)


def ablation(rows, curves):
    """Plot each change's gain ratio, and the time of a run with it, in several networks."""
    labels = list(dict.fromkeys(rows.label))
    figure = _figure(10, 6.5)
    ratio, time = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for (network, of_network), style in zip(
        rows.groupby("value", sort=False), cycle(NETWORK_STYLES)
    ):
        place = [-labels.index(label) for label in of_network.label]
        options = {"linestyle": "none", "label": network, **style}
        mean, ci95 = of_network.mean_gain_ratio, of_network.mean_gain_ratio_ci95.fillna(0)
        ratio.plot(_nearness(mean.to_numpy()), place, **options)
        time.plot(of_network.loop_seconds, place, **options)
        ends = _nearness(np.stack([mean - ci95, mean + ci95]))
        ratio.hlines(place, *ends, color=style["color"], linewidth=1)
    ratio.set_yticks(-np.arange(len(labels)), labels)
    _gain_ratio_axis(ratio.xaxis)
    ratio.set_xlabel("Gain ratio in the test frames (log of 1 - gain ratio)")
    log_axis(time.xaxis)
    time.set_xlabel("Time to decide and learn all frames (s)")
    for axes in (ratio, time):
        axes.grid(alpha=0.3)
    _legend(figure, ratio, title=rows.attrs["across"])
    return figure, _data(rows)


def scaling(rows, curves):
    """Plot schemes against users, against tasks of a user, or both: against what differs.

    From the top: gain ratio, decision time, time to decide and learn all frames. The values of the rows
    are "users x tasks".
    """
    sizes = np.array([[int(count) for count in value.split(" x ")] for value in rows.value])
    names = ("Users, with {} tasks each", "Tasks of a user, for {} users")
    others = sizes[0][::-1]  # the first size is on both axes
    shown = [axis for axis in (0, 1) if len(set(sizes[:, axis])) > 1] or [0]
    figure = _figure(5 * max(2, len(shown)), 10)
    panels = figure.subplots(3, len(shown), sharex="col", sharey="row", squeeze=False)
    metrics = ("mean_gain_ratio", "ms_per_frame", "loop_seconds")
    for axis, column in zip(shown, panels.T):
        on_axis = rows.assign(size=sizes[:, axis])[sizes[:, 1 - axis] == others[axis]]
        for (label, of_label), style in zip(on_axis.groupby("label", sort=False), _styles(on_axis)):
            of_label = of_label.sort_values("size")
            for axes, name in zip(column, metrics):
                y = of_label[name]
                if y.notna().any():
                    y = _nearness(y) if name == "mean_gain_ratio" else y
                    axes.plot(of_label["size"], y, label=label, **style)
        column[-1].set_xticks(sorted(set(on_axis["size"])))
        column[-1].set_xlabel(names[axis].format(others[axis]))
    ratio, decision, loop = panels[:, 0]
    ratio.set_ylabel("Gain ratio (log of 1 - gain ratio)")
    decision.set_ylabel("Decision time, batch size 1 (ms)")
    loop.set_ylabel("Time to decide and learn all frames (s)")
    for axes in panels[0]:
        _gain_ratio_axis(axes.yaxis)
    for axes in panels[1:].ravel():
        log_axis(axes.yaxis)
    for axes in panels.ravel():
        axes.grid(alpha=0.3)
    _legend(figure, panels[0, 0])
    return figure, _data(rows)


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def log_axis(axis):
    """Make an axis logarithmic, with labels that are few but not too few."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = axis.get_data_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def _styles(rows):
    """Return a style for each label, in the order of the rows."""
    others = cycle(OTHERS)
    labels = dict.fromkeys(rows.label)
    return [STYLES[label] if label in STYLES else next(others) for label in labels]


def _data(rows):
    """Return the numbers of a summary that are drawn."""
    return rows.drop(columns=["is_released", "failed", "min", "max", "learns"], errors="ignore")


def _gain_ratio_axis(axis):
    """Label an axis of `_nearness`, whose end is that of optimal decisions."""
    ticks = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.997, 0.999]
    optimal = -np.log10(LEAST)
    axis.set_ticks([*_nearness(np.array(ticks)), optimal], [*map("{:g}".format, ticks), "1"])
    axis.set_tick_params(labelsize="small")
    limits = {"right" if axis.axis_name == "x" else "top": optimal + 0.25}
    getattr(axis.axes, f"set_{axis.axis_name}lim")(**limits)


def _nearness(gain_ratio):
    """Where a gain ratio is on a logarithmic axis; optimal decisions, too, have a place on it."""
    return -np.log10(np.maximum(1 - gain_ratio, LEAST))


def _curves(curves, early_steps, windows, label):
    """Draw values (seeds, steps) by label, their early steps and all: rolling means with bands.

    The bands are 95 % confidence intervals of the mean over seeds, or the range of a few seeds.
    """
    import pandas as pd
    from matplotlib import colormaps

    figure = _figure(10, 4.5)
    panels = figure.subplots(1, 2, sharey=True, width_ratios=(2, 3))
    colors = colormaps["cividis"](np.linspace(0, 0.75, len(curves)))
    steps, drawn = next(iter(curves.values())).shape[1], []
    for panel, axes, most, window in zip(
        ("early", "all"), panels, (min(early_steps, steps), steps), windows
    ):
        window = max(1, min(window, most // 10))
        for (name, values), color, line in zip(curves.items(), colors, cycle(LINES)):
            means = np.array([rolling_mean(of_seed[:most], window) for of_seed in values])
            low, mean, high = _band(means)
            # Means of less than the window would jump where the first values leave it.
            shown = np.unique(np.linspace(window - 1, most - 1, POINTS).astype(int))[:most]
            data = {"x": shown + 1, "mean": mean[shown], "low": low[shown], "high": high[shown]}
            axes.plot(data["x"], data["mean"], color=color, linestyle=line, label=name)
            axes.fill_between(
                data["x"], data["low"], data["high"], color=color, alpha=0.2, linewidth=0
            )
            drawn.append(pd.DataFrame({"panel": panel, "label": name} | data))
        axes.set_xlabel(label + (f" (means of the last {window})" if window > 1 else ""))
        axes.set_xlim(1, max(2, most))
        axes.grid(alpha=0.3)
    seeds = len(means)
    band = "95 % confidence" if seeds >= FEW else "range"
    if seeds > 1:
        panels[1].fill_between([], [], [], color="k", alpha=0.2, label=f"{band}, {seeds} seeds")
    data = pd.concat(drawn).rename(columns={"x": label.lower().replace(" ", "_")})
    return figure, panels, data


def _band(means):
    """Return low, mean and high of values (seeds, steps) over the seeds."""
    from .results import interval

    mean, ci95 = interval(means)
    if len(means) < FEW:
        return means.min(axis=0), mean, means.max(axis=0)
    return mean - ci95, mean, mean + ci95


def _legend(figure, axes, **options):
    """Put the legend of the axes below all panels, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    rows = -(-sum(10 + len(label) for label in labels) // 110)
    columns = -(-len(labels) // rows)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **options)

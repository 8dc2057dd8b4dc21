"""The plots of the experiments: for one column of a paper, readable in grey and by the colour-blind.

Each takes the rows of a summary (tables.py), a DataFrame, and `curves`, a function that returns the
curves of all seeds by label. It returns a figure and a DataFrame of the data drawn in it.
"""

from dataclasses import dataclass
from itertools import cycle
from textwrap import fill

import numpy as np

from ddlo.plots import ROLLING, legend, new_figure, rolling_mean

# Matplotlib, pandas and SciPy are imported where they are used, so that --help is quick.

BINS, FIRST_BIN = 60, 50  # points of a curve on a logarithmic axis, and frames in the first one
EVENT_BINS = 40  # points of a curve on a linear axis
FEW = 3  # with fewer seeds plots show the range, not an interval of their mean
LEAST = 1e-4  # smallest distance of a gain ratio to 1 that is shown
GAIN_RATIOS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)
SECOND = 1000  # ms, the limit of a decision time in the paper
LABEL_WIDTH, PITCH = 31, 0.07  # characters of a line; its height relative to that of a plot
DASHED = (0, (8, 2))
MORE = ("", "o", "s", "^", "D")  # markers of curves, for more of them than the style file has
# Colours are those of the style file, C0 to C5.
STYLES = {
    "optimum": {"color": "k", "marker": "", "linewidth": 2.5, "alpha": 0.3},
    "optimum by MILP": {"color": "k", "marker": "+", "linestyle": (0, (1, 3)), "zorder": 3},
    "DDLO, K = N": {"color": "C0", "marker": "p", "linestyle": "-."},
    "DDLO, K = 3": {"color": "C0", "marker": "o", "linestyle": "-"},
    "DDLO, K = 10": {"color": "C0", "marker": "s", "linestyle": "--"},
    "DDLO, K = 3, user flips, recombined": {"color": "C0", "marker": "x", "linestyle": "-."},
    "order-preserving (DROO), K = 3": {"color": "C1", "marker": "^", "linestyle": "-"},
    "order-preserving (DROO), K = 10": {"color": "C1", "marker": "v", "linestyle": "--"},
    "order-preserving (DROO), K = N": {"color": "C1", "marker": ">", "linestyle": "-."},
    "adaptive K (DROO)": {"color": "C1", "marker": "P", "linestyle": ":"},
    "10 nearest neighbours (DROO)": {"color": "C1", "marker": "x", "linestyle": "--"},
    "coordinate descent": {"color": "C2", "marker": "D", "linestyle": ":"},
    "linear relaxation": {"color": "C3", "marker": "P", "linestyle": "-."},
    "smallest task local": {"color": "k", "marker": "d", "linestyle": ":"},
    "best fixed decision": {"color": "C3", "marker": "h", "linestyle": "--"},
    "full offloading": {"color": "C5", "marker": "*", "linestyle": "-"},
    "random": {"color": "C4", "marker": "X", "linestyle": "--"},
    "local only": {"color": "0.5", "marker": "<", "linestyle": "-."},
    "dual heuristic": {"color": "C4", "marker": "X", "linestyle": "--"},
    "equal-split optimum, bandwidth re-allocated": {
        "color": "C3",
        "marker": "P",
        "linestyle": "-.",
    },
    "enumeration of all decisions": {"color": "C1", "marker": "p", "linestyle": "-"},
    "enumeration user by user": {"color": "C2", "marker": "H", "linestyle": "--"},
}
OTHERS = [
    {"color": color, "marker": marker, "linestyle": "-"}
    for color, marker in zip(("0.2", "C2", "C1", "C0"), ("p", "d", ">", "H"))
]
NETWORK_STYLES = [
    {"color": color, "marker": marker, "fillstyle": fillstyle, "linestyle": "none"}
    for fillstyle in ("full", "none")
    for color, marker in (("C0", "o"), ("C1", "s"))
]
# The authors' run of 10,000 frames: mean gain ratios of frames after the first 512 (December 2018).
RECORDED = {
    (0, 100): 0.925,
    (500, 700): 0.953,
    (1000, 1500): 0.965,
    (2000, 3000): 0.976,
    (4000, 6000): 0.983,
    (7488, 9488): 0.9894,
    (8488, 9488): 0.9903,
}
RECORDED_FROM = 512


def convergence(rows, curves):
    """Plot gain ratios against time frames with bands over the seeds; a scheme is a line."""
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

    ratios, labels = curves("gain_ratio"), {}
    for label in ratios:
        row = rows[rows.label == label].iloc[0]
        fails = row.get("learns", np.nan) < row.seeds
        labels[label] = f"{label}: {row.learns:g} of {row.seeds} seeds learn" if fails else label
    figure = new_figure(1.3)
    axes = figure.add_subplot()
    named = {labels[label]: np.stack(each) for label, each in ratios.items()}
    data = draw_curves(axes, named, "Time frame")
    frames = data.to.max()
    rules = rows[~rows.label.isin(ratios)]
    for row, style in zip(rules.itertuples(), styles_of(rules)):
        ratio = row.mean_gain_ratio
        axes.axhline(ratio, label=row.label, clip_on=False, **style)
        data.loc[len(data)] = {"label": row.label, "from": 1, "to": frames, "mean": ratio}
    # Linear in the logarithm of the distance to the optimum: good ratios differ by little.
    axes.set_yscale("function", functions=(nearness, lambda near: 1 - 10**-near))
    axes.yaxis.set_major_locator(FixedLocator(GAIN_RATIOS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    means = data["mean"]
    axes.set_ylim(1 - 1.3 * (1 - means.min()), 1 - 0.6 * max(1 - means.max(), LEAST))
    axes.set_ylabel("Gain ratio")
    begin = frames - rows.test_frames.max() + 0.5
    axes.axvline(begin, color="0.5", linestyle=DASHED, label="test begins")
    legend(figure, axes)
    return figure, data


def recorded(rows, curves):
    """Plot the gain ratio beside that of the authors' own run, known as means of some frames."""
    import pandas as pd

    from .tables import interval

    ((label, seeds),) = curves("gain_ratio").items()
    ratios = np.stack(seeds).astype(float)
    frames = ratios.shape[1]
    figure = new_figure(1.1)
    axes = figure.add_subplot()
    means = np.array([rolling_mean(each, ROLLING) for each in ratios])
    shown = np.unique(np.linspace(min(RECORDED_FROM, frames) - 1, frames - 1, 500).astype(int))
    low, mean, high = band(means[:, shown])
    axes.plot(shown + 1, mean, label=f"{label}, mean of {ROLLING} frames")
    axes.fill_between(shown + 1, low, high, alpha=0.25, linewidth=0, label=band_label(len(ratios)))
    lines = []
    for (begin, end), authors in RECORDED.items():
        begin, end = begin + RECORDED_FROM + 1, end + RECORDED_FROM
        middle, half = (begin + end) / 2, (end - begin) / 2
        point = axes.errorbar(middle, authors, xerr=half, fmt="ks")
        known = ratios[:, begin - 1 : end].mean(axis=1) if end <= frames else np.full(1, np.nan)
        mean, ci95 = interval(known)
        place = {"from": begin, "to": end}
        lines.append(place | {"label": "authors' run", "mean": authors})
        lines.append(place | {"label": label, "mean": mean, "ci95": ci95})
    point.set_label("authors' run")
    axes.set(xlabel="Time frame", ylabel="Gain ratio", xlim=(0, None))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    legend(figure, axes)
    return figure, pd.DataFrame(lines)


def training_cost(rows, curves):
    """Plot the training cost of each DNN against training steps, averaged over the seeds."""
    costs = np.stack(next(iter(curves("costs").values())))
    figure = new_figure(1.1)
    axes = figure.add_subplot()
    named = {f"DNN {k + 1}": costs[:, k] for k in range(costs.shape[1])}
    data = draw_curves(axes, named, "Training step", first=1)
    if costs.size:  # runs may end before the first training step
        log_axis(axes.yaxis)
    axes.set_ylabel("Training cost (cross-entropy, nats)")
    legend(figure, axes)
    return figure, data


def schemes(rows, curves):
    """Plot each scheme's gain ratio, mean and 5th percentile, and the time of its decisions."""
    figure, place = rows_figure(rows.label, 0.45)
    ratio, time = figure.subplots(1, 2, sharey=True, width_ratios=(5, 4))
    low = nearness(rows.gain_ratio_5th_percentile.to_numpy())
    ratio.hlines(place, low, nearness(rows.mean_gain_ratio.to_numpy()), color="0.7")
    intervals(ratio, rows, place, label=f"mean, {band_label(rows.seeds.max())}")
    ratio.plot(low, place, "k<", fillstyle="none", label="5th percentile")
    label_rows(ratio, rows.label)
    gain_ratio_axis(ratio.xaxis)
    ratio.set_xlabel("Gain ratio")
    time.plot(rows.ms_per_frame, place, "ks", label="decision time, batch size 1")
    batched = rows.ms_per_frame_batched
    time.plot(batched, place, "kD", fillstyle="none", label="decision time, batched")
    log_axis(time.xaxis)
    time.set_xticks([0.001, 0.1, 10])
    time.set_xlabel("Decision time (ms)")
    legend(figure, ratio, time)
    return figure, drawn(rows)


def against_constant(rows, curves):
    """Plot each scheme's mean utility, and its excess over the optimum, against a constant."""
    from matplotlib.ticker import NullLocator

    figure = new_figure(2.1)
    utility, excess = figure.subplots(2, 1, sharex=True)
    for (label, group), style in zip(rows.groupby("label", sort=False), styles_of(rows)):
        x = group.value.astype(float)
        for axes, name, factor in ((utility, "mean_utility", 1), (excess, "excess", 100)):
            ci95 = factor * group[f"{name}_ci95"].fillna(0)
            axes.errorbar(
                x, factor * group[name], ci95 if ci95.any() else None, label=label, **style
            )
    utility.set_ylabel(f"Mean utility ({rows.unit.iloc[0]})")
    excess.set_ylabel("Mean utility above the optimum (%)")
    excess.set_yscale("symlog", linthresh=0.01, linscale=0.5)
    excess.set_ylim(bottom=-0.002)
    excess.set_yticks([0, 0.01, 0.1, 1, 10, 100], ["0", "0.01", "0.1", "1", "10", "100"])
    if x.min() > 0 and x.max() > 4 * x.min():
        excess.set_xscale("log")
        excess.xaxis.set_minor_locator(NullLocator())
    excess.set_xticks(x, [f"{value:g}" for value in x])
    excess.set_xlabel(rows.attrs["across"])
    legend(figure, utility)
    return figure, drawn(rows)


def dots(rows, curves, styles=None):
    """Plot gain ratios in a row per label and a style per value, such as the network."""
    labels = list(dict.fromkeys(rows.label))
    figure, place = rows_figure(labels, 0.4)
    axes = figure.add_subplot()
    groups = rows.groupby("value", sort=False)
    for (value, group), style in zip(groups, styles or cycle(NETWORK_STYLES)):
        at = [place[labels.index(label)] for label in group.label]
        intervals(axes, group, at, label=value, **style)
    label_rows(axes, labels)
    gain_ratio_axis(axes.xaxis)
    axes.set_xlabel("Gain ratio")
    legend(figure, axes, title=None if styles else rows.attrs["across"])
    return figure, drawn(rows)


def learning(rows, curves):
    """Plot the gain ratios of DDLO and of rules in many networks; shade those where DDLO is ahead.

    The labels are the networks, the values the schemes. A network is shaded where DDLO's interval is
    above all rules: lightly if only for the last K, darker for all.
    """
    schemes = list(dict.fromkeys(rows.value))
    learners = [scheme for scheme in schemes if scheme.startswith("DDLO")]
    filled = {scheme: "none" if scheme == learners[-1] else "full" for scheme in schemes}
    styles = [STYLES[k] | {"linestyle": "none", "fillstyle": filled[k]} for k in schemes]
    figure, data = dots(rows, curves, styles)
    for row, (_, group) in enumerate(rows.groupby("label", sort=False)):
        group = group.set_index("value")
        rules = group.mean_gain_ratio.drop(learners).max()
        learned = group.loc[group.index.isin(learners)]
        ahead = learned.mean_gain_ratio - learned.mean_gain_ratio_ci95.fillna(0) > rules
        if ahead.any():
            shade = "0.85" if ahead.all() else "0.94"
            figure.axes[0].axhspan(-row - 0.5, 0.5 - row, color=shade, zorder=0, linewidth=0)
    return figure, data


def decision_time(rows, curves):
    """Plot decision times against users, for DDLO and ways to the optimum, and DDLO's against K."""
    figure = new_figure(2.1)
    by_users, by_K = figure.subplots(2, 1)
    for label, group in rows[rows.label.isin(STYLES)].groupby("label", sort=False):
        by_users.plot(group.value, group.ms_per_frame, label=label, **STYLES[label])
    by_users.axhline(SECOND, color="0.5", label="one second")
    log_axis(by_users.yaxis)
    by_users.set_xticks(sorted(set(rows.value)))
    by_users.set_xlabel("Users, with 3 tasks each")
    learned = rows[rows.label.str.startswith("DDLO")]
    learned = learned.assign(K=learned.label.str.extract(r"K = (\d+)$", expand=False).astype(int))
    users = sorted(set(learned.value))
    for n, style in zip(users[:: max(1, len(users) // 2)], cycle(OTHERS)):
        style = style | {"linestyle": "--"}
        group = learned[learned.value == n].sort_values("K")
        by_K.plot(group.K, group.ms_per_frame, label=f"DDLO, {n:g} users", **style)
    by_K.set_xlabel("K, DNNs")
    by_K.set_ylim(0, 1.1 * learned.ms_per_frame.max())
    for axes in (by_users, by_K):
        axes.set_ylabel("Decision time (ms)")
    legend(figure, by_users, by_K)
    return figure, drawn(rows)


@dataclass(frozen=True)
class Events:
    """Plot gain ratios against time frames, with bands over the seeds, and a line at each event."""

    fractions: tuple[float, ...]  # of the frames, at which something happens

    def __call__(self, rows, curves):
        import pandas as pd
        from matplotlib.ticker import MaxNLocator

        figure = new_figure(1.2)
        axes = figure.add_subplot()
        data = []
        for (label, seeds), style in zip(curves("gain_ratio").items(), styles_of(rows)):
            ratios = np.stack(seeds).astype(float)
            bounds = np.unique(np.linspace(0, ratios.shape[1], EVENT_BINS + 1).astype(int))
            begins, ends = bounds[:-1], bounds[1:]
            means = [ratios[:, i:k].mean(axis=1) for i, k in zip(begins, ends)]
            low, mean, high = (f(means, axis=1) for f in (np.min, np.mean, np.max))
            middle = (begins + ends + 1) / 2
            axes.plot(middle, nearness(mean), label=label, markevery=4, **style)
            near = nearness(low), nearness(high)
            axes.fill_between(middle, *near, color=style["color"], alpha=0.2, linewidth=0)
            columns = {"from": begins + 1, "to": ends, "mean": mean, "low": low, "high": high}
            data.append(pd.DataFrame({"label": label} | columns))
        if len(ratios) > 1:
            axes.fill_between([], [], [], color="k", alpha=0.2, label=f"range, {len(ratios)} seeds")
        for fraction in self.fractions:
            axes.axvline(fraction * ends[-1], color="0.5", linestyle=DASHED)
        gain_ratio_axis(axes.yaxis)
        axes.set(xlabel="Time frame", ylabel="Gain ratio", xlim=(0, ends[-1]))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        legend(figure, axes)
        return figure, pd.concat(data, ignore_index=True)


def scaling(rows, curves):
    """Plot schemes against users, against tasks per user, or both: whichever varies.

    From the top: gain ratio, decision time, time to decide and learn all frames. The values of the rows
    are "users x tasks".
    """
    sizes = np.array([[int(count) for count in value.split(" x ")] for value in rows.value])
    each = "tasks" if sizes[0, 1] > 1 else "task"
    names = (f"Users, {{}} {each} each", "Tasks of {} users")
    others = sizes[0][::-1]  # the first size is on both axes
    shown = [axis for axis in (0, 1) if len(set(sizes[:, axis])) > 1] or [0]
    figure = new_figure(2.5)
    panels = figure.subplots(3, len(shown), sharex="col", sharey="row", squeeze=False)
    metrics = ("mean_gain_ratio", "ms_per_frame", "loop_seconds")
    for axis, column in zip(shown, panels.T):
        on_axis = rows.assign(size=sizes[:, axis])[sizes[:, 1 - axis] == others[axis]]
        groups = on_axis.groupby("label", sort=False)
        for (label, group), style in zip(groups, styles_of(on_axis)):
            group = group.sort_values("size")
            for axes, name in zip(column, metrics):
                if name in group and group[name].notna().any():
                    y = nearness(group[name]) if name == "mean_gain_ratio" else group[name]
                    axes.plot(group["size"], y, label=label, **style)
        column[-1].set_xticks(sorted(set(on_axis["size"])))
        column[-1].set_xlabel(names[axis].format(others[axis]))
    labels = ("Gain ratio", "Decision time (ms)", "Time of all frames (s)")
    for axes, label in zip(panels[:, 0], labels):
        axes.set_ylabel(label)
    for axes in panels[0]:
        gain_ratio_axis(axes.yaxis)
    for axes in panels[1:].ravel():
        log_axis(axes.yaxis)
    legend(figure, panels[0, 0])
    return figure, drawn(rows)


# Shared by the plots


def drawn(rows):
    """Return the numbers of a summary that a plot shows."""
    others = ["is_released", "failed", "min", "max", "learns", "unit"]
    return rows.drop(columns=others, errors="ignore")


def rows_figure(labels, rest):
    """Return a figure with a row per label, and the places of the rows from the top.

    `rest` is the height of all but the rows, relative to that of a plot.
    """
    lines = max(in_lines(label).count("\n") + 1 for label in labels)
    pitch = PITCH * (0.3 + 0.7 * lines)  # lines of one label are closer than labels
    return new_figure(rest + pitch * len(labels)), -np.arange(len(labels))


def label_rows(axes, labels):
    """Label the rows of a figure from `rows_figure`."""
    texts = [in_lines(label) for label in labels]
    axes.set_yticks(-np.arange(len(labels)), texts, linespacing=1)
    axes.set_ylim(0.5 - len(labels), 0.5)


def in_lines(label):
    """Break a label that is too long for one line."""
    return fill(label, LABEL_WIDTH, break_on_hyphens=False)


def intervals(axes, rows, place, **style):
    """Draw the gain ratios of a summary with their `band` over the seeds, in rows at these places."""
    mean, ci95 = rows.mean_gain_ratio, rows.mean_gain_ratio_ci95.fillna(0)
    low = rows["min"].where(rows.seeds < FEW, mean - ci95)
    high = rows["max"].where(rows.seeds < FEW, mean + ci95)
    near, *ends = (nearness(each.to_numpy()) for each in (mean, low, high))
    style = {"color": "k", "marker": "o", "linestyle": "none"} | style
    axes.errorbar(near, place, xerr=np.abs(ends - near), **style)


def styles_of(rows):
    """Return a style for each label, in the order of the rows."""
    others = cycle(OTHERS)
    labels = dict.fromkeys(rows.label)
    return [STYLES[label] if label in STYLES else next(others) for label in labels]


def nearness(gain_ratio):
    """Return the place of a gain ratio on a logarithmic axis; 1 has a place, too."""
    return -np.log10(np.maximum(1 - gain_ratio, LEAST))


def gain_ratio_axis(axis):
    """Label an axis of `nearness`, which ends at 1."""
    is_x = axis.axis_name == "x"
    ticks = [0.5, 0.9, 0.99, 0.999] if is_x else [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999]
    optimal = -np.log10(LEAST)
    axis.set_ticks([*nearness(np.array(ticks)), optimal], [*map("{:g}".format, ticks), "1"])
    limits = {"right" if is_x else "top": optimal + 0.25}
    getattr(axis.axes, f"set_{axis.axis_name}lim")(**limits)


def log_axis(axis):
    """Make an axis logarithmic, with a moderate number of labels."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = axis.get_data_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def draw_curves(axes, curves, label, first=FIRST_BIN):
    """Draw values (seeds, steps) by label: means of bins, averaged over the seeds, with bands.

    The bins end at steps evenly spaced on a logarithmic axis, from the `first` one. Returns the data
    drawn: label, from and to (the steps of a bin), mean, low and high.
    """
    import pandas as pd
    from matplotlib import rcParams
    from matplotlib.ticker import NullFormatter

    seeds, steps = next(iter(curves.values())).shape
    ends = np.geomspace(min(first, steps), steps, BINS) if steps else []
    ends = np.unique(np.asarray(ends, int))
    begins = np.concatenate([[0], ends[:-1]]).astype(int)[: len(ends)]
    data = []
    for k, (name, values) in enumerate(curves.items()):
        sums = np.cumsum(np.pad(values.astype(float), ((0, 0), (1, 0))), axis=1)
        low, mean, high = band((sums[:, ends] - sums[:, begins]) / (ends - begins))
        marker = MORE[k // len(rcParams["axes.prop_cycle"]) % len(MORE)]
        (line,) = axes.plot(ends, mean, label=name, marker=marker, markevery=7)
        axes.fill_between(ends, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        columns = {"from": begins + 1, "to": ends, "mean": mean, "low": low, "high": high}
        data.append(pd.DataFrame({"label": name} | columns))
    if steps:  # runs may end before the first training step
        axes.set_xscale("log")
        ticks = [factor * 10**power for power in range(6) for factor in (1, 3)]
        ticks = [tick for tick in ticks if ends[0] <= tick <= 0.4 * steps] + [steps]
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(ends[0], max(steps, ends[0] + 1))
    axes.set_xlabel(label)
    if seeds > 1:
        axes.fill_between([], [], [], color="k", alpha=0.2, label=band_label(seeds))
    return pd.concat(data, ignore_index=True)


def band(means):
    """Return low, mean and high of values (seeds, steps) over the seeds."""
    from .tables import interval

    mean, ci95 = interval(means)
    if len(means) < FEW:
        return means.min(axis=0), mean, means.max(axis=0)
    return mean - ci95, mean, mean + ci95


def band_label(seeds):
    """Return the label of a `band` over this number of seeds."""
    return f"{'95 % interval' if seeds >= FEW else 'range'}, {seeds} {'seed' if seeds == 1 else 'seeds'}"

"""The plots of the experiments: for one column of a paper, readable in grey and by the colour-blind.

Each takes the rows of a summary (tables.py), a DataFrame, and `curves`, a function that returns a curve
of all seeds by label, float64 (seeds, steps). It returns a figure and a DataFrame of the data drawn.
"""

from itertools import cycle
from pathlib import Path
from textwrap import fill

import numpy as np

from ddlo.plots import legend, new_figure

# Matplotlib, pandas and SciPy are imported where they are used, so that --help is quick.

BINS, FIRST_BIN = 60, 50  # points of a curve, and frames in the first one on a logarithmic axis
FEW = 3  # seeds; plots show no interval of fewer, because it is too wide
LEAST = 1e-4  # added to the distance of a gain ratio to 1, so that 1 has a place on the axis
GAIN_RATIOS = {"x": (0.5, 0.9, 0.99, 0.999, 1)}  # ticks
GAIN_RATIOS["y"] = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1)
DASHED = (0, (8, 2))
MORE = ("none", "o", "s", "^", "D")  # markers of other labels, on the lines of the style file
# Colour, marker and line style. Colours are those of the style file, C0 to C5.
STYLES = {
    "optimum": ("k", "", "-"),
    "optimum by MILP": ("k", "+", (0, (1, 3))),
    "DDLO, K = N": ("C0", "p", "-."),
    "DDLO, K = 3": ("C0", "o", "-"),
    "DDLO, K = 10": ("C0", "s", "--"),
    "DDLO, K = 3, user flips, recombined": ("C0", "x", "-."),
    "shared DNNs, K = 3": ("C2", "<", "-"),
    "shared DNNs, K = 10": ("C2", ">", "--"),
    "shared DNNs, K = 3, recombined": ("C3", "p", "-"),
    "shared DNNs, K = 10, recombined": ("C3", "h", "--"),
    "order-preserving (DROO), K = 10": ("C1", "v", "--"),
    "order-preserving (DROO), K = N": ("C1", ">", "-."),
    "adaptive K (DROO)": ("C1", "P", ":"),
    "10 nearest neighbours (DROO)": ("C1", "x", "--"),
    "coordinate descent": ("C2", "D", ":"),
    "smallest task local": ("k", "d", ":"),
    "best of random decisions": ("C4", "X", "--"),
    "one pass of flips": ("k", "d", "none"),
    "DDLO": ("C0", "o", "-"),
    "DDLO with flips": ("C0", "x", "-."),
    "shared DNNs": ("C2", "s", "-"),
    "shared DNNs, recombined": ("C3", "s", "--"),
    "DROO": ("C1", "^", "-"),
    "nearest neighbours": ("C1", "P", ":"),
    "best fixed decision": ("C3", "h", "--"),
    "full offloading": ("C5", "*", "-"),
    "random": ("C4", "X", "--"),
    "local only": ("0.5", "<", "-."),
    "dual heuristic": ("C4", "X", "--"),
    "equal-split optimum, bandwidth re-allocated": ("C3", "P", "-."),
    "enumeration of all decisions": ("C1", "p", "-"),
    "enumeration user by user": ("C2", "H", "--"),
}
STYLES = {k: dict(zip(("color", "marker", "linestyle"), style)) for k, style in STYLES.items()}
STYLES["optimum"] |= {"linewidth": 2.5, "alpha": 0.3}
STYLES["optimum by MILP"] |= {"zorder": 3}
# Gain ratios of the authors' run of 10,000 frames, in their first upload (December 2018): mean, least,
# greatest and share of optimal decisions in bins of 96 frames, from frame 513 on.
AUTHORS = Path(__file__).parent / "authors_record.csv"
WINDOWS = ((513, 992), (993, 2432), (2433, 4832), (4833, 8000), (8001, 10000))  # whole bins


def convergence(rows, curves, fractions=()):
    """Plot gain ratios against time frames with bands over the seeds; a scheme is a line.

    With `fractions` of the frames at which the problem changes, the axis of the frames is linear.
    """
    learned, named = curves("gain_ratio"), {}
    for label, ratios in learned.items():
        row = rows[rows.label == label].iloc[0]
        fails = row.get("learns", np.nan) < row.seeds
        named[f"{label}: {row.learns:g} of {row.seeds} seeds learn" if fails else label] = ratios
    axes = new_figure(1.3).add_subplot()
    data = draw_curves(axes, named, is_linear=bool(fractions))
    frames, rules = data.to.max(), rows[~rows.label.isin(learned)]
    for row, style in zip(rules.itertuples(), styles_of(rules.label)):
        ratio = row.mean_gain_ratio
        axes.axhline(ratio, label=row.label, clip_on=False, **style)
        data.loc[len(data)] = {"label": row.label, "from": 1, "to": frames, "mean": ratio}
    if data["mean"].notna().any():  # an optimum is known
        gain_ratio_axis(axes.yaxis, data["mean"])
    for fraction in fractions:
        axes.axvline(fraction * frames, color="0.5", linestyle=DASHED)
    if not fractions:
        begin = frames - rows.test_frames.max() + 0.5
        axes.axvline(begin, color="0.5", linestyle=DASHED, label="test begins")
    legend(axes.figure, axes)
    return axes.figure, data


def recorded(rows, curves):
    """Plot the gain ratio beside that of the authors' run, and return the means of WINDOWS."""
    import pandas as pd

    from .tables import interval

    ((label, ratios),) = learned = curves("gain_ratio").items()
    authors, lines = pd.read_csv(AUTHORS), []
    axes = new_figure(1.1).add_subplot()
    data = draw_curves(axes, dict(learned), is_linear=True)
    axes.plot(authors.to_frame, authors["mean"], "k.", label="authors' run")
    gain_ratio_axis(axes.yaxis, pd.concat([authors["mean"], data["mean"]]))
    legend(axes.figure, axes)
    more = max(0, WINDOWS[-1][1] - ratios.shape[1])  # of a shorter run, unknown
    ratios = np.pad(ratios, ((0, 0), (0, more)), constant_values=np.nan)
    for begin, end in WINDOWS:
        part = authors[authors.from_frame.between(begin, end)]
        bins = part.to_frame - part.from_frame + 1
        mean, share = (np.average(part[k], weights=bins) for k in ("mean", "optimal_share"))
        line = {"from": begin, "to": end, "label": "authors' run", "mean": mean}
        lines.append(line | {"optimal_share": share})
        known = ratios[:, begin - 1 : end]
        mean, ci95 = interval(known.mean(axis=1))
        share = np.mean(known > 1 - 1e-7)  # the curves are float32
        lines.append(line | {"label": label, "mean": mean, "ci95": ci95, "optimal_share": share})
    return axes.figure, pd.DataFrame(lines)


def training_cost(rows, curves):
    """Plot the training cost of each DNN against training steps, averaged over the seeds."""
    (costs,) = curves("costs").values()
    axes = new_figure(1.1).add_subplot()
    named = {f"DNN {k + 1}": costs[:, k] for k in range(costs.shape[1])}
    data = draw_curves(axes, named, "Training step", first=1)
    if costs.size:  # runs may end before the first training step
        log_axis(axes.yaxis)
    axes.set_ylabel("Training cost (cross-entropy, nats)")
    legend(axes.figure, axes)
    return axes.figure, data


def schemes(rows, curves):
    """Plot each scheme's gain ratio, mean and 5th percentile, and the time of its decisions.

    Without a known optimum the mean utility replaces the gain ratio.
    """
    (figure, (axes, time)), place = rows_figure(rows.label, 2), -np.arange(len(rows))
    mean = interval_label(rows.seeds)
    if rows.mean_gain_ratio.notna().any():
        low = rows.gain_ratio_5th_percentile
        axes.hlines(place, low, rows.mean_gain_ratio, color="0.7")
        intervals(axes, rows, place, label=f"mean, {mean}")
        axes.plot(low, place, "k<", fillstyle="none", label="5th percentile")
        gain_ratio_axis(axes.xaxis)
    else:
        intervals(axes, rows, place, "mean_utility", label=mean)
        axes.set_xlabel(utility_label(rows))
    time.plot(rows.ms_per_frame, place, "ks", label="decision time, batch size 1")
    batched = rows.ms_per_frame_batched
    time.plot(batched, place, "kD", fillstyle="none", label="decision time, batched")
    log_axis(time.xaxis)
    time.set_xticks([0.001, 0.1, 10])
    time.set_xlabel("Decision time (ms)")
    legend(figure, axes, time)
    return figure, rows


def against_constant(rows, curves):
    """Plot each scheme's mean utility, and its excess over the optimum, against a constant."""
    figure = new_figure(2.1)
    utility, excess = figure.subplots(2, 1, sharex=True)
    draw_lines(utility, rows, "value", "mean_utility")
    draw_lines(excess, rows, "value", "excess", 100)
    utility.set_ylabel(utility_label(rows))
    excess.set_ylabel("Mean utility above the optimum (%)")
    excess.set_yscale("symlog", linthresh=0.01, linscale=0.5)
    excess.set_ylim(bottom=-0.002)
    excess.set_yticks([0, 0.01, 0.1, 1, 10, 100], ["0", "0.01", "0.1", "1", "10", "100"])
    ticks(excess, rows.value)
    excess.set_xlabel(rows.attrs["across"])
    legend(figure, utility)
    return figure, rows


def dots(rows, curves):
    """Plot gain ratios in a row per label and a style per value, such as the network."""
    labels = list(dict.fromkeys(rows.label))
    figure, (axes,) = rows_figure(labels)
    for k, (value, group) in enumerate(rows.groupby("value", sort=False)):
        style = STYLES.get(value) or {"color": f"C{k % 6}", "marker": "os^DvP"[k % 6]}
        style = style | {"fillstyle": ("full", "none")[k % 2]}
        intervals(axes, group, -group.label.map(labels.index), label=value, **style)
    gain_ratio_axis(axes.xaxis)
    legend(figure, axes, title=None if rows.value.isin(STYLES).all() else rows.attrs["across"])
    return figure, rows


def learning(rows, curves):
    """Plot the gain ratios of DDLO and of rules in many networks; shade those where DDLO is ahead.

    The labels are the networks, the values the schemes. A network is shaded where DDLO's interval is
    above all rules: lightly if only for the last K, darker for all.
    """
    figure, data = dots(rows, curves)
    for row, (_, group) in enumerate(rows.groupby("label", sort=False)):
        low = (group.mean_gain_ratio - group.mean_gain_ratio_ci95.fillna(0)).set_axis(group.value)
        learns = low.index.str.startswith("DDLO")
        ahead = low[learns] > low[~learns].max()  # rules have no interval
        if ahead.any():
            shade = "0.85" if ahead.all() else "0.94"
            figure.axes[0].axhspan(-row - 0.5, 0.5 - row, color=shade, zorder=0, linewidth=0)
    return figure, data


def decision_time(rows, curves):
    """Plot decision times against users, for DDLO and ways to the optimum, and DDLO's against K."""
    figure = new_figure(2.1)
    by_users, by_K = figure.subplots(2, 1)
    draw_lines(by_users, rows[rows.label.isin(STYLES)], "value", "ms_per_frame")
    by_users.axhline(1000, color="0.5", label="one second")  # the limit in the paper
    log_axis(by_users.yaxis)
    ticks(by_users, rows.value)
    by_users.set_xlabel("Users, with 3 tasks each")
    learned = rows[rows.label.str.startswith("DDLO")]
    learned = learned.assign(K=learned.label.str.extract(r"K = (\d+)$", expand=False).astype(int))
    users = sorted(set(learned.value))
    some = learned[learned.value.isin(users[:: max(1, len(users) // 2)])]
    some = some.assign(label=[f"DDLO, {value:g} users" for value in some.value])
    draw_lines(by_K, some, "K", "ms_per_frame")
    by_K.set_xlabel("K, DNNs")
    by_K.set_ylim(0, 1.1 * learned.ms_per_frame.max())
    for axes in (by_users, by_K):
        axes.set_ylabel("Decision time (ms)")
    legend(figure, by_users, by_K)
    return figure, rows


def budget(rows, curves):
    """Plot gain ratios against the utilities evaluated per frame: a panel per network.

    Labels are a family and a number, after a colon; a panel's title has the time of one utility.
    """
    networks = list(dict.fromkeys(rows.value))
    figure = new_figure(0.9 * len(networks) + 0.3)
    panels = figure.subplots(len(networks), 1, sharex=True, squeeze=False)[:, 0]
    for axes, network in zip(panels, networks):
        group = rows[(rows.value == network) & (rows.candidates_per_frame > 0)]
        families = group.assign(label=group.label.str.split(":").str[0])
        draw_lines(axes, families, "candidates_per_frame", "mean_gain_ratio")
        axes.set_title(f"{network}: {1000 * group.ms_per_utility.median():.2g} us per utility")
        gain_ratio_axis(axes.yaxis)
    log_axis(axes.xaxis)
    axes.set_xlabel("Utilities evaluated per frame")
    legend(figure, panels[0])
    return figure, rows


def scaling(rows, curves):
    """Plot schemes against users, against tasks per user, or both: whichever varies.

    From the top: gain ratio, decision time, time to decide and learn all frames. The values of the rows
    are "users x tasks".
    """
    sizes = rows.value.str.split(" x ", expand=True).astype(int)
    sized = rows.assign(users=sizes[0], tasks=sizes[1])
    users, tasks = sizes.iloc[0]  # the first size is on both axes
    names = {
        "users": f"Users, {tasks} {'tasks' if tasks > 1 else 'task'} each",
        "tasks": f"Tasks of {users} users",
    }
    shown = [axis for axis in names if sized[axis].nunique() > 1] or ["users"]
    figure = new_figure(2.8)
    panels = figure.subplots(3, len(shown), sharex="col", sharey="row", squeeze=False)
    for axis, column in zip(shown, panels.T):
        on_axis = sized[sized.tasks == tasks if axis == "users" else sized.users == users]
        for axes, metric in zip(column, ("mean_gain_ratio", "ms_per_frame", "loop_seconds")):
            if metric in rows:
                draw_lines(axes, on_axis, axis, metric)
        ticks(axes, on_axis[axis])
        axes.set_xlabel(names[axis])
    for axes in panels[0]:
        gain_ratio_axis(axes.yaxis)
        axes.label_outer()
    for axes in panels[1:].ravel():
        log_axis(axes.yaxis)
    panels[1, 0].set_ylabel("Decision time (ms)")
    panels[2, 0].set_ylabel("Time of all frames (s)")
    legend(figure, panels[0, 0])
    return figure, rows


# Shared by the plots


def rows_figure(labels, panels=1):
    """Return a figure with a row per label, at 0, -1, ..., and its panels."""
    texts = [fill(label, 31, break_on_hyphens=False) for label in labels]
    lines = max(text.count("\n") for text in texts) + 1
    pitch = 0.07 * (0.3 + 0.7 * lines)  # lines of one label are closer than labels
    figure, ratios = new_figure(0.45 + pitch * len(labels)), (5, 4)[:panels]
    axes = figure.subplots(1, panels, sharey=True, squeeze=False, width_ratios=ratios)[0]
    axes[0].set_yticks(-np.arange(len(labels)), texts, linespacing=1)
    axes[0].set_ylim(0.5 - len(labels), 0.5)
    return figure, axes


def intervals(axes, rows, place, metric="mean_gain_ratio", **style):
    """Draw a metric of a summary with its 95 % interval, in rows at these places."""
    style = {"color": "k", "marker": "o"} | style | {"linestyle": "none"}
    axes.errorbar(rows[metric], place, xerr=half_width(rows, metric), **style)


def draw_lines(axes, rows, x, metric, factor=1):
    """Draw a metric, times a factor, against a column: a line per label, with 95 % intervals."""
    for (label, group), style in zip(rows.groupby("label", sort=False), styles_of(rows.label)):
        group = group.dropna(subset=metric).sort_values(x)
        error = factor * half_width(group, metric)
        error = error if error.any() else None
        axes.errorbar(group[x], factor * group[metric], error, label=label, **style)


def styles_of(labels):
    """Return a style for each label, in their order."""
    from matplotlib import cycler, rcParams

    others = cycle(cycler(marker=MORE) * rcParams["axes.prop_cycle"])
    return [STYLES.get(label) or next(others) for label in dict.fromkeys(labels)]


def gain_ratio_axis(axis, ratios=None):
    """Label an axis of gain ratios, logarithmic in their distance to 1: good ones differ by little.

    It shows the range of `ratios`, by default from all that are drawn to 1.
    """
    name, best = axis.axis_name, 1
    getattr(axis.axes, f"set_{name}scale")("function", functions=(nearness, inverse_nearness))
    low = min(0.5, *axis.get_view_interval())
    if ratios is not None:
        low, best = 1.3 * ratios.min() - 0.3, ratios.max()
    axis.set_ticks(GAIN_RATIOS[name])
    axis.set_major_formatter("{x:g}")
    getattr(axis.axes, f"set_{name}lim")(low, inverse_nearness(nearness(best) + 0.25))
    axis.set_label_text("Gain ratio")


def nearness(gain_ratio):
    """Return the place of a gain ratio on its axis."""
    return -np.log10(np.maximum(1 + LEAST - gain_ratio, LEAST / 10))


def inverse_nearness(place):
    """Return the gain ratio at a place on its axis."""
    return 1 + LEAST - 10.0**-place


def log_axis(axis):
    """Make an axis logarithmic, with a moderate number of labels."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = axis.get_data_interval()
    axis.get_major_locator().set_params(subs=(1, 2, 5) if high < 50 * low else (1,))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def ticks(axes, values):
    """Have ticks at all values on the horizontal axis; it is logarithmic if they differ much."""
    values = sorted(set(values))
    if values[-1] > 10 * values[0] > 0:
        axes.set_xscale("log")
        axes.xaxis.minorticks_off()
    axes.set_xticks(values, [f"{value:g}" for value in values])


def draw_curves(axes, curves, label="Time frame", first=FIRST_BIN, is_linear=False):
    """Draw values (seeds, steps) by label: means of bins, averaged over the seeds, with 95 % bands.

    The bins end at steps evenly spaced on a logarithmic axis, from the `first` one, or on a linear one.
    Returns the data drawn: label, from and to (the steps of a bin), mean, low and high.
    """
    import pandas as pd

    from .tables import interval

    seeds = [len(values) for values in curves.values()]
    steps = next(iter(curves.values())).shape[1]
    ends = np.linspace(0, steps, BINS + 1)
    if steps and not is_linear:
        ends = np.geomspace(min(first, steps), steps, BINS)
    bounds = np.union1d(0, ends.astype(int))
    begins, ends = bounds[:-1], bounds[1:]
    data = []
    for (name, values), style in zip(curves.items(), styles_of(curves)):
        sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
        mean, ci95 = interval((sums[:, ends] - sums[:, begins]) / (ends - begins))
        ci95 = ci95 if len(values) >= FEW else np.nan
        low, high = mean - ci95, mean + ci95
        axes.plot(ends, mean, label=name, markevery=7, **style)
        axes.fill_between(ends, low, high, color=style["color"], alpha=0.2, linewidth=0)
        columns = {"from": begins + 1, "to": ends, "mean": mean, "low": low, "high": high}
        data.append(pd.DataFrame({"label": name} | columns))
    if is_linear:
        axes.set_xlim(0, steps)
        axes.locator_params("x", nbins=5)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    elif steps:  # runs may end before the first training step
        axes.set_xscale("log")
        round_ones = [factor * 10**power for power in range(6) for factor in (1, 3)]
        shown = [step for step in round_ones if ends[0] <= step <= 0.4 * steps] + [steps]
        axes.set_xticks(shown, [f"{step:,}" for step in shown])
        axes.xaxis.set_minor_formatter("")
        axes.margins(x=0)
    axes.set_xlabel(label)
    if max(seeds) >= FEW:
        axes.fill_between([], [], [], color="k", alpha=0.2, label=interval_label(seeds))
    return pd.concat(data, ignore_index=True)


def half_width(rows, metric):
    """Return the half-width of the interval of a metric; 0 without one."""
    return rows[f"{metric}_ci95"].where(rows.seeds >= FEW).fillna(0)


def interval_label(seeds):
    """Return the label of values with their intervals over these numbers of seeds."""
    if max(seeds) < FEW:
        return f"seeds: {max(seeds)}"
    ends = sorted({min(n for n in seeds if n >= FEW), max(seeds)})
    return f"95 % interval, {' to '.join(map(str, ends))} seeds"


def utility_label(rows):
    """Return the label of an axis of mean utilities, with the unit of the network."""
    unit = rows.unit.iloc[0]
    return f"Mean utility ({unit})" if unit else "Mean utility"

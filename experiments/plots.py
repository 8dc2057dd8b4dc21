"""The plots of the experiments: for one column of a paper, readable in grey and by the colour-blind.

Each takes the rows of a summary (results.py), a DataFrame, and `curves`, a function that returns the
curves of all seeds by label; it returns a figure and a DataFrame of the data that is drawn in it.
"""

from itertools import cycle
from textwrap import fill

import numpy as np

from ddlo.plots import ROLLING, new_figure, rolling_mean

from .drawing import (
    LEAST,
    OTHERS,
    STYLES,
    band,
    draw_curves,
    gain_ratio_axis,
    legend,
    log_axis,
    name_of_band,
    nearness,
    styles_of,
)

# Matplotlib, pandas and SciPy are imported where they are needed: --help does without them.

GAIN_RATIOS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)
SECOND = 1000  # ms, below which the paper claims that decisions are made
LABEL_WIDTH = 31  # characters of a line
# Of the networks in a plot of dots, from the smallest.
NETWORK_STYLES = (
    {"color": "#0072B2", "marker": "o"},
    {"color": "#D55E00", "marker": "s"},
    {"color": "#0072B2", "marker": "o", "fillstyle": "none"},
    {"color": "#D55E00", "marker": "s", "fillstyle": "none"},
)
# Frames after the first 512 of the authors' run of 10,000, and the mean of the gain ratios that they
# recorded there (December 2018).
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
EVENT_BINS = 40  # of frames in a run during which something happens


def convergence(rows, curves):
    """Plot gain ratios against time frames, averaged over the seeds, with bands; of rules one line."""
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

    labelled, ratios = {}, curves("gain_ratio")
    for label, of_seeds in ratios.items():
        row = rows[rows.label == label].iloc[0]
        few = row.get("learns", np.nan) < row.seeds
        learns = f": {row.learns:g} of {row.seeds} seeds learn" if few else ""
        labelled[label + learns] = np.stack(of_seeds)
    figure = new_figure(3)
    axes = figure.add_subplot()
    data = draw_curves(axes, labelled, "Time frame")
    frames = data.to.max()
    for _, row in rows[~rows.label.isin(ratios)].iterrows():
        ratio = row.mean_gain_ratio
        axes.axhline(ratio, color="k", linestyle=(0, (1, 2)), label=row.label)
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
    axes.axvline(begin, color="0.5", linestyle=(0, (8, 2)), linewidth=0.8, label="test begins")
    legend(figure, axes)
    return figure, data


def recorded(rows, curves):
    """Plot the gain ratio beside that of the authors' own run, of which means of some frames are known."""
    import pandas as pd

    from .results import interval

    (label, of_seeds), *_ = curves("gain_ratio").items()
    ratios = np.stack(of_seeds).astype(float)
    frames = ratios.shape[1]
    figure = new_figure(2.6)
    axes = figure.add_subplot()
    means = np.array([rolling_mean(of_seed, ROLLING) for of_seed in ratios])
    shown = np.unique(np.linspace(min(RECORDED_FROM, frames) - 1, frames - 1, 500).astype(int))
    low, mean, high = band(means[:, shown])
    axes.plot(shown + 1, mean, label=f"{label}, mean of {ROLLING} frames")
    name = name_of_band(len(ratios))
    axes.fill_between(shown + 1, low, high, color="C0", alpha=0.25, linewidth=0, label=name)
    lines = []
    for (begin, end), of_authors in RECORDED.items():
        begin, end = begin + RECORDED_FROM + 1, end + RECORDED_FROM
        axes.errorbar(
            (begin + end) / 2, of_authors, xerr=(end - begin) / 2, fmt="ks", label="authors' run"
        )
        ours, ci95 = (
            interval(ratios[:, begin - 1 : end].mean(axis=1)) if end <= frames else 2 * [np.nan]
        )
        place = {"from": begin, "to": end}
        lines.append(place | {"label": "authors' run", "mean": of_authors})
        lines.append(place | {"label": label, "mean": ours, "ci95": ci95})
    axes.set(xlabel="Time frame", ylabel="Gain ratio", xlim=(0, None))
    handles, labels = axes.get_legend_handles_labels()
    only = dict(zip(labels, handles))
    axes.legend(only.values(), only, loc="lower right")
    return figure, pd.DataFrame(lines)


def training_cost(rows, curves):
    """Plot the training cost of each DNN against training steps, averaged over the seeds."""
    costs = np.stack(next(iter(curves("costs").values())))
    labelled = {f"DNN {k + 1}": costs[:, k] for k in range(costs.shape[1])}
    figure = new_figure(2.6)
    axes = figure.add_subplot()
    data = draw_curves(axes, labelled, "Training step", first=1)
    if costs.size:  # runs may have ended before the first training step
        log_axis(axes.yaxis)
    axes.set_ylabel("Training cost (cross-entropy, nats)")
    axes.legend()
    return figure, data


def schemes(rows, curves):
    """Plot each scheme's gain ratio, mean and 5th percentile, and the time of its decisions."""
    figure = new_figure(0.9 + 0.19 * len(rows))
    ratio, time = figure.subplots(1, 2, sharey=True, width_ratios=(5, 4))
    place = np.arange(len(rows))[::-1]
    mean, low = rows.mean_gain_ratio.to_numpy(), rows.gain_ratio_5th_percentile.to_numpy()
    ratio.hlines(place, *nearness(np.stack([low, mean])), color="0.6", linewidth=1.5)
    ratio.plot(nearness(mean), place, "ko", label="mean")
    ratio.plot(nearness(low), place, "k|", markersize=6, label="5th percentile")
    ratio.set_yticks(place, [_in_lines(label) for label in rows.label])
    gain_ratio_axis(ratio.xaxis)
    ratio.set_xlabel("Gain ratio")
    time.plot(rows.ms_per_frame, place, "ko", label="batch size 1")
    time.plot(rows.ms_per_frame_batched, place, "kD", fillstyle="none", label="batched")
    log_axis(time.xaxis)
    time.set_xticks([0.001, 0.1, 10])
    time.set_xlabel("Decision time (ms)")
    for axes in (ratio, time):
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return figure, _data(rows)


def against_constant(rows, curves):
    """Plot each scheme's mean utility, and its excess over the optimum, against a constant."""
    from matplotlib.ticker import NullLocator

    figure = new_figure(5)
    utility, excess = figure.subplots(2, 1, sharex=True)
    for (label, of_label), style in zip(rows.groupby("label", sort=False), styles_of(rows)):
        x = of_label.value.astype(float)
        for axes, name, factor in ((utility, "mean_utility", 1), (excess, "excess", 100)):
            ci95 = factor * of_label[f"{name}_ci95"].fillna(0)
            ci95 = ci95 if ci95.any() else None
            axes.errorbar(x, factor * of_label[name], ci95, label=label, **style)
    utility.set_ylabel("Mean utility (J)")
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
    return figure, _data(rows)


def dots(rows, curves):
    """Plot each label's gain ratio, in several networks."""
    labels = list(dict.fromkeys(rows.label))
    figure = new_figure(1 + 0.17 * len(labels))
    axes = figure.add_subplot()
    for (network, of_network), style in zip(
        rows.groupby("value", sort=False), cycle(NETWORK_STYLES)
    ):
        place = [-labels.index(label) for label in of_network.label]
        mean, ci95 = of_network.mean_gain_ratio, of_network.mean_gain_ratio_ci95.fillna(0)
        axes.plot(nearness(mean.to_numpy()), place, linestyle="none", label=network, **style)
        ends = nearness(np.stack([mean - ci95, mean + ci95]))
        axes.hlines(place, *ends, color=style["color"], linewidth=0.8)
    axes.set_yticks(-np.arange(len(labels)), [_in_lines(label) for label in labels])
    gain_ratio_axis(axes.xaxis)
    axes.set_xlabel("Gain ratio")
    legend(figure, axes, title=rows.attrs["across"])
    return figure, _data(rows)


def learning(rows, curves):
    """Plot the gain ratios of DDLO and of rules in many networks; shade those where DDLO is ahead.

    The labels are the networks, the values the schemes. A network is shaded where DDLO's interval is
    above all rules: lightly if it is so for the last K only, darker for all.
    """
    networks = list(dict.fromkeys(rows.label))
    learners = [value for value in dict.fromkeys(rows.value) if value.startswith("DDLO")]
    figure = new_figure(1.1 + 0.17 * len(networks))
    axes = figure.add_subplot()
    for scheme, of_scheme in rows.groupby("value", sort=False):
        place = [-networks.index(network) for network in of_scheme.label]
        mean, ci95 = of_scheme.mean_gain_ratio, of_scheme.mean_gain_ratio_ci95.fillna(0)
        style = STYLES[scheme] | {"linestyle": "none"}
        fillstyle = "none" if scheme == learners[-1] else "full"
        axes.plot(nearness(mean.to_numpy()), place, label=scheme, fillstyle=fillstyle, **style)
        ends = nearness(np.stack([mean - ci95, mean + ci95]))
        axes.hlines(place, *ends, color=style["color"], linewidth=0.8)
    for place, network in enumerate(networks):
        of_network = rows[rows.label == network].set_index("value")
        rules = of_network.mean_gain_ratio.drop(learners).max()
        learned = of_network.loc[learners]
        ahead = learned.mean_gain_ratio - learned.mean_gain_ratio_ci95.fillna(0) > rules
        if ahead.any():
            shade = "0.85" if ahead.all() else "0.94"
            axes.axhspan(-place - 0.5, -place + 0.5, color=shade, zorder=0, linewidth=0)
    axes.set_ylim(0.5 - len(networks), 0.5)
    axes.set_yticks(-np.arange(len(networks)), networks)
    gain_ratio_axis(axes.xaxis)
    axes.set_xlabel("Gain ratio")
    legend(figure, axes)
    return figure, _data(rows)


def decision_time(rows, curves):
    """Plot decision times against users, for DDLO and ways to the optimum, and DDLO's against K."""
    figure = new_figure(5)
    of_users, of_K = figure.subplots(2, 1)
    for label, of_label in rows[rows.label.isin(STYLES)].groupby("label", sort=False):
        of_users.plot(of_label.value, of_label.ms_per_frame, label=label, **STYLES[label])
    of_users.axhline(SECOND, color="0.5", linewidth=0.8, label="one second")
    log_axis(of_users.yaxis)
    of_users.set_xticks(sorted(set(rows.value)))
    of_users.set_xlabel("Users, with 3 tasks each")
    learned = rows[rows.label.str.startswith("DDLO")]
    learned = learned.assign(K=learned.label.str.extract(r"K = (\d+)$", expand=False).astype(int))
    users = sorted(set(learned.value))
    for n, style in zip(users[:: max(1, len(users) // 2)], cycle(OTHERS)):
        of_one = learned[learned.value == n].sort_values("K")
        of_K.plot(of_one.K, of_one.ms_per_frame, label=f"DDLO, {n:g} users", **style)
    of_K.set_xlabel("K, DNNs")
    of_K.set_ylim(0, 1.1 * learned.ms_per_frame.max())
    of_K.legend()
    for axes in (of_users, of_K):
        axes.set_ylabel("Decision time (ms)")
    legend(figure, of_users)
    return figure, _data(rows)


def events(fractions):
    """Return a plot of gain ratios against time frames: what happens is at fractions of the frames."""

    def plot(rows, curves):
        """Plot gain ratios of some frames at a time: the mean of the seeds, and their range."""
        import pandas as pd
        from matplotlib.ticker import MaxNLocator

        figure = new_figure(2.8)
        axes = figure.add_subplot()
        drawn = []
        for (label, of_seeds), style in zip(curves("gain_ratio").items(), styles_of(rows)):
            ratios = np.stack(of_seeds).astype(float)
            ends = np.linspace(0, ratios.shape[1], EVENT_BINS + 1).astype(int)[1:]
            begins = np.concatenate([[0], ends[:-1]])
            means = [ratios[:, i:k].mean(axis=1) for i, k in zip(begins, ends) if k > i]
            low, mean, high = (f(means, axis=1) for f in (np.min, np.mean, np.max))
            begins, ends = begins[begins < ends], ends[begins < ends]
            middle, style = (begins + ends + 1) / 2, style | {"marker": ""}
            axes.plot(middle, nearness(mean), label=label, **style)
            near = nearness(low), nearness(high)
            axes.fill_between(middle, *near, color=style["color"], alpha=0.2, linewidth=0)
            data = {"from": begins + 1, "to": ends, "mean": mean, "low": low, "high": high}
            drawn.append(pd.DataFrame({"label": label} | data))
        seeds = len(ratios)
        if seeds > 1:
            name = f"range of {seeds} seeds"
            axes.fill_between([], [], [], color="k", alpha=0.2, label=name)
        for fraction in fractions:
            axes.axvline(fraction * ends[-1], color="0.5", linestyle=(0, (8, 2)), linewidth=0.8)
        gain_ratio_axis(axes.yaxis)
        axes.set(xlabel="Time frame", ylabel="Gain ratio", xlim=(0, ends[-1]))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        legend(figure, axes)
        return figure, pd.concat(drawn, ignore_index=True)

    return plot


def scaling(rows, curves):
    """Plot schemes against users, against tasks of a user, or both: against what differs.

    From the top: gain ratio, decision time, time to decide and learn all frames. The values of the rows
    are "users x tasks".
    """
    sizes = np.array([[int(count) for count in value.split(" x ")] for value in rows.value])
    each = "tasks" if sizes[0, 1] > 1 else "task"
    names = (f"Users, {{}} {each} each", "Tasks of {} users")
    others = sizes[0][::-1]  # the first size is on both axes
    shown = [axis for axis in (0, 1) if len(set(sizes[:, axis])) > 1] or [0]
    figure = new_figure(6)
    panels = figure.subplots(3, len(shown), sharex="col", sharey="row", squeeze=False)
    metrics = ("mean_gain_ratio", "ms_per_frame", "loop_seconds")
    for axis, column in zip(shown, panels.T):
        on_axis = rows.assign(size=sizes[:, axis])[sizes[:, 1 - axis] == others[axis]]
        for (label, of_label), style in zip(
            on_axis.groupby("label", sort=False), styles_of(on_axis)
        ):
            of_label = of_label.sort_values("size")
            for axes, name in zip(column, metrics):
                y = of_label[name]
                if y.notna().any():
                    y = nearness(y) if name == "mean_gain_ratio" else y
                    axes.plot(of_label["size"], y, label=label, **style)
        column[-1].set_xticks(sorted(set(on_axis["size"])))
        column[-1].set_xlabel(names[axis].format(others[axis]))
    ratio, decision, loop = panels[:, 0]
    ratio.set_ylabel("Gain ratio")
    decision.set_ylabel("Decision time (ms)")
    loop.set_ylabel("Time of all frames (s)")
    for axes in panels[0]:
        gain_ratio_axis(axes.yaxis)
    for axes in panels[1:].ravel():
        log_axis(axes.yaxis)
    legend(figure, panels[0, 0])
    return figure, _data(rows)


def _in_lines(label):
    """Break a label that is too long for one line."""
    return fill(label, LABEL_WIDTH, break_on_hyphens=False)


def _data(rows):
    """Return the numbers of a summary that are drawn."""
    return rows.drop(columns=["is_released", "failed", "min", "max", "learns"], errors="ignore")

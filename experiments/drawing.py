"""What the plots of the experiments share: styles of labels, axes, curves with bands, legends."""

from itertools import cycle

import numpy as np

# Matplotlib and pandas are imported where they are needed: --help does without them.

# Points of a curve on a logarithmic axis, each the mean of the frames or steps since the one before.
BINS, FIRST_BIN = 60, 50
LEAST = 1e-4  # distance of a gain ratio to 1 that is shown, also of an optimal one
WIDEST = 42  # characters of a label, of which two stand side by side in a legend
FEW = 3  # with fewer seeds than this an interval is so wide that the range says more
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
# Colours of Okabe and Ito, which colour-blind readers tell apart, and markers: for labels, and then in
# turn for those that are not among them.
STYLES = {
    "optimum": {"color": "k", "marker": "", "linewidth": 2.5, "alpha": 0.3},
    "optimum by MILP": {"color": "k", "marker": "+", "linestyle": (0, (1, 3)), "zorder": 3},
    "DDLO, K = N": {"color": "#0072B2", "marker": "p", "linestyle": "-."},
    "DDLO, K = 3": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "DDLO, K = 10": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    "DDLO, K = 3, user flips, recombined": {"color": "#0072B2", "marker": "x", "linestyle": "-."},
    "order-preserving (DROO), K = 3": {"color": "#D55E00", "marker": "^", "linestyle": "-"},
    "order-preserving (DROO), K = 10": {"color": "#D55E00", "marker": "v", "linestyle": "--"},
    "order-preserving (DROO), K = N": {"color": "#D55E00", "marker": "p", "linestyle": "-."},
    "adaptive K (DROO)": {"color": "#D55E00", "marker": "P", "linestyle": ":"},
    "10 nearest neighbours (DROO)": {"color": "#D55E00", "marker": "x", "linestyle": "--"},
    "coordinate descent": {"color": "#009E73", "marker": "D", "linestyle": ":"},
    "linear relaxation": {"color": "#CC79A7", "marker": "P", "linestyle": "-."},
    "smallest task local": {"color": "k", "marker": "d", "linestyle": ":"},
    "best fixed decision": {"color": "#CC79A7", "marker": "h", "linestyle": "--"},
    "full offloading": {"color": "#56B4E9", "marker": "*", "linestyle": "-"},
    "random": {"color": "#E69F00", "marker": "X", "linestyle": "--"},
    "local only": {"color": "0.5", "marker": "<", "linestyle": "-."},
    "dual heuristic": {"color": "#E69F00", "marker": "X", "linestyle": "--"},
    "equal-split optimum, bandwidth re-allocated": {
        "color": "#CC79A7",
        "marker": "P",
        "linestyle": "-.",
    },
    "enumeration of all decisions": {"color": "#D55E00", "marker": "p", "linestyle": "-"},
    "enumeration user by user": {"color": "#009E73", "marker": "H", "linestyle": "--"},
}
OTHERS = [
    {"color": color, "marker": marker, "linestyle": "-"}
    for color, marker in zip(("0.2", "#009E73", "#D55E00", "#0072B2"), ("p", "d", ">", "H"))
]


def log_axis(axis):
    """Make an axis logarithmic, with labels that are few but not too few."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = axis.get_data_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def frames_axis(axes, first, last):
    """Make the x axis, of time frames or training steps, logarithmic, with its end labelled."""
    from matplotlib.ticker import NullFormatter

    axes.set_xscale("log")
    ticks = [factor * 10**power for power in range(6) for factor in (1, 3)]
    ticks = [tick for tick in ticks if first <= tick <= 0.4 * last] + [last]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(first, max(last, first + 1))


def styles_of(rows):
    """Return a style for each label, in the order of the rows."""
    others = cycle(OTHERS)
    labels = dict.fromkeys(rows.label)
    return [STYLES[label] if label in STYLES else next(others) for label in labels]


def gain_ratio_axis(axis):
    """Label an axis of `nearness`, whose end is that of optimal decisions."""
    is_x = axis.axis_name == "x"
    ticks = [0.5, 0.9, 0.99, 0.999] if is_x else [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999]
    optimal = -np.log10(LEAST)
    axis.set_ticks([*nearness(np.array(ticks)), optimal], [*map("{:g}".format, ticks), "1"])
    limits = {"right" if is_x else "top": optimal + 0.25}
    getattr(axis.axes, f"set_{axis.axis_name}lim")(**limits)


def nearness(gain_ratio):
    """Where a gain ratio is on a logarithmic axis; optimal decisions, too, have a place on it."""
    return -np.log10(np.maximum(1 - gain_ratio, LEAST))


def draw_curves(axes, curves, label, first=FIRST_BIN):
    """Draw values (seeds, steps) by label: means of bins, averaged over the seeds, with bands.

    The bins end at steps that are evenly spaced on a logarithmic axis, from the `first` one. The bands
    are 95 % confidence intervals of the mean over seeds, or the range of a few seeds. Returns what is
    drawn: label, from and to (the steps of a bin), mean, low and high.
    """
    import pandas as pd
    from matplotlib import colormaps

    colors = colormaps["cividis"](np.linspace(0, 0.8, len(curves)))
    steps = next(iter(curves.values())).shape[1]
    ends = np.geomspace(min(first, steps), steps, BINS) if steps else []
    ends = np.unique(np.asarray(ends, int))
    begins = np.concatenate([[0], ends[:-1]]).astype(int)[: len(ends)]
    drawn = []
    for (name, values), color, line in zip(curves.items(), colors, cycle(LINES)):
        sums = np.cumsum(np.pad(values.astype(float), ((0, 0), (1, 0))), axis=1)
        low, mean, high = band((sums[:, ends] - sums[:, begins]) / (ends - begins))
        axes.plot(ends, mean, color=color, linestyle=line, label=name)
        axes.fill_between(ends, low, high, color=color, alpha=0.2, linewidth=0)
        data = {"from": begins + 1, "to": ends, "mean": mean, "low": low, "high": high}
        drawn.append(pd.DataFrame({"label": name} | data))
    if steps:  # runs may have ended before the first training step
        frames_axis(axes, ends[0], ends[-1])
    axes.set_xlabel(label)
    seeds = len(next(iter(curves.values())))
    if seeds > 1:
        axes.fill_between([], [], [], color="k", alpha=0.2, label=name_of_band(seeds))
    return pd.concat(drawn, ignore_index=True)


def name_of_band(seeds):
    """What `band` returns for so many seeds."""
    return f"{'95 % confidence' if seeds >= FEW else 'range'}, {seeds} seeds"


def band(means):
    """Return low, mean and high of values (seeds, steps) over the seeds."""
    from .results import interval

    mean, ci95 = interval(means)
    if len(means) < FEW:
        return means.min(axis=0), mean, means.max(axis=0)
    return mean - ci95, mean, mean + ci95


def legend(figure, axes, **options):
    """Put the legend of the axes below all panels, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    columns = 1 if max(map(len, labels)) > WIDEST else 2
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **options)

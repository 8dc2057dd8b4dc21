"""How figures look, and the two of a run: gain ratio and training cost."""

import functools
from pathlib import Path

import numpy as np

from ddlo.comparison import MEASURES
from ddlo.rules import LABELS
from ddlo.screen import has_screen, import_matplotlib

STYLE = Path(__file__).parent / "column.mplstyle"
WIDTH = 88 / 25.4  # inches, one column of a paper
ROLLING = 60  # time frames under the rolling mean of the gain ratio, as released
ROLLING_STEPS = 20  # training steps under that of the training cost
POINTS = 1000  # of a curve that are drawn
MANY = 12  # DNNs, of which no legend has room for more
AXES = {
    "gain_ratio": "Gain ratio (least utility / utility reached)",
    "difference": "Utility above the least one",
    "Q": "Utility Q (smaller is better)",
}

# Matplotlib is imported where it is needed: --help does without it.


def styled(function):
    """Decorate a function that draws or saves figures, so that they have the style of STYLE."""

    @functools.wraps(function)
    def in_style(*arguments, **options):
        with import_matplotlib().rc_context(fname=STYLE):
            return function(*arguments, **options)

    return in_style


def new_figure(height, width=WIDTH):
    """Return an empty figure without a window, so high in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure, path):
    """Save a figure as PNG and as PDF: a path without a suffix, to which these are added."""
    for suffix in (".png", ".pdf"):
        # Without a date, the same figure is the same file.
        metadata = {"CreationDate": None} if suffix == ".pdf" else None
        figure.savefig(f"{path}{suffix}", metadata=metadata)


def rolling_mean(values, window):
    """Return the means of the last `window` values up to each one, or of as many as there are."""
    total = np.concatenate([np.zeros(window), np.cumsum(values, dtype=float)])
    return (total[window:] - total[:-window]) / np.minimum(np.arange(1, len(values) + 1), window)


def plot_history(history, tests, folder=None, fixed=None):
    """Plot the measure of a history, the last `tests` frames of which are test frames.

    That is the gain ratio, or else the difference or the utility, as a rolling mean; a band goes from
    the rolling minimum to the maximum. `fixed` are utilities (frames,) of rules by name, to be plotted
    beside it. Saved to `folder` as gain_ratio, difference or Q, with the suffixes png, pdf and csv (what
    is drawn), else shown in a window.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    measure = next(name for name in MEASURES if name in history)
    values, frames = history[measure], len(history[measure])
    shown = np.unique(np.linspace(0, frames - 1, POINTS).astype(int))
    window = {"size": ROLLING, "origin": (ROLLING - 1) // 2, "mode": "nearest"}  # ends at the frame
    columns = {
        "time_frame": shown + 1,
        f"{measure}_mean": rolling_mean(values, ROLLING)[shown],
        f"{measure}_min": minimum_filter1d(values, **window)[shown],
        f"{measure}_max": maximum_filter1d(values, **window)[shown],
    }
    columns |= {name: rolling_mean(Q, ROLLING)[shown] for name, Q in (fixed or {}).items()}

    def draw(axes):
        frame, mean, low, high, *rules = columns.values()
        of_frames = f"of {ROLLING} frames"
        axes.plot(frame, mean, label=f"DDLO, mean {of_frames}")
        axes.fill_between(
            frame, low, high, color="C0", alpha=0.25, linewidth=0, label=f"range {of_frames}"
        )
        for name, Q in zip(fixed or {}, rules):
            axes.plot(frame, Q, label=LABELS[name])
        begin = frames - tests + 0.5
        axes.axvline(begin, color="k", linestyle=(0, (5, 1, 1, 1)), label="test begins")
        axes.set(xlabel="Time frame", ylabel=AXES[measure])
        axes.legend(loc="lower right" if measure == "gain_ratio" else "best")

    _plot(draw, columns, folder and folder / measure)


def plot_training_cost(costs, path=None):
    """Plot the training cost of every DNN, K lists of float, against training steps.

    Saved to `path` if given, as PNG, PDF and CSV (what is drawn) if it has no suffix; else shown in a
    window, or without a screen saved to training_cost.png.
    """
    if path is None and not has_screen():
        path = "training_cost.png"
        print(f"no screen to show the training cost on: saved to {path}")
    costs = np.array(costs)
    shown = np.unique(np.linspace(0, costs.shape[1] - 1, POINTS).astype(int))[: costs.shape[1]]
    columns = {"training_step": shown + 1}
    for k, cost in enumerate(costs):
        columns[f"DNN {k + 1}"] = rolling_mean(cost, ROLLING_STEPS)[shown]

    def draw(axes):
        step = columns["training_step"]
        for k, cost in enumerate(costs):
            (line,) = axes.plot(step, columns[f"DNN {k + 1}"], label=f"DNN {k + 1}", zorder=3)
            every = np.arange(1, len(cost) + 1)
            axes.plot(every, cost, "-", color=line.get_color(), linewidth=0.3, alpha=0.3)
        axes.set(xlabel="Training step", ylabel="Training cost (cross-entropy, nats)", yscale="log")
        title = f"mean of {ROLLING_STEPS} steps"
        if len(costs) <= MANY:
            axes.legend(ncols=3, loc="upper right", title=title)

    _plot(draw, columns, path)


@styled
def show(net, history, tests, fixed):
    """Open windows with the plots of a run until the user closes them.

    Raises ValueError if the environment variable MPLBACKEND is none of Matplotlib's backends.
    """
    import matplotlib.pyplot as plt

    if not has_screen():
        print("no screen to show the plots on")
        return
    with plt.ion():
        plot_history(history, tests, fixed=fixed)
        net.plot_cost()
    plt.show()


@styled
def _plot(draw, columns, path):
    """Draw on a new figure's axes; save it and the columns that are drawn, or show it in a window."""
    import matplotlib.pyplot as plt

    figure = plt.figure() if path is None else new_figure(2.4)
    axes = figure.add_subplot()
    draw(axes)
    axes.margins(x=0)
    if path is None:
        plt.show()
    elif Path(path).suffix:
        figure.savefig(path)
    else:
        save(figure, path)
        table = np.column_stack(list(columns.values()))
        formats = ["%d", *["%.6g"] * (len(columns) - 1)]
        header = ",".join(columns)
        np.savetxt(f"{path}.csv", table, formats, ",", header=header, comments="")

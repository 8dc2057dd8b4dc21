"""The style of all figures, and the two figures of a run: gain ratio and training cost."""

from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np

from ddlo.baselines import LABELS
from ddlo.data import MEASURES

STYLE = Path(__file__).parent / "column.mplstyle"
ROLLING = 60  # time frames in the rolling mean of the gain ratio, as released
ROLLING_STEPS = 20  # training steps in the rolling mean of the training cost
POINTS = 1000  # drawn points of a curve
AXES = {
    "gain_ratio": "Gain ratio\n(least utility / utility reached)",
    "difference": "Utility above the least one",
    "Q": "Utility Q (smaller is better)",
}

# Matplotlib is imported where it is used, so that --help is quick.


@contextmanager
def _style():
    import matplotlib

    with matplotlib.rc_context(fname=STYLE):
        yield


styled = _style()  # a decorator of functions that draw or save figures


def new_figure(height=1):
    """Return an empty figure without a window, of this height relative to that of the style."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    width, style_height = rcParams["figure.figsize"]
    return Figure(figsize=(width, height * style_height), layout="constrained")


def legend(figure, *panels, **options):
    """Put a legend of these panels below all panels, where it hides nothing."""
    found = [axes.get_legend_handles_labels() for axes in panels]
    handles, labels = (list(chain.from_iterable(each)) for each in zip(*found))
    options["loc"] = "outside lower center"
    shown = figure.legend(handles, labels, ncols=2, **options)
    if shown.get_window_extent().width > figure.bbox.width:
        shown.remove()
        shown = figure.legend(handles, labels, ncols=1, **options)
    # A long legend makes the figure higher, not the panels smaller.
    more = shown.get_window_extent().height / figure.dpi - figure.get_figheight() / 3
    figure.set_figheight(figure.get_figheight() + max(0, more))


def save(figure, path):
    """Save a figure as PNG and as PDF; the path has no suffix."""
    figure.savefig(f"{path}.png")
    # Without a date, the same figure gives the same file.
    figure.savefig(f"{path}.pdf", metadata={"CreationDate": None})


def rolling_mean(values, window):
    """Return the mean of the last `window` values at each place, or of as many as there are."""
    total = np.concatenate([np.zeros(window), np.cumsum(values, dtype=float)])
    return (total[window:] - total[:-window]) / np.minimum(np.arange(1, len(values) + 1), window)


def plot_history(history, tests, folder=None, baselines=None):
    """Plot the gain ratio of a history, or its difference or utility, as a rolling mean and range.

    `baselines` are utilities (frames,) by name to plot beside it. Saved to `folder` as gain_ratio,
    difference or Q, as PNG, PDF and CSV, or else shown in a window.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    measure, baselines = next(name for name in MEASURES if name in history), baselines or {}
    values, frames = history[measure], len(history[measure])
    shown = np.unique(np.linspace(0, frames - 1, POINTS).astype(int))
    window = {"size": ROLLING, "origin": (ROLLING - 1) // 2, "mode": "nearest"}  # ends at the frame
    columns = {
        "time_frame": shown + 1,
        f"{measure}_mean": rolling_mean(values, ROLLING)[shown],
        f"{measure}_min": minimum_filter1d(values, **window)[shown],
        f"{measure}_max": maximum_filter1d(values, **window)[shown],
    }
    columns |= {name: rolling_mean(Q, ROLLING)[shown] for name, Q in baselines.items()}
    with _axes(columns, folder and folder / measure) as axes:
        frame, mean, low, high, *others = columns.values()
        axes.plot(frame, mean, label=f"DDLO, mean of {ROLLING} frames")
        band = {"color": "C0", "alpha": 0.25, "linewidth": 0}
        axes.fill_between(frame, low, high, label=f"range of {ROLLING} frames", **band)
        for name, Q in zip(baselines, others):
            axes.plot(frame, Q, label=LABELS[name])
        begin = frames - tests + 0.5
        axes.axvline(begin, color="k", linestyle=(0, (5, 1, 1, 1)), label="test begins")
        axes.set(xlabel="Time frame", ylabel=AXES[measure])
        legend(axes.figure, axes)


def plot_training_cost(costs, path=None):
    """Plot the training cost of every DNN, K lists of float, against training steps.

    Saved to `path`, as PNG, PDF and CSV if it has no suffix; default: shown in a window, or without a
    screen saved to training_cost.png.
    """
    from matplotlib import rcParams

    if path is None and not has_screen():
        path = "training_cost.png"
        print(f"no screen to show the training cost on: saved to {path}")
    costs = np.array(costs)
    shown = np.unique(np.linspace(0, costs.shape[1] - 1, POINTS).astype(int))[: costs.shape[1]]
    means = {f"DNN {k + 1}": rolling_mean(cost, ROLLING_STEPS) for k, cost in enumerate(costs)}
    columns = {"training_step": shown + 1} | {name: mean[shown] for name, mean in means.items()}
    with _axes(columns, path) as axes:
        for name, cost in zip(means, costs):
            (line,) = axes.plot(shown + 1, columns[name], label=name, zorder=3)
            steps = np.arange(1, len(cost) + 1)
            axes.plot(steps, cost, "-", color=line.get_color(), linewidth=0.3, alpha=0.3)
        label = "Training cost\n(cross-entropy, nats)"
        axes.set(xlabel="Training step", ylabel=label, yscale="log")
        if len(costs) <= len(rcParams["axes.prop_cycle"]):  # lines that are told apart
            legend(axes.figure, axes, title=f"mean of {ROLLING_STEPS} steps")


def has_screen():
    """Whether Matplotlib can open windows here."""
    import matplotlib.pyplot as plt

    return plt.get_backend().lower() != "agg"


@styled
def show(net, history, tests, baselines):
    """Open windows with the plots of a run until the user closes them."""
    import matplotlib.pyplot as plt

    if not has_screen():
        print("no screen to show the plots on")
        return
    with plt.ion():
        plot_history(history, tests, baselines=baselines)
        net.plot_cost()
    plt.show()


@contextmanager
def _axes(columns, path):
    """Yield the axes of a new figure; then save it and its columns, or show it in a window."""
    with _style():
        if path is None:
            import matplotlib.pyplot as plt

            figure = plt.figure()
        else:
            figure = new_figure()
        axes = figure.add_subplot()
        yield axes
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

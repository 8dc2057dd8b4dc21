"""The figures of a run: their curves, and that a paper can take them."""

from itertools import combinations
from unittest import mock

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from ddlo import plots
from ddlo.baselines import LABELS
from ddlo.plots import plot_history, plot_training_cost, styled
from memory import MemoryDNN

from ..conftest import check_figure

SIZES = "axes.labelsize xtick.labelsize ytick.labelsize legend.fontsize legend.title_fontsize"


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    saved, save = [], plots.save
    monkeypatch.setattr(plots, "save", lambda *call: saved.append(call[0]) or save(*call))
    return saved


@styled
def texts(figure):
    """Return the texts that a figure shows; those outside the limits of an axis do not count."""
    found, show = [], Text.draw

    def record(text, renderer):
        if text.get_visible() and text.get_text().strip():
            found.append(text)
        show(text, renderer)

    with mock.patch.object(Text, "draw", record):
        FigureCanvasAgg(figure).draw()
    return found


@styled
def check_readable(figure):
    """Check that texts and legends hide nothing, and that all fonts are the style's."""
    words = texts(figure)
    style = matplotlib.rc_params_from_file(plots.STYLE)
    assert {word.get_fontsize() for word in words} <= {style[name] for name in SIZES.split()}
    assert {word.get_fontfamily()[0] for word in words} == set(style["font.family"])
    assert figure.get_figwidth() == style["figure.figsize"][0]
    boxes = [(word.get_window_extent(), word.get_text()) for word in words]
    for box, text in boxes:
        assert 0 <= box.x0 and box.x1 <= figure.bbox.x1, text
        assert 0 <= box.y0 and box.y1 <= figure.bbox.y1, text
    for (box, text), (other_box, other_text) in combinations(boxes, 2):
        assert not box.overlaps(other_box), (text, other_text)
    for axes in figure.axes:
        assert axes.get_legend() is None
        place = axes.get_window_extent()
        assert not any(place.overlaps(each.get_window_extent()) for each in figure.legends)


def columns(path):
    return np.genfromtxt(path, delimiter=",", names=True, deletechars="")


@pytest.mark.parametrize("frames", [1, 200])
def test_gain_ratio_plot(tmp_path, figures, frames):
    ratio = np.random.default_rng(0).uniform(0.5, 1, frames)
    plot_history({"gain_ratio": ratio}, max(1, frames // 5), tmp_path)
    check_figure(tmp_path / "gain_ratio")
    (axes,) = figures[0].axes
    mean, boundary = axes.lines
    windows = [ratio[max(0, i - 59) : i + 1] for i in range(frames)]
    np.testing.assert_allclose(mean.get_ydata(), [window.mean() for window in windows])
    np.testing.assert_array_equal(mean.get_xdata(), np.arange(1, frames + 1))
    assert boundary.get_xdata()[0] == frames - max(1, frames // 5) + 0.5
    corners = axes.collections[0].get_paths()[0].vertices  # of the band
    for i, window in enumerate(windows):
        at_frame = corners[corners[:, 0] == i + 1, 1]
        assert at_frame.min() == window.min() and at_frame.max() == window.max()


def test_data_of_the_gain_ratio_plot(tmp_path, figures):
    frames = 2500  # of which not every one is drawn
    random = np.random.default_rng(0)
    ratio, Q = random.uniform(0.5, 1, frames), random.uniform(600, 700, frames)
    plot_history({"gain_ratio": ratio}, 500, tmp_path, dict.fromkeys(LABELS, Q))
    data = columns(tmp_path / "gain_ratio.csv")
    frame = data["time_frame"].astype(int)
    assert frame[0] == 1 and frame[-1] == frames and len(frame) == 1000
    for i, row in zip(frame, data):
        window = slice(max(0, i - 60), i)
        low, high = ratio[window].min(), ratio[window].max()
        expected = [i, ratio[window].mean(), low, high, *[Q[window].mean()] * len(LABELS)]
        np.testing.assert_allclose(list(row), expected, rtol=1e-5)
    check_readable(figures[0])
    labels = [text.get_text() for text in texts(figures[0])]
    assert {*LABELS.values(), "test begins"} <= {*labels}


@pytest.mark.parametrize("net_num", [1, 3, 10])
@pytest.mark.parametrize("steps", [0, 70])
def test_training_cost_plot(tmp_path, figures, net_num, steps):
    costs = np.random.default_rng(0).uniform(0.1, 1, (net_num, steps))
    plot_training_cost(costs.tolist(), str(tmp_path / "cost"))
    check_figure(tmp_path / "cost")
    (axes,) = figures[0].axes
    for cost, mean, raw in zip(costs, axes.lines[::2], axes.lines[1::2], strict=True):
        expected = [cost[max(0, i - 19) : i + 1].mean() for i in range(steps)]
        np.testing.assert_allclose(mean.get_ydata(), expected)
        np.testing.assert_array_equal(raw.get_ydata(), cost)
    check_readable(figures[0])
    styles = {str(line._dash_pattern) for line in axes.lines[::2]}
    has_legend = len(figures[0].legends) == 1
    assert has_legend == (net_num < 10) and (len(styles) == net_num or not has_legend)
    header = (tmp_path / "cost.csv").read_text().splitlines()[0]
    assert header.split(",") == ["training_step", *(f"DNN {k + 1}" for k in range(net_num))]
    if steps:
        last = columns(tmp_path / "cost.csv")[f"DNN_{net_num}"]
        np.testing.assert_allclose(last, expected, rtol=1e-5)


def test_style_does_not_change_other_figures(tmp_path):
    before = dict(matplotlib.rcParams)
    MemoryDNN([4, 5, 4], 2, seed=0).plot_cost(tmp_path / "cost")
    assert dict(matplotlib.rcParams) == before

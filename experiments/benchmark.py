"""How fast it all is: measured in one run on one machine, with checks that fast is not wrong.

python -m experiments.benchmark                        all parts, some 20 minutes
python -m experiments.benchmark --only loop latency
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from ddlo import checks
from ddlo.command_line import command_line
from ddlo.files import output_folder, write_json
from ddlo.plots import new_figure, save, styled
from ddlo.report import versions, versions_text

from .execution import machine

# Names of measure.PARTS, which takes longer to import, and what they show.
PARTS = {
    "loop": "The loop over the frames, 3 x 3, for different numbers of DNNs",
    "growth": "How the cost of the loop grows",
    "latency": "Deciding with a trained DDLO: decode, score, pick",
    "utility": "Utilities of 3 x 3 tasks",
    "wpmec": "The loop over the frames on WPMEC, 10 devices and 10 DNNs",
    "startup": "What `python main.py` does, step by step and as a whole",
    "long": "Whole commands on few and on many frames and lines, once each",
    "sweep": "The convergence sweeps in one process and in two",
}
GROWS = {
    "net_num": "DNNs",
    "tasks": "Tasks in all, 3 of each user",
    "hidden": "Neurons of the first hidden layer (the second has two thirds)",
    "frames": "Time frames",
}


@dataclass
class Options:
    """Measure how fast it all is; print tables, and write them and the plots of growth."""

    only: tuple[Literal[tuple(PARTS)], ...] = ()  # parts; all of them if none is given
    repeats: int = 3  # of each measurement, whose median and range are reported
    quick: bool = False  # less of everything, to see that it works
    device: str | None = None  # CPU, GPU or GPU:1, for example; TensorFlow's choice if not given
    out: Path = Path("results/benchmark")  # output folder; other files in it stay


def main(options):
    """Measure the parts that the options ask for.

    Raises
    ------
    ValueError
        If an option is out of its range, or a part did not do what it should: the others are
        reported.
    OSError
        If a file cannot be written.
    """
    o = options
    checks.integer("repeats", o.repeats)
    from ddlo.backend import use_device

    from . import measure

    device = use_device(o.device)
    rows, wrong = {}, {}
    names = [name for name in PARTS if name in o.only or not o.only]
    bar = tqdm(names, disable=None, bar_format="{n_fmt} of {total_fmt} parts, {elapsed}{postfix}")
    with output_folder(o.out) as folder:
        for name in bar:
            bar.set_postfix_str(name)
            try:
                rows[name] = measure.PARTS[name](1 if o.quick else o.repeats, o.quick)
            except measure.WrongResult as error:
                wrong[name] = str(error)
        about = {
            "command": " ".join(["python -m experiments.benchmark", *sys.argv[1:]]),
            "machine": machine(),
            "device": device,
            **versions(),
            "repeats": 1 if o.quick else o.repeats,
            "wrong": wrong,
        }
        for what in dict.fromkeys(row["grows"] for row in rows.get("growth", [])):
            save_growth(what, [row for row in rows["growth"] if row["grows"] == what], folder)
        write_json(folder / "benchmark.json", {"about": about} | rows)
        text = markdown(about, rows)
        (folder / "benchmark.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"tables and plots: {o.out}/")
    if wrong:
        raise ValueError("; ".join(f"{name} is not reported: {why}" for name, why in wrong.items()))


def plot(what, rows):
    """Return a log-log plot of the seconds of runs against what grows, and of pure arithmetic."""
    from matplotlib.ticker import NullFormatter

    from .drawing import log_axis

    x = [row["value"][0] if what == "hidden" else row["value"] for row in rows]
    seconds, low, high = (
        [row[name] for row in rows] for name in ("seconds", "seconds_least", "seconds_most")
    )
    figure = new_figure(2.6)
    axes = figure.add_subplot()
    axes.fill_between(x, low, high, alpha=0.2, linewidth=0)
    axes.plot(x, seconds, "o-", label="measured, and the range of repeats")
    arithmetic = [row["arithmetic_seconds"] for row in rows]
    axes.plot(x, arithmetic, "k--", label="matrix products alone, at one core's rate")
    axes.set(xscale="log", xlabel=GROWS[what])
    frames = "" if what == "frames" else f" for {rows[0]['frames']:,} time frames"
    axes.set_ylabel(f"Time{frames} (s)")
    axes.set_xticks(x, [f"{value:,}" for value in x])
    axes.xaxis.set_minor_formatter(NullFormatter())
    log_axis(axes.yaxis)
    axes.legend()
    return figure


@styled
def save_growth(what, rows, folder):
    """Write the plot of what grows, and its rows as CSV."""
    import pandas as pd

    save(plot(what, rows), folder / f"growth_{what}")
    pd.DataFrame(rows).to_csv(folder / f"growth_{what}.csv", index=False)


def markdown(about, rows):
    """Return what is in benchmark.json as a page of tables."""
    from .results import markdown_table

    origin = (
        f"From `{about['command']}` on {about['machine']}, TensorFlow on {about['device']}, medians of "
        f"{about['repeats']} repeats. Versions: {versions_text(about['versions'])}."
    )
    lines = [
        "# Benchmark",
        "",
        origin,
        "",
    ]
    lines += [f"**Not reported:** {name}: {why}" for name, why in about["wrong"].items()]
    for part, of_part in rows.items():
        names = list(dict.fromkeys(key for row in of_part for key in row))
        cells = [[_cell(name, row.get(name)) for name in names] for row in of_part]
        lines += [f"## {PARTS[part]}", "", *markdown_table(names, cells), ""]
    return "\n".join(lines)


def _cell(name, value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if name == "mean_gain_ratio" else f"{value:.3g}"
    if name in ("frames", "lines", "utilities") or (name == "value" and isinstance(value, int)):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


if __name__ == "__main__":
    command_line(main, Options)

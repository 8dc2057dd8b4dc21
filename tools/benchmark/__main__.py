"""Measure the speed of the package on one machine.

python -m tools.benchmark                        all parts, some 15 minutes
python -m tools.benchmark --only loop latency
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from ddlo import checks
from ddlo.command_line import command_line
from ddlo.files import output_folder, write_json
from ddlo.plots import new_figure, save, styled
from ddlo.report import versions, versions_text
from experiments.execution import machine
from experiments.plots import log_axis
from experiments.tables import markdown_table

from .parts import GROWTH, PARTS


@dataclass
class Options:
    """Measure the speed of the package; print tables, and write them and the plots of growth."""

    only: tuple[Literal[tuple(PARTS)], ...] = ()  # parts; default: all of them
    repeats: int = 3  # of each measurement; the median and the range are reported
    quick: bool = False  # less of everything, once, to see that it works
    device: str | None = None  # CPU, GPU, GPU:1, ...; default: TensorFlow's choice
    out: Path = Path("results/benchmark")  # output folder; other files in it stay


def main(options):
    """Measure parts and report them all, or raise ValueError if a gain ratio is wrong."""
    o, rows = options, {}
    repeats = 1 if o.quick else checks.integer("repeats", o.repeats)
    from ddlo.backend import use_device

    about = {"command": " ".join(["python -m tools.benchmark", *sys.argv[1:]])}
    about |= {"machine": machine(), "device": use_device(o.device), "repeats": repeats} | versions()
    with output_folder(o.out) as folder:
        for name in tqdm([name for name in PARTS if name in o.only or not o.only], disable=None):
            rows[name] = list(PARTS[name](repeats, o.quick))
        for grows, group in pd.DataFrame(rows.get("growth", {"grows": []})).groupby("grows"):
            plot(grows, group, folder / f"growth_{grows}")
        write_json(folder / "benchmark.json", {"about": about} | rows)
        page = markdown(about, rows)
        (folder / "benchmark.md").write_text(page, encoding="utf-8")
    print(f"{page}\ntables and plots: {o.out}/")


@styled
def plot(grows, rows, path):
    """Plot the time of runs and of their arithmetic alone; save the plot and the rows as CSV."""
    x = [np.ravel(value)[0] for value in rows.value]
    figure = new_figure()
    axes = figure.add_subplot()
    axes.fill_between(x, rows.seconds_least, rows.seconds_most, alpha=0.2, linewidth=0)
    axes.plot(x, rows.seconds, "o-", label="measured, and the range of repeats")
    label = "matrix products alone, at one core's rate"
    axes.plot(x, rows.arithmetic_seconds, "k--", label=label)
    frames = "" if grows == "frames" else f" for {rows.frames.iloc[0]:,} time frames"
    axes.set(xlabel=GROWTH[grows][0], ylabel=f"Time{frames} (s)")
    log_axis(axes.xaxis)
    log_axis(axes.yaxis)
    axes.set_xticks(x, [f"{value:,}" for value in x])
    axes.legend()
    save(figure, path)
    rows.dropna(axis=1).to_csv(f"{path}.csv", index=False)


def markdown(about, rows):
    """Return the content of benchmark.json as a page of tables."""
    origin = (
        f"From `{about['command']}` on {about['machine']}, TensorFlow on {about['device']}, medians of "
        f"{about['repeats']} repeats. Versions: {versions_text(about['versions'])}."
    )
    lines = ["# Benchmark", "", origin, ""]
    for part, table in rows.items():
        names = list(dict.fromkeys(name for row in table for name in row))
        cells = [[text(name, row.get(name, "-")) for name in names] for row in table]
        lines += [f"## {PARTS[part].__doc__}", "", *markdown_table(names, cells), ""]
    return "\n".join(lines)


def text(name, value):
    """Return a cell of a table."""
    if isinstance(value, float):
        return f"{value:.4f}" if name == "mean_gain_ratio" else f"{value:.3g}"
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else ", ".join(map(str, value))


if __name__ == "__main__":
    command_line(main, Options)

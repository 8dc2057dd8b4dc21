"""The paper's experiments and ours: all figures and tables, with error bars, from one command.

python -m experiments.figures                     all of them; an interrupted suite resumes
python -m experiments.figures --quick             fewer and shorter runs, to see that it works
python -m experiments.figures --only net_num schemes
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from ddlo import checks
from ddlo.command_line import command_line
from ddlo.files import output_folder
from ddlo.plots import save, styled
from ddlo.report import package_versions, versions_text

from .engine import Store, run_all
from .suite import EXPERIMENTS

RUNS = Path("results/runs")  # finished runs, of all experiments and output folders
MOST_SEEDS = 1000  # all of whose runs are listed in some seconds


@dataclass
class Options:
    """Run the experiments; write their plots, tables and data."""

    only: tuple[Literal[tuple(EXPERIMENTS)], ...] = ()  # experiments; default: all of them
    seeds: int = 5  # runs of each setting that learns or is random, with seeds from 0
    frames: int = 20000  # time frames of a run; the last fifth, at most 4000, are test frames
    quick: bool = False  # 2 seeds and 2000 frames at most, and fewer settings
    out: Path = Path("results/figures")  # output folder; other files in it stay
    processes: int | None = None  # runs at a time on this machine; default: one on each core
    scheduler: str | None = None  # address of a Dask cluster's scheduler, to run them there


def main(options):
    """Run the experiments that the options ask for.

    Raises
    ------
    ValueError
        If an option is out of its range, or the data set not as expected.
    OSError
        If the Dask cluster cannot be reached, or a file cannot be written.
    """
    o = options
    checks.integer("seeds", o.seeds, high=MOST_SEEDS)
    checks.integer("frames", o.frames)
    if o.processes is not None:
        checks.integer("processes", o.processes)
    seeds, frames = (min(o.seeds, 2), min(o.frames, 2000)) if o.quick else (o.seeds, o.frames)
    chosen = {}
    for name, experiment in EXPERIMENTS.items():
        if name in o.only or not o.only:
            chosen[name] = (o.quick and experiment.quick) or experiment.settings
    runs = {
        run: None
        for settings in chosen.values()
        for setting in settings
        for run in setting.runs(frames, seeds)
    }
    store = Store(RUNS)
    with output_folder(o.out) as folder:
        try:
            done, failed = run_all(list(runs), store, o.processes, o.scheduler)
        except KeyboardInterrupt:
            stored = sum(run in store for run in runs)
            print(f"{stored} of {len(runs)} runs are in {RUNS}/, from where the next suite resumes")
            raise
        if len(failed) == len(runs):
            raise ValueError(f"all {len(failed)} runs failed")
        write_results(folder, chosen, frames, seeds, store, failed)
    before = len(runs) - len(failed) - done
    print(f"{before + done} runs, {before} of them done before; plots and tables: {o.out}/")
    if failed:
        sys.exit(f"{len(failed)} of {len(runs)} runs failed, see {o.out}/results.md")


@styled
def write_results(folder, chosen, frames, seeds, store, failed):
    """Write plots, their data and tables of experiments, lists of settings by name."""
    from . import results  # takes longer to import than the rest

    table = results.table(chosen, frames, seeds, store, failed)
    table.to_csv(folder / "results.csv", index=False)
    for name, settings in tqdm(chosen.items(), "plots", disable=None):
        rows = results.summary(table[table.experiment == name])
        rows = rows[rows.seeds > 0]
        if not len(rows):
            continue

        def curves(array, settings=settings):
            """Return an array of `execution.execute` of all seeds, by the labels of what learns."""
            of_settings = {}
            for setting in settings:
                done = [run for run in setting.runs(frames, seeds) if run not in failed]
                if done and setting.run.learns:
                    of_settings[setting.label] = [store.load(run)[1][array] for run in done]
            return of_settings

        rows.attrs["across"] = EXPERIMENTS[name].across
        figure, data = EXPERIMENTS[name].plot(rows, curves)
        save(figure, folder / name)
        data.to_csv(folder / f"{name}.csv", index=False)
    about = (
        f"From `{' '.join(['python -m experiments.figures', *sys.argv[1:]])}`: {frames} time frames per "
        f"run, {seeds} seeds where something learns or is random. Numbers are means over the test "
        f"frames, the last {int(table.test_frames.max())}, ± half-width of the 95 % confidence "
        "interval over seeds (Student's t). Times are of one core while other runs use the others. "
        f"Versions: {versions_text(package_versions())}. "
        f"Machine: {'; '.join(sorted(set(table.machine.dropna())))}."
    )
    (folder / "results.md").write_text(results.page(table, about), encoding="utf-8")


if __name__ == "__main__":
    command_line(main, Options)

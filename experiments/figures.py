"""The paper's experiments and others: all figures and tables, with confidence intervals.

python -m experiments.figures                     all of them; an interrupted suite resumes
python -m experiments.figures --quick             fewer and shorter runs, to see that it works
python -m experiments.figures --only net_num schemes
python -m experiments.figures --sweep net_num 1 2 4 --seeds 3
"""

import multiprocessing
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from ddlo import checks
from ddlo.command_line import ALIASES, command, command_line
from ddlo.files import output_folder
from ddlo.plots import save, styled
from ddlo.report import package_versions, versions_text
from main import Parameters

from .engine import Store, run_all
from .runs import make_ddlo
from .suite import EXPERIMENTS, sweep

RUNS = Path("results/runs")  # finished runs, of all experiments and output folders


@dataclass
class Options:
    """Run the experiments; write their plots, tables and data."""

    only: tuple[Literal[tuple(EXPERIMENTS)], ...] = ()  # experiments; default: all of them
    sweep: tuple[str, ...] | None = None  # vary this parameter of main.py over these values instead
    seeds: int = 5  # of each setting that learns or is random; five times as many of a single DNN
    frames: int = 20000  # time frames of a run; the last fifth, at most 4000, are test frames
    quick: bool = False  # 2 seeds and 2000 frames at most, and fewer values
    out: Path = Path("results/figures")  # output folder; other files in it stay
    processes: int | None = None  # runs at a time on this machine; default: one per core
    scheduler: str | None = None  # address of a Dask scheduler, to run them on its cluster


def main(options):
    """Run the experiments of the options, as `run_suite`. Raises ValueError and OSError."""
    o = options
    chosen = {name: EXPERIMENTS[name] for name in o.only or EXPERIMENTS}
    if o.sweep is not None:
        if o.only or len(o.sweep) < 2:
            raise ValueError("--sweep needs a parameter and its values, without --only")
        name, *texts = o.sweep
        name = ALIASES.get(name, name).replace("-", "_")
        kind = {each.name: each.type for each in fields(Parameters)}.get(name)
        if kind not in (int, float) or name == "frames":
            raise ValueError(f"a sweep needs a parameter of main.py that is a number, got {name}")
        chosen = {name: sweep(name, tuple(dict.fromkeys(map(kind, texts))))}
    run_suite(chosen, o.seeds, o.frames, o.out, o.quick, o.processes, o.scheduler)


def run_suite(
    experiments, seeds=5, frames=20000, out=Options.out, quick=False, processes=None, scheduler=None
):
    """Run experiments, a dict by name; write results.csv, results.md and a figure of each to `out`.

    The other parameters are those of Options. Returns the DataFrame in results.csv. Raises ValueError
    for a parameter out of range or if all runs fail, OSError if a file cannot be written or the cluster
    is lost, SystemExit if some runs fail.
    """
    if multiprocessing.parent_process():
        sys.exit('call run_suite below `if __name__ == "__main__":`, as workers import the script')
    checks.integer("seeds", seeds, high=1000)
    checks.integer("frames", frames)
    if processes is not None:
        checks.integer("processes", processes)
    seeds, frames = (min(seeds, 2), min(frames, 2000)) if quick else (seeds, frames)
    suite = {name: each.rows(frames, seeds, quick) for name, each in experiments.items()}
    runs = list(dict.fromkeys(run for rows in suite.values() for *_, runs in rows for run in runs))
    for run in runs:
        if run.learns and run.seed == 0:
            make_ddlo(run)  # refuses bad parameters
    store = Store(RUNS)
    with output_folder(out) as folder:
        try:
            done, failed = run_all(runs, store, processes, scheduler)
        except KeyboardInterrupt:
            print(f"finished runs are in {RUNS}/; the next suite resumes there")
            raise
        if len(failed) == len(runs):
            raise ValueError(f"all {len(failed)} runs failed")
        results = failed | {run: store.load(run)[0] for run in runs if run not in failed}
        about = (
            f"From `{' '.join([command(), *sys.argv[1:]])}`: {frames} time frames per run, seeds 0 to {seeds - 1} of all that "
            "learns or is random, and more of a single DNN where a table says so."
        )
        table = write_results(folder, experiments, suite, results, store, about)
    before = len(runs) - len(failed) - done
    print(f"{before + done} runs, {before} of them done before; plots and tables: {out}/")
    if failed:
        sys.exit(f"{len(failed)} of {len(runs)} runs failed, see {out}/results.md")
    return table


@styled
def write_results(folder, experiments, suite, results, store, about):
    """Write tables and plots of the experiments, with these rows by name; return the table of runs."""
    from . import tables  # pandas and SciPy take longer to import than the rest

    table = tables.table(suite, results)
    table.to_csv(folder / "results.csv", index=False, float_format="%.10g")
    for name, experiment in tqdm(experiments.items(), "plots", disable=None):
        rows = tables.summary(table[table.experiment == name])
        rows = rows[rows.seeds > 0]
        if not len(rows):
            continue

        def curves(array, name=name):
            """Return an array of `execution.execute` of all seeds, by the labels of what learns."""
            found = {}
            for label, _, runs in suite[name]:
                done = [run for run in runs if run.learns and not isinstance(results[run], str)]
                if done:
                    found[label] = np.array([store.load(run)[1][array] for run in done], float)
            return found

        rows.attrs["across"] = experiment.across
        figure, data = experiment.plot(rows, curves)
        save(figure, folder / name)
        data.to_csv(folder / f"{name}.csv", index=False)
    about += (
        f" Numbers are means over the test frames, the last {int(table.test_frames.max())}, ± "
        "half-width of the 95 % confidence interval over seeds (Student's t). Times are of one core "
        f"while other runs use the others. Versions: {versions_text(package_versions())}. "
        f"Machine: {'; '.join(sorted(set(table.machine.dropna())))}."
    )
    page = tables.page(experiments, table, about)
    (folder / "results.md").write_text(page, encoding="utf-8")
    return table


if __name__ == "__main__":
    command_line(main, Options)

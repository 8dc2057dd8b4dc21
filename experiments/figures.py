"""The paper's experiments: all figures and claims, with error bars, from one command.

python -m experiments.figures                     all of them; an interrupted suite goes on
python -m experiments.figures --quick             fewer and shorter runs, to see that it works
python -m experiments.figures --only net_num schemes
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from main import command_line, output_folder, versions, write_json

from .parallel import run_all
from .settings import EXPERIMENTS, settings
from .store import RunStore

RUNS = Path("results/runs")  # finished runs, of all experiments and output folders


@dataclass
class Options:
    """Run the paper's experiments; write their plots, and tables of all numbers."""

    only: tuple[Literal[tuple(EXPERIMENTS)], ...] = ()  # experiments; all of them if none is given
    seeds: int = 5  # runs of each setting that learns or is random, with seeds from 0
    frames: int = 20000  # time frames of a run; the test are the last fifth, 4000 at most
    quick: bool = False  # 2 seeds and 2000 frames at most, and fewer networks
    out: Path = Path("results/figures")  # output folder; other files in it stay
    processes: int | None = None  # runs at a time on this machine; one on each core if not given
    backend: Literal["loky", "dask"] = "loky"  # processes of this machine, or a Dask cluster
    scheduler: str | None = None  # address of the Dask cluster's scheduler


def main(options):
    """Do the experiments that the options ask for.

    Raises
    ------
    ValueError
        If an option is out of its range, the data set not as expected, or Dask missing.
    OSError
        If the Dask cluster cannot be reached, or a file not be written.
    """
    o = options
    for name in ("seeds", "frames", "processes"):
        value = getattr(o, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; a whole number of at least 1 was expected")
    if (o.backend == "dask") != (o.scheduler is not None):
        raise ValueError("--backend dask and --scheduler ADDRESS go together; one is missing")
    if o.out.exists() and not o.out.is_dir():
        raise ValueError(f"{o.out} is a file; a folder to write into was expected")
    seeds, frames = (min(o.seeds, 2), min(o.frames, 2000)) if o.quick else (o.seeds, o.frames)
    chosen = {
        name: settings(name, frames, seeds, o.quick)
        for name in EXPERIMENTS
        if name in o.only or not o.only
    }
    store = RunStore(RUNS)
    runs = [run for of_one in chosen.values() for setting in of_one for run in setting.runs]
    total = len(set(runs))
    with output_folder(o.out) as folder:
        try:
            done, failed = run_all(runs, store, o.processes, o.scheduler)
        except KeyboardInterrupt:
            stored = sum(run in store for run in set(runs))
            print(f"{stored} of {total} runs are in {RUNS}/, where the next suite finds them")
            raise
        about = [store.about(run) for run in set(runs) - set(failed)]
        if not about:
            raise ValueError(f"all {len(failed)} runs failed")
        content = {
            "command": " ".join(["python -m experiments.figures", *sys.argv[1:]]),
            "seeds": seeds,
            "frames": frames,
            "test_frames": max(of_run["test_frames"] for of_run in about),
            "versions": versions(),
            "machines": sorted({of_run["machine"] for of_run in about}),
            "failed": {str(run): error for run, error in failed.items()},
        }
        write_results(folder, chosen, store, content)
    before = total - len(failed) - done
    print(f"{before + done} runs, {before} of them done before; plots and tables: {o.out}/")
    if failed:
        sys.exit(f"{len(failed)} of {total} runs failed, as {o.out}/results.md tells")


def write_results(folder, chosen, store, about):
    """Write plots and tables of experiments, settings by name, from the runs in the store."""
    from . import plots, results, tables  # take longer to import than the rest

    rows = {}
    for name, of_one in tqdm(chosen.items(), "plots", disable=None):
        rows[name] = [results.summarise(name, setting, store) for setting in of_one]
        if any(row["seeds"] for row in rows[name]):
            figure = plots.plot(name, of_one, rows[name], store)
            figure.savefig(folder / f"{name}.png", dpi=150)
            figure.savefig(folder / f"{name}.pdf")
    claims = results.judge(rows, about["frames"], about["seeds"])
    content = about | {"claims": claims, "experiments": rows}
    write_json(folder / "results.json", content)
    (folder / "results.md").write_text(tables.markdown(content), encoding="utf-8")


if __name__ == "__main__":
    command_line(main, Options)

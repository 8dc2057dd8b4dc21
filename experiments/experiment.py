"""What an experiment is: settings that are compared, each some runs, and how they are shown."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from .runs import AnyRun
from .schemes import by_chance


@dataclass(frozen=True)
class Setting:
    """Runs that differ in nothing but their seeds."""

    label: str  # of the line or row that it is
    run: AnyRun  # with seed 0
    value: float | str | None = None  # of the parameter or constant, or the network, that is varied
    fraction: float = 1  # of the frames that it is run for

    def runs(self, frames, seeds):
        """Return its runs: one for each seed, or only one where nothing learns or is random."""
        seeds = seeds if self.run.learns or by_chance(self.run.scheme) else 1
        frames = max(1, int(self.fraction * frames))
        return [replace(self.run, frames=frames, seed=seed) for seed in range(seeds)]


@dataclass(frozen=True)
class Experiment:
    """Settings that are compared, and how they are shown."""

    title: str
    settings: Iterable[Setting]
    plot: Callable  # (rows, curves) -> figure and the data in it, as in plots.py
    metrics: tuple[str, ...]  # of execution.execute and results.FORMATS that tables show
    across: str = ""  # heading of the values, if a table of each metric has a column for each value
    quick: Iterable[Setting] = field(default=())  # the settings of --quick, if they are fewer

"""Generate a data set for DDLO: the published one again, or one of another size.

python -m experiments.generate_data --users 30 --tasks 5 --samples 20000
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ddlo.bandwidth import Sharing, make_network
from ddlo.command_line import command_line
from ddlo.data import PUBLISHED, Data
from ddlo.files import read_csv, read_mat
from MUMT import Constants


@dataclass
class Options(Constants):
    """Generate a data set: task sizes and their optima, in the format of data/README.md.

    The network's constants are those of main.py: give both the same.
    """

    users: int = 3  # N, users
    tasks: int = 3  # M, tasks of each user
    samples: int = 20000  # samples; the first ones are the same for any number of them
    sizes: tuple[float, float] = PUBLISHED  # MB, least and greatest: integers if both are
    seed: int | None = None  # of the sizes; default: the published ones
    task_sizes: Path | None = None  # .csv or .mat with task sizes in MB, in place of these three
    bandwidth: Sharing = "equal"  # how users share the bandwidth: equal or optimal
    uplink: float = 100  # bandwidth of the cell, Mbit/s
    out: Path | None = None  # file; default: below data/, named by what is not the default here
    force: bool = False  # overwrite the file if it exists


def default_path(options):
    """Return data/MUMT_data_NXM.mat, with all else that is not the default at the end of the name."""
    constants = {each.name for each in fields(Constants)}
    name = f"MUMT_data_{options.users}X{options.tasks}"
    for each in sorted(fields(options), key=lambda each: each.name in constants):
        value = getattr(options, each.name)
        if each.name in ("users", "tasks", "samples", "out", "force") or value == each.default:
            continue
        values = [
            value.stem if isinstance(value, Path) else value for value in np.atleast_1d(value)
        ]
        text = "-".join(f"{v:g}" if isinstance(v, float) else f"{v}" for v in values)
        is_plain = each.name in ("bandwidth", "uplink", "task_sizes")
        name += f"_{text}" if is_plain else f"_{each.name}_{text}"
    return Path("data", f"{name}.mat")


def read_sizes(path, tasks):
    """Return the task sizes in a .mat file, its task_size, or a text file: (samples, tasks)."""
    if not path.is_file():
        raise ValueError(f"no file {path} with task sizes")
    if path.suffix != ".mat":
        return read_csv(path, tasks)
    content = read_mat(path)
    if "task_size" not in content:
        raise ValueError(f"{path} must have task_size, got {', '.join(content) or 'nothing'}")
    return content["task_size"]


def main(options):
    """Generate the data set that the options ask for.

    Raises
    ------
    ValueError
        If an option is out of its range, a user has too many tasks, or there are no task sizes where
        they should be.
    FileNotFoundError, FileExistsError
        If there is no folder for the file, or it exists and is not to be overwritten.
    """
    o = options
    network = make_network(o)
    out = o.out or default_path(o)
    if out.is_dir():
        raise ValueError(f"out must be a file to write, got the folder {out}")
    if out.exists() and not o.force:
        raise FileExistsError(f"{out} exists; --force overwrites it")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {out.parent} to write {out.name} to")
    task_size = o.task_sizes and read_sizes(o.task_sizes, o.users * o.tasks)
    data = Data.generate(network, o.samples, o.sizes, o.seed, task_size)
    data.save(out, network)
    samples = len(data.states)
    print(f"{samples} samples for {network.N} users with {network.M} tasks each: {out}")


if __name__ == "__main__":
    command_line(main, Options)

"""Generate a data set for DDLO: the published one again, or one of another size.

python -m tools.generate_data --users 30 --tasks 5 --samples 20000
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ddlo.bandwidth import Sharing, make_network
from ddlo.command_line import command_line, counted
from ddlo.data import PUBLISHED, Data, rows
from ddlo.files import open_lines, parse_sizes, read_mat
from MUMT import Constants


@dataclass
class Options(Constants):
    """Generate a data set: task sizes and their optima, in the format of data/README.md.

    The network's constants are those of main.py: give both the same. A first line 0,1,2,... of a CSV
    file, which pandas writes by default, is a header.
    """

    users: int = 3  # N, users
    tasks: int = 3  # M, tasks of each user
    samples: int = 20000  # samples; the first ones are the same for any number of them
    sizes: tuple[float, float] = PUBLISHED  # range in MB; two integers give integers
    seed: int | None = None  # of the sizes; default: the published ones
    task_sizes: Path | None = None  # CSV, .npy or .mat that replaces samples, sizes, seed
    bandwidth: Sharing = "equal"  # how users share the bandwidth: equal or optimal
    uplink: float = 100  # bandwidth of the cell, Mbit/s
    out: Path | None = None  # file; default: below data/, named after the non-default options
    force: bool = False  # overwrite the file if it exists


def default_path(options):
    """Return data/MUMT_data_NXM.mat, with all else that is not the default at the end of the name."""
    name = f"MUMT_data_{options.users}X{options.tasks}"
    for each in fields(options):
        key, value = each.name, getattr(options, each.name)
        is_default = np.array_equal(value, each.default)
        if is_default or key in ("users", "tasks", "out", "force"):
            continue
        values = [Path(value).stem] if key == "task_sizes" else np.ravel(value).tolist()
        text = "-".join(f"{v:g}" if isinstance(v, float) else f"{v}" for v in values)
        name += f"_{text}" if key in ("bandwidth", "task_sizes") else f"_{key}_{text}"
    return Path("data", f"{name}.mat")


def read_sizes(path, tasks):
    """Return the task sizes (samples, tasks) in a file; raise ValueError or FileNotFoundError."""
    if path.suffix.lower() == ".mat":
        content = read_mat(path)
        if "task_size" not in content:
            raise ValueError(f"{path} must have task_size, got {', '.join(content) or 'nothing'}")
        return rows(content["task_size"], tasks)
    with open_lines(path, tasks) as lines:
        found = [parse_sizes(line, tasks, number) for number, line in enumerate(lines, start=1)]
    if not any(found):
        raise ValueError(f"{path} must have lines of {tasks} task sizes, got none")
    return np.array([sizes for sizes in found if sizes])


def main(options):
    """Write the data set, whole or not at all; raise ValueError or OSError for invalid options."""
    o, network = options, make_network(options)
    out = Path(o.out or default_path(o))
    if out.is_dir() or not out.parent.is_dir():
        raise ValueError(f"out must be a file in an existing folder, got {out}")
    if out.exists() and not o.force:
        raise FileExistsError(f"{out} exists; --force overwrites it")
    states = o.task_sizes and read_sizes(Path(o.task_sizes), network.N * network.M)
    data = Data.generate(network, o.samples, o.sizes, o.seed, states)
    data.save(out, network)
    print(f"{counted(len(data.states), 'sample')} for {network}: {out}")


if __name__ == "__main__":
    command_line(main, Options)

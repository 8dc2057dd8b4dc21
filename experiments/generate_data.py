"""Generate a data set for DDLO: the published one again, or one of another size.

python -m experiments.generate_data --users 30 --tasks 5 --samples 20000
"""

from dataclasses import dataclass
from pathlib import Path

from ddlo import checks
from ddlo.bandwidth import Sharing, make_network
from ddlo.command_line import command_line
from ddlo.dataset import generate, save_data


@dataclass
class Options:
    """Generate a data set: task sizes and their optima, in the format of data/README.md."""

    users: int = 3  # N, users
    tasks: int = 3  # M, tasks of each user
    samples: int = 20000  # samples; the first ones are the same for any number of them
    bandwidth: Sharing = "equal"  # how users share the bandwidth: equal or optimal
    uplink: float = 100  # bandwidth of the cell, Mbit/s
    out: Path | None = None  # file; default: data/MUMT_data_NXM[_optimal][_UPLINK].mat
    force: bool = False  # overwrite the file if it exists


def main(options):
    """Generate the data set that the options ask for.

    Raises
    ------
    ValueError
        If an option is out of its range, or a user has too many tasks.
    FileExistsError
        If the file exists and is not to be overwritten.
    """
    o = options
    network = make_network(o.users, o.tasks, o.bandwidth, o.uplink)
    checks.integer("samples", o.samples)
    parts = [f"MUMT_data_{o.users}X{o.tasks}"]
    parts += [o.bandwidth] * (o.bandwidth != Options.bandwidth)
    parts += [f"{o.uplink:g}"] * (o.uplink != Options.uplink)
    out = o.out or Path("data", "_".join(parts) + ".mat")
    if out.is_dir():
        raise ValueError(f"out must be a file to write, got the folder {out}")
    if out.exists() and not o.force:
        raise FileExistsError(f"{out} exists; --force overwrites it")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent} to write {out.name} to")
    save_data(out, generate(network, o.samples))
    print(f"{o.samples} samples for {network.N} users with {network.M} tasks each: {out}")


if __name__ == "__main__":
    command_line(main, Options)

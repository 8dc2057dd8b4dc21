"""Make a data set for DDLO from nothing, the published one or one of another size.

python -m experiments.generate_data --users 30 --tasks 5 --samples 20000
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from main import command_line
from MUMT import BANDWIDTHS, ENUMERATED_TASKS, MUMT, all_decisions, has_mumts_Q


@dataclass
class Options:
    """Make a data set: task sizes and their optimum, in the format of data/README.md."""

    users: int = 3  # N, users
    tasks: int = 3  # M, tasks of each user
    samples: int = 20000  # samples; the first ones are the same for any number of them
    bandwidth: Literal[BANDWIDTHS] = "equal"  # how users share the bandwidth: equal or optimal
    uplink: float = 100  # bandwidth of the cell, Mbit/s
    out: Path | None = None  # file to write; data/MUMT_data_NXM[_optimal][_UPLINK].mat if not given
    force: bool = False  # overwrite the file if it is there


def task_sizes(samples, users, tasks):
    """Return the task sizes in MB of the samples with these numbers: int32 (len(samples), N*M).

    Sample i is what RandomState(i).randint(10, 31) draws, user by user: found to be true of all the
    published samples. NumPy has frozen RandomState, so that it is the same everywhere.
    """
    random = np.random.RandomState()
    sizes = np.empty((len(samples), users * tasks), np.int32)
    for row, sample in enumerate(samples):
        random.seed(sample)
        sizes[row] = random.randint(10, 31, size=users * tasks)
    return sizes


def generate(network, samples):
    """Return a data set of so many samples for the network, as a dict of what is in its file.

    task_size int32 (samples, N*M), gain_min float64 (1, samples), gain_mode int32 (samples, N*M);
    and bandwidth if it is not shared as published. The network is a MUMT, or another object with N, M
    and compute_Q: ValueError if it has more than 12 tasks in all, and no `optimum` of its own.
    """
    data = {
        "task_size": np.empty((samples, network.N * network.M), np.int32),
        "gain_min": np.empty((1, samples)),
        "gain_mode": np.empty((samples, network.N * network.M), np.int32),
    }
    with tqdm(total=samples, unit=" samples", disable=None) as bar:
        for start in range(0, samples, 500):
            part = range(samples)[start : start + 500]
            now = slice(part.start, part.stop)
            data["task_size"][now] = task_sizes(part, network.N, network.M)
            best = least_utility(network, data["task_size"][now])
            data["gain_min"][0, now], data["gain_mode"][now] = best
            bar.update(len(part))
    if isinstance(network, MUMT) and network.bandwidth != MUMT.bandwidth:
        data["bandwidth"] = network.bandwidth
    return data


def least_utility(network, task_size):
    """Return the least utility (B,) of task sizes (B, N*M), and a decision (B, N*M) with it.

    Where the optimum is out of reach, this is its lower bound, with a decision near it.
    """
    is_mumts = getattr(type(network), "optimum", None) is MUMT.optimum
    if is_mumts and has_mumts_Q(network) and not network.exact:
        return network.lower_bound(task_size), network.decide_by_price(task_size)
    if hasattr(network, "optimum") and (not is_mumts or has_mumts_Q(network)):
        return network.optimum(task_size)
    if task_size.shape[1] > ENUMERATED_TASKS:
        raise ValueError(
            f"{type(network).__name__} has {task_size.shape[1]} tasks and no method optimum of its "
            f"own; up to {ENUMERATED_TASKS} tasks can be decided in all ways"
        )
    decisions = all_decisions(task_size.shape[1])
    Q = network.compute_Q(task_size, decisions[:, None])
    best = Q.argmin(axis=0)
    return Q.min(axis=0), decisions[best]


def save_data(path, data):
    """Write a data set to a MATLAB v5 file, compressed, whole or not at all."""
    import scipy.io

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        with open(Path(folder, path.name), "wb") as file:
            scipy.io.savemat(file, data, do_compression=True)
        os.replace(file.name, path)


def main(options):
    """Make the data set that the options ask for.

    Raises
    ------
    ValueError
        If an option is out of its range, or there are too many tasks of a user.
    FileExistsError
        If the file is there already and is not to be overwritten.
    """
    network = MUMT(
        options.users,
        options.tasks,
        uplink_bandwidth=options.uplink / 8,
        bandwidth=options.bandwidth,
    )
    if options.samples < 1:
        raise ValueError(f"samples is {options.samples}; at least 1 was expected")
    name = f"MUMT_data_{options.users}X{options.tasks}"
    if options.bandwidth != Options.bandwidth:
        name += f"_{options.bandwidth}"
    if options.uplink != Options.uplink:
        name += f"_{options.uplink:g}"
    out = options.out or Path("data", f"{name}.mat")
    if out.is_dir():
        raise ValueError(f"{out} is a folder; a file to write was expected")
    if out.exists() and not options.force:
        raise FileExistsError(f"{out} is there already; --force overwrites it")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent} to write {out.name} into")
    save_data(out, generate(network, options.samples))
    print(f"{options.samples} samples for {network.N} users with {network.M} tasks each: {out}")


if __name__ == "__main__":
    command_line(main, Options)

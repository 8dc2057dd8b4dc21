"""Decide with a trained DDLO: task sizes in, decisions, utilities and bandwidths out, as CSV.

python -m experiments.decide --model results/ten/model --task-sizes sizes.csv
"""

import csv
import json
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from main import command_line, decide
from MUMT import BANDWIDTHS, MUMT

BLOCK = 1000  # lines of a file that are decided at a time
NO_NUMBER = "no entry is a number"
LARGEST = 1e30  # MB, of which the DNNs still see finite numbers


@dataclass
class Options:
    """Decide time frames with a DDLO that main.py has trained; the frames are not learnt from.

    A line of task sizes is a time frame: the sizes in MB of user 1's tasks, user 2's, and so on. A
    head line and empty lines are passed over. What is printed for it has the line's number, decisions
    x_n_m of user n's task m (1 offload, 0 local), the utility Q in J, and bandwidths c_n in MB/s.
    Lines that are not as expected are told of at the end of their block, and take no others with
    them.
    """

    model: Path  # what main.py has saved; parameters.json beside it tells the network
    task_sizes: Path | None = None  # CSV file; standard input if none is given, line by line
    users: int | None = None  # N, if there is no parameters.json, or another network is meant
    tasks: int | None = None  # M, likewise
    bandwidth: Literal[BANDWIDTHS] | None = None  # likewise
    uplink: float | None = None  # bandwidth of the cell, Mbit/s, likewise


def network_of(options):
    """Return the network that parameters.json, or else the options, tell. Raises ValueError."""
    path = options.model.parent / "parameters.json"
    constants, missing = {}, f"there is no {path}"
    if path.is_file():
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            # An older main.py wrote its parameters only, and had no others of the network.
            constants = saved.get("network") or {"N": saved["users"], "M": saved["tasks"]}
            kind, missing = constants.pop("class", "MUMT"), f"{path} does not tell it"
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            raise ValueError(f"{path} is not what main.py writes: {error!r}") from error
        if kind != "MUMT":
            raise ValueError(
                f"{options.model} was trained for a {kind}, a network of your own; this command "
                "knows MUMT only, and README.md the lines that decide with others"
            )
    given = {"N": options.users, "M": options.tasks, "bandwidth": options.bandwidth}
    if options.uplink is not None:
        given["uplink_bandwidth"] = options.uplink / 8
    constants |= {name: value for name, value in given.items() if value is not None}
    if not {"N", "M"} <= set(constants):
        raise ValueError(f"the network is not known: {missing}; --users and --tasks can tell it")
    try:
        return MUMT(**constants)
    except TypeError as error:
        raise ValueError(f"{path} is not what main.py writes: {error}") from error


def parsed(line, tasks):
    """Return the task sizes in a line, a list of float, or None if it is empty.

    Raises ValueError if there are not so many of them, or one is not a positive number that is
    finite, for the DNNs as well.
    """
    cells = [cell.strip() for cell in next(csv.reader([line]), [])]
    if not any(cells):
        return None
    sizes = []
    for cell in cells:
        try:
            sizes.append(float(cell))
        except ValueError:
            sizes.append(None)
    if all(size is None for size in sizes):
        raise ValueError(NO_NUMBER)
    if len(cells) != tasks:
        raise ValueError(f"{len(cells)} entries; {tasks} task sizes were expected")
    for cell, size in zip(cells, sizes):
        if size is None or not 0 < size <= LARGEST:
            raise ValueError(f"an entry {cell!r}; positive, finite MB were expected")
    return sizes


def checked(block, tasks):
    """Return what is in numbered lines: line numbers, task sizes (B, N*M), and what is wrong."""
    numbers, sizes, wrong = [], [], []
    for number, line in block:
        try:
            of_line = parsed(line, tasks)
        except (ValueError, csv.Error) as error:
            if number > 1 or str(error) != NO_NUMBER:  # a head
                wrong.append(f"line {number}: {error}")
            continue
        if of_line:
            numbers.append(number)
            sizes.append(of_line)
    return numbers, np.array(sizes), wrong


def decided(net, network, numbers, task_size):
    """Return the rows to print for time frames (B, N*M) that have these line numbers."""
    x = decide(net, network, task_size)[1]
    Q, c = network.compute_Q(task_size, x), network.bandwidth_allocation(task_size, x)
    columns = (numbers, x.tolist(), Q.tolist(), c.tolist())
    return [[number, *row, q, *of_users] for number, row, q, of_users in zip(*columns)]


def main(options):
    """Decide the time frames that the options tell; print them, and what is wrong with others.

    Raises
    ------
    ValueError
        If an option is out of its range, the model or its parameters are not main.py's, or, at the
        end, if a line was refused.
    OSError
        If a file cannot be read.
    """
    from memory import MemoryDNN

    net = MemoryDNN.load(options.model)
    network = network_of(options)
    tasks, users = network.N * network.M, range(1, network.N + 1)
    if net.net[0] != tasks or net.net[-1] != tasks:
        raise ValueError(
            f"{options.model} is for {net.net[0]} tasks; {tasks} were expected, for {network.N} "
            f"users with {network.M} tasks each"
        )
    text = {"encoding": "utf-8-sig", "errors": "replace"}  # what is no text spoils its line only
    if options.task_sizes:
        source, size = options.task_sizes.open(**text), BLOCK
    else:
        sys.stdin.reconfigure(**text)
        source, size = nullcontext(sys.stdin), 1
    rows = refused = 0
    # Between lines on a terminal a bar would only disturb.
    bar = tqdm(unit=" lines", disable=True if sys.stdout.isatty() else None)
    with source as lines, bar:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        x = (f"x_{n}_{m}" for n in users for m in range(1, network.M + 1))
        writer.writerow(["line", *x, "Q", *(f"c_{n}" for n in users)])
        numbered = enumerate(lines, start=1)
        while block := list(islice(numbered, size)):
            numbers, task_size, wrong = checked(block, tasks)
            if numbers:
                writer.writerows(decided(net, network, numbers, task_size))
            sys.stdout.flush()
            for message in wrong:
                tqdm.write(message, file=sys.stderr)
            rows, refused = rows + len(numbers), refused + len(wrong)
            bar.update(len(block))
    if refused:
        raise ValueError(f"{refused} of {rows + refused} lines refused")


if __name__ == "__main__":
    command_line(main, Options)

"""Decide with a trained DDLO: task sizes in, decisions, utilities and bandwidths out, as CSV.

python -m experiments.decide --model results/ten/model --task-sizes sizes.csv
"""

import csv
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ddlo import checks
from ddlo.bandwidth import NETWORKS, Sharing
from ddlo.command_line import command_line
from ddlo.files import NotANumber, parse_sizes
from main import DDLO

BLOCK = 1000  # lines of a file that are decided at a time


@dataclass
class Options:
    """Decide time frames with a DDLO that main.py has trained, without learning from them.

    A line of task sizes is a time frame: the sizes in MB of user 1's tasks, user 2's, and so on,
    separated by commas, semicolons, tabs or blanks; 0 is no task. For each line its number is printed,
    decisions x_n_m of user n's task m (1 offload, 0 local), the utility Q in J, and bandwidths c_n in
    MB/s. Bad lines are reported at the end of their block, and the others processed. A header, a first
    line without any number, and empty lines are skipped.
    """

    model: Path  # what main.py has saved; parameters.json beside it describes the network
    task_sizes: Path | None = None  # CSV file; default: standard input, line by line
    users: int | None = None  # N, if there is no parameters.json, or another network is meant
    tasks: int | None = None  # M, likewise
    bandwidth: Sharing | None = None  # likewise
    uplink: float | None = None  # bandwidth of the cell, Mbit/s, likewise


def saved_network(options):
    """Return the network of a saved run, and whether to recombine: from parameters.json and options.

    Raises ValueError if the file is not from main.py, or the network is not known.
    """
    from ddlo.checkpoint import saved_run

    o, path = options, options.model.parent / "parameters.json"
    saved = saved_run(o.model)
    constants = dict(saved.get("network", {}))
    if saved:
        kind = constants.pop("class")
        names = {network.__name__: name for name, network in NETWORKS.items()}
        if kind not in names:
            raise ValueError(
                f"{o.model} was trained for a custom network, {kind}; this command knows "
                f"{' and '.join(names)}. docs/usage.md has the lines that decide with others"
            )
        constants["bandwidth"] = names[kind]
    given = {"N": o.users, "M": o.tasks, "bandwidth": o.bandwidth}
    if o.uplink is not None:
        given["uplink_bandwidth"] = checks.number("uplink", o.uplink, positive=True) / 8
    constants |= {name: value for name, value in given.items() if value is not None}
    if not {"N", "M"} <= set(constants):
        raise ValueError(f"the network is not known: no {path}; give --users and --tasks")
    kind = NETWORKS[constants.pop("bandwidth", "equal")]
    try:
        return kind(**constants), bool(saved.get("recombine"))
    except TypeError as error:
        raise ValueError(f"{path} is not from main.py: {error}") from error


def read_block(block, tasks):
    """Return what is in numbered lines: line numbers, task sizes (B, N*M), messages, and what is skipped.

    That is how many headers and how many empty lines, a list of two.
    """
    numbers, sizes, messages, skipped = [], [], [], [0, 0]
    for number, line in block:
        try:
            of_line = parse_sizes(line, tasks)
        except (ValueError, csv.Error) as error:
            if number == 1 and isinstance(error, NotANumber):
                skipped[0] += 1
            else:
                messages.append(f"line {number}: {error}")
            continue
        if of_line:
            numbers.append(number)
            sizes.append(of_line)
        else:
            skipped[1] += 1
    return numbers, np.array(sizes), messages, skipped


def rows_of(ddlo, numbers, task_size):
    """Return the rows to print for time frames (B, N*M) that have these line numbers."""
    x = ddlo.decide(task_size)[1]
    Q, c = ddlo.network.compute_Q(task_size, x), ddlo.network.bandwidth_allocation(task_size, x)
    columns = (numbers, x.tolist(), Q.tolist(), c.tolist())
    return [[number, *row, q, *of_users] for number, row, q, of_users in zip(*columns)]


def main(options):
    """Decide the time frames of the options; print them, and report bad lines.

    Raises
    ------
    ValueError
        If an option is out of its range, the model or its parameters are not main.py's, or, at the
        end, if a line was refused or none decided.
    OSError
        If a file cannot be read.
    """
    from memory import MemoryDNN

    net = MemoryDNN.load(options.model)
    network, recombine = saved_network(options)
    tasks, users = network.N * network.M, range(1, network.N + 1)
    if net.net[0] != tasks or net.net[-1] != tasks:
        raise ValueError(
            f"{options.model} must be for {tasks} tasks, of {network.N} users with {network.M} each, "
            f"got {net.net[0]}"
        )
    ddlo = DDLO(net, network, recombine)
    text = {"encoding": "utf-8-sig", "errors": "replace"}  # what is no text spoils its line only
    if options.task_sizes:
        source, size = options.task_sizes.open(**text), BLOCK
    else:
        sys.stdin.reconfigure(**text)
        source, size = nullcontext(sys.stdin), 1
    decided, refused, skipped = 0, 0, np.zeros(2, int)
    # Between lines on a terminal a progress bar would only disturb.
    bar = tqdm(unit=" lines", disable=True if sys.stdout.isatty() else None)
    with source as lines, bar:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        x = (f"x_{n}_{m}" for n in users for m in range(1, network.M + 1))
        writer.writerow(["line", *x, "Q", *(f"c_{n}" for n in users)])
        sys.stdout.flush()  # a program that reads this may wait for it before it sends a line
        numbered = enumerate(lines, start=1)
        while block := list(islice(numbered, size)):
            numbers, task_size, messages, of_block = read_block(block, tasks)
            if numbers:
                writer.writerows(rows_of(ddlo, numbers, task_size))
            sys.stdout.flush()
            for message in messages:
                tqdm.write(message, file=sys.stderr)
            decided, refused = decided + len(numbers), refused + len(messages)
            skipped += of_block
            bar.update(len(block))
    if any(skipped):
        print(f"skipped: {skipped[0]} header, {skipped[1]} empty lines", file=sys.stderr)
    if refused or not decided:
        raise ValueError(f"{refused} lines refused, {decided} decided")


if __name__ == "__main__":
    command_line(main, Options)

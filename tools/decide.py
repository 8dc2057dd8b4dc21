"""Decide with a trained DDLO: task sizes in, decisions, utilities and bandwidths out, as CSV.

python -m tools.decide --model results/ten/model --task-sizes sizes.csv
"""

import csv
import sys
import warnings
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ddlo import checks
from ddlo.bandwidth import NETWORKS
from ddlo.checkpoint import saved_run
from ddlo.command_line import command_line, counted
from ddlo.files import open_lines, parse_sizes
from main import DDLO
from memory import MemoryDNN

BLOCK = 1000  # lines of a file that are decided at a time


@dataclass
class Options:
    """Decide time frames with a DDLO that main.py has trained, without learning from them.

    A line is a time frame: the task sizes in MB of user 1, user 2, and so on, separated by commas,
    semicolons, tabs or blanks; 0 is no task. The output has the line's number, decisions x_n_m of user
    n's task m (1 offload, 0 local), the utility Q in J, and bandwidths c_n in MB/s. Bad lines are
    reported. A first line without any number, or 0,1,2,... as pandas writes it, is a header.
    """

    model: Path  # what main.py has saved; parameters.json beside it describes the network
    task_sizes: Path | None = None  # CSV or .npy file; default: standard input, line by line
    users: int | None = None  # N, if the DNNs are shared; default: as in training
    uplink: float | None = None  # bandwidth of the cell, Mbit/s; default: as in training


def load(options):
    """Return the DDLO of a saved model and its network; raise ValueError or FileNotFoundError."""
    o, model = options, Path(options.model)
    net, saved = MemoryDNN.load(model), saved_run(model)
    path, constants = model.parent / "parameters.json", saved.get("network", {})
    kinds = {each.__name__: each for each in NETWORKS.values()}
    kind = kinds.get(constants.pop("class", None))
    if kind is None:
        found = f"{path} is missing or has no {' or '.join(kinds)}"
        raise ValueError(f"{found}: decide in Python, see docs/usage.md")
    if o.users is not None:
        constants["N"] = checks.integer("users", o.users)
    if o.uplink is not None:
        constants["uplink_bandwidth"] = checks.number("uplink", o.uplink, positive=True) / 8
    try:
        network = kind(**constants)
    except TypeError as error:
        raise ValueError(f"{path}: {error}: decide in Python, see docs/usage.md") from error
    if net.shared not in (None, network.N):
        if o.uplink is None:
            uplink = 8 * np.mean(network.uplink_bandwidth) * network.N / net.shared
            message = f"the uplink is as in training; --uplink {uplink:g} gives each user as much as there"
            print(message, file=sys.stderr)
        net = net.for_users(network.N)
    return DDLO(net, network, saved["recombine"])


def parse(block, tasks):
    """Return the task sizes in numbered lines by number, and the number of bad lines, reported."""
    found, refused = {}, 0
    for number, line in block:
        try:
            sizes = parse_sizes(line, tasks, number)
        except ValueError as error:
            print(error, file=sys.stderr)
            refused += 1
        else:
            if sizes:  # neither empty nor a header
                found[number] = sizes
    return found, refused


def warn_if_outside(ddlo, numbers, states):
    """Report the first size outside the range in training, if there is one; return whether."""
    net, network = ddlo.net, ddlo.network
    sizes = states.reshape(-1, network.N, network.M) if net.shared else states
    limits = (np.broadcast_to(each, net.layers[0][0]) for each in (net.scale.low, net.scale.high))
    low, high = (limit[: sizes.shape[-1]] for limit in limits)  # inputs may have more than sizes
    margin = (high - low) / 200  # sizes in text are rounded
    outside = np.argwhere((sizes < low - margin) | (sizes > high + margin))
    for i, *_, j in outside[:1]:
        size, limits = f"{sizes[*outside[0]]:g} MB", f"{low[j]:g} to {high[j]:g} MB"
        message = f"line {numbers[i]}: {size} is outside the range in training, {limits}"
        print(f"{message}; no further warnings", file=sys.stderr)
    return len(outside) > 0


def main(options):
    """Print the decisions; raise ValueError or OSError for invalid input, bad lines at the end."""
    ddlo, path = load(options), options.task_sizes
    network, N, M = ddlo.network, ddlo.network.N, ddlo.network.M
    writer, decided, refused, warned = csv.writer(sys.stdout, lineterminator="\n"), 0, 0, False
    lines = open_lines(path and Path(path), N * M)
    # MemoryDNN would also warn of the range.
    with lines as lines, warnings.catch_warnings(action="ignore", category=UserWarning):
        x = (f"x_{n + 1}_{m + 1}" for n in range(N) for m in range(M))
        writer.writerow(["line", *x, "Q", *(f"c_{n + 1}" for n in range(N))])
        sys.stdout.flush()  # a program that reads this may wait for it before it sends a line
        numbered = enumerate(lines, start=1)
        while block := list(islice(numbered, 1 if path is None else BLOCK)):
            frames, bad = parse(block, N * M)
            refused += bad
            if not frames:
                continue
            decided += len(frames)
            states = np.array(list(frames.values()))
            warned = warned or warn_if_outside(ddlo, list(frames), states)
            x = ddlo.decide(states)[1]
            Q, c = network.compute_Q(states, x), network.bandwidth_allocation(states, x)
            rows = zip(frames, x.tolist(), Q.tolist(), c.tolist())
            writer.writerows([number, *x, q, *c] for number, x, q, c in rows)
            sys.stdout.flush()
    if refused or not decided:
        raise ValueError(f"{counted(refused, 'line')} refused, {decided} decided")


if __name__ == "__main__":
    command_line(main, Options)

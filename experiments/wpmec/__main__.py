"""DDLO, or one of DROO's candidate rules, on DROO's network (WPMEC).

python -m experiments.wpmec                                  DDLO, K = 10, on generated gains
python -m experiments.wpmec --rule DROO --data data_10.mat   DROO, on its own data
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ddlo import checks
from ddlo.candidates import NearestNeighbours, OrderPreserving
from ddlo.command_line import command_line
from ddlo.data import Data
from main import DDLO, Parameters, run

from .data import SAMPLES, channel_gains, load_gains
from .droo import AdaptiveDROO, AdaptiveOrderPreserving
from .network import WPMEC

Rule = Literal["DDLO", "DROO", "adaptive", "KNN"]


@dataclass
class Options:
    """Run DDLO, or DROO, on a wireless powered MEC network."""

    rule: Rule = "DDLO"  # adaptive: DROO, whose K adapts; KNN: DROO with the nearest neighbors
    K: int | None = None  # DNNs of DDLO, or candidates of DROO and KNN; default: 10, or all
    data: Path | None = None  # a data set of DROO; default: generated gains
    users: int = 10  # N, devices, for generated gains
    samples: int = SAMPLES  # generated gains
    frames: int = 20000  # time frames; the last fifth is the test, in which learning continues
    seed: int = 0  # of gains, weights and mini-batches
    device: str | None = None  # CPU, GPU, GPU:1, ...; default: TensorFlow's choice
    out: Path | None = None  # output folder; default: results/<time>
    show: bool = False  # show the plots in windows


def main(options):
    """Run the rule of the Options as main.run does, and return its report.

    Raises ValueError for an invalid option or data set, FloatingPointError if the training diverges.
    """
    o = options
    check(o)
    network, data = (WPMEC(o.users), None) if o.data is None else load_gains(o.data)
    most = {"DROO": network.N + 1, "KNN": 2 ** min(network.N, 30)}.get(o.rule, checks.INT32)
    K = min(10, most) if o.K is None else o.K
    checks.integer(f"K of {o.rule} with {network.N} devices", K, high=most)
    if data is None:
        data = Data.generate(network, states=channel_gains(o.samples, o.users, o.seed))
    candidates = {
        "DDLO": None,
        "DROO": OrderPreserving(K),
        "adaptive": AdaptiveOrderPreserving(),
        "KNN": NearestNeighbours(K),
    }
    shared = ("data", "frames", "seed", "device", "out", "show")
    parameters = Parameters(
        users=network.N,
        tasks=1,
        net_num=K if o.rule == "DDLO" else 1,
        **{name: getattr(o, name) for name in shared},
    )
    algorithm = AdaptiveDROO if o.rule == "adaptive" else DDLO
    return run(parameters, network, data, candidates[o.rule], algorithm)


def check(o):
    """Raise ValueError for an option that no data make valid."""
    checks.choice("rule", o.rule, get_args(Rule))
    for name, low in {"users": 1, "samples": 2, "frames": 1, "seed": 0}.items():
        checks.integer(name, getattr(o, name), low)
    if o.K is not None:
        checks.integer("K", o.K)
    for name, path in {"data": o.data, "out": o.out}.items():
        if not isinstance(path, (str, os.PathLike, type(None))):
            raise ValueError(f"{name} must be a path, got {checks.quoted(path)}")  # noqa: TRY004
    if o.device is not None:
        checks.text("device", o.device)
    checks.flags(o)


if __name__ == "__main__":
    command_line(main, Options)

"""DDLO, or one of DROO's candidate rules, on DROO's network (WPMEC).

python -m experiments.wpmec                                  DDLO, K = 10, on generated gains
python -m experiments.wpmec --rule DROO --data data_10.mat   DROO, on its own data
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ddlo import checks
from ddlo.candidates import NearestNeighbours, OrderPreserving
from ddlo.command_line import command_line
from ddlo.data import Data
from main import DDLO, Parameters, run

from .data import SAMPLES, channel_gains, load_gains
from .droo import AdaptiveDROO, AdaptiveOrderPreserving
from .network import WPMEC


@dataclass
class Options:
    """Run DDLO, or DROO, on a wireless powered MEC network."""

    # adaptive: DROO, whose K adapts; KNN: DROO with the nearest neighbors
    rule: Literal["DDLO", "DROO", "adaptive", "KNN"] = "DDLO"
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
    network, data = (WPMEC(o.users), None) if o.data is None else load_gains(o.data)
    most = {"DROO": network.N + 1, "KNN": 2**network.N}.get(o.rule, checks.INT32)
    K = checks.integer("K", min(10, most) if o.K is None else o.K, high=most)
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


if __name__ == "__main__":
    command_line(main, Options)

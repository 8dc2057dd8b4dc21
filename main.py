"""DDLO, distributed deep learning-based offloading (Huang et al., 2018), on one data set.

python main.py                                       the published setting
python main.py --net-num 10 --learning-rate 0.001    change any of the parameters below
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np

from ddlo import FRAMES_PER_CALL
from ddlo.bandwidth import Sharing, make_network
from ddlo.checkpoint import Resumable
from ddlo.command_line import command_line
from ddlo.enumeration import in_blocks
from ddlo.network import Compilable, as_network, check_fit, chosen, describe_network
from MUMT import Constants

# TensorFlow, SciPy and Matplotlib are imported where they are used, so that --help is quick.


@dataclass(kw_only=True)
class Parameters(Resumable, Constants):
    """Train and test DDLO on a data set, and plot its gain ratio and training cost.

    - python main.py --K 10 --lr 0.001 --out results/ten
    - python main.py --resume results/ten/model.npz --frozen
    """

    # The data and the network. A constant of MUMT.Constants: `delay_weight: float = 2` here changes it.
    data: Path = Path(__file__).parent / "data/MUMT_data_3X3.mat"  # format: data/README.md
    users: int = 3  # N, users (wireless devices)
    tasks: int = 3  # M, tasks per user and time frame
    bandwidth: Sharing = "equal"  # how users share the uplink: equally, as published, or optimally
    uplink: float = 100  # uplink of the cell, Mbit/s

    # DDLO as in the paper.
    frames: int = 20000  # time frames; learning continues in the test, the last fifth of them
    net_num: int = 3  # K, parallel DNNs
    hidden: tuple[int, ...] = (120, 80)  # neurons in each hidden layer; one tuple per DNN in Python
    learning_rate: float = 0.01  # of Adam
    training_interval: int = 10  # time frames between training steps
    batch_size: int = 128  # mini-batch of each DNN
    memory_size: int = 1024  # entries in the replay memory

    # Beyond the paper.
    shared: bool = False  # each DNN decides for one user at a time, the same way for all users
    flips: int = 0  # extra candidates per DNN, each with one of its least confident tasks flipped
    user_flips: int = 0  # the same, each with one task of every user flipped; use recombine with it
    recombine: bool = False  # one extra candidate, the best part of each user from all others

    # Running it.
    seed: int | None = 0  # of weights and mini-batches: the same seed gives the same run
    resume: Path | None = None  # continue a saved model or checkpoint, with its parameters
    frozen: bool = False  # with resume: decide only, do not learn; all frames are a test
    checkpoint: int | None = None  # frames between saves of a long run, in OUT/checkpoint.npz
    backend: Literal["tensorflow", "torch"] = "tensorflow"  # what trains the DNNs
    device: str | None = None  # CPU, GPU, GPU:1, ...; default: the backend's choice
    out: Path | None = None  # output folder; default: results/<time>
    show: bool = False  # show the plots in windows


class DDLO(Compilable, compiled=True):
    """The algorithm. In each time frame with task sizes d, or another state:

    1. each of the K DNNs proposes an offloading decision x_k;
    2. x* = argmin over k of the utility Q(d, x_k);
    3. (d, x*) enters the replay memory;
    4. every training_interval frames each DNN trains on its own mini-batch from that memory.

    The DNNs change only in step 4, so the frames up to the next one are decided as one block.
    """

    def __init__(self, net, network, recombine=False):
        self.net, self.network, self.recombine = net, as_network(network), recombine
        check_fit(net, self.network, recombine)

    def decide_and_learn(self, states):
        """Decide frames (B, S) and learn from them; return the winners k (B,) and x* (B, N*M)."""
        results = [(np.empty(0, int), np.empty((0, self.net.n_out), np.int32))]
        for block in self.net.blocks(np.atleast_2d(self.network.check_state(states))):
            k, x = self.decide(block)  # 1 and 2
            self.net.encode(self.net.inputs(self.network, block), x)  # 3, and 4 when it is due
            results.append((k, x))
        return tuple(map(np.concatenate, zip(*results)))

    def decide(self, states):
        """Decide frames (B, S), or one (S,), without learning; return k (B,) and x* (B, N*M)."""
        step = max(1, FRAMES_PER_CALL // self.net.users)  # shared DNNs see each user as a frame
        return in_blocks(self.decide_block, self.network.check_state(states), step)

    def decide_block(self, states):
        """Decide frames (B, S) at once."""
        candidates = self.net.decode(self.net.inputs(self.network, states)).astype(float)  # 1
        costs = self.network.costs(states)
        candidates = self.network.allowed(costs, candidates, np)
        # compute_Q takes states; where there is a utility, it takes their costs.
        k, x = self.pick(states if self.network.scored_by_Q else costs, candidates)  # 2
        return k, x.astype(np.int32)

    def pick(self, costs, candidates, xp=np):
        """Return the index of the first candidate (C, B, N*M) with the least Q, and that candidate.

        `xp` is NumPy, or tensorflow.experimental.numpy in compiled code.
        """
        Q = self.network.score(costs, candidates, xp)
        k = xp.argmin(Q, axis=0)
        x = chosen(candidates, k, xp)
        if self.recombine:  # not in the paper
            other = self.network.recombine(costs, candidates, x, xp)
            other = self.network.allowed(costs, other, xp)
            better = self.network.score(costs, other, xp) < xp.min(Q, axis=0)
            k = xp.where(better, candidates.shape[0], k)
            x = xp.where(better[:, None], other, x)
        return k, x


def run(parameters, network=None, data=None, candidates=None, algorithm=DDLO):
    """Train and test DDLO, write the results to `parameters.out`, and return the report, a dict.

    `network`, `data`, `candidates` (a candidate rule) and `algorithm` (a subclass of DDLO) replace what
    the parameters say: see docs/usage.md. Raises ValueError for invalid input, FloatingPointError if
    the training diverges.
    """
    from ddlo import plots, report
    from ddlo.checkpoint import Checkpoint, make_net, resumed
    from ddlo.data import Data
    from ddlo.files import output_folder, write_json, write_mat
    from ddlo.loop import fast_loop, run_frames, starting

    started, p = perf_counter(), resumed(parameters, network)
    network = as_network(make_network(p) if network is None else network)
    data = Data.load(p.data, network) if data is None else Data.given(data, network)
    index, tests = data.time_frames(p.frames, p.frozen)
    with output_folder(p.out) as folder:
        with starting(p.device, p.backend) as device:
            net = make_net(p, network, data.training, candidates)
            ddlo = algorithm(net, network, p.recombine)
            checkpoint = p.checkpoint is not None and Checkpoint(p, folder.parent, ddlo, data)
            ready = perf_counter()
            loop = ddlo.decide if p.frozen else fast_loop(ddlo, p.frames)
            compiled = perf_counter()
        history = run_frames(loop, ddlo, data, index, checkpoint=checkpoint)
        done = perf_counter()

        history |= report.energy_and_delay(network, data.states, history)
        numbers, baselines = report.make_report(history, tests, network, data, p.seed)
        plots.plot_history(history, tests, folder, baselines)
        net.plot_cost(folder / "training_cost")
        net.save(folder / "model.npz")
        write_mat(folder / "history.mat", history | {"costs": np.array(net.cost_his)})
        about = {"network": describe_network(network), "device": device}
        write_json(folder / "parameters.json", asdict(p) | about | report.versions(p.backend))
        numbers |= report.seconds(started, ready, compiled, done, p.frames)
        write_json(folder / "report.json", numbers)
    if checkpoint:
        checkpoint.remove()
    report.print_report(numbers, folder.parent)
    if p.show:
        plots.show(net, history, tests, baselines)
    return numbers


if __name__ == "__main__":
    command_line(run, Parameters)

"""DDLO, distributed deep learning-based offloading (Huang et al. 2018): one run on one data set.

python main.py                                       the released setting
python main.py --net-num 10 --learning-rate 0.001    any of the parameters below
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ddlo import FRAMES_PER_CALL, checks
from ddlo.bandwidth import Sharing, describe_network, make_network
from ddlo.candidates import Flips
from ddlo.command_line import command_line
from ddlo.dataset import load_data, time_frames, to_input
from ddlo.files import atomic_folder, write_json
from ddlo.report import (
    make_report,
    plot_gain_ratio,
    print_report,
    save_history,
    show,
    versions,
)

# TensorFlow, SciPy and Matplotlib are imported where they are needed: --help does without them.


@dataclass
class Parameters:
    """Run DDLO on a data set: train, test, report and plot."""

    data: Path = Path("data/MUMT_data_3X3.mat")  # data set, in the format of data/README.md
    users: int = 3  # N, users (wireless devices, WDs) in the data set
    tasks: int = 3  # M, tasks of each user in a time frame
    bandwidth: Sharing = "equal"  # how users share it: equal, as released, or optimal
    uplink: float = 100  # bandwidth of the cell, Mbit/s
    frames: int = 20000  # time frames; up to the last fifth are test frames, learning continues
    net_num: int = 3  # K, parallel DNNs
    hidden: tuple[int, ...] = (120, 80)  # neurons of each hidden layer of a DNN
    learning_rate: float = 0.01  # of Adam
    training_interval: int = 10  # time frames between two training steps
    batch_size: int = 128  # entries of the replay memory in a mini-batch
    memory_size: int = 1024  # entries that the replay memory holds
    flips: int = 0  # extra candidates of each DNN, each with a least confident task flipped
    user_flips: int = 0  # likewise, each with one task of every user flipped: goes with recombine
    recombine: bool = False  # one extra candidate, from every user's best part of all the others
    seed: int = 0  # of weights, mini-batches and the random scheme; the same seed is the same run
    device: str | None = None  # CPU, GPU or GPU:1, for example; default: TensorFlow's choice
    out: Path | None = None  # output folder; default: results/<time>
    show: bool = False  # open windows with the plots, where there is a screen


@dataclass
class DDLO:
    """The algorithm. In each time frame with task sizes d:

    1. each of the K DNNs proposes an offloading decision x_k;
    2. x* = argmin over k of the utility Q(d, x_k);
    3. (d, x*) enters the replay memory;
    4. every training_interval frames each DNN trains on its own mini-batch from the memory.

    Frames between two training steps are handled as one block d (B, N*M), with the same result. Raises
    ValueError if there is to be recombination, and the network has not the methods for it.
    """

    net: object  # MemoryDNN: the K DNNs and their replay memory
    network: object  # MUMT, or another one with N, M and compute_Q
    recombine: bool = False  # not in the paper: one more candidate, of every user's best parts
    scale: Callable = to_input  # from task sizes to the inputs of the DNNs

    def __post_init__(self):
        pieces = ("recombine", "task_costs")
        if self.recombine and not all(hasattr(self.network, piece) for piece in pieces):
            raise ValueError(
                f"recombine needs a network with methods {' and '.join(pieces)}, got "
                f"{type(self.network).__name__}"
            )

    def decide_and_learn(self, task_size):
        """Decide frames of task sizes (frames, N*M) in MB, and learn from the decisions.

        Returns what `decide` does.
        """
        task_size = checks.frames("task_size", task_size, self.net.net[0])
        k, x = np.empty(0, np.int64), np.empty((0, self.net.net[-1]), np.int32)
        results = [(k, x)]
        for d in self.net.blocks(task_size):  # the DNNs change only after the last frame of a block
            k, x = self.decide(d)  # 1. and 2.
            self.net.encode(self.scale(d), x)  # 3. remember (d, x*); 4. train, if a step is due
            results.append((k, x))
        return tuple(np.concatenate(parts) for parts in zip(*results))

    def decide(self, task_size):
        """Decide frames of task sizes (frames, N*M) in MB, without learning from the decisions.

        Returns the index of the best candidate, the first one with minimal Q, int array (frames,), and
        its decision, int32 (frames, N*M).
        """
        task_size = checks.frames("task_size", task_size, self.net.net[0])

        def score(x):
            return self.network.compute_Q(task_size, x)

        def recombined(candidates, x):
            costs = self.network.task_costs(task_size)
            return self.network.recombine(costs, candidates, x)

        candidates = self.net.decode(self.scale(task_size))  # 1. every DNN proposes a decision
        return self.pick(candidates, score, recombined)  # 2. x* = argmin Q

    def pick(self, candidates, score, recombined, xp=np):
        """Return the index of the first candidate with minimal score, (frames,), and its decision.

        `candidates` are (C, frames, N*M), `score(x)` is the utility of such decisions, and
        `recombined(candidates, best)` the candidate number C of recombination, which has to be better
        than all others. `xp` is NumPy or, for tensors, tensorflow.experimental.numpy.
        """
        Q = score(candidates)  # (C, frames)
        k = xp.argmin(Q, axis=0)
        x = xp.take_along_axis(candidates, k[None, :, None], axis=0)[0]
        if self.recombine:
            other = recombined(candidates, x)
            better = score(other) < xp.min(Q, axis=0)
            k = xp.where(better, len(candidates), k)
            x = xp.where(better[:, None], other, x)
        return k, x


def run_frames(loop, ddlo, task_size, gain_min, index, quiet=False):
    """Run DDLO over time frames.

    Parameters
    ----------
    loop : ddlo.decide_and_learn, or the same compiled, by ddlo.compiled.compile_loop
    ddlo : DDLO
    task_size : float64 array (samples, N*M), in MB
    gain_min : float64 array (samples,), the optimum of each sample, in J
    index : int array (frames,), the sample that each time frame has
    quiet : bool, no progress bar

    Returns
    -------
    dict of arrays (frames, ...)
        index; chosen, the candidate that was the best, from 0: below K the DNN that decided so,
        above that in the order of the candidate rule, the recombined one last; decision; Q;
        gain_ratio.
    """
    net, frames, t = ddlo.net, len(index), 0
    chosen, Q = np.empty(frames, np.int32), np.empty(frames)
    decision = np.empty((frames, task_size.shape[1]), np.uint8)
    with tqdm(total=frames, unit=" frames", disable=quiet or None) as bar:
        while t < frames:
            due, interval = net.frames_to_training, net.training_interval
            # A call ends with a training step, but for the last one.
            now = slice(t, t + due + max(0, FRAMES_PER_CALL - due) // interval * interval)
            d = task_size[index[now]]
            chosen[now], x = loop(d)
            decision[now], Q[now] = x, ddlo.network.compute_Q(d, x)
            t += len(d)
            recent = slice(max(0, t - 1000), t)
            gain_ratio = np.mean(gain_min[index[recent]] / Q[recent])
            bar.set_postfix_str(f"gain ratio {gain_ratio:.4f}", refresh=False)
            bar.update(len(d))
    of_frames = {"index": index, "chosen": chosen, "decision": decision, "Q": Q}
    return of_frames | {"gain_ratio": gain_min[index] / Q}


def run(parameters, network=None):
    """Run DDLO as the parameters say, write its files, print a report and return it as a dict.

    The network is the MUMT of the parameters, or the one given: an object with N, M and compute_Q.

    Raises
    ------
    ValueError
        If a parameter is out of its range or the data set not as expected.
    FloatingPointError
        If the training diverges.
    """
    started = time.perf_counter()
    p = parameters
    checks.integer("frames", p.frames)
    if network is None:
        network = make_network(p.users, p.tasks, p.bandwidth, p.uplink)
    task_size, gain_min, reference = load_data(p.data, network)
    index, tests = time_frames(p.frames, len(task_size))
    out = p.out or Path("results", datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")[:-3])
    with atomic_folder(out) as folder:
        # Shown until the progress bar of the loop is, which takes some seconds.
        message = "starting TensorFlow and compiling"
        with tqdm(desc=message, bar_format="{desc}", leave=False, disable=None):
            from ddlo.backend import use_device
            from ddlo.compiled import can_compile, compile_loop
            from memory import MemoryDNN

            device = use_device(p.device)
            tasks = network.N * network.M
            net = MemoryDNN(
                net=[tasks, *p.hidden, tasks],
                net_num=p.net_num,
                learning_rate=p.learning_rate,
                training_interval=p.training_interval,
                batch_size=p.batch_size,
                memory_size=p.memory_size,
                seed=p.seed,
                candidates=Flips(p.flips, p.user_flips, network.N),
            )
            ddlo = DDLO(net, network, p.recombine)
            ready = time.perf_counter()
            # Without a training step there is no block to compile.
            compiles = can_compile(ddlo) and p.training_interval <= p.frames
            loop = compile_loop(ddlo) if compiles else ddlo.decide_and_learn
            compiled = time.perf_counter()
        history = run_frames(loop, ddlo, task_size, gain_min, index)
        done = time.perf_counter()

        plot_gain_ratio(history["gain_ratio"], tests, folder / "gain_ratio.png")
        net.plot_cost(folder / "training_cost.png")
        net.save(folder / "model.npz")
        save_history(folder / "history.mat", history, net.cost_his)
        metadata = {"network": describe_network(network), "device": device, "versions": versions()}
        write_json(folder / "parameters.json", asdict(p) | metadata)
        report = make_report(history, tests, network, (task_size, gain_min, reference), p.seed)
        report |= {
            "loop_seconds": done - compiled,
            "seconds_per_frame": (done - compiled) / p.frames,
            "compile_seconds": compiled - ready,
            "total_seconds": time.perf_counter() - started,
        }
        write_json(folder / "report.json", report)
    print_report(report, out)
    if p.show:
        show(net, history["gain_ratio"], tests)
    return report


if __name__ == "__main__":
    command_line(run, Parameters)

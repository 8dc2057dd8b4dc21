"""DDLO, distributed deep learning-based offloading (Huang et al. 2018): one run on one data set.

python main.py                                       the released setting
python main.py --net-num 10 --learning-rate 0.001    any of the parameters below
"""

if __name__ == "__main__":  # first, so that what ends the imports is told in one line, too
    from ddlo.interruption import guard

    guard()

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ddlo import FRAMES_PER_CALL, checks
from ddlo.checkpoint import Checkpoint, interrupted_run, recorder
from ddlo.command_line import command_line
from ddlo.comparison import MEASURES, compared, measure_of
from ddlo.dataset import check_data, load_data, time_frames, training_samples
from ddlo.files import atomic_folder, write_json
from ddlo.inputs import RELEASED
from ddlo.network import Sharing, describe_network, make_network, state_size
from ddlo.parameters import checked_parameters
from ddlo.plots import plot_history, show
from ddlo.progress import progress_bar
from ddlo.report import energy_and_delay, make_report, print_report, save_history, versions
from MUMT import Constants

# TensorFlow, SciPy and Matplotlib are imported where they are needed: --help does without them.


@dataclass
class Parameters(Constants):
    """Run DDLO on a data set: train, test, report and plot.

    The network's constants (MUMT.Constants) are parameters as well: `delay_weight: float = 2` in a line
    of its own sets one.
    """

    data: Path = Path(__file__).parent / "data/MUMT_data_3X3.mat"  # format: data/README.md
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
    seed: int | None = 0  # of all that is random: the same seed is the same run
    resume: Path | None = None  # saved model or checkpoint to go on with; its own parameters count
    frozen: bool = False  # only decide with that model, and do not learn
    checkpoint: int | None = None  # save a long run every so many frames: --resume OUT/checkpoint
    device: str | None = None  # CPU, GPU or GPU:1, for example; default: TensorFlow's choice
    out: Path | None = None  # output folder; default: results/<time>
    show: bool = False  # open windows with the plots, where there is a screen


@dataclass
class DDLO:
    """The algorithm. In each time frame with task sizes d, or another state:

    1. each of the K DNNs proposes an offloading decision x_k;
    2. x* = argmin over k of the utility Q(d, x_k);
    3. (d, x*) enters the replay memory;
    4. every training_interval frames each DNN trains on its own mini-batch from the memory.

    Frames between two training steps are handled as one block d (B, S), with the same result. S is
    N*M for task sizes. Raises ValueError if there is to be recombination, and the network has not the
    methods for it.
    """

    net: object  # MemoryDNN: the K DNNs and their replay memory
    network: object  # MUMT, or another one with N, M and compute_Q
    recombine: bool = False  # not in the paper: one more candidate, of every user's best parts
    scale: Callable | None = None  # from task sizes to the inputs of the DNNs; default: net.scale

    def __post_init__(self):
        of_net = getattr(self.net, "scale", RELEASED)
        self.scale = self.scale or of_net
        if self.scale is not of_net:
            self.net.scale = self.scale  # to be saved with it
        pieces = ("recombine", "task_costs")
        if self.recombine and not all(hasattr(self.network, piece) for piece in pieces):
            raise ValueError(
                f"recombine needs a network with methods {' and '.join(pieces)}, got "
                f"{type(self.network).__name__}"
            )

    def decide_and_learn(self, task_size):
        """Decide frames of task sizes (frames, S) in MB, and learn from the decisions.

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
        """Decide frames of task sizes (frames, S) in MB, or one (S,), without learning from it.

        Returns the index of the best candidate, the first one with minimal Q, int array (frames,), and
        its decision, int32 (frames, N*M); of one frame an int and (N*M,). Raises ValueError if the
        task sizes have another shape, or the network's compute_Q does not return finite utilities.
        """
        d = checks.frames("task_size", np.atleast_2d(task_size), self.net.net[0])

        def score(x):
            Q = self.network.compute_Q(d, x)
            return checks.utilities("compute_Q", Q, x.shape[:-1])

        def recombined(candidates, x):
            return self.network.recombine(self.network.task_costs(d), candidates, x, np)

        candidates = self.net.decode(self.scale(d))  # 1. every DNN proposes a decision
        if hasattr(self.network, "allowed"):
            candidates = self.network.allowed(self.network.task_costs(d), candidates, np)
        k, x = self.pick(candidates, score, recombined)  # 2. x* = argmin Q
        return (k, x) if np.ndim(task_size) > 1 else (int(k[0]), x[0])

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


def run_frames(
    loop,
    ddlo,
    task_size,
    gain_min,
    index,
    quiet=False,
    reference="optimum",
    checkpoint=None,
    empty=np.empty,
):
    """Run DDLO over time frames.

    Parameters
    ----------
    loop : ddlo.decide_and_learn, or the same compiled, by ddlo.compiled.compile_loop; or ddlo.decide
    ddlo : DDLO
    task_size : float64 array (samples, S), in MB
    gain_min : float64 array (samples,), the optimum of each sample, in J; or None
    index : int array (frames,), the sample that each time frame has
    quiet : bool, no progress bar
    reference : str, what gain_min is: an optimum, a lower bound, or something else
    checkpoint : ddlo.checkpoint.Checkpoint, where the run is saved, and resumes; or None
    empty : np.empty, or a function that makes large arrays elsewhere

    Returns
    -------
    dict of arrays (frames, ...)
        index; chosen, the candidate that was the best, from 0: below K the DNN that decided so,
        above that in the order of the candidate rule, the recombined one last; decision; Q; and
        gain_ratio, or difference where utilities are negative (ddlo/comparison.py).

    Raises ValueError if a utility is below the optimum or the lower bound.
    """
    net, frames, t = ddlo.net, len(index), 0
    chosen, decision = empty(frames, np.int32), empty((frames, net.net[-1]), np.uint8)
    measure, Q, values = measure_of(gain_min), empty(frames), empty(frames)
    name = MEASURES[measure].format(reference=reference)

    def score(now):
        states, least = index[now], None if gain_min is None else gain_min[index[now]]
        Q[now] = ddlo.network.compute_Q(task_size[states], decision[now])
        values[now] = compared(measure, Q[now], least, reference)

    if checkpoint:
        t = checkpoint.restore(chosen, decision)
        for start in range(0, t, FRAMES_PER_CALL):
            score(slice(start, min(t, start + FRAMES_PER_CALL)))
    with progress_bar(total=frames, initial=t, unit=" frames", disable=quiet) as bar:
        while t < frames:
            due, interval = net.frames_to_training, net.training_interval
            # A call ends with a training step, but for the last one and those that are to be saved.
            end = t + due + max(0, FRAMES_PER_CALL - due) // interval * interval
            now = slice(t, min(end, frames, checkpoint.next if checkpoint else end))
            chosen[now], decision[now] = loop(task_size[index[now]])
            score(now)
            t = now.stop
            if checkpoint and t == checkpoint.next:
                checkpoint.save(net, t, chosen, decision)
            recent = values[max(0, t - 1000) : t].mean()
            bar.set_postfix_str(f"{name} {recent:.4f}", refresh=False)
            bar.update(t - now.start)
    of_frames = {"index": index, "chosen": chosen, "decision": decision, "Q": Q}
    return of_frames | ({measure: values} if measure != "Q" else {})


def run(parameters, network=None, data=None, candidates=None, algorithm=DDLO):
    """Run DDLO as the parameters say, write its files, print a report and return it as a dict.

    The network is the MUMT of the parameters, or the one given: an object with N, M and compute_Q
    (ddlo/network.py). The data are those of the parameters, or arrays (state, gain_min): states
    (samples, S) and their optima (samples,), which may be missing or None. A candidate rule takes the
    place of the parameters' flips (ddlo/candidates.py), and a subclass that of DDLO.

    Raises
    ------
    ValueError
        If a parameter is out of its range, the data or what the network does not as expected, or a
        utility below the optimum in the data.
    FloatingPointError
        If the training diverges.
    """
    started = time.perf_counter()
    # Constants may be arrays, which the network checks; data that are given need no file.
    others = [each.name for each in fields(Constants)] + ["data"] * (data is not None)
    p = checked_parameters(parameters, Parameters, others)
    if p.resume and p.resume.is_dir():
        p = interrupted_run(p, Parameters)
    checks.integer("frames", p.frames)
    if p.frozen and p.resume is None:
        raise ValueError("frozen needs a trained model to decide with: resume")
    if network is None:
        network = make_network(p)
    data = load_data(p.data, network) if data is None else check_data(data, network)
    states, gain_min, reference = data
    index, tests = time_frames(p.frames, len(states))
    out = p.out or Path("results", datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")[:-3])
    with atomic_folder(out) as folder:
        # Shown until the progress bar of the loop is, which takes some seconds.
        message = "starting TensorFlow and compiling"
        with tqdm(desc=message, bar_format="{desc}", leave=False, disable=None):
            from ddlo.backend import use_device
            from ddlo.compiled import fast_loop
            from ddlo.models import make_net, resume

            device = use_device(p.device)
            sizes = (state_size(network), network.N * network.M)
            if p.resume is None:
                training = states[: training_samples(len(states))]
                net = make_net(p, network, sizes, training, candidates)
            else:
                net, p = resume(p, sizes, candidates)
            ddlo = algorithm(net, network, p.recombine)
            checkpoint = Checkpoint.of(replace(p, device=device), out, ddlo, data)
            ready = time.perf_counter()
            loop = ddlo.decide if p.frozen else fast_loop(ddlo, p.frames)
            compiled = time.perf_counter()
        empty = recorder(folder)
        options = {"reference": reference, "checkpoint": checkpoint, "empty": empty}
        history = run_frames(loop, ddlo, states, gain_min, index, **options)
        done = time.perf_counter()

        history |= energy_and_delay(network, states, history, empty)
        report, fixed = make_report(history, tests, network, data, p.seed)
        plot_history(history, tests, folder, fixed)
        net.plot_cost(folder / "training_cost")
        net.save(folder / "model.npz")
        save_history(folder / "history.mat", history, net.cost_his)
        metadata = {"network": describe_network(network), "device": device} | versions()
        write_json(folder / "parameters.json", asdict(p) | metadata)
        report |= {
            "loop_seconds": done - compiled,
            "seconds_per_frame": (done - compiled) / p.frames,
            "compile_seconds": compiled - ready,
            "total_seconds": time.perf_counter() - started,
        }
        write_json(folder / "report.json", report)
    if checkpoint:
        checkpoint.remove()
    print_report(report, out)
    if p.show:
        show(net, history, tests, fixed)
    return report


if __name__ == "__main__":
    command_line(run, Parameters)

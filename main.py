"""DDLO, distributed deep learning-based offloading (Huang et al. 2018): one run on one data set.

python main.py                                       the released setting
python main.py --net-num 10 --learning-rate 0.001    any of the parameters below
"""

import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from tqdm import tqdm

from MUMT import BANDWIDTHS, MUMT, has_mumts_Q, load_data

# TensorFlow, SciPy and Matplotlib are imported where they are needed: --help does without them.


@dataclass
class Parameters:
    """Run DDLO on a data set: train, test, report and plot."""

    data: Path = Path("data/MUMT_data_3X3.mat")  # data set, its format is in data/README.md
    users: int = 3  # N, users (wireless devices, WDs) in the data set
    tasks: int = 3  # M, tasks of each user in a time frame
    bandwidth: Literal[BANDWIDTHS] = "equal"  # how users share it: equal, as released, or optimal
    uplink: float = 100  # bandwidth of the cell, Mbit/s
    frames: int = 20000  # time frames; the last ones, up to a fifth, are the test; learning goes on
    net_num: int = 3  # K, parallel DNNs
    hidden: tuple[int, ...] = (120, 80)  # neurons of each hidden layer of a DNN
    learning_rate: float = 0.01  # of Adam
    training_interval: int = 10  # time frames between two trainings
    batch_size: int = 128  # entries of the replay memory that a DNN is trained on at a time
    memory_size: int = 1024  # entries that the replay memory holds
    flips: int = 0  # candidates more of each DNN, each with one of its least sure tasks flipped
    user_flips: int = 0  # likewise, each with one of every user's flipped: goes with recombine
    recombine: bool = False  # one more candidate, from every user's best part of all the others
    seed: int = 0  # of weights, mini-batches and the random scheme; the same seed is the same run
    device: str | None = None  # CPU, GPU or GPU:1, for example; TensorFlow's choice if not given
    out: Path | None = None  # output folder; results/<time> if none is given
    show: bool = False  # open windows with the plots, where there is a screen


CALL = 500  # time frames in a call of the compiled loop, after which the progress bar moves
ROLLING = 60  # time frames under the rolling mean of the gain ratio, as released


def decide(net, network, task_size):
    """Decide frames of task sizes, float64 (frames, N*M): the best of what the DNNs propose.

    Returns the candidate that is the first with the least Q, from 0, int array (frames,), and its
    decision, int32 (frames, N*M).
    """
    candidates = net.decode(dnn_input(task_size))  # every DNN decides
    Q = network.compute_Q(task_size, candidates)  # score the decisions
    costs = None
    if net.recombine:
        check_recombines(network)
        costs = network.task_costs(task_size)
    return keep_best(network, costs, candidates, Q, net.recombine)


def keep_best(network, costs, candidates, Q, recombine, np=np):
    """Return the first candidate of the least Q, from 0, (frames,), and its decision (frames, N*M).

    Of candidates (C, frames, N*M) with utilities Q (C, frames); costs are the network's task_costs,
    `np` is NumPy or, for tensors, tensorflow.experimental.numpy. With `recombine` there is one more
    candidate, number C, of the parts that are best for each user; it has to be better to be kept.
    """
    k = np.argmin(Q, axis=0)
    x = np.take_along_axis(candidates, k[None, :, None], axis=0)[0]
    if recombine:
        recombined = network.recombine(costs, candidates, x, np)
        better = network.utility(costs, recombined, np) < np.min(Q, axis=0)
        k = np.where(better, len(candidates), k)
        x = np.where(better[:, None], recombined, x)
    return k, x


def check_recombines(network):
    """Raise ValueError if a network has no `recombine`, or one that is not that of its compute_Q."""
    is_mumts = not isinstance(network, MUMT) or has_mumts_Q(network)
    if not hasattr(network, "recombine") or not is_mumts:
        raise ValueError(
            f"recombine needs users' parts of Q, and {type(network).__name__} has none"
        )


def ddlo(net, network, task_size, gain_min, index, loop=None, quiet=False):
    """Run DDLO over time frames, in blocks of the frames between two trainings.

    Parameters
    ----------
    net : MemoryDNN
    network : MUMT, or another object with compute_Q
    task_size : float64 array (samples, N*M), in MB
    gain_min : float64 array (samples,), the optimum of each sample, in J
    index : int array (frames,), the sample that each time frame has
    loop : what compiled_loop(net, network) returns; without it the run is the same, but slower
    quiet : bool, no progress bar

    Returns
    -------
    dict of arrays (frames, ...)
        index; chosen, the candidate that was the best, from 0: below K the DNN that decided so,
        above that in the order of MemoryDNN.candidates, the recombined one last; decision; Q;
        gain_ratio.
    """
    frames = len(index)
    chosen = np.empty(frames, np.int32)
    decision = np.empty((frames, task_size.shape[1]), np.uint8)
    Q = np.empty(frames)
    t = 0
    with tqdm(total=frames, unit=" frames", disable=quiet or None) as bar:
        while t < frames:
            due = net.frames_to_training
            if loop and due == net.training_interval <= frames - t:
                blocks = min(blocks_in_a_call(due), (frames - t) // due)
                d = task_size[index[t : t + blocks * due]]
                k, x = loop(d, network.task_costs(d))  # the steps below, compiled
            else:
                if loop and due > net.training_interval:
                    due -= net.training_interval  # leaves the block before the training to `loop`
                d = task_size[index[t : t + due]]
                k, x = decide(net, network, d)  # every DNN decides, Q is scored, the best is kept
                net.encode(dnn_input(d), x)  # remember it, and train when it is time
            now = slice(t, t + len(d))
            chosen[now], decision[now], Q[now] = k, x, network.compute_Q(d, x)
            t += len(d)
            recent = slice(max(0, t - 1000), t)
            gain_ratio = np.mean(gain_min[index[recent]] / Q[recent])
            bar.set_postfix_str(f"gain ratio {gain_ratio:.4f}", refresh=False)
            bar.update(len(d))
    return {
        "index": index,
        "chosen": chosen,
        "decision": decision,
        "Q": Q,
        "gain_ratio": gain_min[index] / Q,
    }


def compiled_loop(net, network):
    """Return a function that does the steps of DDLO in many blocks of frames, compiled into one.

    The function takes task sizes, float64 (frames, N*M), of whole blocks that each end with a
    training, up to `blocks_in_a_call` of them, and the network's `task_costs` of these; it returns
    the chosen DNNs (frames,) and their decisions (frames, N*M). A call into TensorFlow for each
    step would take longer than what it computes.

    Raises ValueError if the network or the DNNs are of a class with methods of its own that this
    would pass over. `ddlo` without a loop calls them.
    """
    import tensorflow as tf
    import tensorflow.experimental.numpy as tnp

    from memory import MemoryDNN

    if not has_mumts_Q(network):
        raise ValueError(f"{type(network).__name__} has its own compute_Q: it cannot be compiled")
    for name in ("decode", "encode", "remember", "learn"):
        if getattr(type(net), name) is not getattr(MemoryDNN, name):
            raise ValueError(f"{type(net).__name__} has its own {name}: it cannot be compiled")

    interval, tasks = net.training_interval, net.net[0]
    most = blocks_in_a_call(interval)

    @tf.function(jit_compile=True)
    def run_blocks(blocks, h, costs, rows, sample_index, memory):
        chosen = tf.TensorArray(tf.int32, most, element_shape=(interval,))
        decision = tf.TensorArray(tf.float32, most, element_shape=(interval, tasks))
        training_cost = tf.TensorArray(tf.float32, most, element_shape=(net.net_num,))
        t = 0
        while t < blocks:  # `for t in tf.range(blocks)` is compiled anew for every value of blocks
            candidates = net.candidates(net.logits(h[t]), tnp)  # every DNN decides
            candidates = tf.cast(candidates, tf.float64)
            Q = network.utility(costs[t], candidates, tnp)  # score them
            k, x = keep_best(network, costs[t], candidates, Q, net.recombine, tnp)  # keep the best
            k, x = tf.cast(k, tf.int32), tf.cast(x, tf.float32)
            memory = net.stored(memory, rows[t], h[t], x)  # remember it
            cost = net.train(memory, sample_index[t])  # train
            chosen = chosen.write(t, k)
            decision = decision.write(t, x)
            training_cost = training_cost.write(t, cost)
            t += 1
        return memory, chosen.stack(), decision.stack(), training_cost.stack()

    def loop(task_size, costs):
        frames, blocks = len(task_size), len(task_size) // interval
        counters = net.memory_counter + interval * np.arange(1, blocks + 1)
        sample_index = np.empty((blocks, net.net_num, net.batch_size), np.int32)
        for block, counter in enumerate(counters):
            sample_index[block] = net.draw(counter)
        arrays = (
            dnn_input(task_size).astype(np.float32).reshape(blocks, interval, tasks),
            costs.reshape(len(costs), blocks, interval, tasks).swapaxes(0, 1),
            net.rows(frames).reshape(blocks, interval),
            sample_index,
        )
        # It is compiled for one number of blocks; those that fill up a smaller one do not run.
        arrays = [np.resize(array, (most, *array.shape[1:])) for array in arrays]
        memory, chosen, decision, cost = run_blocks(tf.constant(blocks), *arrays, net.memory)
        net.advance(memory.numpy(), frames, cost.numpy()[:blocks])
        return chosen.numpy()[:blocks].ravel(), decision.numpy()[:blocks].reshape(frames, tasks)

    none = np.empty((0, tasks))
    loop(none, network.task_costs(none))  # no block: this only compiles it
    return loop


def blocks_in_a_call(training_interval):
    """Return the most blocks of frames that the compiled loop does in one call."""
    return max(1, CALL // training_interval)


def dnn_input(task_size):
    """Return what the DNNs see of task sizes in MB: -100 to 100 for 10 to 30 MB, as released."""
    return 10 * task_size - 200


def time_frames(frames, samples):
    """Return the sample of each time frame, int array (frames,), and how many are test frames.

    As released: the first frames go through the first 80 % of the samples again and again, the last
    20 % of the frames, the test, once through the rest of the samples, as far as these suffice.
    """
    split = int(0.8 * samples)
    tests = min(samples - split, frames - int(0.8 * frames))
    return np.concatenate([np.arange(frames - tests) % split, split + np.arange(tests)]), tests


def make_report(history, tests, network, task_size, gain_min, seed):
    """Return what was reached in the last `tests` frames of a history by `ddlo`, as a dict."""
    index, Q, ratio = (history[key][-tests:] for key in ("index", "Q", "gain_ratio"))
    d = task_size[index]
    schemes = {
        "all_edge": np.ones(d.shape),
        "all_local": np.zeros(d.shape),
        "random": np.random.default_rng(seed).integers(0, 2, d.shape),
    }
    reference = reference_of(network, task_size, gain_min)
    if history["gain_ratio"].max() > 1 + 1e-9:
        reference = "best known utility"  # was known: there is a better decision
    mean_utility = {"ddlo": Q.mean(), reference: gain_min[index].mean()}
    mean_utility |= {name: network.compute_Q(d, x).mean() for name, x in schemes.items()}
    return {
        "frames": len(history["Q"]),
        "test_frames": tests,
        "reference": reference,  # what the gain ratio is to
        "mean_gain_ratio": ratio.mean(),
        # As released: the very last frame is missing in the sum, but counted in the mean.
        "released_gain_ratio": ratio[:-1].sum() / tests,
        "optimal_share": optimal_share(ratio) if reference == "optimum" else None,
        "mean_utility": mean_utility,
    }


def reference_of(network, task_size, gain_min):
    """Return what a data set's gain_min are: optimum, lower bound, or else best known utility."""
    has_own = not has_mumts_Q(network) or type(network).optimum is not MUMT.optimum
    if has_own or network.exact:
        return "optimum"
    with contextlib.suppress(ValueError):  # of a class with another utility
        bound = network.lower_bound(task_size[:10])
        if np.allclose(bound, gain_min[:10], rtol=1e-9, atol=0):
            return "lower bound"
    return "best known utility"


def optimal_share(gain_ratio):
    """Return the share of time frames whose decision is optimal, but for rounding."""
    return np.mean(gain_ratio > 1 - 1e-12)


def print_report(report, out):
    """Print the report of a run that has written its files into the folder `out`."""
    r = report
    optimal = f"not known; the gain ratio is that to the {r['reference']}"
    if r["optimal_share"] is not None:
        optimal = f"{r['optimal_share']:.1%} of the test frames"
    utility = ", ".join(f"{name} {Q:.2f}" for name, Q in r["mean_utility"].items())
    print(
        f"mean gain ratio    {r['mean_gain_ratio']:.5f} in the {r['test_frames']} test frames, the "
        f"last of {r['frames']}\n"
        f"                   {r['released_gain_ratio']:.5f} by the released package's formula\n"
        f"optimal decisions  {optimal}\n"
        f"mean utility (J)   {utility}\n"
        f"time               {r['loop_seconds']:.2f} s for the loop, "
        f"{1e6 * r['seconds_per_frame']:.0f} us a frame; "
        f"{r['compile_seconds']:.2f} s to compile it; {r['total_seconds']:.2f} s in total\n"
        f"files              {out}{os.sep}"
    )


def rolling_mean(values, window):
    """Return the means of the last `window` values up to each one, or of as many as there are."""
    total = np.concatenate([np.zeros(window), np.cumsum(values)])
    return (total[window:] - total[:-window]) / np.minimum(np.arange(1, len(values) + 1), window)


def plot_gain_ratio(gain_ratio, tests, path=None):
    """Plot gain ratios (frames,), the last `tests` of them of test frames, as a rolling mean.

    A band goes from the rolling minimum to the maximum. Saved to `path` if given, else shown in a
    window.
    """
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    frame = np.arange(1, len(gain_ratio) + 1)
    window = {"size": ROLLING, "origin": (ROLLING - 1) // 2, "mode": "nearest"}  # ends at the frame
    mean = rolling_mean(gain_ratio, ROLLING)
    low, high = minimum_filter1d(gain_ratio, **window), maximum_filter1d(gain_ratio, **window)
    figure = (plt.figure if path is None else Figure)(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(frame, low, high, alpha=0.2, linewidth=0, label=f"range of {ROLLING} frames")
    axes.plot(frame, mean, label=f"mean of {ROLLING} frames")
    axes.axvline(frame[-tests] - 0.5, color="k", linestyle="--", linewidth=1, label="test begins")
    axes.set(xlabel="Time frame", ylabel="Gain ratio (least utility / utility reached)")
    axes.margins(x=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", framealpha=1)
    plt.show() if path is None else figure.savefig(path, dpi=150)


def show(net, gain_ratio, tests):
    """Open windows with the plots of a run until the user closes them."""
    import matplotlib.pyplot as plt

    if plt.get_backend().lower() == "agg":
        print("no screen to show the plots on")
        return
    with plt.ion():
        plot_gain_ratio(gain_ratio, tests)
        net.plot_cost()
    plt.show()


@contextlib.contextmanager
def output_folder(out):
    """Yield a folder to write into; its files move to `out` if all goes well, else they vanish."""
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=out, prefix=".partial-") as folder:
            yield Path(folder)
            for file in Path(folder).iterdir():
                os.replace(file, out / file.name)
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # unless there are other files in it
        raise


def run(parameters, network=None):
    """Run DDLO as the parameters say, write its files, print a report and return it as a dict.

    The network is MUMT(users, tasks), or the one given: an object with N, M and compute_Q.

    Raises
    ------
    ValueError
        If a parameter is out of its range or the data set not as expected.
    FloatingPointError
        If the training diverges.
    """
    started = time.perf_counter()
    p = parameters
    if p.frames < 1:
        raise ValueError(f"frames is {p.frames}; a whole number of at least 1 was expected")
    if network is None:
        network = MUMT(p.users, p.tasks, uplink_bandwidth=p.uplink / 8, bandwidth=p.bandwidth)
    if p.recombine:
        check_recombines(network)
    task_size, gain_min = load_data(p.data, network)
    index, tests = time_frames(p.frames, len(task_size))
    out = p.out or Path("results", datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")[:-3])
    with output_folder(out) as folder:
        # Shown until the bar of the loop is, which takes some seconds.
        starting = "starting TensorFlow and compiling"
        with tqdm(desc=starting, bar_format="{desc}", leave=False, disable=None):
            from memory import MemoryDNN, use_device

            device = use_device(p.device)
            net = MemoryDNN(
                net=[task_size.shape[1], *p.hidden, task_size.shape[1]],
                net_num=p.net_num,
                learning_rate=p.learning_rate,
                training_interval=p.training_interval,
                batch_size=p.batch_size,
                memory_size=p.memory_size,
                seed=p.seed,
                flips=p.flips,
                user_flips=p.user_flips,
                users=network.N,
                recombine=p.recombine,
            )
            ready = time.perf_counter()
            # A utility of the user's own may be plain NumPy. And without trainings there is no block.
            is_compiled = has_mumts_Q(network) and p.training_interval <= p.frames
            loop = compiled_loop(net, network) if is_compiled else None
            compiled = time.perf_counter()
        history = ddlo(net, network, task_size, gain_min, index, loop)
        done = time.perf_counter()

        plot_gain_ratio(history["gain_ratio"], tests, folder / "gain_ratio.png")
        net.plot_cost(folder / "training_cost.png")
        net.save(folder / "model.npz")
        np.savez_compressed(folder / "history.npz", **history, costs=np.array(net.cost_his))
        about = {"network": described(network), "device": device, "versions": versions()}
        write_json(folder / "parameters.json", asdict(p) | about)
        report = make_report(history, tests, network, task_size, gain_min, p.seed)
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


def described(network):
    """Return the class of a network and, of a MUMT, its constants, as a dict."""
    constants = asdict(network) if type(network) is MUMT else {}
    return {"class": type(network).__name__} | constants


def versions():
    """Return the versions of Python and of the packages that results may depend on, as a dict."""
    packages = ("tensorflow", "keras", "numpy", "scipy", "matplotlib")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def write_json(path, content):
    """Write a dict to a JSON file, its paths as strings."""
    path.write_text(json.dumps(content, indent=2, default=str) + "\n")


def command_line(function, parameters):
    """Call the function with the parameters of this dataclass given on the command line.

    Bad input and interruptions end the program with one message, without a traceback.
    """
    try:
        function(tyro.cli(parameters))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {str(error) or 'out of memory'}")
    except Exception as error:
        # TensorFlow's MemoryError, which is imported only where TensorFlow is.
        if type(error).__name__ != "ResourceExhaustedError":
            raise
        sys.exit(f"{Path(sys.argv[0]).name}: out of memory")


if __name__ == "__main__":
    command_line(run, Parameters)

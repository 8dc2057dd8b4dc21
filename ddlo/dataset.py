"""Data sets: task sizes of many samples and their optima, loaded, saved and generated.

data/README.md describes the file format and the origin of the published data set.
"""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from ddlo import checks
from ddlo.bandwidth import JointMUMT
from ddlo.files import atomic_file
from MUMT import MUMT, enumerate_decisions

KEYS = ("task_size", "gain_min", "gain_mode")


def load_data(path, network):
    """Load a data set for a network, a MUMT or another object with N, M and compute_Q.

    Returns
    -------
    task_size : float64 array (samples, N*M)
        Task sizes in MB.
    gain_min : float64 array (samples,)
        The least utility of each sample, in J, or a lower bound on it.
    reference : str
        What gain_min is: "optimum", "lower bound", or what else the file says.

    Raises
    ------
    ValueError
        If the file is missing or not as data/README.md describes it, is for other numbers of users
        or tasks or another bandwidth allocation, or its gain_min are not those of this network.
    """
    import scipy.io  # takes longer to import than the rest of this module

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no data set {path}; python -m experiments.generate_data makes one")
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # there is little that reading a corrupt file does not raise
        raise ValueError(f"{path} is not a MATLAB v5 file that can be read: {error}") from error
    missing = [key for key in KEYS if key not in content]
    if missing:
        found = ", ".join(key for key in content if not key.startswith("__")) or "nothing"
        raise ValueError(f"{path} must have {', '.join(KEYS)}, got {found}")
    bandwidth = _text(content, "bandwidth", "equal")
    expected = _bandwidth(network) if isinstance(network, MUMT) else bandwidth
    if bandwidth != expected:
        raise ValueError(
            f"{path} must be for {expected} bandwidth, got {bandwidth}; python -m "
            f"experiments.generate_data --bandwidth {expected} makes one"
        )
    task_size, gain_min, gain_mode = (np.atleast_1d(content[key]) for key in KEYS)
    samples, tasks = len(task_size), network.N * network.M
    if task_size.shape != (samples, tasks) or samples < 2:
        raise ValueError(
            f"{path}: task_size must have shape (samples, {tasks}) with at least 2 samples, for "
            f"{network.N} users with {network.M} tasks each, got {task_size.shape}"
        )
    if gain_min.shape not in ((samples,), (1, samples), (samples, 1)):
        raise ValueError(f"{path}: gain_min must have shape (1, {samples}), got {gain_min.shape}")
    if gain_mode.shape != task_size.shape:
        raise ValueError(
            f"{path}: gain_mode must have shape {task_size.shape}, got {gain_mode.shape}"
        )
    reference = _text(content, "reference", "optimum")
    try:
        gain_min = checks.array("gain_min", gain_min).ravel()
        task_size = checks.array("task_size", task_size)
        expected, what = network.compute_Q(task_size, gain_mode), "the utility of its gain_mode"
        if reference not in ("optimum", "best known utility"):
            some = slice(None, None, max(1, samples // 100))  # all would take some seconds
            expected = np.minimum(gain_min, expected)
            expected[some] = reference_of(network, task_size[some])[0]
            what = f"the {reference}"
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    wrong = np.flatnonzero(~np.isclose(gain_min, expected, rtol=1e-9, atol=0))
    if len(wrong):
        i = wrong[0]
        raise ValueError(
            f"{path}: gain_min of sample {i} must be {expected[i]}, {what}, got {gain_min[i]}: the "
            "file is damaged or for another network, by its users, tasks or bandwidth"
        )
    return task_size, gain_min, reference


def save_data(path, data):
    """Write a data set, as `generate` returns it, to a MATLAB v5 file, whole or not at all."""
    import scipy.io

    with atomic_file(path) as partial, open(partial, "wb") as file:
        scipy.io.savemat(file, data, do_compression=True)


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
    """Return a data set of so many samples for a network, as a dict of what is in its file.

    task_size int32 (samples, N*M), gain_min float64 (1, samples), gain_mode int32 (samples, N*M);
    and, where they are not as published, the bandwidth allocation and what gain_min is (reference).
    Raises ValueError if the network's optimum is not known, as `reference_of` does.
    """
    shape = (checks.integer("samples", samples), network.N * network.M)
    data = {
        "task_size": np.empty(shape, np.int32),
        "gain_min": np.empty((1, samples)),
        "gain_mode": np.empty(shape, np.int32),
    }
    with tqdm(total=samples, unit=" samples", disable=None) as bar:
        for start in range(0, samples, 500):
            part = slice(start, min(start + 500, samples))
            task_size = task_sizes(range(part.start, part.stop), network.N, network.M)
            data["task_size"][part] = task_size
            data["gain_min"][0, part], data["gain_mode"][part], reference = reference_of(
                network, task_size.astype(np.float64)
            )
            bar.update(len(task_size))
    as_published = {"bandwidth": "equal", "reference": "optimum"}
    metadata = {"bandwidth": _bandwidth(network), "reference": reference}
    return data | {key: text for key, text in metadata.items() if text != as_published[key]}


def reference_of(network, task_size):
    """Return what gain ratios of a network are relative to: gain_min (B,), gain_mode, what it is.

    That is what its method `reference` returns or, of a network that has none, its `optimum`. A
    network without either has all decisions enumerated, up to 12 tasks: ValueError if it has more.
    """
    if hasattr(network, "reference"):
        return network.reference(task_size)
    if hasattr(network, "optimum"):
        return *network.optimum(task_size), "optimum"
    return *enumerate_decisions(network, task_size), "optimum"


def time_frames(frames, samples):
    """Return the sample of each time frame, int array (frames,), and how many are test frames.

    As released: the first frames go through the first 80 % of the samples again and again, the last
    20 % of the frames, the test, once through the rest of the samples, as far as these suffice.
    """
    split = int(0.8 * samples)
    tests = min(samples - split, frames - int(0.8 * frames))
    return np.concatenate([np.arange(frames - tests) % split, split + np.arange(tests)]), tests


def to_input(task_size):
    """Return what the DNNs see of task sizes in MB: -100 to 100 for 10 to 30 MB, as released."""
    return 10 * task_size - 200


def _bandwidth(network):
    return "optimal" if isinstance(network, JointMUMT) else "equal"


def _text(content, key, default):
    return " ".join(map(str, np.ravel(content.get(key, default))))

"""Data sets: states of many samples, such as task sizes, and their optima, loaded, saved and generated.

data/README.md describes the file format and the origin of the published data set.
"""

from dataclasses import fields
from pathlib import Path

import numpy as np

from ddlo import checks
from ddlo.bandwidth import JointMUMT
from ddlo.comparison import precision
from ddlo.matfiles import read_mat, write_mat
from ddlo.network import NETWORKS, check_network, describe_network, state_size
from ddlo.progress import progress_bar
from ddlo.sizes import PUBLISHED, task_sizes
from MUMT import MUMT, Constants, enumerate_decisions

KEYS = ("task_size", "gain_min", "gain_mode")
BLOCK = 500  # samples whose optima are found at a time


def load_data(path, network):
    """Load a data set for a network, a MUMT or another object with N, M and compute_Q.

    Returns
    -------
    task_size : float64 array (samples, S)
        Task sizes in MB, or another state of each sample.
    gain_min : float64 array (samples,)
        The least utility of each sample, in J, or a lower bound on it.
    reference : str
        What gain_min is: "optimum", "lower bound", or what else the file says.

    Raises
    ------
    ValueError
        If the file is missing or not as data/README.md describes it, is for other numbers of users
        or tasks, another bandwidth allocation or other constants, or its gain_min are not those of
        this network.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"no data set {path}; python -m experiments.generate_data makes one")
    content = read_mat(path)
    missing = [key for key in KEYS if key not in content]
    if missing:
        raise ValueError(
            f"{path} must have {', '.join(KEYS)}, got {checks.shortened(', '.join(content)) or 'nothing'}; python -m "
            "experiments.generate_data --task-sizes FILE finds the optima of task sizes"
        )
    for key in KEYS:
        if hasattr(content[key], "nnz"):
            raise ValueError(f"{path}: {key} must be a full matrix, got a sparse one")
    bandwidth = checks.text(f"{path}: bandwidth", content.get("bandwidth", "equal"))
    expected = _bandwidth(network) if isinstance(network, MUMT) else bandwidth
    if bandwidth != expected:
        raise ValueError(
            f"{path} must be for {expected} bandwidth, got {bandwidth}; {command_for(network)}"
        )
    of_file = content.get("network", {})
    if not isinstance(of_file, dict):
        raise ValueError(f"{path}: network must be a struct, got {checks.quoted(of_file)}")  # noqa: TRY004
    others = differences(of_file, network)
    if others:
        raise ValueError(
            f"{path} is for another network: {checks.shortened(others)}; {command_for(network)}"
        )
    task_size, gain_min, gain_mode = (np.atleast_1d(content[key]) for key in KEYS)
    task_size = check_states(f"{path}: task_size", task_size, network)
    samples, tasks = len(task_size), network.N * network.M
    if gain_min.shape not in ((samples,), (1, samples), (samples, 1)):
        raise ValueError(f"{path}: gain_min must have shape (1, {samples}), got {gain_min.shape}")
    if gain_mode.shape != (samples, tasks):
        raise ValueError(
            f"{path}: gain_mode must have shape {(samples, tasks)}, got {gain_mode.shape}"
        )
    reference = checks.text(f"{path}: reference", content.get("reference", "optimum"))
    try:
        check_network(network, task_size)
        gain_min = checks.finite("gain_min", checks.array("gain_min", gain_min).ravel())
        expected, what = network.compute_Q(task_size, gain_mode), "the utility of its gain_mode"
        if reference not in ("optimum", "best known utility"):
            some = slice(None, None, max(1, samples // 100))  # all would take some seconds
            expected = np.minimum(gain_min, expected)
            expected[some], _, found = reference_of(network, task_size[some])
            if reference != found:
                raise ValueError(f"reference must be {found}, got {reference}")
            what = f"the {reference}"
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    is_close = np.isclose(gain_min, expected, rtol=1e-9, atol=0)
    for i in np.flatnonzero(~is_close):
        tolerance = precision(gain_min[i])
        if not abs(gain_min[i] - expected[i]) <= tolerance:
            raise ValueError(
                f"{path}: gain_min of sample {i} must be {expected[i]} within {tolerance:.1g}, {what}, "
                f"got {gain_min[i]}, which is {gain_min[i] - expected[i]:+.3g} away: the file is damaged "
                f"or for another network{_unsaid(of_file, network)}; {command_for(network)}"
            )
    return task_size, gain_min if is_close.all() else expected, reference


def check_data(data, network):
    """Return states, gain_min or None, and what it is or None, of arrays that a user gives.

    `data` are states (samples, S), or a tuple of them, gain_min (samples,), which may be missing or
    None, and what it is, "optimum" by default. Raises ValueError if it is something else.
    """
    parts = data if isinstance(data, tuple) else (data,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"data must be (state, gain_min), got {len(parts)} parts")
    state, gain_min, reference = parts + (None, None, "optimum")[len(parts) :]
    state = check_states("state", state, network)
    check_network(network, state)
    if gain_min is None:
        return state, None, None
    gain_min = checks.array("gain_min", gain_min)
    if gain_min.shape not in ((len(state),), (1, len(state)), (len(state), 1)):
        raise ValueError(f"gain_min must have shape ({len(state)},), got {gain_min.shape}")
    return state, checks.finite("gain_min", gain_min.ravel()), checks.text("reference", reference)


def check_states(name, states, network, least=2):
    """Return states as a float64 array (samples, S), of so many samples. Raises ValueError."""
    size = state_size(network)
    states = checks.array(name, states)
    if states.ndim != 2 or states.shape[1] != size or len(states) < least:
        raise ValueError(
            f"{name} must have shape (samples, {size}) with at least {least} samples, for "
            f"{network.N} users with {network.M} tasks each, got {states.shape}"
        )
    return checks.finite(name, states)


def differences(of_file, network):
    """Return in words the constants in a file, a dict, that are others than a network's; or ""."""
    own, others = describe_network(network), []
    for name, value in own.items():
        if name in ("class", "rand_seed") or name not in of_file:
            continue
        try:
            same = np.array_equal(*np.broadcast_arrays(of_file[name], value))
        except (TypeError, ValueError):
            same = False
        if not same:
            found = np.squeeze(of_file[name]).tolist()
            others.append(f"{name} is {checks.shortened(found)} in the file, {value} in this run")
    return ", ".join(others)


def command_for(network):
    """Return in words how to make the data set of a network."""
    own = vars(network)
    if type(network) not in NETWORKS.values() or any(map(np.ndim, own.values())):
        return "ddlo.dataset.generate and save_data make the right one"
    options = {"users": (network.N, None), "tasks": (network.M, None)}
    options["bandwidth"] = (_bandwidth(network), "equal")
    options["uplink"] = (network.uplink_bandwidth * 8, 100)
    options |= {each.name: (own[each.name], each.default) for each in fields(Constants)}
    words = [
        f"--{name.replace('_', '-')} {value}"
        for name, (value, default) in options.items()
        if value != default
    ]
    return f"python -m experiments.generate_data {' '.join(words)} makes the right one"


def save_data(path, data):
    """Write a data set, as `generate` returns it, to a MATLAB v5 file, whole or not at all."""
    write_mat(path, data)


def generate(network, samples=20000, sizes=PUBLISHED, seed=None, task_size=None):
    """Return a data set for a network, as a dict of what is in its file.

    Parameters
    ----------
    network : MUMT or another object with N, M and compute_Q
    samples, sizes, seed
        How many samples, the range of their sizes, and a seed for others than the published ones:
        as in ddlo.sizes.task_sizes.
    task_size : array_like (samples, S), optional
        Task sizes in MB, or another state of each sample, in place of these three.

    Returns
    -------
    dict
        task_size (samples, S), gain_min float64 (1, samples), gain_mode int32 (samples, N*M), the
        network's constants; and, where they are not as published, the bandwidth allocation and what
        gain_min is (reference).

    Raises
    ------
    ValueError
        If an argument is out of its range, the network's compute_Q does not do what it should, or its
        optimum is not known, as `reference_of` does.
    """
    if task_size is None:
        checks.integer("samples", samples)
        if state_size(network) != network.N * network.M:
            raise ValueError(f"the states of {type(network).__name__} must be given, as task_size")
        task_size = task_sizes(range(samples), network.N, network.M, sizes, seed)
    states = check_states("task_size", task_size, network, least=1)
    check_network(network, states)
    samples = len(states)
    data = {
        "task_size": np.asarray(task_size),
        "gain_min": np.empty((1, samples)),
        "gain_mode": np.empty((samples, network.N * network.M), np.int32),
        "network": describe_network(network),
    }
    with progress_bar(total=samples, unit=" samples") as bar:
        for start in range(0, samples, BLOCK):
            part = slice(start, start + BLOCK)
            found = reference_of(network, states[part])
            data["gain_min"][0, part], data["gain_mode"][part], reference = found
            bar.update(len(states[part]))
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
    split = training_samples(samples)
    tests = min(samples - split, frames - int(0.8 * frames))
    return np.concatenate([np.arange(frames - tests) % split, split + np.arange(tests)]), tests


def training_samples(samples):
    """Return how many of the samples, the first ones, are not for the test: 80 %, as released."""
    return int(0.8 * samples)


def _bandwidth(network):
    return "optimal" if isinstance(network, JointMUMT) else "equal"


def _unsaid(of_file, network):
    """What is to be said of a network's constants where a file does not say its own."""
    if of_file or not isinstance(network, MUMT):
        return ""
    others = differences(describe_network(MUMT(network.N, network.M)), network)
    return f" (it does not say which; {others.replace('in the file', 'as released')})" * bool(
        others
    )

"""Data sets: states of many samples, such as task sizes, and their least utilities.

data/README.md describes the file format and the origin of the published data set.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from ddlo import checks
from ddlo.bandwidth import JointMUMT
from ddlo.files import read_mat, write_mat
from ddlo.network import as_network, check_network, describe_network
from MUMT import MUMT

PUBLISHED = (10, 30)  # MB, the range of the published sizes
KEYS = ("task_size", "gain_min", "gain_mode")
BLOCK = 500  # samples whose optima are found at a time
GENERATE = "to generate it: python -m tools.generate_data with this run's parameters"

# How DDLO is compared with gain_min, and the name in texts.
MEASURES = {
    "gain_ratio": "gain ratio",
    "difference": "difference to the {reference}",
    "Q": "utility",
}
BOUNDS = ("optimum", "lower bound")  # references that no utility is below, except for rounding
ROUNDING = np.finfo(np.float32).eps  # relative: gain_min may be in single precision


class Data(NamedTuple):
    """States of samples, and the least utility of each if it is known."""

    states: np.ndarray  # float64 (samples, S): task sizes in MB, or other states
    gain_min: np.ndarray | None = None  # float64 (samples,): least utility, or a bound on it
    reference: str | None = None  # "optimum", "lower bound" or another name for gain_min
    gain_mode: np.ndarray | None = None  # int32 (samples, N*M): a decision that reaches or nears it

    # Where they come from

    @classmethod
    def given(cls, data, network):
        """Return the Data of a user's arrays: states, or a tuple (states, gain_min, reference).

        gain_min may be missing or None; the default reference is "optimum". Raises ValueError.
        """
        parts = data if isinstance(data, tuple) else (data,)
        if not 1 <= len(parts) <= 4:
            raise ValueError(f"data must be (states, gain_min), got {len(parts)} parts")
        states, gain_min, reference = (*parts, None, None)[:3]
        states = check_states("states", states, as_network(network))
        if gain_min is None:
            return cls(states)
        gain_min = vector("gain_min", gain_min, len(states))
        return cls(states, gain_min, checks.text("reference", reference or "optimum"))

    @classmethod
    def generate(cls, network, samples=20000, sizes=PUBLISHED, seed=None, states=None):
        """Return the Data of generated task sizes, or of given states, for a network.

        `states` (samples, S) replace `samples`, `sizes` and `seed`, which are those of `task_sizes`. Raises
        ValueError for an argument out of range, or if the optimum is not known.
        """
        network = as_network(network)
        if states is None:
            numbers = range(checks.integer("samples", samples))
            states = task_sizes(numbers, network.N, network.M, sizes, seed)
        states = check_states("task_size", states, network, least=1)
        blocks = np.array_split(states, range(BLOCK, len(states), BLOCK))
        blocks = tqdm(blocks, unit=f" blocks of {BLOCK} samples", disable=None)
        gain_min, gain_mode, references = zip(*map(network.reference, blocks))
        gain_mode = np.concatenate(gain_mode).astype(np.int32)
        return cls(states, np.concatenate(gain_min), references[0], gain_mode)

    @classmethod
    def load(cls, path, network):
        """Return the Data of a file for a network.

        Raises ValueError if the file is missing, not as in data/README.md, or for another network.
        """
        if not Path(path).exists():
            raise ValueError(f"no such data set: {path}; {GENERATE}")
        content, network = read_mat(path), as_network(network)
        try:
            return checked(content, network)
        except ValueError as error:
            raise ValueError(f"{path}: {error}; {GENERATE}") from error

    def save(self, path, network):
        """Write generated data, and the network's constants, to a MATLAB v5 file, whole or not at all."""
        states = self.states
        if self.gain_mode is None:
            raise ValueError("a file needs gain_mode, which only generated or loaded data have")
        if (states == np.round(states)).all() and np.abs(states).max() < checks.INT32:
            states = states.astype(np.int32)  # as published
        content = {
            "task_size": states,
            "gain_min": self.gain_min[None],
            "gain_mode": self.gain_mode,
            "network": describe_network(network),
        }
        if isinstance(network, JointMUMT):
            content["bandwidth"] = "optimal"
        if self.reference != "optimum":
            content["reference"] = self.reference
        write_mat(path, content)

    # What a run does with it

    @property
    def training(self):
        """The states that are not for the test: the first 80 %, as released."""
        return self.states[: int(0.8 * len(self.states))]

    def time_frames(self, frames, frozen=False):
        """Return the sample of each time frame, int array (frames,), and the number of test frames.

        As released: the first frames cycle through the first 80 % of the samples; the last 20 % of the
        frames, the test, go once through the rest of the samples, or as far as these suffice. If
        `frozen`, all frames are a test and go through the samples in their order.
        """
        checks.integer("frames", frames)
        if frozen:
            return np.arange(frames) % len(self.states), frames
        split = len(self.training)
        tests = min(len(self.states) - split, frames - int(0.8 * frames))
        return np.concatenate([np.arange(frames - tests) % split, split + np.arange(tests)]), tests

    @property
    def measure(self):
        """The key of MEASURES: gain ratios are defined only for non-negative utilities."""
        if self.gain_min is None:
            return "Q"
        return "difference" if (self.gain_min < 0).any() else "gain_ratio"

    def compare(self, Q, index):
        """Return the measure of utilities Q (B,) in the samples `index` (B,).

        Raises ValueError if a utility is below an optimum or a lower bound.
        """
        if self.gain_min is None:
            return Q
        least = self.gain_min[index]
        if self.reference in BOUNDS:
            for i in np.flatnonzero(Q < least - ROUNDING * np.abs(least)):
                raise ValueError(
                    f"gain_min must be the {self.reference}, got {least[i]}, above a utility of {Q[i]}: it is "
                    "for another network, or needs another reference, such as 'best known utility'"
                )
        if self.measure == "difference":
            return Q - least
        if Q.min(initial=0) < 0:
            raise ValueError(f"gain ratios need utilities >= 0, got {Q.min()}")
        return np.where(Q == least, 1.0, least / np.where(Q == 0, np.inf, Q))  # 1 for 0 / 0

    def optimal_share(self, Q, index):
        """Return the share of decisions with utilities Q (B,) that are optimal within rounding."""
        least = self.gain_min[index]
        return np.mean(Q - least <= 1e-12 * np.abs(least))


def task_sizes(samples, users, tasks, sizes=PUBLISHED, seed=None):
    """Return the task sizes in MB of the samples with these numbers: (len(samples), N*M).

    Sample i is RandomState(i).randint(10, 31), as published; NumPy has frozen RandomState, so it is the
    same everywhere. `sizes` are the least and the greatest; two integers give int32, others real numbers,
    float64. A seed gives samples other than the published ones. Raises ValueError for a bad range or seed.
    """
    low, high = checks.size_range("sizes", sizes)
    if seed is not None:
        checks.integer("seed", seed, 0)
    random = np.random.RandomState()
    is_integer = low % 1 == high % 1 == 0 and high < checks.INT32
    drawn = np.empty((len(samples), users * tasks), np.int32 if is_integer else np.float64)
    for row, sample in zip(drawn, samples):
        random.seed(sample if seed is None else [seed, sample])
        if is_integer:
            row[:] = random.randint(int(low), int(high) + 1, size=len(row))
        else:
            row[:] = random.uniform(low, high, size=len(row))
    return drawn


def check_states(name, states, network, least=2):
    """Return states as a float64 array (samples, S), at least `least`, that the network can score."""
    states = checks.array(name, states).copy()  # the caller may change it later
    if states.ndim != 2 or states.shape[1] != network.state_size or len(states) < least:
        shape = f"(samples, {network.state_size}) with at least {least} samples, for {network}"
        raise ValueError(f"{name} must have shape {shape}, got {states.shape}")
    check_network(network, checks.finite(name, states))
    return states


def vector(name, values, length):
    """Return finite numbers of shape (length,), (1, length) or (length, 1) as a vector."""
    values = np.squeeze(checks.array(name, values))
    return checks.finite(name, checks.array(name, values, shape=(length,))).copy()


def rows(values, entries):
    """Return an array of a MATLAB file, where axes of length 1 are missing, as rows of entries."""
    values = np.atleast_2d(values)
    return values.T if entries == 1 else values


def checked(content, network):
    """Return the Data in the content of a file, a dict, with gain_min at full precision."""
    missing = [key for key in KEYS if key not in content]
    if missing:
        found = checks.shortened(", ".join(content)) or "nothing"
        raise ValueError(f"the file must have {', '.join(KEYS)}, got {found}")
    check_constants(content, network)
    tasks = network.N * network.M
    states = check_states("task_size", rows(content["task_size"], network.state_size), network)
    gain_min = vector("gain_min", content["gain_min"], len(states))
    gain_mode, shape = rows(content["gain_mode"], tasks), (len(states), tasks)
    gain_mode = checks.array("gain_mode", gain_mode, shape=shape)
    gain_mode = checks.binary("gain_mode", gain_mode).astype(np.int32)
    reference = checks.text("reference", content.get("reference", "optimum"))
    expected, meaning = network.compute_Q(states, gain_mode), "the utility of its gain_mode"
    if reference not in ("optimum", "best known utility"):
        some = slice(None, None, max(1, len(states) // 100))  # all would take seconds
        expected = np.minimum(gain_min, expected)
        expected[some], _, found = network.reference(states[some])
        if reference != found:
            raise ValueError(f"reference must be {found}, got {reference}")
        meaning = f"the {reference}"
    for i in np.flatnonzero(~np.isclose(gain_min, expected, rtol=ROUNDING, atol=0)):
        wrong = f"gain_min of sample {i} must be {expected[i]}, {meaning}, got {gain_min[i]}"
        raise ValueError(f"{wrong}: the file is damaged or for a network with other constants")
    return Data(states, expected, reference, gain_mode)


def check_constants(content, network):
    """Raise ValueError if the content of a file names other constants than the network's."""
    own, given = describe_network(network), content.get("network")
    given = dict(given) if isinstance(given, dict) else {}
    if isinstance(network, MUMT):
        own["bandwidth"] = "optimal" if isinstance(network, JointMUMT) else "equal"
        given["bandwidth"] = content.get("bandwidth", "equal")
    others = []
    for name in sorted(own.keys() & given.keys() - {"class", "rand_seed"}):
        found, value = np.squeeze(given[name]), np.squeeze(own[name])  # as read_mat does
        if found.size and not np.array_equal(found, value):
            others.append(f"{value.tolist()} as {name}, got {found.tolist()}")
    if others:
        others = checks.shortened("; ".join(others), 400)
        raise ValueError(f"the file must have {others}")

"""Shared by the core tests: the model user by user, frames, networks of users, and runs."""

import numpy as np
import scipy.io
from hypothesis import strategies as st

from main import Parameters
from memory import MemoryDNN
from MUMT import MUMT

from ..conftest import DATA

sizes = st.integers(1, 4).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, 4)))
size_in_MB = st.integers(1, 100) | st.floats(0.01, 1000)


@st.composite
def frames(draw, max_frames=1):
    """N, M, some task sizes (B, N*M) and as many decisions."""
    N, M = draw(sizes)
    rows = draw(st.integers(1, max_frames))
    d = draw(st.lists(size_in_MB, min_size=rows * N * M, max_size=rows * N * M))
    x = draw(st.lists(st.integers(0, 1), min_size=rows * N * M, max_size=rows * N * M))
    return N, M, np.array(d, float).reshape(rows, N * M), np.array(x).reshape(rows, N * M)


def user_values(network, task_size, decision):
    """MB offloaded, delay on the device, edge processing time, energy: (N,) each, by the model."""
    d = np.reshape(np.asarray(task_size, float), (network.N, network.M))
    x = np.reshape(decision, d.shape)
    bits = 8 * 2**20 * d
    energy = x * bits * (1.5e-7 + 1.42e-7) + (1 - x) * bits * 3.25e-7
    local, edge = (1 - x) * bits * 4.75e-7, x * bits * 1900 / 1e10
    return [array.sum(axis=1) for array in (x * d, local, edge, energy)]


def utility_of(network, task_size, decision, c):
    """Q if the users get bandwidths c (N,), in MB/s."""
    sent, local, edge, energy = user_values(network, task_size, decision)
    upload = np.divide(sent, c, out=np.zeros(len(c)), where=sent > 0)
    return np.sum(energy + network.delay_weight * np.maximum(local, upload + edge))


class OnlyQ:
    """A custom network with nothing but compute_Q, which is the released one."""

    def __init__(self, N, M):
        self.N, self.M = N, M
        self.bandwidth = np.array([12.5, 7])  # not a bandwidth of MUMT

    def compute_Q(self, task_size, decision):
        return MUMT(self.N, self.M).compute_Q(task_size, decision)


class Penalty(MUMT):
    """A custom utility that inherits everything but compute_Q."""

    def compute_Q(self, task_size, decision):
        penalty = 100 * np.asarray(decision)[..., 0]  # on offloading the first task
        return super().compute_Q(task_size, decision) + penalty


class Channel:
    """A state that is more than task sizes: a channel gain of every user, then the size of its task."""

    N, M, state_size = 3, 1, 6

    def compute_Q(self, state, decision):
        gain, size = np.split(np.asarray(state, float), 2, axis=-1)
        rate = 10 * np.log2(1 + 1e6 * gain)
        return np.where(np.asarray(decision) == 1, size / rate, size / 9).sum(axis=-1)


def channel_states(number, seed=0):
    random = np.random.default_rng(seed)
    return np.hstack([random.exponential(1e-6, (number, 3)), random.uniform(5, 50, (number, 3))])


class Profit(MUMT):
    """Utilities that are negative: revenue is subtracted."""

    def compute_Q(self, task_size, decision):
        return super().compute_Q(task_size, decision) - 1000


class Weighted(MUMT, compiled=True):
    """Users have different weights, and user 1 may not offload; the DNNs' inputs are d / 10."""

    def __init__(self, N, M):
        super().__init__(N, M, delay_weight=np.arange(1.0, N + 1)[:, None])

    @staticmethod
    def scale(task_size):
        return task_size / 10

    def allowed(self, costs, decision, xp=np):
        return decision * np.repeat([0.0, 1.0], [self.M, (self.N - 1) * self.M])

    def compute_Q(self, task_size, decision):
        return super().compute_Q(task_size, self.allowed(None, np.asarray(decision)))

    def utility(self, costs, decision, xp=np):
        return super().utility(costs, self.allowed(costs, decision, xp), xp)


class Tanh(MemoryDNN, compiled=True):
    """Other layers."""

    def forward(self, weights, h, xp=np):
        w1, b1, w2, b2 = weights
        return xp.tanh(h @ w1 / 100 + b1[:, None]) @ w2 + b2[:, None]


def untrained(out, **changes):
    """Parameters of a run without a training step: nothing is compiled for it."""
    few = {"frames": 50, "hidden": (20,), "training_interval": 1000}
    return Parameters(**{"data": DATA, "out": out} | few | changes)


def history_of(out):
    """Return the arrays of a run's history.mat."""
    history = scipy.io.loadmat(out / "history.mat")
    return {key: array for key, array in history.items() if key[0] != "_"}


def inputs(number, seed=0):
    """Inputs (number, 9) of task sizes of 10 to 30 MB, and decisions to go with them."""
    random = np.random.default_rng(seed)
    h = 10 * random.integers(10, 31, (number, 9)) - 200
    return h, (h + random.normal(0, 30, h.shape) > 0).astype(int)


def assert_same_arrays(found, expected):
    """Check that two sequences or dicts have the same arrays, to the last bit."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = found.values(), [expected[name] for name in found]
    for array, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, other)


def assert_same_state(net, other):
    """Check that two MemoryDNNs are in the same state; both draw a mini-batch."""
    assert net.cost_his == other.cost_his and net.memory_counter == other.memory_counter
    h, _ = inputs(50)
    for found in (lambda net: net.memory, lambda net: net.decode(h), lambda net: net.draw(700)):
        np.testing.assert_array_equal(found(net), found(other))
    assert_same_arrays(net.get_weights(), other.get_weights())

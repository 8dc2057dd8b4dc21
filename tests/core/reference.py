"""The model user by user, random time frames, and networks as users write them."""

import numpy as np
from hypothesis import strategies as st

from MUMT import MUMT

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

"""The utilities as the models state them, in Python's floats: what fast code is measured against."""

from math import exp, log

import numpy as np
from scipy.special import lambertw

from ddlo.network import Network

from .wpmec import WPMEC

HALVINGS = 60  # of the interval in which the price of time is


def plain_Q(task_size, decision, N, M, beta=1, CUL=100 / 8):
    """Return Q of a MUMT, task by task, with equal bandwidth."""
    Q = 0.0
    for n in range(N):
        energy = local = offload = 0.0
        for m in range(M):
            d, x = float(task_size[n * M + m]), int(decision[n * M + m])
            b = d * 8 * 2**20
            energy += x * (b * (1.5 * 10**-7) + b * (1.42 * 10**-7)) + (1 - x) * (
                b * (3.25 * 10**-7)
            )
            local += (1 - x) * (b * (4.75 * 10**-7))
            offload += x * (d / (CUL / N) + d * 1900 * 8 * 2**20 / (10 * 10**9))
        Q += energy + beta * max(local, offload)
    return Q


def decision_by_hand(weights, network):
    """Return a function that decides a frame (1, N*M) as DDLO does, in NumPy without any check.

    Three batched products, the formula of MUMT, argmin. `weights` come from MemoryDNN.get_weights; the
    network is a MUMT with the released constants.
    """
    N, M, bandwidth = network.N, network.M, network.uplink_bandwidth / network.N
    w1, b1, w2, b2, w3, b3 = (w.astype(float) for w in weights)
    b1, b2, b3 = b1[:, None], b2[:, None], b3[:, None]

    def decide(d):
        h = np.maximum((10 * d - 200) @ w1 + b1, 0)
        logits = np.maximum(h @ w2 + b2, 0) @ w3 + b3
        candidates = logits[:, 0] > 0
        x, d = candidates.reshape(-1, N, M), d.reshape(N, M)
        b = d * 8 * 2**20
        energy = np.where(x, b * 2.92e-7, b * 3.25e-7).sum(axis=(1, 2))
        local = np.where(x, 0, b * 4.75e-7).sum(axis=2)
        offload = np.where(x, d / bandwidth + b * 1900 / 1e10, 0).sum(axis=2)
        k = (energy + np.maximum(local, offload).sum(axis=1)).argmin()
        return k, candidates[k]

    return decide


def plain_rate(gains, decision, weights):
    """Return R of a WPMEC, device by device: the price of time by bisection, y_n by Lambert's W."""
    local, sending = 0.0, []
    for h, x, w in zip(gains, decision, weights):
        if x:
            sending.append((w * 2e6 / (1.1 * log(2)), 0.7 * 3 / 1e-10 * h**2))  # e_n, g_n
        else:
            local += w * (0.7 * 3) ** (1 / 3) / 100 * (h / 1e-26) ** (1 / 3)

    def at(price):
        """Return y of each device, a, and what a longer charging pays."""
        y = [-lambertw(-exp(-(1 + price / e))).real for e, _ in sending]
        a = 1 / (1 + sum(g * y_n / (1 - y_n) for (_, g), y_n in zip(sending, y)))
        pays = local / 3 * a ** (-2 / 3) + sum(e * g * y_n for (e, g), y_n in zip(sending, y))
        return y, a, pays

    low = high = 1.0
    while at(high)[2] > high:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        price = (low + high) / 2
        y, a, pays = at(price)
        low, high = (price, high) if pays > price else (low, price)
    sent = sum(-e * g * a * y_n / (1 - y_n) * log(y_n) for (e, g), y_n in zip(sending, y))
    return local * a ** (1 / 3) + sent


class PlainWPMEC(Network, compiled=False):
    """The network of WPMEC with the Q of `plain_rate`, decision by decision."""

    M = 1

    def __init__(self, N):
        self.N, self.weights = N, WPMEC(N).weights.tolist()

    def compute_Q(self, gains, decision):
        """Return Q = 1/R in s/bit, float64, of gains and decisions (..., N)."""
        gains, decision = np.broadcast_arrays(gains, decision)
        frames = zip(gains.reshape(-1, self.N).tolist(), decision.reshape(-1, self.N).tolist())
        rates = [plain_rate(h, x, self.weights) for h, x in frames]
        return 1 / np.reshape(rates, gains.shape[:-1])

"""The utilities as the models state them, in Python's floats: what fast code is measured against."""

from math import exp, log

import numpy as np
from scipy.special import lambertw

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


class PlainWPMEC(WPMEC):
    """A WPMEC whose Q is that of `plain_rate`, decision by decision: so it is not compiled."""

    def compute_Q(self, gains, decision):
        """Return Q = 1/R in s/bit, float64, of gains and decisions (..., N)."""
        gains, decision = np.broadcast_arrays(*self.checked(gains, decision))
        frames = zip(gains.reshape(-1, self.N).tolist(), decision.reshape(-1, self.N).tolist())
        rates = [plain_rate(h, x, self.weights.tolist()) for h, x in frames]
        return 1 / np.reshape(rates, gains.shape[:-1])

"""The models in the most direct code: the reference that fast code is measured against."""

from math import exp, log

import numpy as np
from scipy.optimize import bisect
from scipy.special import lambertw

from experiments.wpmec.network import WPMEC


def plain_Q(task_size, decision, N, M, beta=1, CUL=100 / 8):
    """Return Q of a MUMT with equal bandwidth in J, task by task; CUL is in MB/s."""
    Q = 0.0
    for n in range(N):
        energy = local = offload = 0.0
        for m in range(n * M, (n + 1) * M):
            d, x = float(task_size[m]), int(decision[m])
            b = d * 8 * 2**20
            edge = b * (1.5 * 10**-7) + b * (1.42 * 10**-7)
            energy += x * edge + (1 - x) * (b * (3.25 * 10**-7))
            local += (1 - x) * (b * (4.75 * 10**-7))
            offload += x * (d / (CUL / N) + d * 1900 * 8 * 2**20 / (10 * 10**9))
        Q += energy + beta * max(local, offload)
    return Q


def plain_rate(gains, decision, weights):
    """Return R of a WPMEC in bit/s, device by device: the price of time by bisection."""
    devices = list(zip(gains.tolist(), decision.tolist(), weights.tolist()))
    local = sum(w * 2.1 ** (1 / 3) / 100 * (h / 1e-26) ** (1 / 3) for h, x, w in devices if not x)
    sending = [(w * 2e6 / (1.1 * log(2)), 2.1 / 1e-10 * h**2) for h, x, w in devices if x]

    def at(price):
        """Return y of each device, a, and the marginal rate of charging longer."""
        y = [-lambertw(-exp(-(1 + price / e))).real for e, _ in sending]
        a = 1 / (1 + sum(g * y_n / (1 - y_n) for (_, g), y_n in zip(sending, y)))
        gained = local / 3 * a ** (-2 / 3) + sum(e * g * y_n for (e, g), y_n in zip(sending, y))
        return y, a, gained

    y, a, _ = at(bisect(lambda price: at(price)[2] - price, 1, 1e12))
    sent = sum(-e * g * a * y_n / (1 - y_n) * log(y_n) for (e, g), y_n in zip(sending, y))
    return local * a ** (1 / 3) + sent


class PlainWPMEC(WPMEC, compiled=False):
    """WPMEC with the Q of `plain_rate`, decision by decision."""

    def compute_Q(self, gains, decision):
        """Return Q = 1/R in s/bit, float64, of gains and decisions (..., N)."""
        rate = np.vectorize(plain_rate, signature="(n),(n),(n)->()")
        return 1 / rate(gains, decision, self.weights)

"""The model of WPMEC for one frame: a slow reference for the fast code."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import lambertw


def model(h, x, w):
    """Return l_n of local devices, e_n and g_n of the others."""
    local = w * 2.1 ** (1 / 3) / 100 * (h / 1e-26) ** (1 / 3)
    return local[x == 0], (w * 2e6 / (1.1 * np.log(2)))[x == 1], (2.1 / 1e-10 * h**2)[x == 1]


def plain_rate(h, x, w, a, tau):
    """Return R of one frame with given shares of time."""
    local, e, g = model(h, x, w)
    tau = tau[x == 1]
    return local.sum() * a ** (1 / 3) + (e * tau * np.log1p(g * a / tau)).sum()


def plain_allocation(h, x, w):
    """Return a and tau of one frame, with y_n by Lambert's W."""
    local, e, g = model(h, x, w)

    def at(price):
        """Return a, tau of the devices that offload, and the marginal rate of charging less v."""
        y = -lambertw(-np.exp(-(1 + price / e))).real
        a = 1 / (1 + (g * y / (1 - y)).sum())
        pays = local.sum() / 3 * a ** (-2 / 3) + (e * g * y).sum()
        return a, g * a * y / (1 - y), pays - price

    a, sending, _ = at(brentq(lambda price: at(price)[2], 1, 1e12, rtol=1e-14))
    tau = np.zeros(len(h))
    tau[x == 1] = sending
    return a, tau

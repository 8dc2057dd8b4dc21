"""WPMEC, the wireless powered network of DROO.

An access point charges N devices by radio for a share a of the time frame. Devices that offload
(x_n = 1) then send one after the other, for shares tau_n; the others compute locally all the time.
With channel gains h_n and weights w_n the computation rate is

    R = sum_{x_n=0} l_n*a**(1/3) + sum_{x_n=1} e_n*tau_n*ln(1 + g_n*a/tau_n),  a + sum tau_n <= 1,
    l_n = w_n*eta1*(h_n/k)**(1/3),  g_n = eta2*h_n**2,  e_n = w_n*eps,

and Q = 1/R, in s/bit: the gain ratio is DROO's normalized computation rate, R / (best R).

Source of the model and its constants: L. Huang, S. Bi, Y. J. Zhang, "Deep reinforcement learning for
online computation offloading in wireless powered mobile-edge computing networks", 2020. The lower
bound and the search for the optimum are not in that paper.
"""

import numpy as np

from ddlo import checks
from ddlo.enumeration import ENUMERATED_TASKS, all_decisions, in_blocks
from ddlo.network import Network
from ddlo.scale import Scale

from .allocation import allocation, dual_value, greatest_dual, snr_level

ROUNDING = 1e-9  # largest relative rounding error of a rate
BLOCK = 500  # frames whose optima are found at a time
# In this range of gains and weights no term of R overflows and rounding stays small. A gain above 1
# would mean to receive more power than was sent.
SMALLEST, LARGEST_GAIN, LARGEST_WEIGHT = 1e-30, 1, 1e30


class WPMEC(Network, compiled=True):
    """A wireless powered network of N devices with one task each.

    The state of a time frame is the channel gains, (N,). A device with gain 0 is off: it does not
    charge, and its decision has no effect. Raises ValueError if N or a weight is out of range.
    """

    M = 1
    unit = "s/bit"
    has_task_sizes = False
    harvested_power = 0.7 * 3  # mu*P: conversion efficiency times transmit power of the AP, W
    cycles_per_bit = 100  # phi, of local computing
    energy_coefficient = 1e-26  # k, of the devices' processors
    noise_power = 1e-10  # N0, W
    bandwidth = 2e6  # B, Hz
    overhead = 1.1  # v_u, of the communication
    scale = Scale(-1e-4, 1e-4)  # DNN inputs are gains times 1e6, as in DROO

    def __init__(self, N, weights=None):
        self.N = checks.integer("N", N)
        if weights is None:
            weights = np.where(np.arange(self.N) % 2, 1.5, 1.0)  # as in DROO
        self.weights = checks.array("weights", weights, shape=(self.N,)).copy()
        valid = (self.weights >= SMALLEST) & (self.weights <= LARGEST_WEIGHT)
        checks.every("weights", self.weights, valid, f"{SMALLEST:g} to {LARGEST_WEIGHT:g}")

    def compute_Q(self, gains, decision):
        """Return Q = 1/R in s/bit: a float, or float64 of the broadcast leading dimensions.

        Takes channel gains, 0 or from 1e-30 to 1, and decisions, 0 (local) or 1 (offload), both
        (..., N). Raises ValueError for anything else, and for a frame of zero gains.
        """
        gains, decision = self.checked(gains, decision)
        Q = self.utility(self.costs(gains), decision, np)
        return float(Q) if Q.ndim == 0 else Q

    def time_allocation(self, gains, decision):
        """Return the best a (...) and tau (..., N); takes arguments and raises errors as `compute_Q`."""
        gains, decision = self.checked(gains, decision)
        a, tau, _ = allocation(self.costs(gains), decision, np)
        return (float(a) if a.ndim == 0 else a), tau

    def user_features(self, gains):
        """Return each device's gain and weight, for shared DNNs: (..., N, 2)."""
        return np.stack([gains, np.broadcast_to(self.weights, np.shape(gains))], axis=-1)

    # The formula of Q. `xp` is NumPy, or tensorflow.experimental.numpy for tensors.

    def costs(self, gains):
        """Return l_n, g_n and e_n of channel gains (..., N): float64 (3, ..., N)."""
        gains = np.asarray(gains, float)
        eta1 = self.harvested_power ** (1 / 3) / self.cycles_per_bit
        eta2 = self.harvested_power / self.noise_power
        local = self.weights * (eta1 * np.cbrt(gains / self.energy_coefficient))
        speed = self.weights * (self.bandwidth / (self.overhead * np.log(2)))
        return np.stack([local, eta2 * gains**2, np.broadcast_to(speed, gains.shape)])

    def utility(self, costs, decision, xp=np):
        """Return Q (...) of float64 decisions (..., N), from `costs`."""
        a, tau, level = allocation(costs, decision, xp)
        local = xp.sum((1 - decision) * costs[0], axis=-1) * a ** (1 / 3)
        return 1 / (local + xp.sum(decision * costs[2] * tau * level, axis=-1))

    def allowed(self, costs, decision, xp=np):
        """Return decisions (..., N) in which devices that are off do not offload."""
        return xp.where(costs[1] > 0, decision, xp.zeros_like(decision))

    # The best decision

    def optimum(self, gains):
        """Return the least Q of all 2**N decisions, and the first decision that reaches it.

        Takes gains (N,) or (B, N); returns float64 (B,) and int32 (B, N), for one frame a float and
        (N,). Raises ValueError for more than 12 devices, or gains as in `compute_Q`.
        """
        if self.N > ENUMERATED_TASKS:
            raise ValueError(f"up to {ENUMERATED_TASKS} devices are enumerated, got {self.N}")
        return in_blocks(self._best_of_all, self.check_state(gains), BLOCK)

    def _best_of_all(self, gains):
        """Score only decisions whose dual value reaches the rate of a good decision."""
        costs, everything = self.costs(gains), all_decisions(self.N)
        price, _, decisions = greatest_dual(costs)
        known = 1 / self.utility(costs, decisions).min(axis=0)
        local, gain, speed = costs
        value = speed * gain * np.exp(-snr_level(price[:, None] / speed, np))
        most = dual_value(price[:, None], local @ (1 - everything.T), value @ everything.T)
        frame, number = np.nonzero(most >= (1 - ROUNDING) * known[:, None])
        Q = self.utility(costs[:, frame], everything[number])
        order = np.lexsort((number, Q, frame))
        first = order[np.searchsorted(frame[order], np.arange(len(gains)))]
        return Q[first], everything[number[first]]

    def lower_bound(self, gains):
        """Return a lower bound on the Q of all decisions, and a decision near it, float64.

        At a price v of time no decision x has a greater rate than its dual value D(v, x), the maximum
        over a and tau of R + v*(1 - a - sum tau_n). The bound on R is the greatest D over x at the v
        where that is least. Takes gains and returns shapes as `optimum`, for any number of devices;
        raises errors as `compute_Q`.
        """

        def bound(gains):
            costs = self.costs(gains)
            _, most, decisions = greatest_dual(costs)
            best = self.utility(costs, decisions).argmin(axis=0)
            # Rounding must not lift the bound above the optimum.
            return (1 - 1e-12) / most, decisions[best, np.arange(len(best))]

        return in_blocks(bound, self.check_state(gains), BLOCK)

    def reference(self, gains):
        """Return least Q, its decision and "optimum"; beyond 12 devices those of the lower bound."""
        if self.N <= ENUMERATED_TASKS:
            return *self.optimum(gains), "optimum"
        return *self.lower_bound(gains), "lower bound"

    # Checks

    def checked(self, gains, decision):
        """Return gains and decisions as float64 arrays. Raises ValueError, as `compute_Q`."""
        gains, decision = self.check_state(gains), checks.array("decision", decision)
        checks.last_axis("decision", decision, self.N, f"{self.N} devices")
        return gains, checks.binary("decision", decision)

    def check_state(self, gains):
        """Return channel gains (..., N) as a float64 array. Raises ValueError, as `compute_Q`."""
        gains = checks.array("gains", gains)
        checks.last_axis("gains", gains, self.N, f"{self.N} devices")
        is_on = (gains >= SMALLEST) & (gains <= LARGEST_GAIN)
        expected = f"0 (device off) or {SMALLEST:g} to {LARGEST_GAIN:g}"
        checks.every("gains", gains, is_on | (gains == 0), expected)
        if not is_on.any(axis=-1).all():
            raise ValueError("gains must have one above 0 in each frame, got a frame of zeros")
        return gains

"""WPMEC, the wireless powered network of DROO, for DDLO and for DROO's own rules.

python -m experiments.wpmec                                  DDLO, K = 10, on gains made here
python -m experiments.wpmec --rule DROO --data data_10.mat   DROO, on its own data

An access point charges N devices by radio for a share a of the time frame. Those that offload
(x_n = 1) then send one after the other, for shares tau_n; the others compute locally all the time.
With channel gains h_n and weights w_n the computation rate is

    R = sum_{x_n=0} l_n*a**(1/3) + sum_{x_n=1} e_n*tau_n*ln(1 + g_n*a/tau_n),  a + sum tau_n <= 1,
    l_n = w_n*eta1*(h_n/k)**(1/3),  g_n = eta2*h_n**2,  e_n = w_n*eps,

and Q = 1/R, in s/bit: the gain ratio is the normalised computation rate R / (best R).

Source of the model and its constants: L. Huang, S. Bi, Y. J. Zhang, "Deep reinforcement learning for
online computation offloading in wireless powered mobile-edge computing networks", 2020. How the time is
allocated, the bound and the search of the optimum are ours.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ddlo import checks
from ddlo.candidates import NearestNeighbours, OrderPreserving
from ddlo.command_line import command_line
from ddlo.data import Data
from ddlo.enumeration import ENUMERATED_TASKS, all_decisions, in_blocks
from ddlo.files import read_mat
from ddlo.network import Network
from ddlo.scale import Scale
from main import DDLO, Parameters, run

from .allocation import allocation, dual_value, greatest_dual, snr_level
from .droo import AdaptiveDROO, AdaptiveOrderPreserving

ROUNDING = 1e-9  # relative: how far it may take a rate
DIGITS = 1e-5  # relative: how exact the rates in DROO's files are, with a margin
FRAMES_AT_A_TIME = 500
KEYS = ("input_h", "output_mode", "output_obj")  # of DROO's files


class WPMEC(Network, compiled=True):
    """A wireless powered network of N devices, each with one task: to offload, or to compute locally.

    The state of a time frame is the channel gains, (N,): finite, and not negative. A device with gain
    0 is off: it is not charged, and its decision has no effect. Raises ValueError if N or a weight is
    out of its range.
    """

    M = 1
    has_task_sizes = False
    harvested_power = 0.7 * 3  # mu*P: conversion efficiency times transmit power of the AP, W
    cycles_per_bit = 100  # phi, of local computing
    energy_coefficient = 1e-26  # k, of the devices' processors
    noise_power = 1e-10  # N0, W
    bandwidth = 2e6  # B, Hz
    overhead = 1.1  # v_u, of the communication
    scale = Scale(-1e-4, 1e-4)  # the DNNs' inputs are gains times 1e6, as DROO's are

    def __init__(self, N, weights=None):
        self.N = checks.integer("N", N)
        if weights is None:
            weights = np.where(np.arange(self.N) % 2, 1.5, 1.0)
        self.weights = checks.array("weights", weights)
        if self.weights.shape != (self.N,):
            raise ValueError(f"weights must have shape ({self.N},), got {self.weights.shape}")
        checks.every("weights", self.weights, self.weights > 0, "> 0")
        checks.finite("weights", self.weights)

    def compute_Q(self, gains, decision):
        """Return Q = 1/R in s/bit of decisions: smaller is better.

        Parameters
        ----------
        gains : array_like (..., N)
            Channel gains, finite and >= 0, in each frame at least one of them above 0.
        decision : array_like (..., N)
            1 to offload, 0 to compute locally. Leading dimensions broadcast.

        Returns
        -------
        float, or float64 array of the broadcast leading dimensions

        Raises
        ------
        ValueError
            If a shape, a gain or a decision is not as above.
        """
        gains, decision = self.checked(gains, decision)
        Q = self.utility(self.costs(gains), decision, np)
        return float(Q) if Q.ndim == 0 else Q

    def computation_rate(self, gains, decision):
        """Return R in bit/s, of arguments as those of `compute_Q`, and with its errors."""
        return 1 / self.compute_Q(gains, decision)

    def time_allocation(self, gains, decision):
        """Return the best a (...) and tau (..., N), shares of the time frame; as `compute_Q`."""
        gains, decision = self.checked(gains, decision)
        a, tau, _ = allocation(self.costs(gains), decision, np)
        return (float(a) if a.ndim == 0 else a), tau

    # The pieces of compute_Q that compiled code shares

    def costs(self, gains):
        """Return l_n, g_n and e_n of channel gains (..., N), see above: float64 (3, ..., N)."""
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
        """Return decisions (..., N) in which no device offloads that is off."""
        return xp.where(costs[1] > 0, decision, xp.zeros_like(decision))

    # The best decision

    def optimum(self, gains):
        """Return the least Q of all 2**N decisions and the first decision that has it.

        Only those decisions are scored that may be better than the one of `lower_bound`: no decision
        has a greater rate than its dual value at the price found there.

        Parameters
        ----------
        gains : array_like (N,) or (B, N)

        Returns
        -------
        gain_min : float, or float64 array (B,)
        gain_mode : int32 array (N,) or (B, N)

        Raises
        ------
        ValueError
            If the gains are not as in `compute_Q`, or there are more than 12 devices.
        """
        if self.N > ENUMERATED_TASKS:
            raise ValueError(
                f"decisions are enumerated for up to {ENUMERATED_TASKS} devices, got {self.N}"
            )
        return self._in_blocks(self._best_of_all, gains)

    def lower_bound(self, gains):
        """Return a bound that no decision's Q is below, and a decision near it.

        At a price v of time no decision has a greater rate than

            D(v, x) = max over a, tau of R + v*(1 - a - sum tau_n),

        whose maximum over all decisions is that of N + 1: those that offload the devices with the
        greatest e_n*g_n*y_n/l_n, where y_n = 1/(1 + SNR) at that price, and none, some or all of
        them. The bound is that maximum at the price where it is least; the decision is the best one
        of these. Arguments, results and errors are as in `optimum`, for any number of devices.
        """

        def bound(gains):
            costs = self.costs(gains)
            _, most, decisions = greatest_dual(costs)
            best = self.utility(costs, decisions).argmin(axis=0)
            # Rounding must not lift the bound above the optimum.
            return (1 - 1e-12) / most, decisions[best, np.arange(len(best))]

        return self._in_blocks(bound, gains)

    def reference(self, gains):
        """Return gain_min, gain_mode and what gain_min is: the optimum, or beyond 12 devices a bound."""
        if self.N <= ENUMERATED_TASKS:
            return *self.optimum(gains), "optimum"
        return *self.lower_bound(gains), "lower bound"

    def _best_of_all(self, gains):
        costs, everything = self.costs(gains), all_decisions(self.N)
        price, _, decisions = greatest_dual(costs)
        known = 1 / self.utility(costs, decisions).min(axis=0)  # a rate that can be had
        local, gain, speed = costs
        value = speed * gain * np.exp(-snr_level(price[:, None] / speed, np))
        most = dual_value(price[:, None], local @ (1 - everything.T), value @ everything.T)
        frame, number = np.nonzero(most >= (1 - ROUNDING) * known[:, None])
        Q = self.utility(costs[:, frame], everything[number])
        # By frame, then Q, then number: the first one of each frame.
        order = np.lexsort((number, Q, frame))
        first = order[np.searchsorted(frame[order], np.arange(len(gains)))]
        return Q[first], everything[number[first]]

    def _in_blocks(self, function, gains):
        return in_blocks(function, self.check_state(gains), FRAMES_AT_A_TIME)

    # Checks

    def checked(self, gains, decision):
        """Return gains and decisions as float64 arrays. Raises ValueError, as compute_Q."""
        gains, decision = self.check_state(gains), checks.array("decision", decision)
        checks.last_axis("decision", decision, self.N, f"{self.N} devices")
        return gains, checks.binary("decision", decision)

    def check_state(self, gains):
        """Return channel gains as a float64 array. Raises ValueError, as compute_Q."""
        gains = checks.array("gains", gains)
        checks.last_axis("gains", gains, self.N, f"{self.N} devices")
        checks.sizes("gains", gains)
        if not (gains > 0).any(axis=-1).all():
            raise ValueError("gains must have one above 0 in each frame, got a frame of zeros")
        return gains


def channel_gains(samples, N, seed=0):
    """Return channel gains, float64 (samples, N), as DROO's data sets seem to be made.

    Device n = 1, 2, ... is 2.8 + (n - 1)/3 m away; the mean gain is that of free space at 915 MHz
    with an exponent of 2.8 and an antenna gain of 4.11, and the fading is Rayleigh's, so that a gain
    is exponential. The same seed gives the same gains.
    """
    distance = 2.8 + np.arange(checks.integer("N", N)) / 3  # m
    mean = 4.11 * (3e8 / (4 * np.pi * 915e6 * distance)) ** 2.8
    random = np.random.RandomState(checks.integer("seed", seed, 0))
    return random.exponential(mean, (checks.integer("samples", samples, 2), N))


def load_gains(path):
    """Load one of DROO's data sets, data_N.mat, or any other with the same keys.

    Returns
    -------
    network : WPMEC, of as many devices as the file has, with DROO's weights
    data : Data, with gains and the Q of the file's decisions; "optimum", or beyond 12 devices, where
        nobody can tell, "best known utility"

    Raises
    ------
    ValueError
        If a key is missing, or something in the file has another shape or other values than it
        should: gains, decisions, or rates (output_obj) that are not those of the decisions, or not
        the greatest ones, for which a hundred samples or so are looked at.
    """
    content = read_mat(path)
    missing = [key for key in KEYS if key not in content]
    if missing:
        raise ValueError(
            f"{path} must have {', '.join(KEYS)}, got {', '.join(content) or 'nothing'}"
        )
    gains, mode, rate = (checks.array(f"{path}: {key}", content[key]) for key in KEYS)
    if gains.ndim != 2 or len(gains) < 2:
        raise ValueError(
            f"{path}: input_h must have shape (samples, N), at least 2 samples, got {gains.shape}"
        )
    samples, N = gains.shape
    if mode.shape != gains.shape or rate.size != samples:
        raise ValueError(
            f"{path}: output_mode and output_obj must have shapes {gains.shape} and ({samples}, 1), "
            f"got {mode.shape} and {rate.shape}"
        )
    network, rate = WPMEC(N), rate.ravel()
    is_enumerable, some = N <= ENUMERATED_TASKS, slice(None, None, max(1, samples // 100))
    try:
        gain_min = network.compute_Q(gains, mode)
        expected = [(slice(None), gain_min, "that of output_mode")]
        if is_enumerable:
            expected.append((some, network.optimum(gains[some])[0], "the greatest one"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    for part, Q, what in expected:
        for i in np.flatnonzero(~np.isclose(rate[part], 1 / Q, rtol=DIGITS, atol=0))[:1]:
            raise ValueError(
                f"{path}: output_obj of sample {np.arange(samples)[part][i]} must be {1 / Q[i]:.8g} "
                f"bit/s, {what}, got {rate[part][i]:.8g}"
            )
    return network, Data(gains, gain_min, "optimum" if is_enumerable else "best known utility")


@dataclass
class Options:
    """Run DDLO, or DROO, on a wireless powered MEC network."""

    rule: Literal["DDLO", "DROO", "adaptive", "KNN"] = "DDLO"  # DROO's K adapts in `adaptive`
    K: int = 10  # DNNs of DDLO, or candidates of DROO's one; of no meaning if it adapts
    data: Path | None = None  # one of DROO's data sets; default: gains are made, as theirs are
    users: int = 10  # N, devices, if gains are made
    samples: int = 20000  # of gains, if they are made
    frames: int = 20000  # time frames; up to the last fifth are test frames, learning continues
    seed: int = 0  # of gains, weights and mini-batches
    device: str | None = None  # CPU, GPU or GPU:1, for example; default: TensorFlow's choice
    out: Path | None = None  # output folder; default: results/<time>
    show: bool = False  # open windows with the plots, where there is a screen


def main(options):
    """Run what the options ask for, as main.py does.

    Raises
    ------
    ValueError
        If an option is out of its range, or the data set not as expected.
    FloatingPointError
        If the training diverges.
    """
    o = options
    checks.integer("K", o.K)
    if o.data is None:
        network = WPMEC(o.users)
        gains = channel_gains(o.samples, o.users, o.seed)
        data = Data.generate(network, states=gains)
    else:
        network, data = load_gains(o.data)
    candidates = {
        "DDLO": None,
        "DROO": OrderPreserving(o.K),
        "adaptive": AdaptiveOrderPreserving(),
        "KNN": NearestNeighbours(o.K),
    }[o.rule]
    parameters = Parameters(
        data=o.data,
        users=network.N,
        tasks=1,
        frames=o.frames,
        net_num=o.K if o.rule == "DDLO" else 1,
        seed=o.seed,
        device=o.device,
        out=o.out,
        show=o.show,
    )
    algorithm = AdaptiveDROO if o.rule == "adaptive" else DDLO
    return run(parameters, network, data, candidates, algorithm)


if __name__ == "__main__":
    command_line(main, Options)

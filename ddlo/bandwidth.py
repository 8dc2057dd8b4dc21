"""Joint optimization of offloading decisions and bandwidth allocation: the problem of the paper.

For each decision x, JointMUMT shares the uplink of the cell so that Q is least, with c_n >= 0 and
sum_n c_n <= CUL; the released code splits it equally. How the shares and a lower bound are found is not
in the paper.
"""

from dataclasses import fields
from typing import Literal

import numpy as np

from ddlo import checks
from ddlo.enumeration import ENUMERATED_TASKS, search
from ddlo.network import kind_of
from MUMT import MUMT, Constants, sum_left_to_right

BISECTIONS = 50  # of the price of bandwidth: enough to be exact within rounding


class JointMUMT(MUMT, compiled=True):
    """A MUMT in which each decision has its best bandwidth allocation.

    It has five `costs`: those of MUMT, the offload delay without the upload, and the weighted delay of an
    upload at the full uplink. An uplink_bandwidth of shape (N, 1) is each user's rate at that.
    """

    # A user whose delay has no weight would get no bandwidth.
    _positive = (*MUMT._positive, "delay_weight")

    @property
    def separable(self):
        """Whether Q is a sum over users: not with several, because they compete for bandwidth."""
        return self.N == 1

    # The formula of Q

    def costs(self, task_size):
        """Return the costs of tasks (..., N*M): float64 (5, ..., N*M)."""
        d = self.by_user(task_size)
        costs = [*self.cost_terms(d, upload=0), self.delay_weight * (d / self.uplink_bandwidth)]
        return np.reshape(costs, (5, *task_size.shape))

    def user_costs(self, costs, decision, xp=np):
        """Return as MUMT, and each user's weighted upload delay at the full uplink."""
        upload = self.by_user(decision, xp) * self.by_user(costs[4], xp)
        return *super().user_costs(costs, decision, xp), sum_left_to_right(upload)

    def user_utility(self, costs, decision, xp=np):
        """Return each user's part of Q with the best bandwidth allocation: (..., N)."""
        energy, local, offload, upload = self.user_costs(costs, decision, xp)
        root, _, level = water_level(local - offload, upload, xp)
        return energy + xp.maximum(local, offload + root / level[..., None])

    def recombine(self, costs, candidates, best, xp=np):
        """Return as MUMT; all parts pay for bandwidth at its price in the best candidate (B, N*M)."""
        _, local, offload, upload = self.user_costs(costs, best, xp)
        level = water_level(local - offload, upload, xp)[2]
        parts = at_price(self.user_costs(costs, candidates, xp), level[..., None], xp)[0]
        return self.best_parts(parts, candidates, xp)

    # What else there is to know of a decision

    def bandwidth_allocation(self, task_size, decision):
        """Return each user's bandwidth that makes Q least, in MB/s, 0 with nothing to send: (..., N)."""
        task_size, decision = np.broadcast_arrays(*self.checked(task_size, decision))
        _, local, offload, upload = self.user_costs(self.costs(task_size), decision)
        root, cap, level = water_level(local - offload, upload)
        sends = self.by_user(decision).any(axis=-1)
        share = np.minimum(level[..., None] * root, np.where(sends, cap, 0.0))
        return share * np.ravel(self.uplink_bandwidth)

    def energy_and_delays(self, task_size, decision):
        """Return as MUMT, with the bandwidths of `bandwidth_allocation`."""
        energy, local, processing = super().energy_and_delays(task_size, decision)
        allocated = self.bandwidth_allocation(task_size, decision)
        offloaded = self.by_user(np.multiply(*self.checked(task_size, decision))).sum(axis=-1)
        return energy, local, processing + offloaded / np.where(offloaded, allocated, 1.0)

    # The optimum and a lower bound

    def reference(self, task_size):
        """Return the numerator of gain ratios: least Q, its decision, and its name.

        The optimum if it is known, up to 12 tasks in all; beyond that the lower bound, so that gain ratios
        never exceed the truth.
        """
        own = type(self).optimum is not JointMUMT.optimum
        if self.N * self.M <= ENUMERATED_TASKS or self.separable or own:
            return super().reference(task_size)
        return *self.lower_bound(task_size), "lower bound"

    def lower_bound(self, task_size):
        """Return a lower bound on Q in J, float or (B,), and a decision near it, (N*M,) or (B, N*M).

        The bound is the greatest value of the Lagrangian dual: each user takes the best of 2**M
        decisions and pays for bandwidth, all at one price, which bisection finds. The decision is the
        users' choice at that price. Takes task sizes in MB, (N*M,) or (B, N*M). Raises ValueError as
        `optimum`, and for a subclass with another utility.
        """
        task_size = checks.block("task_size", self.check_state(task_size))
        for name in ("compute_Q", "utility", "user_utility"):
            if getattr(type(self), name) is not getattr(JointMUMT, name):
                raise ValueError(f"no lower bound is known for the {name} of {kind_of(self)}")
        return search(self._greatest_dual, task_size, self.M, self.N * self.M)

    def _greatest_dual(self, task_size, decisions):
        """Return the greatest dual value (B,), and the better of the decisions around its price."""
        costs = self.costs(task_size)
        every = np.tile(decisions, self.N)
        user_costs = self.user_costs(costs[:, :, None], every, np)  # (B, 2**M, N)
        energy, local, offload, upload = user_costs
        bound = (energy + np.maximum(local, offload)).min(axis=1).sum(axis=1)  # at price 0

        def respond(level):
            """Return the users' choice at a level (B,), and whether they take too much bandwidth."""
            nonlocal bound
            parts, taken = at_price(user_costs, level[:, None, None])
            best = parts.argmin(axis=1)[:, None]  # (B, 1, N)
            dual, taken = (
                np.take_along_axis(values, best, axis=1).sum(axis=(1, 2))
                for values in (parts, taken)
            )
            bound = np.maximum(bound, dual - 1 / level / level)
            return decisions[best[:, 0]].reshape(task_size.shape), taken > 1

        # At the lower level all users together cannot take more than the uplink. At the upper one any
        # user below the cap takes all of it, or the price is close to 0.
        root = np.sqrt(upload)
        most = root.max(axis=1).sum(axis=1)
        least = np.min(root, axis=(1, 2), where=root > 0, initial=np.inf)
        low, high = 1 / np.where(most > 0, most, 1.0), 1 / np.where(most > 0, least, 1.0)
        high = np.maximum(high, np.sqrt(1e13 / np.where(bound > 0, bound, 1.0)))
        for _ in range(BISECTIONS):
            level = np.sqrt(low * high)
            too_much = respond(level)[1]
            low, high = np.where(too_much, low, level), np.where(too_much, level, high)
        candidates = np.stack([respond(low)[0], respond(high)[0]])
        better = self.utility(costs, candidates, np).argmin(axis=0)
        # Rounding must not lift the bound above the optimum.
        return (1 - 1e-12) * bound, candidates[better, np.arange(len(better))]


def water_level(slack, upload, xp=np):
    """Share the uplink so that the sum of the users' weighted delays is least: water-filling.

    With a share of the uplink user n's upload takes upload[n]/share; beyond slack[n] faster uploads
    gain nothing. So the share is min(level*root[n], cap[n]) with root = sqrt(upload) and cap =
    upload/slack (infinite without slack), at the level where the shares sum to 1. The sum is concave
    and piecewise linear in the level: Newton's method, from the piece where no user is at the cap,
    reaches the exact level in at most N steps. Returns root and cap (..., N), and the level (...) > 0.
    """
    root = xp.sqrt(upload)
    limited = slack > 0
    divisor = xp.where(limited, slack, 1.0)
    cap = xp.where(limited, upload / divisor, np.inf)
    cap_reached = xp.where(limited, root / divisor, np.inf)  # at this level

    def crossing(full, least):
        left = 1 - sum_left_to_right(xp.where(full, cap, 0.0))
        slope = sum_left_to_right(xp.where(full, 0.0, root))
        level = xp.where(slope > 0, left / xp.where(slope > 0, slope, 1.0), 0.0)
        return xp.maximum(level, least)  # rounding must not lower it again

    def step(full, level, more):
        level = crossing(more, level)
        return more, level, more | (cap_reached < level[..., None])

    full = cap_reached < 0  # nobody is at the cap
    level = crossing(full, xp.zeros_like(slack[..., 0]))
    level = xp.where(level > 0, level, 1.0)  # any level will do if nobody sends anything
    more = cap_reached < level[..., None]
    _, level, _ = loop_while(
        lambda full, level, more: xp.any(more != full), step, (full, level, more), xp
    )
    return root, cap, level


def loop_while(condition, step, values, xp):
    """Return the values that step(*values) reaches while condition(*values) holds."""
    if xp is not np:
        from ddlo.backend import tf

        return tf.while_loop(condition, step, values)
    while condition(*values):
        values = step(*values)
    return values


def at_price(user_costs, level, xp=np):
    """Return users' parts of Q including the price of bandwidth, and their shares: two of (..., N).

    The price of the full uplink is 1/level**2 J; the best share is then that of `water_level`.
    """
    energy, local, offload, upload = user_costs
    slack, paid = local - offload, xp.sqrt(upload) / level
    full = slack > paid
    divisor = xp.where(full, slack, 1.0)
    # One division: XLA merges two in a row, and NumPy must round alike.
    priced = xp.where(full, local + upload / (divisor * level * level), offload + 2 * paid)
    return energy + priced, xp.where(full, upload / divisor, xp.sqrt(upload) * level)


# How users share the uplink, by the values of main.py's parameter `bandwidth`.
NETWORKS = {"equal": MUMT, "optimal": JointMUMT}
Sharing = Literal[tuple(NETWORKS)]


def make_network(parameters):
    """Return the network of parameters: users, tasks, bandwidth, uplink (Mbit/s) and Constants.

    Raises ValueError if one is out of range.
    """
    p = parameters
    kind = NETWORKS[checks.choice("bandwidth", p.bandwidth, NETWORKS)]
    constants = {each.name: getattr(p, each.name) for each in fields(Constants)}
    uplink = checks.number("uplink", p.uplink, positive=True)
    return kind(p.users, p.tasks, uplink_bandwidth=uplink / 8, **constants)

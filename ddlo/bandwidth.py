"""Joint optimisation of offloading decisions and bandwidth allocation: the problem of the paper.

For each decision x, JointMUMT shares the uplink bandwidth of the cell so that Q is least, with
c_n >= 0 and sum_n c_n <= CUL, where the released code splits it equally. Finding the shares, and a
bound on what any decision can reach, is ours.
"""

import copy

import numpy as np

from ddlo import checks
from MUMT import ENUMERATED_TASKS, MUMT, in_parts, sum_left_to_right

BISECTIONS = 50  # of the price of bandwidth, after which it is as good as exact


class JointMUMT(MUMT):
    """A MUMT in which each decision has the bandwidth allocation that suits it best.

    Parameters, methods and errors are those of MUMT. `task_costs` returns five costs: the delay
    offloaded lacks the upload, and fifth is the weighted delay of uploading at all of the cell's
    bandwidth. An uplink_bandwidth of shape (N, 1) is what each user would have of all of it.
    """

    @property
    def separable(self):
        """As for MUMT; but what bandwidth a user gets depends on all others' decisions."""
        return self.N == 1 and super().separable

    def bandwidth_allocation(self, task_size, decision):
        """Return the bandwidth of each user that makes Q least, in MB/s: float64 array (..., N).

        Takes arguments and raises errors as `compute_Q`. Users with nothing to send get 0, and not
        all bandwidth is allocated if nobody has a use for the rest.
        """
        task_size, decision = np.broadcast_arrays(*self.checked(task_size, decision))
        # Any positive weight of delay allocates alike; without one any allocation is as good as this.
        weighted = copy.copy(self)
        weighted.delay_weight = self.delay_weight if np.any(self.delay_weight) else 1
        _, local, offload, upload = weighted.user_costs(weighted.task_costs(task_size), decision)
        root, cap, level = water_level(local - offload, upload)
        sends = self.by_user(decision).any(axis=-1)
        share = np.minimum(level[..., None] * root, np.where(sends, cap, 0.0))
        return share * np.ravel(self.uplink_bandwidth)

    def energy_and_delays(self, task_size, decision):
        """Return what MUMT's does, with the bandwidth that `bandwidth_allocation` gives each user."""
        energy, local, processing = super().energy_and_delays(task_size, decision)
        allocated = self.bandwidth_allocation(task_size, decision)
        offloaded = self.by_user(np.asarray(task_size) * np.asarray(decision)).sum(axis=-1)
        return energy, local, processing + offloaded / np.where(offloaded, allocated, 1.0)

    def checked_constant(self, name, value):
        """Return a constant as MUMT's does; a user whose delay has no weight would get no bandwidth."""
        value = super().checked_constant(name, value)
        if name == "delay_weight" and np.any(value) and not np.all(value):
            raise ValueError(f"{name} must be positive for every user, or 0 for all, got {value}")
        return value

    def reference(self, task_size):
        """Return gain_min, gain_mode and what gain_min is.

        Up to 12 tasks in all, for one user, or where a subclass has its own, that is the `optimum`.
        Else it is the `lower_bound` with a decision near it, so that gain ratios are never better than
        the truth.
        """
        has_own = checks.overridden(self, JointMUMT, "optimum")
        if self.N * self.M <= ENUMERATED_TASKS or self.separable or has_own:
            return super().reference(task_size)
        return *self.lower_bound(task_size), "lower bound"

    def lower_bound(self, task_size):
        """Return a bound that no decision and no bandwidth allocation is below, and a decision near it.

        The bound is the greatest value of the Lagrangian dual: each user takes the best of 2**M
        decisions and pays a price for each MB/s, which is the same for all users and found by
        bisection. The decision is what the users choose at that price (the dual heuristic). How far
        its Q, or any other, is above the bound limits how far it can be above the optimum.

        Parameters
        ----------
        task_size : as in `optimum`

        Returns
        -------
        bound : float, or float64 array (B,)
            In J.
        decision : int32 array (N*M,) or (B, N*M)

        Raises
        ------
        ValueError
            If the task sizes are not as above, a user has too many tasks to enumerate, as for MUMT's
            `optimum`, or the network is of a subclass with another utility.
        """
        task_size = checks.block("task_size", self.checked_sizes(task_size))
        self.check_enumerable()
        for name in checks.overridden(self, JointMUMT, "compute_Q", "utility", "user_utility"):
            raise ValueError(f"no lower bound is known for the {name} of {type(self).__name__}")
        return in_parts(self._greatest_dual, task_size, self.M, self.N * self.M)

    # The formula of Q, in the pieces that MUMT has

    def task_costs(self, task_size):
        """Return what tasks of (..., N*M) MB cost: float64 (5, ..., N*M), as in MUMT."""
        d = self.by_user(task_size)
        costs = [*self.costs_of(d, upload=0), self.delay_weight * (d / self.uplink_bandwidth)]
        return np.reshape(costs, (5, *task_size.shape))

    def user_utility(self, costs, decision, xp=np):
        """Return each user's part of Q with the best bandwidth allocation: (..., N)."""
        energy, local, offload, upload = self.user_costs(costs, decision, xp)
        root, _, level = water_level(local - offload, upload, xp)
        return energy + xp.maximum(local, offload + root / level[..., None])

    def user_costs(self, costs, decision, xp=np):
        """Return what MUMT's does, and each user's weighted upload delay at all the bandwidth."""
        if costs.shape[0] != 5:
            raise ValueError(f"task_costs of a JointMUMT must return 5 costs, got {costs.shape[0]}")
        upload = self.by_user(decision, xp) * self.by_user(costs[4], xp)
        return *super().user_costs(costs, decision, xp), sum_left_to_right(upload)

    def recombine(self, costs, candidates, best, xp=np):
        """Return decisions (B, N*M) made of every user's best part of candidates (C, B, N*M).

        Each candidate allocates the bandwidth in another way: parts are compared at the price of
        bandwidth of one candidate, the best (B, N*M).
        """
        _, local, offload, upload = self.user_costs(costs, best, xp)
        level = water_level(local - offload, upload, xp)[2]
        parts = at_price(self.user_costs(costs, candidates, xp), level[..., None], xp)[0]
        return self.best_parts(parts, candidates, xp)

    def _greatest_dual(self, task_size, decisions):
        """Greatest dual value of each frame, and the better of the decisions next to its price."""
        costs = self.task_costs(task_size)
        of_users = self.user_costs(costs[:, :, None], np.tile(decisions, self.N))  # (B, 2**M, N)
        energy, local, offload, upload = of_users
        bound = (energy + np.maximum(local, offload)).min(axis=1).sum(axis=1)  # if it were free

        def respond(level):
            """Return what the users decide at a level (B,), and whether they take too much."""
            nonlocal bound
            parts, taken = at_price(of_users, level[:, None, None])
            best = parts.argmin(axis=1)[:, None]  # (B, 1, N)
            dual, taken = (
                np.take_along_axis(values, best, axis=1).sum(axis=(1, 2))
                for values in (parts, taken)
            )
            bound = np.maximum(bound, dual - 1 / level / level)
            return decisions[best[:, 0]].reshape(task_size.shape), taken > 1

        # At the lower level all together can take no more than there is. At the upper one anybody
        # who is not at the cap takes all of it, or else the price is next to nothing.
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
        better = self.utility(costs, candidates).argmin(axis=0)
        # Rounding must not lift the bound above the optimum.
        return (1 - 1e-12) * bound, candidates[better, np.arange(len(better))]


def water_level(slack, upload, xp=np):
    """Share the bandwidth so that the sum of the users' weighted delays is least: water-filling.

    With a share of the bandwidth user n's upload takes upload[n]/share, and being faster than
    slack[n] gains nothing; both are (..., N). So the share is min(level*root[n], cap[n]) with
    root = sqrt(upload), cap = upload/slack, infinite where there is no slack, and the level at which
    the shares' sum is 1. The sum is a concave, piecewise linear function of the level. Newton's
    method goes up on it, from the piece where no user is at the cap, to the exact level in N steps at
    most.

    Returns root and cap (..., N), and the level (...), positive; if all users are at their caps, it
    is one at which they are.
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
        return xp.maximum(level, least)  # rounding must not take it down again

    full = cap_reached < 0  # nobody is at the cap
    level = crossing(full, xp.zeros_like(slack[..., 0]))
    level = xp.where(level > 0, level, 1.0)  # any will do where nobody sends anything
    more = cap_reached < level[..., None]
    while xp.any(more != full):
        full = more
        level = crossing(full, level)
        more = full | (cap_reached < level[..., None])
    return root, cap, level


def at_price(of_users, level, xp=np):
    """Return users' parts of Q with what they pay for bandwidth, and the shares they take: (..., N).

    `of_users` is what JointMUMT.user_costs returns. The price of all the bandwidth, in J, is
    1/level**2; at this it is best to take level*root[n], or cap[n] if that is less, as in
    `water_level`.
    """
    energy, local, offload, upload = of_users
    slack, paid = local - offload, xp.sqrt(upload) / level
    full = slack > paid
    divisor = xp.where(full, slack, 1.0)
    # XLA makes one division of two in a row, and one it is for NumPy, too.
    priced = xp.where(full, local + upload / (divisor * level * level), offload + 2 * paid)
    return energy + priced, xp.where(full, upload / divisor, xp.sqrt(upload) * level)

"""The multi-user, multi-task network of DDLO: the utility Q of offloading decisions, and its optimum.

In each time frame user n of N has M independent tasks of d[n, m] MB. The decision x[n, m] is 1 to
offload the task to the edge server and 0 to process it on the device. With b = 8 * 2**20 * d bits:

    energy of user n  E_n = sum_m  x*(a*b + et*b) + (1-x)*El*b
    local delay       L_n = sum_m  (1-x)*Tl*b
    offload delay     O_n = sum_m  x*(d/c_n + b*APP/fc)
    system utility    Q   = sum_n  E_n + beta*max(L_n, O_n)         in J, smaller is better

User n has the bandwidth c_n = CUL/N, an equal split; ddlo/bandwidth.py optimizes it instead.
Source: Huang et al. 2018; constants and equal split: the released package.
"""

import copy
from dataclasses import dataclass

import numpy as np

from ddlo import checks
from ddlo.enumeration import ENUMERATED_TASKS, enumerate_decisions, search
from ddlo.network import Network, describe_network, kind_of

BITS_PER_MB = 8.0 * 2**20  # a power of 2: its products are exact


@dataclass(kw_only=True)
class Constants:
    """The constants of a MUMT except the uplink; the defaults are the released values.

    In Python each is a number, or an array (N, 1) for users, (1, M) for tasks, or (N, M).
    """

    # 3.25 * 10**-7 and 3.25e-7 are different doubles; only the products give the published optima.

    local_energy_per_bit: float = 3.25 * 10**-7  # El, energy of local processing, J/bit
    local_time_per_bit: float = 4.75 * 10**-7  # Tl, time of local processing, s/bit
    transmit_energy_per_bit: float = 1.42 * 10**-7  # et, energy of the upload, J/bit
    edge_cost_per_bit: float = 1.5 * 10**-7  # a (alpha), weight of the edge's cost, J/bit
    edge_cycles_per_bit: float = 1900  # APP, processing density at the edge, cycle/bit
    edge_cpu_rate: float = 10 * 10**9  # fc, CPU rate of the edge, cycle/s
    delay_weight: float = 1  # p (beta), weight of delay against energy, J/s


# The symbols of the paper and of the released package are names of the attributes, too.
SYMBOLS = {
    "El": "local_energy_per_bit",
    "Tl": "local_time_per_bit",
    "et": "transmit_energy_per_bit",
    "a": "edge_cost_per_bit",
    "alpha": "edge_cost_per_bit",
    "APP": "edge_cycles_per_bit",
    "fc": "edge_cpu_rate",
    "CUL": "uplink_bandwidth",
    "p": "delay_weight",
    "beta": "delay_weight",
}


class MUMT(Network, compiled=True):
    """A network of N users with M tasks each.

    Task sizes (MB, 0 is no task) and decisions have N*M entries in the last axis: user 1's tasks, user
    2's, and so on. `uplink_bandwidth` (CUL, MB/s) and the fields of Constants are keyword arguments, and
    attributes that can be set later. `rand_seed` has no effect, as released. Raises ValueError for a
    value out of range.
    """

    unit = "J"
    separable = True
    _positive = ("edge_cpu_rate", "uplink_bandwidth")

    def __init__(self, N, M, rand_seed=1, **constants):
        self.N, self.M = checks.integer("N", N), checks.integer("M", M)
        given = {SYMBOLS.get(name, name): value for name, value in constants.items()}
        self.rand_seed, self.uplink_bandwidth = rand_seed, given.pop("uplink_bandwidth", 100 / 8)
        for name, value in vars(Constants(**given)).items():
            setattr(self, name, value)

    # The formula of Q. `xp` is NumPy, or tensorflow.experimental.numpy for tensors.

    def costs(self, task_size):
        """Return the costs of tasks (..., N*M), J: float64 (4, ..., N*M).

        Energy offloaded and local, then weighted delay offloaded and local. XLA could fuse products with
        sums and round differently, so all products are here; the rest of Q has the same bits everywhere.
        """
        d = self.by_user(task_size)
        costs = self.cost_terms(d, d / (self.uplink_bandwidth / self.N))
        return np.reshape(costs, (4, *task_size.shape))

    def cost_terms(self, d, upload):
        """Return the four costs of tasks d (..., N, M) with upload times in seconds."""
        b = d * BITS_PER_MB
        processing = d * self.edge_cycles_per_bit * BITS_PER_MB / self.edge_cpu_rate
        return [
            b * self.edge_cost_per_bit + b * self.transmit_energy_per_bit,
            b * self.local_energy_per_bit,
            self.delay_weight * (upload + processing),
            self.delay_weight * (b * self.local_time_per_bit),
        ]

    def user_costs(self, costs, decision, xp=np):
        """Return each user's energy, weighted local delay and weighted offload delay: (..., N) each."""
        x, costs = self.by_user(decision, xp), self.by_user(costs, xp)
        local = 1 - x
        energy = x * costs[0] + local * costs[1]
        return tuple(map(sum_left_to_right, (energy, local * costs[3], x * costs[2])))

    def user_utility(self, costs, decision, xp=np):
        """Return each user's part of Q, E_n + beta*max(L_n, O_n): (..., N).

        A subclass in which a part depends on other users' decisions must set `separable = False`.
        """
        energy, local, offload = self.user_costs(costs, decision, xp)
        return energy + xp.maximum(local, offload)

    def utility(self, costs, decision, xp=np):
        """Return Q (...) of decisions (..., N*M), from `costs`."""
        return sum_left_to_right(self.user_utility(costs, decision, xp))

    def compute_Q(self, task_size, decision):
        """Return the system utility Q in J: a float, or float64 of the broadcast leading dimensions.

        Takes task sizes in MB and decisions, both (..., N*M): candidates (C, B, N*M) for task sizes
        (B, N*M) are one call. Sums left to right, tasks within a user and then users, as released.
        Raises ValueError for a wrong shape, a size out of range, or a decision that is not 0 or 1.
        """
        task_size, decision = self.checked(task_size, decision)
        Q = self.utility(self.costs(task_size), decision, np)
        return float(Q) if Q.ndim == 0 else Q

    # Bandwidth, energy and delay of a decision: not in the paper

    def bandwidth_allocation(self, task_size, decision):
        """Return each user's bandwidth, MB/s, (..., N): 0 without offloading. Raises as `compute_Q`."""
        task_size, decision = np.broadcast_arrays(*self.checked(task_size, decision))
        equal = np.ravel(self.uplink_bandwidth) / self.N
        return np.where(self.by_user(decision).any(axis=-1), equal, 0.0)

    def energy_and_delays(self, task_size, decision):
        """Return each user's energy E_n (J), local delay L_n and offload delay O_n (s): (..., N) each.

        The delays are not weighted. Raises as `compute_Q`.
        """
        task_size, decision = self.checked(task_size, decision)
        unweighted = copy.copy(self)
        unweighted.delay_weight = 1
        return unweighted.user_costs(unweighted.costs(task_size), decision, np)[:3]

    def recombine(self, costs, candidates, best, xp=np):
        """Return decisions (B, N*M), each user's first best part of candidates (C, B, N*M).

        `best` (B, N*M), the best candidate of each frame, matters only if parts depend on each other.
        """
        return self.best_parts(self.user_utility(costs, candidates, xp), candidates, xp)

    def best_parts(self, utility, candidates, xp=np):
        """Return decisions (B, N*M) of the parts with the least utility (C, B, N)."""
        first = xp.argmin(utility, axis=0)[None, ..., None]  # (1, B, N, 1)
        best = xp.take_along_axis(self.by_user(candidates, xp), first, axis=0)[0]
        return xp.reshape(best, candidates.shape[1:])

    def user_features(self, task_size):
        """Return each user's task sizes, and those constants that differ between users: (..., N, F)."""
        features = [self.by_user(np.asarray(task_size))]
        for name in dict.fromkeys(SYMBOLS.values()):
            value = np.atleast_2d(getattr(self, name))
            if (value != value[0]).any():  # (N, 1) or (N, M)
                features.append(np.broadcast_to(value, (*features[0].shape[:-1], value.shape[1])))
        return np.concatenate(features, axis=-1)

    def by_user(self, values, xp=np):
        """Return an array (..., N*M) as (..., N, M)."""
        shape = (*values.shape[:-1], self.N, self.M)
        return values.reshape(shape) if xp is np else xp.reshape(values, shape)

    # The optimum

    def optimum(self, task_size):
        """Return the least Q and a decision that reaches it: a float and int32 (N*M,), or (B, ...).

        Takes task sizes in MB, (N*M,) or (B, N*M). Up to N*M = 12 all decisions are enumerated, as for
        the published data. Beyond that the best of 2**M decisions is found user by user: the least Q is
        the same, but of equal minima it may choose another. Raises ValueError for invalid task sizes,
        more than 20 tasks per user (17 for 30 users), or more than 12 in all if Q is not separable.
        """
        if self.N * self.M <= ENUMERATED_TASKS:
            return enumerate_decisions(self, checks.block("task_size", self.check_state(task_size)))
        return self.optimum_by_user(task_size)

    def optimum_by_user(self, task_size):
        """Return as `optimum`, user by user for any number of tasks. Q must be separable."""
        if not self.separable:
            known = f"its optimum is known up to {ENUMERATED_TASKS} tasks, got {self.N * self.M}"
            raise ValueError(f"the utility of {kind_of(self)} is not separable: {known}")
        task_size = checks.block("task_size", self.check_state(task_size))

        def best(task_size, decisions):
            costs = self.costs(task_size)[:, :, None]
            parts = self.user_utility(costs, np.tile(decisions, self.N), np)  # (B, 2**M, N)
            x = decisions[parts.argmin(axis=1)]  # (B, N, M)
            return sum_left_to_right(parts.min(axis=1)), x.reshape(task_size.shape)

        return search(best, task_size, self.M, self.N * self.M)

    # Attributes and checks

    def __setattr__(self, name, value):
        name = SYMBOLS.get(name, name)
        if name in ("N", "M") and name in vars(self):  # compiled code depends on them
            raise AttributeError(f"{name} of a network is fixed: make a new one")
        if name in SYMBOLS.values():
            value = self.check_constant(name, value)
        super().__setattr__(name, value)

    def __getattr__(self, name):  # called for names not found otherwise
        if name in SYMBOLS:
            return getattr(self, SYMBOLS[name])
        raise AttributeError(f"{kind_of(self)!r} object has no attribute {name!r}")

    def __eq__(self, other):
        return type(self) is type(other) and describe_network(self) == describe_network(other)

    def check_constant(self, name, value):
        """Return a constant as a number or a read-only float64 array. Raises ValueError."""
        value = checks.constant(name, value, (self.N, self.M), name in self._positive)
        if name == "uplink_bandwidth" and np.ndim(value) and value.shape != (self.N, 1):
            raise ValueError(f"{name} must be a number, or of shape ({self.N}, 1) for users")
        return value

    def check_state(self, task_size):
        """Return task sizes (..., N*M) as a float64 array. Raises ValueError."""
        task_size = checks.array("task_size", task_size)
        checks.last_axis("task_size", task_size, self.N * self.M, self)
        return checks.sizes("task_size", task_size)

    def checked(self, task_size, decision):
        """Return task sizes and decisions as float64 arrays. Raises ValueError."""
        task_size, decision = self.check_state(task_size), checks.array("decision", decision)
        checks.binary("decision", checks.last_axis("decision", decision, self.N * self.M, self))
        try:
            np.broadcast_shapes(task_size.shape, decision.shape)
        except ValueError as error:
            raise ValueError(f"leading dimensions must broadcast: {error}") from None
        return task_size, decision


def sum_left_to_right(terms):
    """Sum over the last axis strictly left to right; numpy.sum adds in another order."""
    if isinstance(terms, np.ndarray) and terms.size < 32 * terms.shape[-1] ** 2:
        return np.add.accumulate(terms, axis=-1)[..., -1]  # faster for few frames
    total = terms[..., 0]
    for i in range(1, terms.shape[-1]):
        total = total + terms[..., i]
    return total

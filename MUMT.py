"""The MUMT network of DDLO (multi-user, multi-task): the utility of offloading decisions, and its optimum.

In each time frame user n of N has M independent tasks of task_size[n, m] MB. The decision x[n, m] is 1
to offload the task to the edge server and 0 to process it on the device. With
b = 8 * 2**20 * task_size bits and the symbols of class MUMT:

    energy of user n  E_n = sum_m  x*(a*b + et*b) + (1-x)*El*b
    local delay       L_n = sum_m  (1-x)*Tl*b
    offload delay     O_n = sum_m  x*(task_size/c_n + b*APP/fc)
    system utility    Q   = sum_n  E_n + beta*max(L_n, O_n)         in J, smaller is better

The bandwidth c_n of user n is CUL/N, an equal split; ddlo/bandwidth.py optimises it.

Source: Huang et al. 2018; constants and the equal split: the package released with it.
"""

import copy
import itertools
from dataclasses import dataclass, field

import numpy as np

from ddlo import checks

# Up to this many tasks, N*M, the optimum is found by enumerating all 2**(N*M) decisions.
ENUMERATED_TASKS = 12
# Up to this many tasks of a user, M, it is found by enumerating the 2**M decisions of each user, as
# long as those of all users are no more than so many numbers, which take about 2 GB.
ENUMERATED_TASKS_PER_USER, ENUMERATED_NUMBERS = 20, 2**26

# The names of the released package, which reach the attributes here, too.
RELEASED_NAMES = {
    "El": "local_energy_per_bit",
    "Tl": "local_time_per_bit",
    "et": "transmit_energy_per_bit",
    "a": "edge_cost_per_bit",
    "APP": "edge_cycles_per_bit",
    "fc": "edge_cpu_rate",
    "CUL": "uplink_bandwidth",
    "p": "delay_weight",
}


@dataclass(kw_only=True)
class Constants:
    """The constants of a MUMT, but for the uplink: also parameters of main.py and generate_data.

    In Python each is a number or an array that broadcasts to (N, M): (N, 1) for users, (1, M) for
    tasks. Fields with the released values.
    """

    # As the products they are: 3.25e-7 and 1.42e-7 are other doubles than 3.25 * 10**-7 and
    # 1.42 * 10**-7, and do not give the published optima to the last bit.

    local_energy_per_bit: float = 3.25 * 10**-7  # El, energy of local processing, J/bit
    local_time_per_bit: float = 4.75 * 10**-7  # Tl, time of local processing, s/bit
    transmit_energy_per_bit: float = 1.42 * 10**-7  # et, energy of the upload, J/bit
    edge_cost_per_bit: float = 1.5 * 10**-7  # a (alpha), weight of the edge's cost, J/bit
    edge_cycles_per_bit: float = 1900  # APP, processing density at the edge, cycle/bit
    edge_cpu_rate: float = 10 * 10**9  # fc, of the edge, cycle/s, positive
    delay_weight: float = 1  # p (beta), weight of delay against energy, J/s


@dataclass(eq=False)
class MUMT(Constants):
    """A network of N users with M tasks each, and the utility of offloading decisions in it.

    Task sizes and decisions are arrays with N*M entries in the last axis: user 1's tasks, user 2's,
    and so on; a task of size 0 is no task. The constants can be set later, also by their released
    names (p for delay_weight). Raises ValueError if a parameter is out of its range, AttributeError if
    N or M is to be changed.
    """

    N: int  # users (wireless devices, WDs), at least 1
    M: int  # tasks of each user in a time frame, at least 1
    rand_seed: int = 1  # as released; nothing is random here
    # CUL, of the cell, MB/s, positive
    uplink_bandwidth: float = field(default=100 / 8, kw_only=True)

    def __post_init__(self):
        for name in RELEASED_NAMES.values():  # set before N and M were known, and so not checked
            setattr(self, name, getattr(self, name))

    def __setattr__(self, name, value):
        name = RELEASED_NAMES.get(name, name)
        if name in ("N", "M"):
            if name in vars(self):
                raise AttributeError(f"{name} of a network is fixed: make a new one")
            value = checks.integer(name, value)
        elif name in RELEASED_NAMES.values() and {"N", "M"} <= set(vars(self)):
            value = self.checked_constant(name, value)
        super().__setattr__(name, value)

    def __getattr__(self, name):  # of what is not found otherwise
        if name in RELEASED_NAMES:
            return getattr(self, RELEASED_NAMES[name])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __eq__(self, other):
        own, others = vars(self), getattr(other, "__dict__", {})
        same = type(self) is type(other) and own.keys() == others.keys()
        return same and all(np.array_equal(value, others[name]) for name, value in own.items())

    __hash__ = None  # it can change

    def compute_Q(self, task_size, decision):
        """Return the system utility Q of offloading decisions, in J; smaller is better.

        Parameters
        ----------
        task_size : array_like (..., N*M)
            Task sizes in MB, finite; 0 is no task.
        decision : array_like (..., N*M)
            1 to offload a task, 0 to process it on the device. Leading dimensions broadcast:
            candidates (C, B, N*M) for task sizes (B, N*M) are one call.

        Returns
        -------
        float, or float64 array of the broadcast leading dimensions
            Summed left to right, tasks within a user and then users, as released.

        Raises
        ------
        ValueError
            If a last axis has not N*M entries, leading dimensions do not broadcast, a size is negative
            or not finite, or a decision is neither 0 nor 1.
        """
        task_size, decision = self.checked(task_size, decision)
        Q = self.utility(self.task_costs(task_size), decision, np)
        return float(Q) if Q.ndim == 0 else Q

    def bandwidth_allocation(self, task_size, decision):
        """Return the bandwidth of each user, in MB/s: float64 array (..., N).

        Takes arguments and raises errors as `compute_Q`. Users who offload have uplink_bandwidth/N,
        the others 0.
        """
        task_size, decision = np.broadcast_arrays(*self.checked(task_size, decision))
        equal = np.ravel(self.uplink_bandwidth) / self.N
        return np.where(self.by_user(decision).any(axis=-1), equal, 0.0)

    def energy_and_delays(self, task_size, decision):
        """Return each user's energy E_n in J, local delay L_n and offload delay O_n in s.

        Takes arguments and raises errors as `compute_Q`; each of the three is float64 (..., N). The
        delays are not weighted: Q is the sum of E_n + beta*max(L_n, O_n).
        """
        task_size, decision = self.checked(task_size, decision)
        unweighted = copy.copy(self)
        unweighted.delay_weight = 1
        return unweighted.user_costs(unweighted.task_costs(task_size), decision, np)[:3]

    def optimum(self, task_size):
        """Return the least utility of all decisions and a decision that has it.

        Up to N*M = 12 all 2**(N*M) decisions are enumerated in lexicographic order, user 1's first
        task being the most significant bit, and the first minimum is taken, as in the published data.
        Above that, if Q is separable, the best of 2**M decisions is taken user by user: gain_min is
        the same, of equal minima gain_mode may be another one.

        Parameters
        ----------
        task_size : array_like (N*M,) or (B, N*M)
            Task sizes in MB of one time frame or of B, finite; 0 is no task.

        Returns
        -------
        gain_min : float, or float64 array (B,)
            The least Q, in J.
        gain_mode : int32 array (N*M,) or (B, N*M)
            The decision.

        Raises
        ------
        ValueError
            If the task sizes are not as above, or there are too many tasks to enumerate: more than 20
            of a user (17 for 30 users), or more than 12 in all where Q is not separable.
        """
        if self.N * self.M <= ENUMERATED_TASKS:
            task_size = checks.block("task_size", self.checked_sizes(task_size))
            return enumerate_decisions(self, task_size)
        return self.optimum_by_user(task_size)

    def optimum_by_user(self, task_size):
        """Return what `optimum` does, found user by user whatever the number of tasks in all.

        Takes arguments and raises errors as `optimum`; Q has to be separable.
        """
        if not self.separable:
            raise ValueError(
                f"the utility of {type(self).__name__} is not separable across users: its optimum is "
                f"known up to {ENUMERATED_TASKS} tasks in all, got {self.N * self.M}"
            )
        task_size = checks.block("task_size", self.checked_sizes(task_size))
        self.check_enumerable()
        return in_parts(self._best_user_by_user, task_size, self.M, self.N * self.M)

    @property
    def separable(self):
        """Whether Q is the sum of the users' `user_utility`: a Q of a subclass's own need not be."""
        return not checks.overridden(self, MUMT, "compute_Q", "utility")

    def reference(self, task_size):
        """Return what gain ratios are relative to: gain_min, gain_mode, and what gain_min is.

        That is the `optimum` here, and "optimum"; a network without one may have "lower bound".
        """
        return *self.optimum(task_size), "optimum"

    # The formula of Q, in pieces that compiled code shares. They check nothing. `xp` is NumPy or, for
    # tensors, tensorflow.experimental.numpy: the formula is written with what both have.

    def task_costs(self, task_size):
        """Return what tasks of (..., N*M) MB cost on either side, in J: float64 (4, ..., N*M).

        These are energy offloaded and local, then weighted delay offloaded and local. They do not
        depend on the decision, and are all of Q that a compiler could round in its own way, by fusing
        a product with a sum. What follows only selects, adds, compares, divides and takes roots, and
        so is the same to the last bit wherever it runs.
        """
        d = self.by_user(task_size)
        costs = self.costs_of(d, d / (self.uplink_bandwidth / self.N))
        return np.reshape(costs, (4, *task_size.shape))

    def costs_of(self, task_size, upload):
        """Return the costs of `task_costs` for task sizes and upload times in s, (..., N, M)."""
        bits = task_size * 8 * 2**20
        processing = task_size * self.edge_cycles_per_bit * 8 * 2**20 / self.edge_cpu_rate
        return [
            bits * self.edge_cost_per_bit + bits * self.transmit_energy_per_bit,
            bits * self.local_energy_per_bit,
            self.delay_weight * (upload + processing),
            self.delay_weight * (bits * self.local_time_per_bit),
        ]

    def utility(self, costs, decision, xp=np):
        """Return Q (...) of float64 decisions (..., N*M), from `task_costs`."""
        return sum_left_to_right(self.user_utility(costs, decision, xp))

    def user_utility(self, costs, decision, xp=np):
        """Return each user's part of Q, E_n + beta*max(L_n, O_n): (..., N)."""
        energy, local, offload = self.user_costs(costs, decision, xp)
        return energy + xp.maximum(local, offload)

    def user_costs(self, costs, decision, xp=np):
        """Return each user's energy, and weighted delays local and offloaded: three of (..., N)."""
        x = self.by_user(decision, xp)
        energy_1, energy_0, delay_1, delay_0 = (self.by_user(costs[i], xp) for i in range(4))
        energy = sum_left_to_right(x * energy_1 + (1 - x) * energy_0)
        return energy, sum_left_to_right((1 - x) * delay_0), sum_left_to_right(x * delay_1)

    def recombine(self, costs, candidates, best, xp=np):
        """Return decisions (B, N*M) made of every user's best part of candidates (C, B, N*M).

        Of equally good parts the first one is taken. `best` (B, N*M), the best candidate of each
        frame, matters only where users' parts depend on each other. Ours, not the paper's.
        """
        return self.best_parts(self.user_utility(costs, candidates, xp), candidates, xp)

    def best_parts(self, utility, candidates, xp=np):
        """Return decisions (B, N*M) of each user's part with the least utility, (C, B, N)."""
        first = xp.argmin(utility, axis=0)[None, ..., None]  # (1, B, N, 1)
        best = xp.take_along_axis(self.by_user(candidates, xp), first, axis=0)[0]
        return xp.reshape(best, candidates.shape[1:])

    def by_user(self, values, xp=np):
        """Return an array (..., N*M) as (..., N, M)."""
        return xp.reshape(values, (*values.shape[:-1], self.N, self.M))

    def _best_user_by_user(self, task_size, decisions):
        """Least Q of each frame and its decision, of the decisions (2**M, M) of each user."""
        costs = self.task_costs(task_size)[:, :, None]
        parts = self.user_utility(costs, np.tile(decisions, self.N), np)  # (B, 2**M, N)
        best = decisions[parts.argmin(axis=1)]  # (B, N, M)
        return sum_left_to_right(parts.min(axis=1)), best.reshape(task_size.shape)

    # Checks

    def checked_constant(self, name, value):
        """Return a constant as a number or a float64 array. Raises ValueError."""
        is_positive = name in ("edge_cpu_rate", "uplink_bandwidth")
        value = checks.constant(name, value, (self.N, self.M), is_positive)
        if name == "uplink_bandwidth" and np.ndim(value) and value.shape != (self.N, 1):
            raise ValueError(f"{name} must be a number, or of shape ({self.N}, 1) for users")
        return value

    def checked(self, task_size, decision):
        """Return task sizes and decisions as float64 arrays. Raises ValueError, as compute_Q."""
        task_size, decision = self.checked_sizes(task_size), checks.array("decision", decision)
        checks.last_axis("decision", decision, self.N * self.M, self._meaning)
        checks.binary("decision", decision)
        try:
            np.broadcast_shapes(task_size.shape, decision.shape)
        except ValueError:
            raise ValueError(
                "leading dimensions of task_size and decision must broadcast, "
                f"got shapes {task_size.shape} and {decision.shape}"
            ) from None
        return task_size, decision

    def checked_sizes(self, task_size):
        """Return task sizes as a float64 array. Raises ValueError, as compute_Q."""
        task_size = checks.array("task_size", task_size)
        checks.last_axis("task_size", task_size, self.N * self.M, self._meaning)
        return checks.sizes("task_size", task_size)

    def check_enumerable(self):
        """Raise ValueError if 2**M decisions of each user are too many to enumerate."""
        few = self.M <= ENUMERATED_TASKS_PER_USER
        if not few or self.N * self.M * 2**self.M > ENUMERATED_NUMBERS:
            raise ValueError(
                f"the decisions of a user are enumerated for up to {ENUMERATED_TASKS_PER_USER} tasks, "
                f"or for fewer if there are many users, got M = {self.M} and N = {self.N}"
            )

    @property
    def _meaning(self):
        return f"{self.N} users with {self.M} tasks each"


def enumerate_decisions(network, task_size):
    """Return the least utility of all 2**(N*M) decisions, and the first decision that has it.

    For any network with N, M and compute_Q. Takes task sizes or other states, (S,) or (B, S), and
    returns as MUMT.optimum; raises ValueError if there are more than 12 tasks.
    """
    tasks = network.N * network.M
    if tasks > ENUMERATED_TASKS:
        raise ValueError(
            f"decisions are enumerated for up to {ENUMERATED_TASKS} tasks, got {tasks}"
        )

    def best_of_all(task_size, decisions):
        Q = network.compute_Q(task_size[:, None], decisions)
        best = Q.argmin(axis=1)
        return Q[np.arange(len(Q)), best], decisions[best]

    return in_parts(best_of_all, np.asarray(task_size), tasks, tasks)


def in_parts(function, task_size, tasks, width):
    """Call function(task sizes (b, S), all decisions on so many tasks) for some frames at a time.

    The function returns a number and a decision of each frame, which has `width` entries; these are
    returned for all frames, or as a float and (width,) for task sizes (S,).
    """
    decisions = all_decisions(tasks)
    step = max(1, 2**19 // (len(decisions) * width))  # 4 MB, for the cache
    return in_blocks(lambda frames: function(frames, decisions), task_size, width, step)


def in_blocks(function, states, width, step):
    """Call function(states (b, S)) for `step` frames at a time, and return what `in_parts` does."""
    frames = np.atleast_2d(states)
    value, decision = np.empty(len(frames)), np.empty((len(frames), width), np.int32)
    for start in range(0, len(frames), step):
        part = slice(start, start + step)
        value[part], decision[part] = function(frames[part])
    return (value, decision) if states.ndim == 2 else (float(value[0]), decision[0])


def all_decisions(tasks):
    """Return all decisions on so many tasks in lexicographic order: float64 (2**tasks, tasks)."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=tasks)))


def sum_left_to_right(terms):
    """Sum over the last axis strictly left to right, where numpy.sum adds in another order."""
    return sum((terms[..., i] for i in range(1, terms.shape[-1])), start=terms[..., 0])

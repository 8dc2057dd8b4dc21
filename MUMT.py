"""The MUMT network of DDLO (multi-user, multi-task): utility, optimum, and data sets.

In each time frame user n of N has M independent tasks of task_size[n, m] MB. The decision x[n, m]
is 1 to offload the task to the edge server and 0 to process it on the device. With
b = 8 * 2**20 * task_size bits and the symbols of class MUMT:

    energy of user n  E_n = sum_m  x*(a*b + et*b) + (1-x)*El*b
    local delay       L_n = sum_m  (1-x)*Tl*b
    offload delay     O_n = sum_m  x*(task_size/c_n + b*APP/fc)
    system utility    Q   = sum_n  E_n + beta*max(L_n, O_n)         in J, smaller is better

The bandwidth c_n of user n is CUL/N, as released, or for each decision what makes Q least, with
c_n >= 0 and sum_n c_n <= CUL: the joint optimisation of the paper.

Source: Huang et al. 2018; constants and the equal split of the bandwidth: their released package;
how the bandwidth is shared optimally, and the bound: ours.
"""

import contextlib
import copy
import itertools
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path

import numpy as np

# Up to this many tasks in all, N*M, the optimum is found by trying all 2**(N*M) decisions.
ENUMERATED_TASKS = 12
# Up to this many tasks of a user, M, it is found by trying the 2**M decisions of each user, as long
# as those of all users are no more than so many numbers, which take some 2 GB.
ENUMERATED_TASKS_OF_A_USER = 20
ENUMERATED_NUMBERS = 2**26
BANDWIDTHS = ("equal", "optimal")
BISECTIONS = 50  # of the price of bandwidth, after which it is as good as exact


@dataclass
class MUMT:
    """A network of N users with M tasks each, and the utility of offloading decisions in it.

    Task sizes and decisions are arrays with N*M entries in the last axis: user 1's tasks, user 2's,
    and so on. Raises ValueError if a parameter is out of its range.
    """

    N: int  # number of users (wireless devices), at least 1
    M: int  # number of tasks of each user, at least 1
    rand_seed: int = 1  # taken for scripts written for the released package: nothing here is random
    _: KW_ONLY
    # As the products they are: 3.25e-7 and 1.42e-7 are other doubles than 3.25 * 10**-7 and
    # 1.42 * 10**-7, and do not give the published optima to the last bit.
    local_energy_per_bit: float = 3.25 * 10**-7  # El, J/bit
    local_time_per_bit: float = 4.75 * 10**-7  # Tl, s/bit
    transmit_energy_per_bit: float = 1.42 * 10**-7  # et, J/bit
    edge_cost_per_bit: float = 1.5 * 10**-7  # a, weight of the edge's cost per offloaded bit, J/bit
    edge_cycles_per_bit: float = 1900  # APP, processing density at the edge, cycle/bit
    edge_cpu_rate: float = 10 * 10**9  # fc, cycle/s, positive
    uplink_bandwidth: float = 100 / 8  # CUL, of the cell, MB/s, positive
    delay_weight: float = 1  # p (beta in the paper), weight of delay against energy, J/s
    bandwidth: str = "equal"  # how the users share that of the cell: equal (released) or optimal

    def __post_init__(self):
        for name, what in (("N", "users"), ("M", "tasks of a user")):
            count = getattr(self, name)
            if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 1:
                raise ValueError(
                    f"{name} is {count!r}; a whole number of {what}, at least 1, was expected"
                )
            setattr(self, name, int(count))  # small integers of NumPy's would overflow
        if self.bandwidth not in BANDWIDTHS:
            raise ValueError(
                f"bandwidth is {self.bandwidth!r}; {' or '.join(BANDWIDTHS)} was expected"
            )
        for name in (field.name for field in fields(self) if field.type is float):
            value = getattr(self, name)
            positive = name in ("edge_cpu_rate", "uplink_bandwidth")
            is_real = isinstance(value, (int, float, np.integer, np.floating))
            is_finite = is_real and not isinstance(value, bool) and np.isfinite(value)
            if not is_finite or value < 0 or (positive and value == 0):
                kind = "positive" if positive else "non-negative"
                raise ValueError(f"{name} is {value!r}; a finite, {kind} number was expected")
            setattr(self, name, value.item() if isinstance(value, np.generic) else value)

    def compute_Q(self, task_size, decision):
        """Return the system utility Q of offloading decisions, in J; smaller is better.

        Parameters
        ----------
        task_size : array_like (..., N*M)
            Task sizes in MB, positive and finite.
        decision : array_like (..., N*M)
            1 to offload a task, 0 to process it on the device. Leading dimensions broadcast:
            candidates (K, B, N*M) for task sizes (B, N*M) are one call.

        Returns
        -------
        float, or float64 array of the broadcast leading dimensions
            Summed left to right, tasks within a user and then users, as released.

        Raises
        ------
        ValueError
            If a last axis has not N*M entries, leading dimensions do not broadcast, a size is not
            positive and finite, or a decision is neither 0 nor 1.
        """
        task_size, decision = self._checked_pair(task_size, decision)
        Q = self.utility(self.task_costs(task_size), decision)
        return float(Q) if Q.ndim == 0 else Q

    def bandwidth_allocation(self, task_size, decision):
        """Return the bandwidth that each user gets for offloading decisions, in MB/s.

        Parameters
        ----------
        task_size, decision : array_like (..., N*M)
            As in `compute_Q`.

        Returns
        -------
        float64 array (..., N)
            0 for users with nothing to send. The others get uplink_bandwidth/N, or with optimal
            bandwidth what makes Q least: not all of it, if nobody has a use for the rest.

        Raises
        ------
        ValueError
            As `compute_Q`.
        """
        task_size, decision = self._checked_pair(task_size, decision)
        task_size, decision = np.broadcast_arrays(task_size, decision)
        sends = decision.reshape(*decision.shape[:-1], self.N, self.M).any(axis=-1)
        if self.bandwidth == "equal":
            return np.where(sends, self.uplink_bandwidth / self.N, 0.0)
        # Any positive weight of delay shares alike; without one any way is as good as this.
        weighted = copy.copy(self)
        weighted.delay_weight = self.delay_weight or 1
        _, local, offload, size = weighted._user_sums(weighted.task_costs(task_size), decision)
        root, cap, level = self._water_level(local - offload, size)
        share = np.minimum(level[..., None] * root, np.where(sends, cap, 0.0))
        return share * self.uplink_bandwidth

    @property
    def exact(self):
        """Whether `optimum` finds the least utility; where it does not, `lower_bound` may bound it."""
        own = self.formulas_of_its_own()
        if self.N * self.M <= ENUMERATED_TASKS:
            return "compute_Q" not in own
        separates = (self.bandwidth == "equal" or self.N == 1) and own in ([], ["user_utility"])
        return separates and self._tries_all_of_a_user

    def optimum(self, task_size):
        """Return the least utility of all decisions and a decision that reaches it.

        Up to N*M = 12 all 2**(N*M) decisions are tried in lexicographic order, user 1's first task
        being the most significant bit, and the first minimum is taken, as in the published data.
        Above that the best of 2**M decisions is taken user by user: with equal bandwidth Q is a sum
        of one term per user, so that gain_min is the same; of equal minima gain_mode may be another
        one.

        Parameters
        ----------
        task_size : array_like (N*M,) or (B, N*M)
            Task sizes in MB of one time frame or of B, positive and finite.

        Returns
        -------
        gain_min : float, or float64 array (B,)
            The least Q, in J.
        gain_mode : int32 array (N*M,) or (B, N*M)
            The decision.

        Raises
        ------
        ValueError
            If the task sizes are not as above, or there are too many tasks to try: more than 20 of
            a user (17 for 30 users) or, with optimal bandwidth for several users or a `utility` of a
            subclass's own, more than 12 in all; or if a subclass has its own `compute_Q`.
        """
        task_size = self._checked_frames(task_size)
        self._checked_tasks_of_a_user()
        if not self.exact:
            for name in self.formulas_of_its_own():
                if name != "user_utility":
                    raise ValueError(f"the optimum of {type(self).__name__}'s {name} is not known")
            raise ValueError(
                f"{self.N * self.M} tasks are too many for the optimum with optimal bandwidth, which "
                f"is found for up to {ENUMERATED_TASKS}; lower_bound bounds it"
            )
        if self.N * self.M <= ENUMERATED_TASKS:
            return self._in_parts(self._least_of_all, task_size, self.N * self.M)
        return self._in_parts(self._least_user_by_user, task_size, self.M)

    def lower_bound(self, task_size):
        """Return what no decision, and with optimal bandwidth no way to share it, can be below.

        With equal bandwidth this is the optimum. With optimal bandwidth it is the greatest value of
        the Lagrangian dual: each user takes the best of 2**M decisions and pays a price for each
        MB/s, which is the same for all users and found by bisection. How far Q is above it limits
        how far Q can be above the optimum.

        Parameters
        ----------
        task_size : as in `optimum`

        Returns
        -------
        float, or float64 array (B,)
            The bound, in J.

        Raises
        ------
        ValueError
            If the task sizes are not as above, there are too many tasks of a user, as for
            `optimum`, or the network is of a class with another utility: with equal bandwidth it can
            have its own `user_utility`.
        """
        return self._bound(task_size)[0]

    def decide_by_price(self, task_size):
        """Return the decisions of users who pay the price of bandwidth that `lower_bound` found.

        They are near the optimum, and take no learning; with equal bandwidth they are optimal.
        Takes task sizes and raises errors as `lower_bound`; returns int32 (N*M,) or (B, N*M).
        """
        return self._bound(task_size)[1]

    # The formula, in pieces that compiled code shares

    def task_costs(self, task_size):
        """Return what tasks of (..., N*M) MB cost on either side, in J: float64 (4 or 5, ..., N*M).

        These are energy offloaded and local, then weighted delay offloaded and local. With optimal
        bandwidth the delay offloaded lacks the upload, and fifth is the weighted delay of uploading
        at all of the cell's bandwidth. They do not depend on the decision, and are all of Q that a
        compiler could round in its own way, by fusing a product with a sum. What follows only
        selects, adds, compares, divides and takes roots, and so is the same to the last bit wherever
        it runs.
        """
        bits = task_size * 8 * 2**20
        delay = task_size * self.edge_cycles_per_bit * 8 * 2**20 / self.edge_cpu_rate
        if self.bandwidth == "equal":
            delay = task_size / (self.uplink_bandwidth / self.N) + delay
        costs = [
            bits * self.edge_cost_per_bit + bits * self.transmit_energy_per_bit,
            bits * self.local_energy_per_bit,
            self.delay_weight * delay,
            self.delay_weight * (bits * self.local_time_per_bit),
        ]
        if self.bandwidth == "optimal":
            costs.append(self.delay_weight * (task_size / self.uplink_bandwidth))
        return np.stack(costs)

    def formulas_of_its_own(self):
        """Return which of compute_Q, utility and user_utility a subclass has its own of: a list."""
        names = ("compute_Q", "utility", "user_utility")
        return [name for name in names if getattr(type(self), name) is not getattr(MUMT, name)]

    def utility(self, costs, decision, np=np):
        """Return Q (...) of float64 decisions (..., N*M), unchecked, from `task_costs`.

        The formula of Q, here and in `user_utility`, is in this one place for NumPy and TensorFlow:
        written with operators and functions that `numpy` and `tensorflow.experimental.numpy` share,
        of which the caller passes the one that goes with the arrays.
        """
        return _sum_left_to_right(self.user_utility(costs, decision, np))

    def user_utility(self, costs, decision, np=np):
        """Return each user's part of Q, E_n + beta*max(L_n, O_n): (..., N), unchecked."""
        energy, local, offload, size = self._user_sums(costs, decision, np)
        if self.bandwidth == "optimal":
            root, _, level = self._water_level(local - offload, size, np)
            offload = offload + root / level[..., None]
        return energy + np.maximum(local, offload)

    def recombine(self, costs, candidates, best, np=np):
        """Return decisions (B, N*M) made of every user's best part of some candidates, unchecked.

        Users' parts of Q are compared, and the first of equally good ones is taken. With optimal
        bandwidth each candidate shares it in another way: parts are compared at the price of
        bandwidth of one candidate, the best.

        Parameters
        ----------
        costs : float64 (4 or 5, B, N*M)
            Of `task_costs`.
        candidates : float64 (C, B, N*M)
        best : float64 (B, N*M)
            The candidate with the least Q of each frame.

        Returns
        -------
        float64 (B, N*M)
        """
        if self.bandwidth == "optimal":
            _, local, offload, size = self._user_sums(costs, best, np)
            _, _, level = self._water_level(local - offload, size, np)
            sums = self._user_sums(costs, candidates, np)
            parts = self._at_price(sums, level[..., None], np)[0]
        else:
            parts = self.user_utility(costs, candidates, np)
        first = np.argmin(parts, axis=0)[None, ..., None]  # (1, B, N, 1)
        by_user = np.reshape(candidates, (*candidates.shape[:-1], self.N, self.M))
        return np.reshape(np.take_along_axis(by_user, first, axis=0)[0], best.shape)

    def _user_sums(self, costs, decision, np=np):
        """Return energy, weighted delays local and offloaded, and fifth costs if any: (..., N)."""

        def by_user(array):
            return np.reshape(array, (*array.shape[:-1], self.N, self.M))

        if self.bandwidth == "optimal" and costs.shape[0] != 5:
            raise ValueError(
                f"task_costs returns {costs.shape[0]} costs; 5 were expected with optimal bandwidth"
            )
        x = by_user(decision)
        costs = [by_user(costs[i]) for i in range(costs.shape[0])]
        energy = _sum_left_to_right(x * costs[0] + (1 - x) * costs[1])
        local = _sum_left_to_right((1 - x) * costs[3])
        offload = _sum_left_to_right(x * costs[2])
        return energy, local, offload, _sum_left_to_right(x * costs[4]) if costs[4:] else None

    def _water_level(self, slack, size, np=np):
        """Share the bandwidth so that the sum of the users' weighted delays is least.

        With a share of the bandwidth, user n's upload takes size[n]/share, and being faster than
        slack[n] (..., N) gains nothing. So the share is min(level*root[n], cap[n]) with root =
        sqrt(size), cap = size/slack, infinite where there is no slack, and the level at which the
        shares' sum is 1: water-filling. The sum is a concave function of the level, made of straight
        lines, on which Newton's method goes up, from the line where no user is at its cap, to the
        exact level in N steps at most.

        Returns root and cap (..., N), and the level (...), positive; if all users are at their
        caps, it is one at which they are.
        """
        root = np.sqrt(size)
        limited = slack > 0
        divisor = np.where(limited, slack, 1.0)
        cap = np.where(limited, size / divisor, np.inf)
        cap_reached = np.where(limited, root / divisor, np.inf)  # at this level

        def crossing(full, least):
            left = 1 - _sum_left_to_right(np.where(full, cap, 0.0))
            slope = _sum_left_to_right(np.where(full, 0.0, root))
            level = np.where(slope > 0, left / np.where(slope > 0, slope, 1.0), 0.0)
            return np.maximum(level, least)  # rounding must not take it down again

        full = cap_reached < 0  # nobody is at the cap
        level = crossing(full, np.zeros_like(slack[..., 0]))
        level = np.where(level > 0, level, 1.0)  # any will do where nobody sends anything
        more = cap_reached < level[..., None]
        while np.any(more != full):
            full = more
            level = crossing(full, level)
            more = full | (cap_reached < level[..., None])
        return root, cap, level

    def _at_price(self, sums, level, np=np):
        """Return users' parts of Q with what they pay for bandwidth, and the shares they take.

        Both are (..., N). The price of all the bandwidth, in J, is 1/level**2; at this it is best to
        take level*root[n], or cap[n] if that is less, as in `_water_level`.
        """
        energy, local, offload, size = sums
        slack, upload = local - offload, np.sqrt(size) / level
        full = slack > upload
        divisor = np.where(full, slack, 1.0)
        # XLA makes one division of two in a row, and one it is for NumPy, too.
        priced = np.where(full, local + size / (divisor * level * level), offload + 2 * upload)
        return energy + priced, np.where(full, size / divisor, np.sqrt(size) * level)

    # The optimum, and a bound

    def _in_parts(self, function, task_size, tasks):
        """Call function(costs, decisions on so many tasks) for frames; return floats, decisions."""
        frames = np.atleast_2d(task_size)
        Q, decision = np.empty(len(frames)), np.empty(frames.shape, np.int32)
        decisions = all_decisions(tasks)
        step = max(1, 2**19 // (len(decisions) * self.N * self.M))  # 4 MB, for the cache
        for start in range(0, len(frames), step):
            part = slice(start, start + step)
            Q[part], decision[part] = function(self.task_costs(frames[part]), decisions)
        return (Q, decision) if task_size.ndim == 2 else (float(Q[0]), decision[0])

    def _least_of_all(self, costs, decisions):
        """Least Q of each frame and its decision, of all the decisions (2**(N*M), N*M)."""
        Q = self.utility(costs[:, :, None], decisions)
        best = Q.argmin(axis=1)
        return Q[np.arange(len(Q)), best], decisions[best]

    def _least_user_by_user(self, costs, decisions):
        """Least Q of each frame and its decision, of the decisions (2**M, M) of each user."""
        parts = self.user_utility(costs[:, :, None], np.tile(decisions, self.N))  # (B, 2**M, N)
        best = parts.argmin(axis=1)
        return _sum_left_to_right(parts.min(axis=1)), decisions[best].reshape(len(best), -1)

    def _bound(self, task_size):
        """Return lower_bound's and decide_by_price's results."""
        task_size = self._checked_frames(task_size)
        self._checked_tasks_of_a_user()
        equal = self.bandwidth == "equal"
        own = [
            name for name in self.formulas_of_its_own() if not (equal and name == "user_utility")
        ]
        if own:
            raise ValueError(
                f"{type(self).__name__} has its own {own[0]}: no bound is known for it"
            )
        if equal:
            return self._in_parts(self._least_user_by_user, task_size, self.M)
        return self._in_parts(self._greatest_dual, task_size, self.M)

    def _greatest_dual(self, costs, decisions):
        """Greatest dual value of each frame, and the better of the decisions next to its price."""
        sums = self._user_sums(costs[:, :, None], np.tile(decisions, self.N))  # (B, 2**M, N) each
        energy, local, offload, size = sums
        bound = (energy + np.maximum(local, offload)).min(axis=1).sum(axis=1)  # if it were free

        def respond(level):
            """Return what the users decide at a level (B,), and whether they take too much."""
            nonlocal bound
            parts, taken = self._at_price(sums, level[:, None, None])
            best = parts.argmin(axis=1)[:, None]  # (B, 1, N)
            dual, taken = (
                np.take_along_axis(array, best, axis=1).sum(axis=(1, 2)) for array in (parts, taken)
            )
            bound = np.maximum(bound, dual - 1 / level / level)
            return decisions[best[:, 0]].reshape(len(bound), -1), taken > 1

        # At the lower level all together can take no more than there is. At the upper one anybody
        # who is not at the cap takes all of it, or else the price is next to nothing.
        root = np.sqrt(size)
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

    # Checks

    def _checked_pair(self, task_size, decision):
        task_size = self._checked_task_size(task_size)
        decision = self._checked("decision", decision)
        valid = (decision == 0) | (decision == 1)
        if not valid.all():
            wrong = decision[~valid][0]
            raise ValueError(
                f"decision has an entry {wrong:g}; 0 (local) or 1 (offload) was expected"
            )
        try:
            np.broadcast_shapes(task_size.shape, decision.shape)
        except ValueError:
            raise ValueError(
                f"task_size has shape {task_size.shape} and decision {decision.shape}; "
                "leading dimensions that broadcast were expected"
            ) from None
        return task_size, decision

    def _checked_frames(self, task_size):
        task_size = self._checked_task_size(task_size)
        if task_size.ndim > 2:
            raise ValueError(
                f"task_size has shape {task_size.shape}; one or two axes were expected"
            )
        return task_size

    @property
    def _tries_all_of_a_user(self):
        few = self.M <= ENUMERATED_TASKS_OF_A_USER
        return few and self.N * self.M * 2**self.M <= ENUMERATED_NUMBERS

    def _checked_tasks_of_a_user(self):
        if not self._tries_all_of_a_user:
            raise ValueError(
                f"M is {self.M}; the optimum is found for up to {ENUMERATED_TASKS_OF_A_USER} tasks "
                "of a user, or for fewer if there are many users"
            )

    def _checked_task_size(self, task_size):
        task_size = self._checked("task_size", task_size)
        valid = (task_size > 0) & (task_size < np.inf)
        if not valid.all():
            wrong = task_size[~valid][0]
            raise ValueError(f"task_size has an entry {wrong:g}; positive, finite MB were expected")
        return task_size

    def _checked(self, name, array):
        array = real_numbers(name, array, np.float64)
        if array.ndim == 0 or array.shape[-1] != self.N * self.M:
            raise ValueError(
                f"{name} has shape {array.shape}; {self.N * self.M} entries in the last axis were "
                f"expected, for {self.N} users with {self.M} tasks each"
            )
        return array


def load_data(path, network):
    """Load a data set for the network, a MUMT or another object with N, M and compute_Q.

    Returns
    -------
    task_size : float64 array (samples, N*M)
        Task sizes in MB.
    gain_min : float64 array (samples,)
        The least utility of each sample, in J, or its lower bound if the network is not `exact`.

    Raises
    ------
    ValueError
        If the file is missing or not as data/README.md describes it, is for other numbers of users
        or tasks or another bandwidth rule, or its optima are not utilities of this network.
    """
    import scipy.io  # takes longer to import than the rest of this module

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no data set {path}; python -m experiments.generate_data makes one")
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # there is little that reading a corrupt file does not raise
        raise ValueError(f"{path} is not a MATLAB v5 file that can be read: {error}") from error
    keys = ("task_size", "gain_min", "gain_mode")
    missing = [key for key in keys if key not in content]
    if missing:
        found = ", ".join(key for key in content if not key.startswith("__")) or "nothing"
        raise ValueError(f"{path} has no {' and no '.join(missing)}; found: {found}")
    rule = " ".join(map(str, np.ravel(content.get("bandwidth", "equal"))))  # as published: none
    expected = network.bandwidth if isinstance(network, MUMT) else rule
    if rule != expected:
        raise ValueError(
            f"{path} is for {rule} bandwidth; one for {expected} bandwidth was expected, as "
            f"python -m experiments.generate_data --bandwidth {expected} makes"
        )
    task_size, gain_min, gain_mode = (np.atleast_1d(content[key]) for key in keys)
    samples, tasks = len(task_size), network.N * network.M
    if task_size.shape != (samples, tasks) or samples < 2:
        raise ValueError(
            f"{path}: task_size has shape {task_size.shape}; (samples, {tasks}) with at least 2 "
            f"samples was expected, for {network.N} users with {network.M} tasks each"
        )
    if gain_min.shape not in ((samples,), (1, samples), (samples, 1)):
        raise ValueError(
            f"{path}: gain_min has shape {gain_min.shape}; (1, {samples}) was expected"
        )
    if gain_mode.shape != task_size.shape:
        raise ValueError(
            f"{path}: gain_mode has shape {gain_mode.shape}; {task_size.shape} was expected"
        )
    try:
        gain_min = real_numbers("gain_min", gain_min, np.float64).ravel()
        Q = network.compute_Q(task_size, gain_mode)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    expected, what = Q, "the utility of its gain_mode"
    bounded = has_mumts_Q(network) and not network.exact
    if bounded and not np.allclose(gain_min, Q, rtol=1e-9, atol=0):
        some = slice(None, None, max(1, samples // 1000))  # all would take some seconds
        with contextlib.suppress(ValueError):  # of a class with another utility
            bound = network.lower_bound(task_size[some])
            expected, what = np.minimum(gain_min, Q), "the lower bound"
            expected[some] = bound
    wrong = np.flatnonzero(~np.isclose(gain_min, expected, rtol=1e-9, atol=0))
    if len(wrong):
        i = wrong[0]
        raise ValueError(
            f"{path}: gain_min of sample {i} is {gain_min[i]}; {expected[i]} was expected, {what}: "
            "the file is damaged or for another network, by its users, tasks or bandwidth"
        )
    return task_size.astype(np.float64), gain_min


def has_mumts_Q(network):
    """Whether a network's compute_Q is MUMT's, of which `utility` and the rest are the pieces.

    Otherwise compute_Q is all that counts, also of a subclass of MUMT.
    """
    return isinstance(network, MUMT) and "compute_Q" not in network.formulas_of_its_own()


def real_numbers(name, array, dtype):
    """Return an array with that dtype. Raises ValueError if it is not of real numbers."""
    try:
        array = np.asarray(array)
        if array.dtype.kind in "cSUmM":  # what NumPy would make real numbers of
            raise TypeError(f"its type is {array.dtype}")
        return array.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from None


def _sum_left_to_right(terms):
    """Sum over the last axis strictly left to right, where numpy.sum adds in another order."""
    return sum((terms[..., i] for i in range(1, terms.shape[-1])), start=terms[..., 0])


def all_decisions(tasks):
    """Return all decisions on so many tasks in lexicographic order: float64 (2**tasks, tasks)."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=tasks)))

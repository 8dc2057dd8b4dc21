"""The MUMT network of DDLO (multi-user, multi-task): utility, optimum, and data sets.

In each time frame user n of N has M independent tasks of task_size[n, m] MB. The decision x[n, m]
is 1 to offload the task to the edge server and 0 to process it on the device. With
b = 8 * 2**20 * task_size bits and the symbols of class MUMT:

    energy of user n  E_n = sum_m  x*(a*b + et*b) + (1-x)*El*b
    local delay       L_n = sum_m  (1-x)*Tl*b
    offload delay     O_n = sum_m  x*(task_size/c_n + b*APP/fc)     bandwidth c_n = CUL/N
    system utility    Q   = sum_n  E_n + beta*max(L_n, O_n)         in J, smaller is better

Source: Huang et al. 2018; constants and the equal split of the bandwidth: their released package.
"""

import itertools
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path

import numpy as np

# Up to this many tasks in all, N*M, the optimum is found by trying all 2**(N*M) decisions.
ENUMERATED_TASKS = 12
# Up to this many tasks of a user, M, it is found by trying the 2**M decisions of each user.
ENUMERATED_TASKS_OF_A_USER = 20


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
    uplink_bandwidth: float = (
        100 / 8
    )  # CUL, of the cell, shared equally by the users, MB/s, positive
    delay_weight: float = 1  # p (beta in the paper), weight of delay against energy, J/s

    def __post_init__(self):
        for name in ("N", "M"):
            count = getattr(self, name)
            if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 1:
                raise ValueError(f"{name} is {count!r}; a whole number of at least 1 was expected")
        for name in (field.name for field in fields(self) if field.kw_only):
            value = getattr(self, name)
            positive = name in ("edge_cpu_rate", "uplink_bandwidth")
            is_finite = isinstance(value, (int, float, np.number)) and np.isfinite(value)
            if not is_finite or value < 0 or (positive and value == 0):
                kind = "positive" if positive else "non-negative"
                raise ValueError(f"{name} is {value!r}; a finite, {kind} number was expected")

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
        Q = self.utility(self.task_costs(task_size), decision)
        return float(Q) if Q.ndim == 0 else Q

    def optimum(self, task_size):
        """Return the least utility of all decisions and a decision that reaches it.

        Up to N*M = 12 all 2**(N*M) decisions are tried in lexicographic order, user 1's first task
        being the most significant bit, and the first minimum is taken, as in the published data.
        Above that the best of 2**M decisions is taken user by user: Q is a sum of one term per
        user, so that gain_min is the same; of equal minima gain_mode may be another one.

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
            If the task sizes are not as above, or there are too many tasks to try.
        """
        task_size = self._checked_task_size(task_size)
        if task_size.ndim > 2:
            raise ValueError(
                f"task_size has shape {task_size.shape}; one or two axes were expected"
            )
        enumerate_all = self.N * self.M <= ENUMERATED_TASKS
        if not enumerate_all and self.M > ENUMERATED_TASKS_OF_A_USER:
            raise ValueError(
                f"M is {self.M}; the optimum is found for up to {ENUMERATED_TASKS_OF_A_USER} tasks "
                "of a user"
            )
        frames = np.atleast_2d(task_size)
        gain_min = np.empty(len(frames))
        gain_mode = np.empty(frames.shape, np.int32)
        least = self._least_of_all if enumerate_all else self._least_user_by_user
        decisions = all_decisions(self.N * self.M if enumerate_all else self.M)
        step = max(
            1, 2**19 // (len(decisions) * self.N * self.M)
        )  # 4 MB, for the processor's cache
        for start in range(0, len(frames), step):
            part = slice(start, start + step)
            gain_min[part], gain_mode[part] = least(self.task_costs(frames[part]), decisions)
        return (gain_min, gain_mode) if task_size.ndim == 2 else (float(gain_min[0]), gain_mode[0])

    def task_costs(self, task_size):
        """Return what tasks of (..., N*M) MB cost on either side, in J: float64 (4, ..., N*M).

        These are energy offloaded and local, then weighted delay offloaded and local.
        They do not depend on the decision, and are all of Q that a compiler could round in its own
        way, by fusing a product with a sum. `utility` only selects, adds and compares them, and so
        is the same to the last bit wherever it runs.
        """
        bits = task_size * 8 * 2**20
        edge_time = task_size * self.edge_cycles_per_bit * 8 * 2**20 / self.edge_cpu_rate
        upload_time = task_size / (self.uplink_bandwidth / self.N)
        return np.stack(
            [
                bits * self.edge_cost_per_bit + bits * self.transmit_energy_per_bit,
                bits * self.local_energy_per_bit,
                self.delay_weight * (upload_time + edge_time),
                self.delay_weight * (bits * self.local_time_per_bit),
            ]
        )

    def utility(self, costs, decision, np=np):
        """Return Q (...) of float64 decisions (..., N*M), unchecked, from task_costs (4, ..., N*M).

        The formula of Q, here and in `user_utility`, is in this one place for NumPy and TensorFlow:
        written with operators and functions that `numpy` and `tensorflow.experimental.numpy` share,
        of which the caller passes the one that goes with the arrays.
        """
        return _sum_left_to_right(self.user_utility(costs, decision, np))

    def user_utility(self, costs, decision, np=np):
        """Return each user's part of Q, E_n + beta*max(L_n, O_n): (..., N), unchecked."""

        def by_user(array):
            return np.reshape(array, (*array.shape[:-1], self.N, self.M))

        offload_energy, local_energy, offload_delay, local_delay = (
            by_user(costs[i]) for i in range(4)
        )
        x = by_user(decision)
        energy = _sum_left_to_right(x * offload_energy + (1 - x) * local_energy)
        local = _sum_left_to_right((1 - x) * local_delay)
        offload = _sum_left_to_right(x * offload_delay)
        return energy + np.maximum(local, offload)

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

    def _checked_task_size(self, task_size):
        task_size = self._checked("task_size", task_size)
        valid = (task_size > 0) & (task_size < np.inf)
        if not valid.all():
            wrong = task_size[~valid][0]
            raise ValueError(f"task_size has an entry {wrong:g}; positive, finite MB were expected")
        return task_size

    def _checked(self, name, array):
        try:
            array = np.asarray(array, np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} is not an array of numbers: {error}") from None
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
        The least utility of each sample, in J.

    Raises
    ------
    ValueError
        If the file is missing or not as data/README.md describes it, is for other numbers of users
        or tasks, or its optima are not utilities of this network.
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
        gain_min = gain_min.astype(np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: gain_min is not an array of numbers: {error}") from error
    try:
        Q = network.compute_Q(task_size, gain_mode)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    wrong = np.flatnonzero(~np.isclose(gain_min, Q, rtol=1e-9, atol=0))
    if len(wrong):
        raise ValueError(
            f"{path}: gain_min of sample {wrong[0]} is {gain_min[wrong[0]]}; {Q[wrong[0]]} was "
            "expected, the utility of its gain_mode: the file is damaged or for another network"
        )
    return task_size.astype(np.float64), gain_min


def _sum_left_to_right(terms):
    """Sum over the last axis strictly left to right, where numpy.sum adds in another order."""
    return sum((terms[..., i] for i in range(1, terms.shape[-1])), start=terms[..., 0])


def all_decisions(tasks):
    """Return all decisions on so many tasks in lexicographic order: float64 (2**tasks, tasks)."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=tasks)))

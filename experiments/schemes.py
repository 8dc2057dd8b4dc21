"""Schemes that decide without learning, to compare DDLO with.

Each is a function of a network and states (frames, S), such as task sizes in MB, that returns decisions,
int32 (frames, N*M): 1 to offload, 0 to process on the device. A random one also takes a seed. All raise
ValueError for states of another shape and for an unsupported network.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

import numpy as np

from ddlo import checks
from ddlo.bandwidth import JointMUMT
from ddlo.baselines import LABELS, all_edge, all_local, best_fixed, frames, smallest_local
from ddlo.enumeration import in_blocks
from ddlo.network import describe_network, kind_of
from MUMT import MUMT

from .wpmec.network import WPMEC

# Tasks in one program of a solver: frames share the cost of a call.
TASKS_OF_A_MILP, TASKS_OF_AN_LP = 150, 2000
SECONDS_OF_A_FRAME = 60  # limit of a MILP
ENUMERATED_AT_A_TIME = 2**16  # decisions


@dataclass(frozen=True)
class Scheme:
    """A scheme and its label in tables and figures."""

    label: str
    function: Callable  # (network, states) -> decisions; a random one also takes a seed
    is_random: bool = False
    by_formula: bool = False  # it looks into the formula of Q, not only at values of Q

    def decide(self, network, states, seed=0):
        """Return decisions, int32 (frames, N*M). Raises ValueError if the function returns others."""
        seeds = [seed] if self.is_random else []
        x = self.function(network, np.array(states), *seeds)  # a copy: it may change its states
        x = checks.array(self.label, x, shape=(len(states), network.N * network.M))
        return checks.binary(self.label, x).astype(np.int32)


def optimum(network, states):
    """Decide optimally, by the network's `optimum`."""
    return network.optimum(frames(network, states))[1]


def enumeration(network, states):
    """Decide optimally by enumerating all 2**(N*M) decisions, at most 2**24, to time it."""
    states, tasks = frames(network, states), network.N * network.M
    checks.integer("N*M", tasks, high=24)
    places = np.arange(tasks)[::-1]  # the first task is the most significant bit

    def best(state, start):
        numbers = np.arange(start, min(2**tasks, start + ENUMERATED_AT_A_TIME))
        decisions = numbers[:, None] >> places & 1
        Q = network.compute_Q(state, decisions)
        return Q.min(), decisions[Q.argmin()]

    starts = range(0, 2**tasks, ENUMERATED_AT_A_TIME)
    found = [min(map(partial(best, state), starts), key=itemgetter(0)) for state in states]
    return np.stack([decision for _, decision in found])


def enumeration_by_user(network, states):
    """Decide optimally by enumerating the 2**M decisions of each user of a separable MUMT."""
    return made_for(network, MUMT).optimum_by_user(frames(network, states))[1]


def coordinate_descent(network, states, budget=np.inf):
    """Start with all tasks local and flip the one that lowers Q the most, until none does.

    The budget limits the utilities evaluated in a frame.
    """
    tasks = network.N * network.M
    flips = np.eye(tasks, dtype=np.int32)[:, None]

    def descend(d):
        x = all_local(network, d)
        Q, improving, used = network.compute_Q(d, x), np.arange(len(d)), 1
        while len(improving) and used + tasks <= budget:
            used += tasks
            flipped = x[improving] ^ flips  # (tasks, frames, tasks): flipped[i] in task i
            Q_flipped = network.compute_Q(d[improving], flipped)
            best = Q_flipped.argmin(axis=0)
            least = Q_flipped[best, np.arange(len(best))]
            better = least < Q[improving]
            improving, best, least = improving[better], best[better], least[better]
            x[improving, best] ^= 1
            Q[improving] = least
        return (x,)

    return in_blocks(descend, frames(network, states), max(1, 2**20 // tasks**2))[0]


def one_pass(network, states):
    """Start with all tasks local, flip each task once, and keep a flip that lowers Q."""
    x = all_local(network, states)
    Q = network.compute_Q(states, x)
    for task in range(x.shape[1]):
        flipped = x.copy()
        flipped[:, task] ^= 1
        Q_flipped = network.compute_Q(states, flipped)
        x[:, task] ^= Q_flipped < Q
        Q = np.minimum(Q, Q_flipped)
    return x


def best_of_random(network, states, seed, number):
    """Toss a coin for every task a number of times, and keep the best decision."""
    generator, shape = np.random.default_rng(seed), all_local(network, states).shape
    x, Q = np.zeros(shape, np.int32), np.full(len(states), np.inf)
    for _ in range(number):
        other = generator.integers(0, 2, shape, np.int32)
        Q_other = network.compute_Q(states, other)
        better = Q_other < Q
        x[better], Q[better] = other[better], Q_other[better]
    return x


def random(network, states, seed):
    """Toss a coin for every task."""
    shape = all_local(network, states).shape
    return np.random.default_rng(seed).integers(0, 2, shape, np.int32)


def dual_heuristic(network, states):
    """Decide as `lower_bound` of a JointMUMT or WPMEC does, which puts a price on the shared resource."""
    return made_for(network, JointMUMT, WPMEC).lower_bound(frames(network, states))[1]


def equal_split_optimum(network, states):
    """Decide optimally for an equal split of the bandwidth, which a JointMUMT then allocates again."""
    constants = describe_network(made_for(network, JointMUMT))
    constants.pop("class")
    return optimum(MUMT(**constants), states)


def fixed(network, states):
    """Hindsight baseline: the single decision with the least mean Q over all frames."""
    states = frames(network, states)
    return np.tile(best_fixed(network, states), (len(states), 1))


def milp(network, states):
    """Decide optimally with a general solver of mixed-integer linear programs, HiGHS.

    Raises RuntimeError if it finds no optimum in a minute per frame.
    """
    return _solved(network, frames(network, states), TASKS_OF_A_MILP, is_integer=True)


def linear_relaxation(network, states):
    """Round the linear relaxation, in which tasks can be split; 0.5 is local. Raises as `milp`."""
    return _solved(network, frames(network, states), TASKS_OF_AN_LP, is_integer=False)


def _solved(network, task_size, most_tasks, is_integer):
    """Decide by solving programs of up to `most_tasks` tasks: int32 (frames, N*M)."""
    from scipy import optimize

    step = max(1, most_tasks // task_size.shape[1])
    decision = np.empty(task_size.shape, np.int32)
    for start in range(0, len(task_size), step):
        part = task_size[start : start + step]
        cost, constraints, least = _program(network, part)
        numbers = [part.size, len(cost) - part.size]  # of tasks and of delays
        # Most frames are solved at the root of the search tree. Trees of frames that are not would
        # multiply in one program: those frames are solved alone.
        limit = {"time_limit": SECONDS_OF_A_FRAME} if len(part) == 1 else {"node_limit": 1}
        solution = optimize.milp(
            cost,
            constraints=optimize.LinearConstraint(constraints, least, np.inf),
            integrality=np.repeat([int(is_integer), 0], numbers),
            bounds=optimize.Bounds(0, np.repeat([1, np.inf], numbers)),
            options={"mip_rel_gap": 0} | limit,  # the default gap gives up 0.01 % of the utility
        )
        if solution.success:
            decision[start : start + step] = solution.x[: part.size].reshape(part.shape) > 0.5
        elif len(part) > 1:
            decision[start : start + step] = _solved(network, part, 1, is_integer)
        else:
            raise RuntimeError(f"no optimum found: {solution.message}")
    return decision


def _program(network, task_size):
    """Return Q of frames (B, N*M) as a linear program: cost, constraints, their least values.

    The variables are the B*N*M decisions, then a delay t for each user of each frame. With the four
    costs of `costs`, Q is sum(x*(offloaded - local energy)) + sum(t) plus a constant, where
    t >= sum(x*offloaded delay) and t >= sum((1-x)*local delay) for the user's tasks.
    """
    from scipy import sparse

    kind = type(made_for(network, MUMT))
    formula = (kind.user_costs, kind.user_utility) == (MUMT.user_costs, MUMT.user_utility)
    if not network.separable or not formula:
        raise ValueError(f"the solvers know the utility of MUMT, not of {kind.__name__}")
    costs = network.costs(checks.sizes("task_size", task_size))
    offload_energy, local_energy, offload_delay, local_delay = costs.reshape(4, -1)
    users = len(local_delay) // network.M
    delays = sparse.eye_array(users)
    tasks = sparse.kron(delays, np.ones((1, network.M)), "csr")  # of each user
    local = tasks.multiply(local_delay).tocsr()
    rows = [[tasks.multiply(-offload_delay), delays], [local, delays]]
    least = np.concatenate([np.zeros(users), local.sum(axis=1)])
    cost = np.concatenate([offload_energy - local_energy, np.ones(users)])
    return cost, sparse.block_array(rows, format="csc"), least


def made_for(network, *kinds):
    """Return the network. Raises ValueError if it is not of these classes."""
    if not isinstance(network, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"this scheme is for {names}, got {kind_of(network)}")  # noqa: TRY004
    return network


# A new scheme is a function above and a line here.
SCHEMES = (
    Scheme("optimum", optimum, by_formula=True),
    Scheme("optimum by MILP", milp, by_formula=True),
    Scheme("coordinate descent", coordinate_descent),
    Scheme("linear relaxation", linear_relaxation, by_formula=True),
    Scheme(LABELS["smallest_local"], smallest_local),
    Scheme(LABELS["best_fixed"], fixed, by_formula=True),
    Scheme(LABELS["all_edge"], all_edge),
    Scheme("random", random, is_random=True),
    Scheme(LABELS["all_local"], all_local),
)
# For shared resources, and to show how long enumeration takes.
OTHERS = (
    Scheme("dual heuristic", dual_heuristic, by_formula=True),
    Scheme("equal-split optimum, bandwidth re-allocated", equal_split_optimum, by_formula=True),
    Scheme("enumeration of all decisions", enumeration),
    Scheme("enumeration user by user", enumeration_by_user, by_formula=True),
)
SCHEMES, OTHERS = ({scheme.label: scheme for scheme in each} for each in (SCHEMES, OTHERS))

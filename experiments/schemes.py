"""Schemes that decide without learning, to compare DDLO with.

Each is a function of a network and task sizes in MB, (frames, N*M), or another state, (frames, S),
that returns decisions, int32 (frames, N*M): 1 to offload, 0 to process on the device. A scheme by chance
also has a parameter `seed`. They raise ValueError if the states have another shape, those that look at
task sizes also if one is negative or not finite, and if they do not suit the network: optimum, coordinate
descent, the enumeration of all decisions and the fixed and random ones take any, smallest_local one whose
state is task sizes, the others a MUMT. The solvers get many frames as one program, whose optimum is that
of each, as frames do not depend on each other.
"""

import inspect

import numpy as np

from ddlo.bandwidth import JointMUMT
from ddlo.baselines import LABELS, all_edge, all_local, best_fixed, frames, smallest_local
from ddlo.network import describe_network
from MUMT import MUMT

from .wpmec import WPMEC

# Tasks in one of the solvers' programs: several frames share the cost of a call, up to where more
# of them would gain nothing.
TASKS_OF_A_MILP, TASKS_OF_AN_LP = 150, 2000
SECONDS_OF_A_FRAME = 60  # after which no optimum is found
MOST_ENUMERATED_TASKS, ENUMERATED_AT_A_TIME = 24, 2**16


def optimum(network, task_size):
    """Decide optimally, by the network's `optimum`."""
    return network.optimum(frames(network, task_size))[1]


def milp(network, task_size):
    """Decide optimally with a general solver of mixed-integer linear programs (HiGHS).

    Raises RuntimeError if it finds no optimum, in a minute at most for a frame, and ValueError if the
    network's utility is not MUMT's, which is linear but for a maximum.
    """
    from scipy import optimize

    def solve(cost, constraints, least, tasks, alone):
        delays = len(cost) - tasks
        return optimize.milp(
            cost,
            constraints=optimize.LinearConstraint(constraints, least, np.inf),
            integrality=np.repeat([1, 0], [tasks, delays]),
            bounds=optimize.Bounds(0, np.repeat([1, np.inf], [tasks, delays])),
            # The default gap gives up 0.01 % of the utility. Most frames are solved at the root of
            # the search tree; trees of many frames that are not would multiply.
            options={"mip_rel_gap": 0}
            | ({"time_limit": SECONDS_OF_A_FRAME} if alone else {"node_limit": 1}),
        )

    return _solved(solve, network, task_size, TASKS_OF_A_MILP)


def linear_relaxation(network, task_size):
    """Decide as the linear relaxation does, in which tasks can be split, rounded: ties (0.5) are local.

    Raises RuntimeError if the solver (HiGHS) finds no optimum, and ValueError if the network's
    utility is not MUMT's, which is linear but for a maximum.
    """
    from scipy import optimize

    def solve(cost, constraints, least, tasks, alone):
        most = np.repeat([1, np.inf], [tasks, len(cost) - tasks])
        # The simplex method ends in a vertex, where few tasks are split; the optimum is often
        # reached by many points, and others split them all.
        return optimize.linprog(
            cost,
            A_ub=-constraints,
            b_ub=-least,
            bounds=np.stack([np.zeros(len(cost)), most], axis=1),
            method="highs-ds",
        )

    return _solved(solve, network, task_size, TASKS_OF_AN_LP)


def enumeration(network, task_size):
    """Decide optimally by enumerating all 2**(N*M) decisions, up to 24 tasks: ValueError beyond that.

    What `optimum` does up to 12 tasks; beyond that it takes so long that this is here only to show it.
    """
    task_size, tasks = frames(network, task_size), network.N * network.M
    if tasks > MOST_ENUMERATED_TASKS:
        raise ValueError(f"up to {MOST_ENUMERATED_TASKS} tasks are enumerated, got {tasks}")
    best = np.empty((len(task_size), tasks), np.int32)
    places = np.arange(tasks)[::-1]  # the first task is the most significant bit
    for frame, d in enumerate(task_size):
        least = np.inf
        for start in range(0, 2**tasks, ENUMERATED_AT_A_TIME):
            numbers = np.arange(start, min(2**tasks, start + ENUMERATED_AT_A_TIME))
            decisions = numbers[:, None] >> places & 1
            Q = network.compute_Q(d, decisions)
            if Q.min() < least:
                least, best[frame] = Q.min(), decisions[Q.argmin()]
    return best


def enumeration_by_user(network, task_size):
    """Decide optimally by enumerating the 2**M decisions of each user, if Q is separable."""
    if not isinstance(network, MUMT):
        raise ValueError(  # noqa: TRY004 - as for all networks that do not suit
            f"users of a {type(network).__name__} cannot decide independently"
        )
    return network.optimum_by_user(frames(network, task_size))[1]


def coordinate_descent(network, task_size):
    """Start with all tasks local and flip the one that lowers Q the most, until none does."""
    task_size = frames(network, task_size)
    decision = all_local(network, task_size)
    tasks = decision.shape[1]
    flips = np.eye(tasks, dtype=np.int32)[:, None]
    step = max(1, 2**20 // tasks**2)  # so that the flips of all frames take little memory
    for start in range(0, len(task_size), step):
        d, x = task_size[start : start + step], decision[start : start + step]
        Q = network.compute_Q(d, x)
        going_on = np.arange(len(d))
        while len(going_on):
            flipped = x[going_on] ^ flips  # (tasks, frames, tasks): flipped[i] in task i
            Q_flipped = network.compute_Q(d[going_on], flipped)
            best = Q_flipped.argmin(axis=0)
            least = Q_flipped[best, np.arange(len(best))]
            better = least < Q[going_on]
            going_on, best, least = going_on[better], best[better], least[better]
            x[going_on, best] ^= 1
            Q[going_on] = least
    return decision


def random(network, task_size, seed=0):
    """Toss a coin for every task; the seed says which."""
    shape = all_local(network, task_size).shape
    return np.random.default_rng(seed).integers(0, 2, shape, np.int32)


def dual_heuristic(network, task_size):
    """Decide as a network's `lower_bound` does, which puts a price on what is shared."""
    if not isinstance(network, (JointMUMT, WPMEC)):
        raise ValueError(  # noqa: TRY004 - as for all networks that do not suit
            f"no lower bound is known for a {type(network).__name__}"
        )
    return network.lower_bound(frames(network, task_size))[1]


def equal_split_optimum(network, task_size):
    """Decide optimally for an equal split of the bandwidth; a JointMUMT re-allocates it then."""
    if not isinstance(network, JointMUMT):
        raise ValueError(  # noqa: TRY004 - as for all networks that do not suit
            f"this scheme shares bandwidth: it takes no {type(network).__name__}"
        )
    constants = describe_network(network)
    constants.pop("class")
    return optimum(MUMT(**constants), task_size)


def fixed(network, task_size):
    """Make the one decision in all frames that has the least mean Q over them: `best_fixed`."""
    task_size = frames(network, task_size)
    return np.tile(best_fixed(network, task_size), (len(task_size), 1))


# All schemes, by their labels in tables and figures: a new one is a function above and a line here.
BEST_FIXED, SMALLEST_LOCAL = LABELS["best_fixed"], LABELS["smallest_local"]
SCHEMES = {
    "optimum": optimum,
    "optimum by MILP": milp,
    "coordinate descent": coordinate_descent,
    "linear relaxation": linear_relaxation,
    SMALLEST_LOCAL: smallest_local,
    BEST_FIXED: fixed,
    LABELS["all_edge"]: all_edge,
    "random": random,
    LABELS["all_local"]: all_local,
}
# And where the bandwidth is optimised, for which some of the above rely on too much.
JOINT_SCHEMES = {
    "optimum": optimum,
    "dual heuristic": dual_heuristic,
    "equal-split optimum, bandwidth re-allocated": equal_split_optimum,
    "coordinate descent": coordinate_descent,
    SMALLEST_LOCAL: smallest_local,
    LABELS["all_edge"]: all_edge,
    "random": random,
    LABELS["all_local"]: all_local,
}
# Two ways to the same optimum, of which only the time is of interest.
ENUMERATIONS = {
    "enumeration of all decisions": enumeration,
    "enumeration user by user": enumeration_by_user,
}


def scheme_of(label):
    """Return the scheme of a label. Raises ValueError if there is none."""
    labels = SCHEMES | JOINT_SCHEMES | ENUMERATIONS
    if label not in labels:
        raise ValueError(f"scheme must be DDLO or one of {', '.join(labels)}, got {label}")
    return labels[label]


def by_chance(label):
    """Whether the scheme of a label has a seed."""
    return "seed" in inspect.signature(scheme_of(label)).parameters


def _solved(solve, network, task_size, most_tasks):
    """Decide by solving programs of up to so many tasks: int32 (frames, N*M)."""
    task_size = frames(network, task_size)
    tasks = task_size.shape[1]
    step = max(1, most_tasks // tasks)
    decision = np.empty(task_size.shape, np.int32)
    for start in range(0, len(task_size), step):
        part = task_size[start : start + step]
        solution = solve(*_program(network, part), part.size, alone=len(part) == 1)
        if not solution.success and len(part) > 1:
            decision[start : start + step] = _solved(solve, network, part, most_tasks=1)
            continue
        if not solution.success:
            raise RuntimeError(f"no optimum of frame {start} found: {solution.message}")
        decision[start : start + step] = solution.x[: part.size].reshape(part.shape) > 0.5
    return decision


def _program(network, task_size):
    """Return Q of frames (B, N*M) as a linear program: cost, constraints, their least values.

    The variables are the B*N*M decisions, then a delay t for each user of each frame. With the four
    costs of `costs`, Q is sum(x*(offloaded - local energy)) + sum(t) but for a constant, where
    t >= sum(x*offloaded delay) and t >= sum((1-x)*local delay) for the user's tasks.
    """
    from scipy import sparse

    is_mumt = isinstance(network, MUMT) and network.separable
    methods = ("user_utility", "user_costs")
    own = [
        name for name in methods if getattr(type(network), name, None) is not getattr(MUMT, name)
    ]
    if not is_mumt or own:
        raise ValueError(f"the solvers know MUMT's utility only, not {type(network).__name__}'s")
    network.compute_Q(task_size, np.zeros(task_size.shape))  # checks the task sizes
    costs = network.costs(task_size.astype(float))
    offload_energy, local_energy, offload_delay, local_delay = costs.reshape(4, -1)
    users = len(local_delay) // network.M

    def by_user(coefficients):
        columns = np.arange(len(coefficients))
        return sparse.csr_array((coefficients, (columns // network.M, columns)))

    delays = sparse.eye_array(users)
    constraints = sparse.block_array(
        [[by_user(-offload_delay), delays], [by_user(local_delay), delays]], format="csc"
    )
    least = np.concatenate([np.zeros(users), by_user(local_delay).sum(axis=1)])
    return np.concatenate([offload_energy - local_energy, np.ones(users)]), constraints, least

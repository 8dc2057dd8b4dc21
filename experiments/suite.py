"""The experiments: the runs that each compares, and how they are shown.

A new experiment is an object in EXPERIMENTS. A scheme in SCHEMES (schemes.py) enters all experiments that
compare schemes; another value of a parameter goes into the tuple of its sweep.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

from ddlo.candidates import NearestNeighbours, OrderPreserving
from ddlo.enumeration import ENUMERATED_TASKS
from ddlo.scale import Scale
from MUMT import MUMT

from . import plots
from .algorithms import FrozenAt60Percent, Supervised, TrainedOnThreeUsers
from .runs import (
    NETWORK,
    PUBLISHED_SETTING,
    UTILITIES,
    TaskSizes,
    normalised,
    released,
    sizes_in_order,
    sizes_that_grow,
)
from .schemes import OTHERS, SCHEMES, Scheme, best_of_random, coordinate_descent, one_pass
from .wpmec.data import OFF, SWAPPED, gains, gains_in_order, gains_with_devices_off, swapped
from .wpmec.droo import AdaptiveDROO, AdaptiveOrderPreserving, ReleasedDROO
from .wpmec.network import WPMEC

GAIN = ("mean_gain_ratio", "gain_ratio_5th_percentile", "optimal_share")
TIMES = ("ms_per_frame", "ms_per_frame_batched")
BUDGET = ("mean_gain_ratio", UTILITIES, "ms_per_utility")
# With one DNN, which learns from its own decisions only, seeds differ the most.
ONE_DNN = dict.fromkeys(("K = 1", "DDLO, K = 1"), 5)
COSTS = (UTILITIES, "ms_per_frame", "ms_per_training_step", "loop_seconds")
QUICK_ROWS = 6  # of each experiment, or a few more, with --quick


@dataclass(frozen=True)
class Experiment:
    """Runs that are compared, and how they are shown."""

    title: str
    runs: Mapping  # Run by label, or by (label, value): a row, or a row and a column
    plot: Callable = plots.schemes  # (rows, curves) -> figure and the data in it
    metrics: tuple[str, ...] = (*GAIN, "mean_utility", UTILITIES, *TIMES)  # columns of its table
    across: str = ""  # heading of the values; if set, each metric has a table, a column per value
    fractions: Mapping = field(default_factory=dict)  # of the frames, by key or label; default: 1
    more_seeds: Mapping = field(default_factory=dict)  # times as many, by label, unless quick
    beside: Mapping = field(default_factory=dict)  # the released package's results, by label

    def rows(self, frames, seeds, quick=False):
        """Return label, value and runs of each row: a single run if nothing learns or is random."""
        rows, step = [], max(1, len(self.runs) // QUICK_ROWS) if quick else 1
        for key, run in list(self.runs.items())[::step]:
            label, value = key if isinstance(key, tuple) else (key, None)
            fraction = self.fractions.get(key, self.fractions.get(label, 1))
            run = replace(run, frames=max(1, int(fraction * frames)))
            varies = run.learns or run.scheme.is_random
            more = 1 if quick else self.more_seeds.get(label, 1)
            number = seeds * more if varies else 1
            runs = [replace(run, seed=seed) for seed in range(number)]
            rows.append((label, value, runs))
        return rows


# What decides


def droo(K):
    """Return the parameters of DROO's rule: one DNN with K order-preserving candidates."""
    return {"net_num": 1, "candidates": OrderPreserving(K)}


SMALLEST_LOCAL, DESCENT = "smallest task local", "coordinate descent"
FLIPPED = "DDLO, K = 3, user flips, recombined"  # all three tasks of every user
ADAPTIVE, NEIGHBOURS = "adaptive K (DROO)", "10 nearest neighbours (DROO)"
AS_RELEASED_DROO = "DROO as released"
# Parameters of a run by label, and the labels that experiments compare.
RULES = {f"DDLO, K = {K}": {"net_num": K} for K in (1, 2, 3, 5, 10)}
RULES |= {f"order-preserving (DROO), K = {K}": droo(K) for K in (3, 10)}
RULES |= {label: {"scheme": scheme} for label, scheme in (SCHEMES | OTHERS).items()}
RULES |= {
    FLIPPED: {"user_flips": 3, "recombine": True},
    ADAPTIVE: {"net_num": 1, "candidates": AdaptiveOrderPreserving(), "algorithm": AdaptiveDROO},
    NEIGHBOURS: {"net_num": 1, "candidates": NearestNeighbours(10)},
}
RULES[AS_RELEASED_DROO] = RULES[ADAPTIVE] | {"algorithm": ReleasedDROO}
RULES |= {f"shared DNNs, K = {K}": {"shared": True, "net_num": K} for K in (1, 3, 10)}
SHARED = ("shared DNNs, K = 3", "shared DNNs, K = 10")
RULES |= {f"{label}, recombined": RULES[label] | {"recombine": True} for label in SHARED}
RECOMBINED = tuple(f"{label}, recombined" for label in SHARED)
DDLO = ("DDLO, K = 3", "DDLO, K = 10")
DROO = ("order-preserving (DROO), K = 3", "order-preserving (DROO), K = 10")
COMPARED = (*DDLO, *DROO, *SCHEMES)
# For different constants, without the schemes that are the same as another one or close to it.
LEFT_OUT = (DROO[0], "optimum by MILP", "linear relaxation")
ON_NETWORKS = tuple(label for label in COMPARED if label not in LEFT_OUT)
JOINT_SOLVERS = ("dual heuristic", "equal-split optimum, bandwidth re-allocated")
JOINT = (*DDLO, FLIPPED, *DROO, "optimum", *JOINT_SOLVERS, DESCENT, SMALLEST_LOCAL)
JOINT += ("full offloading", "random", "local only")
# For networks of other sizes, where the others add little.
SCALED = (*DDLO, *SHARED, *RECOMBINED, FLIPPED, DROO[1], SMALLEST_LOCAL)
ON_WPMEC = ("DDLO, K = 1", *DDLO, *DROO, ADAPTIVE, AS_RELEASED_DROO, NEIGHBOURS, "optimum")
ON_WPMEC += ("dual heuristic", DESCENT)
ON_WPMEC += ("best fixed decision", "full offloading", "random", "local only")

MANY = (3, 5, 10, 20, 30, 100)  # users


def make_runs(labels, make=released, **changes):
    """Return runs by label, with other parameters; `make` is `released` or `wpmec`."""
    return {label: make(**RULES[label] | changes) for label in labels}


def grid(labels, networks):
    """Return runs by label and network, from a run of each network by name."""
    return {
        (label, name): replace(network, **RULES[label])
        for name, network in networks.items()
        for label in labels
    }


def wpmec(users=10, **changes):
    """Return a run on WPMEC."""
    return released(**{"network": WPMEC(users), "states": gains} | changes)


def on_network(label, users, tasks=3, **changes):
    """Return a run on a network whose uplink grows with the users, so that each user has the same share.

    DROO's candidates are at most one more than the tasks; all user flips are those of M tasks.
    """
    size = {"users": users, "tasks": tasks, "uplink": 100 * users / 3}
    run = released(**RULES[label] | size | changes)
    rule = run.candidates and OrderPreserving(min(run.candidates.K, users * tasks + 1))
    return replace(run, candidates=rule, user_flips=tasks if run.user_flips else 0)


# Kinds of experiments

# The released package's DNNs: test gain ratios of unseeded runs over 20,000 frames.
RELEASED_RATIOS = "0.9923 0.9925 0.9930 0.9932 0.9926"
MEASURED = {
    "net_num": {1: "0.818 0.865 0.891", 2: "0.9877 0.9802 0.9874", 5: "0.9955 0.9944 0.9957"}
    | {10: "0.9971 0.9977 0.9963"},
    "learning_rate": {0.1: "0.923 0.963", 0.001: "0.9882 0.9906", 0.0001: "0.9781 0.9800"},
    "batch_size": {32: "0.9909", 512: "0.9933"},
    "memory_size": {256: "0.9928", 4096: "0.9853"},
    "training_interval": {1: "0.9869", 5: "0.9916", 50: "0.9828"},
}


def sweep(name, values):
    """Return the experiment that varies a parameter, a field of Run, with a baseline beside it."""
    what = "K" if name == "net_num" else name.replace("_", " ")
    default = getattr(released(), name)
    runs = {(f"{what} = {value}", value): released(**{name: value}) for value in values}
    if name in NETWORK:  # the baseline is another one for each network
        for value in values:
            (baseline,) = make_runs([SMALLEST_LOCAL], **{name: value}).values()
            runs[f"{SMALLEST_LOCAL}, {what} = {value}", value] = baseline
    else:
        runs |= make_runs([SMALLEST_LOCAL])
    beside = {f"{what} = {value}": text for value, text in MEASURED.get(name, {}).items()}
    beside |= {f"{what} = {default}": RELEASED_RATIOS}
    title, metrics = f"Gain ratio against {what}", (*GAIN, "min_max", "learns")
    return Experiment(title, runs, plots.convergence, metrics, beside=beside)


def constant(name, across, values, unit=1):
    """Return the experiment that varies a constant of the network: value * unit."""
    runs = grid(ON_NETWORKS, {value: released(**{name: value * unit}) for value in values})
    title = f"Utility of the schemes for different {across.split(' (')[0].lower()}s"
    metrics = ("mean_utility", "excess", UTILITIES)
    return Experiment(title, runs, plots.against_constant, metrics, across)


def sizes(title, labels, bandwidth, networks):
    """Return the experiment on networks of different sizes: users and tasks of each."""
    runs = {
        (label, f"{users} x {tasks}"): on_network(label, users, tasks, bandwidth=bandwidth)
        for label in labels
        for users, tasks in networks
    }
    metrics = ("mean_gain_ratio", UTILITIES, *TIMES, "loop_seconds")
    slow = {"optimum by MILP", DESCENT}
    fractions = {key: 0.01 if "100 x 3" in key else 0.1 for key in runs if key[0] in slow}
    return Experiment(title, runs, plots.scaling, metrics, "users x tasks", fractions)


def ablation():
    """Return the ablation study of DDLO, with both bandwidths for 3 and for 30 users."""
    runs = {}
    for users in (3, 30):  # a third of all tasks is as many as the users
        changes = {
            "as released": {},
            "K = 10": {"net_num": 10},
            "hidden layers of 400 and 267": {"hidden": (400, 267)},
            "learning rate 0.001": {"learning_rate": 0.001},
            "both of these": {"hidden": (400, 267), "learning_rate": 0.001},
            "normalised inputs": {"scale": normalised},
            "beta1 = 0.9": {"beta1": 0.9},
            "recombine": {"recombine": True},
            "K = 10, recombine": {"net_num": 10, "recombine": True},
            "flips of a third of all tasks": {"flips": users},
            "flips of all tasks": {"flips": 3 * users},
            "flips of a third, recombine": {"flips": users, "recombine": True},
            "flips of all, recombine": {"flips": 3 * users, "recombine": True},
            "3 flips of every user": {"user_flips": 3},
            "1 flip of every user, recombine": {"user_flips": 1, "recombine": True},
            "2 flips of every user, recombine": {"user_flips": 2, "recombine": True},
            "3 flips of every user, recombine": {"user_flips": 3, "recombine": True},
        }
        for bandwidth in ("equal", "optimal"):
            network = on_network(DDLO[0], users, bandwidth=bandwidth)
            for label, change in changes.items():
                runs[label, f"{users} x 3, {bandwidth}"] = replace(network, **change)
    title, across = "Ablation study of DDLO", "users x tasks, bandwidth"
    metrics = ("mean_gain_ratio", UTILITIES, "loop_seconds", "ms_per_frame")
    return Experiment(title, runs, plots.dots, metrics, across)


def paper_reading():
    """Return the comparison of the released network with the paper's, as two readers interpret it."""
    labels = ("optimum", "dual heuristic", *DDLO, FLIPPED, SMALLEST_LOCAL)
    networks = {
        f"{bandwidth}, {uplink} Mbit/s": released(bandwidth=bandwidth, uplink=uplink)
        for bandwidth, uplink in (("equal", 100), ("equal", 150), ("optimal", 150))
    }
    runs = grid(labels, networks)
    for network in list(networks)[:2]:  # without shared bandwidth
        del runs["dual heuristic", network]
    title = "The network as the paper is read: optimal bandwidth, 150 Mbit/s"
    metrics = ("mean_utility", "mean_gain_ratio", "optimal_share", UTILITIES)
    return Experiment(title, runs, plots.dots, metrics, "bandwidth")


def decision_time():
    """Return the decision times of DDLO and of ways to the optimum, for increasing numbers of users."""
    wall = "enumeration of all decisions"
    labels = [f"DDLO, K = {K}" for K in (1, 2, 3, 5, 10)]
    labels += ["enumeration user by user", "optimum by MILP", SMALLEST_LOCAL]
    fractions = {(label, users): 0.1 for users in (3, 5, 10, 20, 30) for label in labels}
    # 2**(3*users) decisions, until one frame takes more than a second.
    walls = {3: 0.1, 4: 0.01, 5: 0.005, 6: 0.001, 7: 0.00025}
    fractions |= {(wall, users): fraction for users, fraction in walls.items()}
    keys = sorted(fractions, key=lambda key: key[1])
    runs = {(label, users): on_network(label, users) for label, users in keys}
    title = "Decision time against users and against K"
    return Experiment(title, runs, plots.decision_time, TIMES, "users", fractions)


def different(users):
    """Return constants that differ between every three users, by name: factors of published values."""
    factors = {
        "local time x 1/2, 1, 2": ("local_time_per_bit", (0.5, 1, 2)),
        "transmit energy x 1, 2, 4": ("transmit_energy_per_bit", (1, 2, 4)),
        "delay weight 1/4, 1, 4": ("delay_weight", (0.25, 1, 4)),
    }
    return {
        name: {constant: tuple((PUBLISHED_SETTING[constant] * x,) for x in xs) * (users // 3)}
        for name, (constant, xs) in factors.items()
    }


def learning():
    """Return DDLO beside all rules that do not learn, in networks where one may win."""
    labels = (*DDLO, DESCENT, SMALLEST_LOCAL, "best fixed decision", "full offloading")
    labels += ("local only",)
    networks = {"as released": released()}
    for alpha in (2.5, 3.5):
        networks[f"edge cost {alpha}e-7 J/bit"] = released(edge_cost_per_bit=alpha * 10**-7)
    networks |= {f"delay weight {x} J/s": released(delay_weight=x) for x in (0.25, 0.5, 2, 4)}
    networks |= {f"uplink {x} Mbit/s": released(uplink=x) for x in (25, 50, 200, 400)}
    networks |= {f"{users} users": on_network(DDLO[0], users) for users in (5, 10, 30)}
    networks |= {f"{tasks} tasks": on_network(DDLO[0], 3, tasks) for tasks in (2, 4, 6)}
    for low, high in ((18, 22), (1, 30), (1, 100)):
        networks[f"sizes {low} to {high} MB"] = released(states=TaskSizes(low, high))
    for name, constants in different(3).items():
        networks[f"{name} for users 1, 2, 3"] = released(**constants)
    runs = {(name, label): run for (label, name), run in grid(labels, networks).items()}
    title, metrics = "DDLO and rules that do not learn", ("mean_gain_ratio",)
    slow = {("30 users", DESCENT): 0.1}
    return Experiment(title, runs, plots.learning, metrics, "network", slow)


def wpmec_sizes():
    """Return the experiment on networks of 5 to 30 devices."""
    labels = ("DDLO, K = 1", *DDLO, "DDLO, K = N", "order-preserving (DROO), K = N", ADAPTIVE)
    labels += (NEIGHBOURS, "optimum", "dual heuristic", DESCENT, "full offloading", "local only")
    runs = {}
    for users in (5, 10, 20, 30):
        rules = RULES | {labels[3]: {"net_num": users}, labels[4]: droo(users)}
        for label in labels:
            if users <= ENUMERATED_TASKS or label != "optimum":
                runs[label, f"{users} x 1"] = wpmec(users, **rules[label])
    title, fractions = "WPMEC of different sizes", {"optimum": 0.1, DESCENT: 0.1}
    metrics = ("mean_gain_ratio", UTILITIES, "ms_per_frame", "loop_seconds")
    options = {"fractions": fractions, "more_seeds": ONE_DNN}
    return Experiment(title, runs, plots.scaling, metrics, "devices x tasks", **options)


def event(title, fractions, **changes):
    """Return the experiment in which WPMEC changes during a run, at fractions of its frames."""
    runs = make_runs((*DDLO, DROO[1], ADAPTIVE), wpmec, **changes)
    metrics = ("mean_gain_ratio", "optimal_share", UTILITIES)
    return Experiment(title, runs, partial(plots.convergence, fractions=fractions), metrics)


def shared():
    """Return DNNs over all of 30 users beside shared ones, also with optimal decisions to learn from."""
    labels = ("DDLO, K = 1", *DDLO, "shared DNNs, K = 1", *SHARED, *RECOMBINED, SMALLEST_LOCAL)
    changes = {label: RULES[label] for label in labels}
    for label in ("DDLO, K = 1", DDLO[1], "shared DNNs, K = 1", SHARED[1]):
        changes[f"{label}, optimal labels"] = RULES[label] | {"algorithm": Supervised}
    label = "DDLO, K = 1, optimal labels"
    changes[f"{label}, learning rate 0.001"] = changes[label] | {"learning_rate": 0.001}
    network = on_network(DDLO[0], 30)
    runs = {label: replace(network, **change) for label, change in changes.items()}
    title, metrics = "Shared DNNs with 30 users", (*GAIN[:2], *COSTS)
    return Experiment(title, runs, metrics=metrics, more_seeds=ONE_DNN)


def transfer():
    """Return shared DNNs that decide for more users than they were trained for."""
    networks, runs = {f"{users} users": on_network(SMALLEST_LOCAL, users) for users in MANY}, {}
    for label in SHARED + RECOMBINED:
        function = TrainedOnThreeUsers(RULES[label]["net_num"], label in RECOMBINED)
        scheme = Scheme(label, function, is_random=True)
        for users, run in networks.items():
            runs[users, label] = replace(run, scheme=scheme)
            runs[users, SMALLEST_LOCAL] = run
    title, metrics = "Shared DNNs trained on 3 users", ("mean_gain_ratio",)
    return Experiment(title, runs, plots.dots, metrics, "used for")


def different_users():
    """Return DNNs over all of 30 users beside shared ones, when constants differ between users."""
    networks = {
        name: on_network(DDLO[0], 30, **constants) for name, constants in different(30).items()
    }
    runs = grid((*DDLO, *SHARED, *RECOMBINED, SMALLEST_LOCAL), networks)
    title, metrics = "30 users whose constants differ", ("mean_gain_ratio",)
    return Experiment(title, runs, plots.dots, metrics, "of every three users")


def different_sizes():
    """Return DNNs of equal and of different sizes, with as many weights in all."""
    runs = {}
    for K in (3, 5, 10):
        runs[f"K = {K}, equal sizes"] = released(net_num=K)
        runs[f"K = {K}, different sizes"] = released(net_num=K, hidden=hidden_layers(K))
    runs |= make_runs([SMALLEST_LOCAL])
    title, metrics = "DNNs of different sizes", (*GAIN, "min_max", "loop_seconds")
    return Experiment(title, runs, plots.convergence, metrics)


def hidden_layers(K):
    """Return hidden layers of K DNNs, the largest three times as wide as the smallest.

    Together they have as many weights as K of the released ones, within half a percent.
    """

    def weights(hidden):
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise((9, *hidden, 9)))

    def scaled(factor):
        widths = [factor * (1 + 2 * k / (K - 1)) for k in range(K)]
        return tuple((round(120 * width), round(80 * width)) for width in widths)

    factors = [0.3 + step / 1000 for step in range(500)]
    total = K * weights((120, 80))
    return min(map(scaled, factors), key=lambda rows: abs(sum(map(weights, rows)) - total))


def budget():
    """Return schemes against the utilities that they evaluate in a frame, on four networks.

    Labels are a family of schemes and a number, after a colon.
    """
    networks = {"3 x 3": released(), "30 x 3": on_network(DDLO[0], 30)}
    networks["30 x 3, optimal bandwidth"] = replace(networks["30 x 3"], bandwidth="optimal")
    networks["WPMEC, 10 devices"] = wpmec()
    runs = {}
    for network, run in networks.items():
        (_, first), *_ = run.networks
        tasks = first.N * first.M
        found = {"one pass of flips": {"scheme": Scheme("one pass of flips", one_pass)}}
        for number in (1, 3, 10, 30, 100):
            label = f"best of random decisions: {number}"
            function = partial(best_of_random, number=number)
            found[label] = {"scheme": Scheme(label, function, is_random=True)}
        for passes in (1, 2, 4, 8, 16, 32, 64):
            label = f"coordinate descent: {passes} passes"
            function = partial(coordinate_descent, budget=1 + passes * tasks)
            found[label] = {"scheme": Scheme(label, function)}
        for K in (1, 2, 3, 5, 10, 30):
            found[f"DDLO: K = {K}"] = {"net_num": K}
            found[f"shared DNNs: K = {K}"] = {"net_num": K, "shared": True}
        for flips in (1, 3, tasks):
            found[f"DDLO with flips: {flips}"] = {"flips": flips}
        for K in (3, 10, 30):
            found[f"nearest neighbours: K = {K}"] = {
                "net_num": 1,
                "candidates": NearestNeighbours(K),
            }
            if K <= tasks + 1:
                found[f"DROO: K = {K}"] = droo(K)
        if first.M > 1:  # a MUMT
            found[SMALLEST_LOCAL] = RULES[SMALLEST_LOCAL]
            for label, K in zip(RECOMBINED, (3, 10)):
                found[f"shared DNNs, recombined: K = {K}"] = RULES[label]
        runs |= {(label, network): replace(run, **change) for label, change in found.items()}
    fractions = {key: 0.1 for key, run in runs.items() if run.scheme}
    title, metrics = "Gain ratio against utilities evaluated per frame", BUDGET
    return Experiment(title, runs, plots.budget, metrics, "network", fractions)


def changes():
    """Return DDLO on a MUMT that changes at 60 % of the frames: the sizes, or the delay weight."""
    rules = {f"K = {K}": {"net_num": K} for K in (3, 10)}
    rules |= {f"K = 3, memory of {size}": {"memory_size": size} for size in (256, 4096)}
    rules["K = 3, frozen at frame 12,000"] = {"algorithm": FrozenAt60Percent}
    wide = {
        f"K = {K}, scale of 10 to 50 MB": {"net_num": K, "scale": Scale(10, 50)} for K in (3, 10)
    }
    heavy, ordered = MUMT(3, 3, p=3), {"states": sizes_in_order}
    problems = {  # title, rules, the problem that changes, and the one after the change
        "change_sizes": (
            "sizes of 10 to 30, then 30 to 50 MB",
            rules | wide,
            {"states": sizes_that_grow},
            {"states": TaskSizes(30, 50)},
        ),
        "change_weight": (
            "delay weight 1, then 3",
            rules,
            ordered | {"later": ((0.6, heavy),)},
            ordered | {"network": heavy},
        ),
    }
    found = {}
    for name, (title, compared, problem, after) in problems.items():
        always = problem | {"change": 0.6, "scale": Scale()}  # that of the sizes before the change
        runs = {label: released(**always | rule) for label, rule in compared.items()}
        for label in ("K = 3", "K = 10"):
            runs[f"{label}, changed from the start"] = released(**rules[label] | after)
        runs[SMALLEST_LOCAL] = released(**RULES[SMALLEST_LOCAL] | problem)
        title, plot = f"A MUMT with {title}", partial(plots.convergence, fractions=[0.6])
        metrics = ("mean_gain_ratio", "fall", "frames_to_recover")
        found[name] = Experiment(title, runs, plot, metrics)
    return found


def other_data():
    """Return DDLO on samples that follow the published ones."""
    networks = {
        f"samples {first:,} to {first + 19999:,}": released(states=TaskSizes(first=first))
        for first in (0, 20000)
    }
    runs = grid((*DDLO, SMALLEST_LOCAL), networks)
    return Experiment("Other data", runs, plots.dots, GAIN[::2], "task sizes")


def two_networks():
    """Return the comparison of the rules on both networks, with equal numbers of candidates."""
    rules = {"DDLO, K = 3": {}, "DROO, K = 3": droo(3), "DDLO, K = 5": {"net_num": 5}}
    rules |= {"DROO, K = 5": droo(5), "DROO, adaptive K": RULES[ADAPTIVE]}
    rules |= {"DDLO, K = 10": {"net_num": 10}, "DROO, K = 10": droo(10)}
    rules |= {"DROO, 10 neighbours": RULES[NEIGHBOURS]}
    runs = {
        f"{network}: {label}": make(**rule)
        for network, make in (("MUMT", released), ("WPMEC", wpmec))
        for label, rule in rules.items()
    }
    metrics = ("mean_gain_ratio", "optimal_share", *COSTS)
    return Experiment("Two networks, two rules", runs, metrics=metrics)


ALONE = make_runs(["DDLO, K = 3"])
EXPERIMENTS = {
    "net_num": replace(sweep("net_num", (1, 2, 3, 5, 10)), more_seeds=ONE_DNN),
    "learning_rate": sweep("learning_rate", (0.1, 0.01, 0.001, 0.0001)),
    "batch_size": sweep("batch_size", (32, 64, 128, 256, 512)),
    "memory_size": sweep("memory_size", (256, 512, 1024, 2048, 4096)),
    "training_interval": sweep("training_interval", (1, 5, 10, 20, 50)),
    "training_cost": Experiment(
        "Training cost of the DNNs", ALONE, plots.training_cost, ("mean_gain_ratio", "last_cost")
    ),
    "recorded": Experiment(
        "The authors' recorded run",
        ALONE,
        plots.recorded,
        GAIN[::2],
        fractions=dict.fromkeys(ALONE, 0.5),
    ),
    "schemes": Experiment("Comparison of schemes", make_runs(COMPARED)),
    "bandwidth": constant("uplink", "Uplink bandwidth (Mbit/s)", (25, 50, 75, 100, 200, 300, 400)),
    "edge_cost": constant(
        "edge_cost_per_bit", "Edge-cost weight (1e-7 J/bit)", (1.5, 2, 2.5, 3, 3.5), 10**-7
    ),
    "delay_weight": constant(
        "delay_weight", "Delay weight (J/s)", (0, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4)
    ),
    "learning": learning(),
    "decision_time": decision_time(),
    "joint": Experiment(
        "Comparison of schemes with optimal bandwidth",
        make_runs(JOINT, bandwidth="optimal"),
    ),
    "paper_reading": paper_reading(),
    "ablation": ablation(),
    # Users and tasks per user. Plots have those with as many users or tasks as the first one.
    "scaling": sizes(
        "Networks of different sizes",
        (*SCALED, "optimum", "optimum by MILP", DESCENT),
        "equal",
        [*((users, 3) for users in MANY), (3, 2), (3, 4), (3, 5), (3, 6)],
    ),
    "joint_scaling": sizes(
        "Networks of different sizes with optimal bandwidth",
        (*SCALED, DESCENT, *JOINT_SOLVERS),
        "optimal",
        [(users, 3) for users in MANY],
    ),
    "shared": shared(),
    "transfer": transfer(),
    "different_users": different_users(),
    "different_sizes": different_sizes(),
    "budget": budget(),
    **changes(),
    "other_data": other_data(),
    "wpmec": Experiment(
        "WPMEC with 10 devices",
        make_runs(ON_WPMEC, wpmec),
        metrics=(*GAIN, *COSTS),
        more_seeds=ONE_DNN,
    ),
    "wpmec_sizes": wpmec_sizes(),
    "wpmec_weights": event(
        "WPMEC whose weights are swapped during a run",
        SWAPPED,
        states=gains_in_order,
        later=((SWAPPED[0], swapped(WPMEC(10))), (SWAPPED[1], WPMEC(10))),
    ),
    "wpmec_devices": event(
        "WPMEC with devices that are switched off and on",
        sorted(fraction for fractions in OFF.values() for fraction in fractions),
        states=gains_with_devices_off,
    ),
    "two_networks": two_networks(),
}

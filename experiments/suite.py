"""The experiments: what each compares, how it is shown, and the runs that it is made of.

A new experiment is an object in EXPERIMENTS. A scheme in SCHEMES (schemes.py) is in all experiments that
compare schemes; another value of a parameter goes into the tuple of its sweep.
"""

from dataclasses import replace

from ddlo.baselines import LABELS
from ddlo.candidates import Flips, OrderPreserving

from . import plots, suite_wpmec
from .experiment import Experiment, Setting
from .runs import Run
from .schemes import JOINT_SCHEMES, SCHEMES, SMALLEST_LOCAL

LEARNING = ("mean_gain_ratio", "gain_ratio_5th_percentile", "optimal_share", "min_max", "learns")
DECISIONS = (*LEARNING[:3], "mean_utility", "ms_per_frame", "ms_per_frame_batched")
OF_NETWORKS = ("mean_gain_ratio", "ms_per_frame", "ms_per_frame_batched", "loop_seconds")


def sweep(name, label, values):
    """Return the experiment that varies one parameter of DDLO, a field of Run; beside it a rule."""
    settings = [Setting(f"{label} = {value}", Run(**{name: value}), value) for value in values]
    settings.append(Setting(SMALLEST_LOCAL, Run(SMALLEST_LOCAL)))
    title = f"Gain ratio for different {label if label.isupper() else label + 's'}"
    return Experiment(title, settings, plots.convergence, LEARNING, quick=settings[::4])


def schemes(compared, **constants):
    """Return settings that compare schemes, runs by label, on a network with other constants."""
    return [Setting(label, replace(run, **constants)) for label, run in compared.items()]


def networks(title, name, across, values, unit=1):
    """Return the experiment that varies one constant of the network, a field of Run: value * unit."""
    settings = [
        replace(setting, value=value)
        for value in values
        for setting in schemes(ON_NETWORKS, **{name: value * unit})
    ]
    quick = [setting for setting in settings if setting.value in values[::4]]
    metrics = ("mean_utility", "excess")
    return Experiment(title, settings, plots.against_constant, metrics, across, quick)


def on_network(run, users, tasks, bandwidth):
    """Return a run on another network, whose uplink grows with the users: the problem stays alike."""
    data = Run.data if (users, tasks) == (3, 3) else ""
    size = {"users": users, "tasks": tasks, "data": data, "uplink": 100 * users / 3}
    return replace(run, **size, bandwidth=bandwidth)


def resized(rule, users, tasks):
    """Return a candidate rule for another network: all user flips, and no more than there are."""
    if isinstance(rule, OrderPreserving):
        return OrderPreserving(min(rule.K, users * tasks + 1))
    return Flips(0, tasks, users) if isinstance(rule, Flips) else rule


def sizes(title, compared, bandwidth, of_sizes):
    """Return the experiment on networks of different sizes: users and tasks of each."""
    settings = []
    for label, run in compared.items():
        slow = run.scheme in ("optimum by MILP", "coordinate descent")
        for users, tasks in of_sizes:
            of_size = replace(run, candidates=resized(run.candidates, users, tasks))
            of_size = on_network(of_size, users, tasks, bandwidth)
            settings.append(Setting(label, of_size, f"{users} x {tasks}", 0.1 if slow else 1))
    few = [f"{users} x {tasks}" for users, tasks in of_sizes[:2]]
    quick = [setting for setting in settings if setting.value in few]
    quick = [setting for setting in quick if setting.label in list(compared)[::3]]
    return Experiment(title, settings, plots.scaling, OF_NETWORKS, "users x tasks", quick)


def ablation(of_networks):
    """Return the ablation study of DDLO, in networks of so many users and such a bandwidth."""

    def settings(users, bandwidth):
        third, recombine = users, Run(recombine=True)  # of all tasks, which are three per user
        changes = {
            "as released": Run(),
            "K = 10": Run(net_num=10),
            "hidden layers of 400 and 267": Run(hidden=(400, 267)),
            "learning rate 0.001": Run(learning_rate=0.001),
            "both of these": Run(hidden=(400, 267), learning_rate=0.001),
            "normalised inputs": Run(scale=normalised),
            "beta1 = 0.9": Run(beta1=0.9),
            "recombine": recombine,
            "K = 10, recombine": Run(net_num=10, recombine=True),
            "flips of a third of all tasks": Run(candidates=Flips(third)),
            "flips of all tasks": Run(candidates=Flips(3 * third)),
            "flips of a third, recombine": replace(recombine, candidates=Flips(third)),
            "flips of all, recombine": replace(recombine, candidates=Flips(3 * third)),
            "3 flips of every user": Run(candidates=Flips(0, 3, users)),
            "1 flip of every user, recombine": replace(recombine, candidates=Flips(0, 1, users)),
            "2 flips of every user, recombine": replace(recombine, candidates=Flips(0, 2, users)),
            "3 flips of every user, recombine": replace(recombine, candidates=Flips(0, 3, users)),
        }
        return [
            Setting(label, on_network(run, users, 3, bandwidth), f"{users} x 3, {bandwidth}")
            for label, run in changes.items()
        ]

    per_network = [settings(*network) for network in of_networks]
    return Experiment(
        "Ablation study of DDLO",
        [setting for settings in per_network for setting in settings],
        plots.dots,
        ("mean_gain_ratio", "loop_seconds", "ms_per_frame"),
        "users x tasks, bandwidth",
        per_network[0][::6],
    )


def paper_reading():
    """Return the comparison of the released network with the paper's, as two readers describe it."""
    of_paper = ("optimum", "dual heuristic", *JOINT_LEARNERS, SMALLEST_LOCAL)
    settings = [
        Setting(
            label,
            replace(JOINT[label], uplink=uplink, bandwidth=bandwidth),
            f"{bandwidth}, {uplink} Mbit/s",
        )
        for bandwidth, uplink in (("equal", 100), ("equal", 150), ("optimal", 150))
        for label in of_paper
        if (bandwidth, label) != ("equal", "dual heuristic")  # which is for shared bandwidth
    ]
    return Experiment(
        "The network as the paper is read: optimal bandwidth, 150 Mbit/s",
        settings,
        plots.dots,
        ("mean_utility", "mean_gain_ratio", "optimal_share"),
        "bandwidth",
        settings[-len(of_paper) :],
    )


def decision_time():
    """Return the decision times of DDLO and of ways to the optimum, for more and more users."""
    users = (3, 5, 10, 20, 30)
    of_run = {f"DDLO, K = {K}": Run(net_num=K) for K in (1, 2, 3, 5, 10)}
    of_run |= {label: Run(label) for label in ("enumeration user by user", "optimum by MILP")}
    of_run[SMALLEST_LOCAL] = Run(SMALLEST_LOCAL)
    settings = [
        Setting(label, on_network(run, n, 3, "equal"), n, 0.1)
        for label, run in of_run.items()
        for n in users
    ]
    label = "enumeration of all decisions"  # 2**(3*n), until one takes more than a second
    for n, fraction in {3: 0.1, 4: 0.01, 5: 0.005, 6: 0.001, 7: 0.00025}.items():
        settings.append(Setting(label, on_network(Run(label), n, 3, "equal"), n, fraction))
    settings.sort(key=lambda setting: setting.value)
    metrics = ("ms_per_frame", "ms_per_frame_batched")
    quick = [
        setting
        for setting in settings
        if setting.value == 3 or setting.value < 6 and setting.label == label
    ]
    title = "Decision time against users and against K"
    return Experiment(title, settings, plots.decision_time, metrics, "users", quick)


def learning():
    """Return DDLO beside all rules that do not learn, wherever one of them may be better."""
    by_user = "for users 1, 2, 3"
    time, energy = Run.local_time_per_bit, Run.transmit_energy_per_bit
    networks = {"as released": Run()}
    for alpha in (2.5, 3.5):
        networks[f"edge cost {alpha}e-7 J/bit"] = Run(edge_cost_per_bit=alpha * 10**-7)
    for beta in (0.25, 0.5, 2, 4):
        networks[f"delay weight {beta} J/s"] = Run(delay_weight=beta)
    for uplink in (25, 50, 200, 400):
        networks[f"uplink {uplink} Mbit/s"] = Run(uplink=uplink)
    for users in (5, 10, 30):
        networks[f"{users} users"] = on_network(Run(), users, 3, "equal")
    for tasks in (2, 4, 6):
        networks[f"{tasks} tasks"] = on_network(Run(), 3, tasks, "equal")
    for low, high in ((18, 22), (1, 30), (1, 100)):
        networks[f"sizes {low} to {high} MB"] = Run(data="", sizes=(low, high))
    networks |= {
        f"local time x 1/2, 1, 2 {by_user}": Run(local_time_per_bit=each(time, 0.5, 1, 2)),
        f"transmit energy x 1, 2, 4 {by_user}": Run(transmit_energy_per_bit=each(energy, 1, 2, 4)),
        f"delay weight 1/4, 1, 4 {by_user}": Run(delay_weight=each(1, 0.25, 1, 4)),
    }
    compared = {label: Run(label) for label in (SMALLEST_LOCAL, *LABELS.values())}
    compared = {label: LEARNERS[label] for label in ("DDLO, K = 3", "DDLO, K = 10")} | compared
    settings = [
        Setting(name, replace(network, scheme=run.scheme, net_num=run.net_num), label)
        for name, network in networks.items()
        for label, run in compared.items()
    ]
    quick = [setting for setting in settings if setting.label in list(networks)[::6]]
    title = "DDLO and rules that do not learn"
    return Experiment(title, settings, plots.learning, ("mean_gain_ratio",), "network", quick)


def each(constant, *factors):
    """Return a constant of every user, (N, 1): so many times the released one."""
    return tuple((constant * factor,) for factor in factors)


def normalised(task_size):
    """Return inputs of -1 to 1 for task sizes of 10 to 30 MB."""
    return task_size / 10 - 2


FLIPPED = "DDLO, K = 3, user flips, recombined"  # one of every user's tasks at a time, all of them
LEARNERS = {
    "DDLO, K = 3": Run(),
    "DDLO, K = 10": Run(net_num=10),
    FLIPPED: Run(candidates=Flips(0, 3, 3), recombine=True),
    "order-preserving (DROO), K = 3": Run(net_num=1, candidates=OrderPreserving(3)),
    "order-preserving (DROO), K = 10": Run(net_num=1, candidates=OrderPreserving(10)),
}
COMPARED = {label: run for label, run in LEARNERS.items() if label != FLIPPED}
COMPARED |= {label: Run(label) for label in SCHEMES}
# For different constants of the network, without what is the same as another one or close to it.
LEFT_OUT = ("order-preserving (DROO), K = 3", "optimum by MILP", "linear relaxation")
ON_NETWORKS = {label: run for label, run in COMPARED.items() if label not in LEFT_OUT}
JOINT_LEARNERS = ("DDLO, K = 3", "DDLO, K = 10", FLIPPED)
JOINT = LEARNERS | {label: Run(label) for label in JOINT_SCHEMES}
# Of networks of other sizes, where the rest says little.
SCALED = (*JOINT_LEARNERS, "order-preserving (DROO), K = 10", SMALLEST_LOCAL)
SOLVERS = ("optimum", "optimum by MILP", "coordinate descent")
JOINT_SOLVERS = [label for label in JOINT_SCHEMES if "heuristic" in label or "split" in label]

EXPERIMENTS = {
    "net_num": sweep("net_num", "K", (1, 2, 3, 5, 10)),
    "learning_rate": sweep("learning_rate", "learning rate", (0.1, 0.01, 0.001, 0.0001)),
    "batch_size": sweep("batch_size", "batch size", (32, 64, 128, 256, 512)),
    "memory_size": sweep("memory_size", "memory size", (256, 512, 1024, 2048, 4096)),
    "training_interval": sweep("training_interval", "training interval", (1, 5, 10, 20, 50)),
    "training_cost": Experiment(
        "Training cost of the DNNs",
        [Setting("DDLO, K = 3", Run())],
        plots.training_cost,
        ("mean_gain_ratio", "last_cost"),
    ),
    "recorded": Experiment(
        "The authors' recorded run",
        [Setting("DDLO, K = 3", Run(), fraction=0.5)],
        plots.recorded,
        ("mean_gain_ratio", "optimal_share"),
    ),
    "schemes": Experiment("Comparison of schemes", schemes(COMPARED), plots.schemes, DECISIONS),
    "bandwidth": networks(
        "Utility of the schemes for different uplink bandwidths",
        "uplink",
        "Uplink bandwidth (Mbit/s)",
        (25, 50, 75, 100, 200, 300, 400),
    ),
    "edge_cost": networks(
        "Utility of the schemes for different edge-cost weights",
        "edge_cost_per_bit",
        "Edge-cost weight (1e-7 J/bit)",
        (1.5, 2, 2.5, 3, 3.5),
        10**-7,
    ),
    "delay_weight": networks(
        "Utility of the schemes for different delay weights",
        "delay_weight",
        "Delay weight (J/s)",
        (0, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4),
    ),
    "learning": learning(),
    "decision_time": decision_time(),
    "joint": Experiment(
        "Comparison of schemes with optimal bandwidth",
        schemes(JOINT, bandwidth="optimal"),
        plots.schemes,
        DECISIONS,
        quick=schemes(JOINT, bandwidth="optimal")[::2],
    ),
    "paper_reading": paper_reading(),
    "ablation": ablation([(3, "equal"), (3, "optimal"), (30, "equal"), (30, "optimal")]),
    # Users and tasks of a user. Plots have those with as many users or tasks as the first one.
    "scaling": sizes(
        "Networks of different sizes",
        {label: (LEARNERS | COMPARED)[label] for label in (*SCALED, *SOLVERS)},
        "equal",
        [(3, 3), (5, 3), (10, 3), (20, 3), (30, 3), (3, 2), (3, 4), (3, 5), (3, 6)],
    ),
    "joint_scaling": sizes(
        "Networks of different sizes with optimal bandwidth",
        {label: JOINT[label] for label in (*SCALED, "coordinate descent", *JOINT_SOLVERS)},
        "optimal",
        [(3, 3), (5, 3), (10, 3), (20, 3), (30, 3)],
    ),
} | suite_wpmec.EXPERIMENTS

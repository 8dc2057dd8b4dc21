"""What the experiments compare: their settings, and the runs that each of these is made of.

Another value of a parameter goes into its tuple in SWEEPS, another parameter of `Run` into SWEEPS
and EXPERIMENTS, a scheme of your own into SCHEMES (schemes.py) and COMPARED, and a network of another
size into SIZES.
"""

from dataclasses import dataclass, replace

from .runs import Run

# One parameter of DDLO at a time, around the released values: field of Run, its name, the values.
SWEEPS = {
    "net_num": ("K", (1, 2, 3, 5, 10)),
    "learning_rate": ("learning rate", (0.1, 0.01, 0.001, 0.0001)),
    "batch_size": ("batch size", (32, 64, 128, 256, 512)),
    "memory_size": ("memory size", (256, 512, 1024, 2048, 4096)),
    "training_interval": ("training interval", (1, 5, 10, 20, 50)),
}
# One constant of the network at a time: experiment, field of Run, name and unit, values.
NETWORKS = {
    "bandwidth": ("uplink", "Uplink bandwidth (Mbit/s)", (25, 50, 75, 100, 200, 300, 400)),
    "delay_weight": ("delay_weight", "Weight of delay (J/s)", (0, 0.25, 0.5, 1, 2, 3, 4)),
}
# What each experiment shows.
EXPERIMENTS = {
    "net_num": "Gain ratio for different numbers of DNNs",
    "learning_rate": "Gain ratio for different learning rates",
    "batch_size": "Gain ratio for different batch sizes",
    "memory_size": "Gain ratio for different memory sizes",
    "training_interval": "Gain ratio for different training intervals",
    "training_cost": "Training cost of the DNNs",
    "schemes": "Comparison of schemes",
    "bandwidth": "Utility of the schemes for different bandwidths",
    "delay_weight": "Utility of the schemes for different weights of delay",
    "joint": "Comparison of schemes where the bandwidth is shared optimally",
    "mends": "What leads to better decisions",
    "scaling": "Networks of different sizes",
    "joint_scaling": "Networks of different sizes where the bandwidth is shared optimally",
}
MILP = "optimum by MILP"
COMPARED = {
    "optimum": Run("optimum"),
    MILP: Run("milp"),
    "DDLO, K = 3": Run("ddlo", net_num=3),
    "DDLO, K = 10": Run("ddlo", net_num=10),
    "DROO's rule, K = 3": Run("droo", net_num=3),
    "DROO's rule, K = 10": Run("droo", net_num=10),
    "coordinate descent": Run("coordinate_descent"),
    "linear relaxation": Run("linear_relaxation"),
    "best fixed decision": Run("best_fixed"),
    "all edge": Run("all_edge"),
    "random": Run("random"),
    "all local": Run("all_local"),
}
MENDED = "DDLO, K = 3, user flips, recombined"  # one of every user's tasks at a time, all of them
BY_PRICE, FOR_EQUAL = "by the price of bandwidth", "optimal for the equal split"
ALL_SCHEMES = COMPARED | {
    MENDED: Run(user_flips=3, recombine=True),
    BY_PRICE: Run("by_price"),
    FOR_EQUAL: Run("for_equal_split"),
}
JOINT = ("optimum", "DDLO, K = 3", "DDLO, K = 10", MENDED, "DROO's rule, K = 3")
JOINT += ("DROO's rule, K = 10", BY_PRICE, FOR_EQUAL, "coordinate descent", "all edge", "random")
JOINT += ("all local",)  # without those that rely on the equal split
# Users and tasks of a user; the bandwidth grows with the users, so that the problem stays alike.
# Tables have them all, plots those with as many users or tasks of a user as the first one has.
SIZES = ((3, 3), (5, 3), (10, 3), (20, 3), (30, 3), (3, 2), (3, 4), (3, 5), (3, 6))
SCALED = ("optimum", MILP, "DDLO, K = 3", "DDLO, K = 10", MENDED, "DROO's rule, K = 10")
SCALED += ("coordinate descent",)
JOINT_SCALED = (*SCALED[2:], BY_PRICE, FOR_EQUAL)
SLOW = ("milp", "coordinate_descent")  # in large networks: done for a tenth of the frames there
# Networks that the mends are tried in: users, and how the bandwidth is shared.
MENDED_IN = ((3, "equal"), (3, "optimal"), (30, "equal"), (30, "optimal"))


def _mends(tasks):
    """Return by name how DDLO's decisions might become better, with so many tasks in all."""
    third = tasks // 3
    return {
        "as released": Run(),
        "K = 10": Run(net_num=10),
        "hidden layers of 400 and 267": Run(hidden=(400, 267)),
        "learning rate 0.001": Run(learning_rate=0.001),
        "both of these": Run(hidden=(400, 267), learning_rate=0.001),
        "normalised inputs": Run(variant="normalised inputs"),
        "beta1 = 0.9": Run(variant="beta1 = 0.9"),
        "recombine": Run(recombine=True),
        "K = 10, recombine": Run(net_num=10, recombine=True),
        "flips of a third of all tasks": Run(flips=third),
        "flips of all tasks": Run(flips=tasks),
        "flips of a third, recombine": Run(flips=third, recombine=True),
        "flips of all, recombine": Run(flips=tasks, recombine=True),
        "3 flips of every user": Run(user_flips=3),
        "1 flip of every user, recombine": Run(user_flips=1, recombine=True),
        "2 flips of every user, recombine": Run(user_flips=2, recombine=True),
        "3 flips of every user, recombine": Run(user_flips=3, recombine=True),
    }


@dataclass(frozen=True)
class Setting:
    """Runs that differ in nothing but their seeds."""

    label: str  # of the line or row that it is
    value: float | str | None  # of the parameter or constant, or the network, that is varied
    runs: tuple[Run, ...]


def settings(experiment, frames, seeds, quick=False):
    """Return the settings of an experiment, a list of Setting, with runs of so many frames.

    The quick way has fewer networks.
    """

    def setting(label, value, run, frames=frames):
        # Without learning or chance all seeds give the same.
        by_chance = run.learns or run.scheme == "random"
        runs = (replace(run, frames=frames, seed=seed) for seed in range(seeds if by_chance else 1))
        return Setting(label, value, tuple(runs))

    def of_size(label, run, users, tasks, bandwidth):
        size = users * tasks
        if run.scheme == "droo":
            run = replace(run, net_num=min(run.net_num, size + 1))  # it makes no more candidates
        if label == MENDED:
            run = replace(run, user_flips=tasks)
        run = replace(
            run,
            users=users,
            tasks=tasks,
            data=Run.data if (users, tasks) == (3, 3) else "",
            uplink=100 * users / 3,
            bandwidth=bandwidth,
        )
        few = max(1, frames // 10) if run.scheme in SLOW else frames
        return setting(label, f"{users} x {tasks}", run, few)

    if experiment in SWEEPS:
        name, values = SWEEPS[experiment]
        return [setting(f"{name} = {value}", value, Run(**{experiment: value})) for value in values]
    if experiment in NETWORKS:
        field, _, values = NETWORKS[experiment]
        return [
            setting(label, value, replace(run, **{field: value}))
            for label, run in COMPARED.items()
            for value in (values[::3] if quick else values)
        ]
    if experiment == "schemes":
        return [setting(label, None, run) for label, run in COMPARED.items()]
    if experiment == "joint":
        return [
            setting(label, None, replace(ALL_SCHEMES[label], bandwidth="optimal"))
            for label in JOINT
        ]
    if experiment == "mends":
        return [
            replace(of_size(label, run, users, 3, bandwidth), value=f"{users} x 3, {bandwidth}")
            for users, bandwidth in (MENDED_IN[:1] if quick else MENDED_IN)
            for label, run in _mends(3 * users).items()
        ]
    if experiment in ("scaling", "joint_scaling"):
        labels, bandwidth = (
            (SCALED, "equal") if experiment == "scaling" else (JOINT_SCALED, "optimal")
        )
        sizes = [size for size in SIZES if bandwidth == "equal" or size[1] == 3]
        return [
            of_size(label, ALL_SCHEMES[label], *size, bandwidth)
            for label in labels
            for size in (sizes[::4] if quick else sizes)
        ]
    return [setting("DDLO, K = 3", None, Run())]

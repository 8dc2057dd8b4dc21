"""What the experiments compare: their settings, and the runs that each of these is made of.

Another value of a parameter goes into its tuple in SWEEPS, another parameter of `Run` into SWEEPS
and EXPERIMENTS, and a scheme of your own into SCHEMES (schemes.py) and COMPARED.
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


@dataclass(frozen=True)
class Setting:
    """Runs that differ in nothing but their seeds."""

    label: str  # of the line or row that it is
    value: float | None  # of the parameter or constant that the experiment varies
    runs: tuple[Run, ...]


def settings(experiment, frames, seeds, quick=False):
    """Return the settings of an experiment, a list of Setting, with runs of so many frames.

    The quick way has fewer networks: the first, the released and the last one.
    """

    def setting(label, value, run):
        # Without learning or chance all seeds give the same.
        by_chance = run.learns or run.scheme == "random"
        runs = (replace(run, frames=frames, seed=seed) for seed in range(seeds if by_chance else 1))
        return Setting(label, value, tuple(runs))

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
    return [setting("DDLO, K = 3", None, Run())]

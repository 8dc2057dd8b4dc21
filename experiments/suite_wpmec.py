"""The experiments on WPMEC, and those that compare the rules of DDLO and DROO on both networks."""

from ddlo.candidates import NearestNeighbours, OrderPreserving
from ddlo.enumeration import ENUMERATED_TASKS

from . import plots
from .droo import AdaptiveOrderPreserving
from .experiment import Experiment, Setting
from .runs import OFF, SWAPPED, Run, WPMECRun
from .schemes import BEST_FIXED


def droo(K):
    """Return the fields of a run with one DNN whose K candidates are order-preserving."""
    return {"net_num": 1, "candidates": OrderPreserving(K)}


def of_sizes():
    """Return the experiment on networks of 5 to 30 devices."""
    settings = []
    for users in (5, 10, 20, 30):
        compared = {label: RULES[label] for label in ("DDLO, K = 1", "DDLO, K = 3", "DDLO, K = 10")}
        compared["DDLO, K = N"] = {"net_num": users}
        compared["order-preserving (DROO), K = N"] = droo(users)
        compared |= {label: RULES[label] for label in (ADAPTIVE, NEIGHBOURS)}
        optimum = ["optimum"] if users <= ENUMERATED_TASKS else []
        others = (*optimum, "dual heuristic", "coordinate descent", "full offloading", "local only")
        compared |= {label: {"scheme": label} for label in others}
        for label, changes in compared.items():
            run = WPMECRun(users=users, **changes)
            fraction = 0.1 if label in ("optimum", "coordinate descent") else 1  # which take longer
            settings.append(Setting(label, run, f"{users} x 1", fraction))
    return Experiment(
        "WPMEC of different sizes",
        settings,
        plots.scaling,
        ("mean_gain_ratio", "candidates_per_frame", "ms_per_frame", "loop_seconds"),
        "devices x tasks",
        [setting for setting in settings[::3] if setting.run.users <= 10],
    )


def event(title, name, fractions):
    """Return the experiment in which something happens during a run, at fractions of its frames."""
    labels = ("DDLO, K = 3", "DDLO, K = 10", "order-preserving (DROO), K = 10", ADAPTIVE)
    settings = [Setting(label, WPMECRun(event=name, **RULES[label])) for label in labels]
    metrics = ("mean_gain_ratio", "optimal_share", "candidates_per_frame")
    return Experiment(title, settings, plots.events(fractions), metrics)


def two_networks():
    """Return the comparison of the rules on both networks, with equal numbers of candidates."""
    compared = {
        "DDLO, K = 3": {"net_num": 3},
        "DROO, K = 3": droo(3),
        "DDLO, K = 5": {"net_num": 5},
        "DROO, K = 5": droo(5),
        "DROO, adaptive K": RULES[ADAPTIVE],
        "DDLO, K = 10": {"net_num": 10},
        "DROO, K = 10": droo(10),
        "DROO, 10 neighbours": RULES[NEIGHBOURS],
    }
    settings = [
        Setting(f"{name}: {label}", kind(**changes))
        for name, kind in (("MUMT", Run), ("WPMEC", WPMECRun))
        for label, changes in compared.items()
    ]
    metrics = ("mean_gain_ratio", "optimal_share", *COSTS)
    return Experiment("Two networks, two rules", settings, plots.schemes, metrics)


ADAPTIVE = "adaptive K (DROO)"
NEIGHBOURS = "10 nearest neighbours (DROO)"
RULES = {
    "DDLO, K = 1": {"net_num": 1},
    "DDLO, K = 3": {"net_num": 3},
    "DDLO, K = 10": {"net_num": 10},
    "order-preserving (DROO), K = 3": droo(3),
    "order-preserving (DROO), K = 10": droo(10),
    ADAPTIVE: {"net_num": 1, "candidates": AdaptiveOrderPreserving()},
    NEIGHBOURS: {"net_num": 1, "candidates": NearestNeighbours(10)},
}
FIXED = ("optimum", "dual heuristic", "coordinate descent", BEST_FIXED)
FIXED += ("full offloading", "random", "local only")
COSTS = ("candidates_per_frame", "ms_per_frame", "ms_per_training_step", "loop_seconds")
COMPARED = {label: WPMECRun(**changes) for label, changes in RULES.items()}
COMPARED |= {label: WPMECRun(label) for label in FIXED}

EXPERIMENTS = {
    "wpmec": Experiment(
        "WPMEC with 10 devices",
        [Setting(label, run) for label, run in COMPARED.items()],
        plots.schemes,
        ("mean_gain_ratio", "gain_ratio_5th_percentile", "optimal_share", *COSTS),
    ),
    "wpmec_sizes": of_sizes(),
    "wpmec_weights": event("WPMEC whose weights are swapped during a run", "weights", SWAPPED),
    "wpmec_devices": event(
        "WPMEC with devices that are switched off and on",
        "devices",
        sorted(fraction for of_device in OFF.values() for fraction in of_device),
    ),
    "two_networks": two_networks(),
}

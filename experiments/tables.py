"""The page of tables of what the experiments found."""

from .results import failures, number
from .runs import Run
from .settings import EXPERIMENTS, NETWORKS, SWEEPS

GAIN_RATIO = {
    "mean_gain_ratio": "mean gain ratio",
    "gain_ratio_5th_percentile": "5th percentile",
    "optimal_share": "decided optimally",
}
# Test gain ratios of the released package's DNNs, one run each, at 20,000 frames.
RELEASED = {
    "net_num": {
        1: "0.818 0.865 0.891",
        2: "0.9877 0.9802 0.9874",
        3: "0.9923 0.9925 0.9930 0.9932 0.9926",
        5: "0.9955 0.9944 0.9957",
        10: "0.9971 0.9977 0.9963",
    },
    "learning_rate": {0.1: "0.923 0.963", 0.001: "0.9882 0.9906", 0.0001: "0.9781 0.9800"},
    "batch_size": {32: "0.9909", 512: "0.9933"},
    "memory_size": {256: "0.9928", 4096: "0.9853"},
    "training_interval": {1: "0.9869", 5: "0.9916", 50: "0.9828"},
}
# Experiments whose values are networks, and their head; the numbers shown of them.
BY_NETWORK = {
    "mends": "users x tasks, bandwidth",
    "scaling": "users x tasks",
    "joint_scaling": "users x tasks",
}
OF_NETWORKS = {
    "mean_gain_ratio": "mean gain ratio",
    "frame_ms": "ms a frame, one by one",
    "block_ms": "ms a frame, many in one call",
    "loop_seconds": "seconds to decide and learn all frames",
}


def markdown(content):
    """Return results.json's content as a page of tables."""
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    seeds = content["seeds"]
    origin = (
        f"From `{content['command']}`: {content['frames']} time frames a run. What learns or is "
        f"random was run with {f'seeds 0 to {seeds - 1}' if seeds > 1 else 'seed 0'}: numbers are "
        "mean ± half-width of the 95 % confidence interval of the mean (Student's t), of what is "
        f"found in the test, the last {content['test_frames']} frames. The 5th percentile is that of "
        "the gain ratios of these frames. Times are of one core while other runs use the others: the "
        "median over up to 100 frames decided one by one; one call for many frames, 1000 for DDLO and "
        "DROO's rule, all of the test otherwise; and deciding and learning in all frames. With optimal "
        "bandwidth and more than 12 tasks in all, gain ratios are those of the optimum's lower bound. "
        "Where the sizes of networks are compared, MILP and coordinate descent did a tenth of the "
        "frames. In the sweeps a setting "
        "*fails to learn* with a seed if its mean gain ratio is not above that of the best fixed "
        "decision, the same one for all frames. Versions: "
        f"{versions}. Machine: {'; '.join(content['machines'])}."
    )
    lines = ["# Results of the experiments", "", origin, "", *_failed_runs(content["failed"])]
    verdicts = [claim.values() for claim in content["claims"]]
    if verdicts:
        lines += _table("Claims of the paper", ["claim", "measured", "verdict"], verdicts)
    for experiment, rows in content["experiments"].items():
        lines += _tables(experiment, rows)
    return "\n".join(lines)


def _failed_runs(failed):
    if not failed:
        return []
    return [
        "**Runs that failed:**",
        "",
        *(f"- {run}: {error}" for run, error in failed.items()),
        "",
    ]


def _tables(experiment, rows):
    """Lines of the section of an experiment, with a table or two."""
    title = EXPERIMENTS[experiment]
    if experiment in SWEEPS:
        heads = [SWEEPS[experiment][0], *GAIN_RATIO.values(), "seeds from, to"]
        cells = []
        for row in rows:
            means = row["mean_gain_ratio"]["values"] if row["seeds"] else []
            released = RELEASED.get(experiment, {}).get(row["value"], "")
            if row["is_released"]:
                released = RELEASED["net_num"][Run.net_num]
            value = f"{row['value']} (as released)" if row["is_released"] else str(row["value"])
            numbers = [number(row, name) for name in GAIN_RATIO]
            spread = f"{min(means):.4f} {max(means):.4f}" if means else "-"
            cells.append([value, *numbers, spread, released, failures(row)])
        return _table(title, [*heads, "released package's DNNs, single runs", ""], cells)
    if experiment in NETWORKS:
        names = {"mean_utility": "mean (J)", "excess": "above the optimum"}
        return _by_value(title, NETWORKS[experiment][1], rows, names)
    if experiment in BY_NETWORK:
        return _by_value(title, BY_NETWORK[experiment], rows, OF_NETWORKS)
    if experiment in ("schemes", "joint"):
        heads = GAIN_RATIO | {
            "mean_utility": "mean utility (J)",
            "frame_ms": "ms a frame, one by one",
            "block_ms": "ms a frame, many in one call",
        }
    else:
        title += ", mean over the last fifth of the training steps (nats)"
        names = dict.fromkeys(name for row in rows for name in row if name.startswith("last_cost"))
        heads = {name: f"DNN {name.split('_')[-1]}" for name in names}
    cells = [[row["label"], *(number(row, name) for name in heads)] for row in rows]
    return _table(title, ["", *heads.values()], cells)


def _by_value(title, head, rows, names):
    """Lines of a table for each of the numbers, with a row for each label, a column for each value."""
    values = dict.fromkeys(row["value"] for row in rows)
    heads = [head, *(value if type(value) is str else f"{value:g}" for value in values)]
    lines = []
    for name, what in names.items():
        by_label = {}
        for row in rows:
            by_label.setdefault(row["label"], {})[row["value"]] = number(row, name)
        cells = [
            [label, *(by_value.get(value, "-") for value in values)]
            for label, by_value in by_label.items()
            if set(by_value.values()) != {"-"}
        ]
        lines += _table(f"{title}: {what}", heads, cells)
    return lines


def _table(title, heads, rows):
    """Lines of a section with a table."""
    return [
        f"## {title}",
        "",
        *(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)),
        "",
    ]

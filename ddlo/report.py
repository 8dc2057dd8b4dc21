"""What a run reports: numbers, and training costs for TensorBoard."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ddlo import FRAMES_PER_CALL
from ddlo.comparison import MEASURES, compared, measure_of, optimal_share
from ddlo.matfiles import write_mat
from ddlo.rules import LABELS, best_fixed, rules


def make_report(history, tests, network, data, seed):
    """Return what a run reached in its last `tests` frames, the test, and what rules reach.

    `history` is that of run_frames, `data` the states (samples, S), gain_min and what it is; the seed is
    of the random scheme. Returns two dicts: the report, of Python's numbers and texts, and the utility
    in all frames of each rule in LABELS, {} unless gain_min is None: what there is to compare with then.
    """
    states, gain_min, reference = data
    measure, index = measure_of(gain_min), history["index"]
    test = index[-tests:]
    Q, decision = history["Q"][-tests:], history["decision"][-tests:]
    fixed = best_fixed(network, states[test])
    decisions = rules(network, states[test], fixed, seed)
    of_rules = {name: network.compute_Q(states[test], x) for name, x in decisions.items()}
    distinct = len(np.unique(decision, axis=0))
    report = {
        "frames": len(history["Q"]),
        "test_frames": tests,
        "reference": reference,  # what the measure is relative to
        "measure": measure,
        "distinct_decisions": distinct,
    }
    mean_utility, measures = {"ddlo": Q.mean()}, {"ddlo": Q, **of_rules}
    if gain_min is not None:
        mean_utility[reference] = gain_min[test].mean()
        report["optimal_share"] = (
            optimal_share(Q, gain_min[test]) if reference == "optimum" else None
        )
        measures = {
            name: compared(measure, values, gain_min[test], reference)
            for name, values in measures.items()
        }
    means = {name: values.mean() for name, values in measures.items()}
    report[f"mean_{measure}"] = means["ddlo"]
    if measure == "gain_ratio":
        # As released: the very last frame is missing in the sum, but counted in the mean.
        report["released_gain_ratio"] = history["gain_ratio"][-tests:-1].sum() / tests
    # One decision in all frames beats no best one, of which only some frames may have been looked at.
    beaten = Q.mean() < of_rules["best_fixed"].mean()
    report["beats_best_fixed"] = distinct > 1 and beaten
    report["rules"] = {name: means[name] for name in decisions}
    report["mean_utility"] = mean_utility | {name: Q.mean() for name, Q in of_rules.items()}
    for name in ("energy", "delay"):
        if name in history:
            report[f"mean_{name}"] = history[name][-tests:].mean()
    in_all_frames = {}
    if gain_min is None:
        every = rules(network, states[index], fixed, seed)
        in_all_frames = {
            name: network.compute_Q(states[index], every[name]) for name in LABELS if name in every
        }
    return _plain(report), in_all_frames


def energy_and_delay(network, states, history, empty=np.empty):
    """Return the sums over users of energy, in J, and delay, in s: arrays (frames,) in a dict.

    `states` are those of the samples, `history` that of run_frames; `empty` makes arrays. A user's delay
    is the greater one of local and offload delay. {} for a network without the method
    `energy_and_delays`.
    """
    if not hasattr(network, "energy_and_delays"):
        return {}
    index, decision = history["index"], history["decision"]
    energy, delay = empty(len(index)), empty(len(index))
    for start in range(0, len(index), FRAMES_PER_CALL):
        part = slice(start, start + FRAMES_PER_CALL)
        of_users, local, offload = network.energy_and_delays(states[index[part]], decision[part])
        energy[part], delay[part] = of_users.sum(-1), np.maximum(local, offload).sum(-1)
    return {"energy": energy, "delay": delay}


def print_report(report, out):
    """Print the report of a run that has written its files into the folder `out`."""
    r, measure = report, report["measure"]
    digits = 5 if measure == "gain_ratio" else 4
    name = MEASURES[measure].format(reference=r["reference"])
    ddlo = f"{r[f'mean_{measure}']:.{digits}f}"
    rules = [f"{r['rules'][key]:.{digits}f} {LABELS[key]}" for key in LABELS if key in r["rules"]]
    lines = [
        (f"mean {name}", f"{ddlo} in the {r['test_frames']} test frames, the last of {r['frames']}")
    ]
    if measure == "gain_ratio":
        lines.append(("", f"{r['released_gain_ratio']:.5f} by the released package's formula"))
    elif measure == "difference":
        lines.append(("", "a gain ratio has no meaning where utilities are negative"))
    lines.append(("without learning", ", ".join(rules[:2])))
    if not r["beats_best_fixed"]:
        lines.append(
            ("", "DDLO does not beat the best fixed decision, the same one in every frame")
        )
    if "optimal_share" in r:
        optimal = f"unknown; {measure.replace('_', ' ')}s are relative to the {r['reference']}"
        if r["optimal_share"] is not None:
            optimal = f"{r['optimal_share']:.1%} of the test frames"
        lines.append(("optimal decisions", optimal))
    most = max(map(abs, r["mean_utility"].values()))
    spec = ".2f" if most >= 10 else ".4g"
    utility = ", ".join(f"{name} {Q:{spec}}" for name, Q in r["mean_utility"].items())
    loop = (
        f"{r['loop_seconds']:.2f} s for the loop, {1e6 * r['seconds_per_frame']:.0f} us per frame"
    )
    lines += [
        ("distinct decisions", f"{r['distinct_decisions']} in the test frames"),
        ("mean utility (J)" if "mean_energy" in r else "mean utility", utility),
    ]
    if "mean_energy" in r:
        of_users = f"{r['mean_energy']:.2f} J, {r['mean_delay']:.2f} s, summed over users"
        lines.append(("energy, delay", of_users))
    of_all = f"{r['compile_seconds']:.2f} s to compile it; {r['total_seconds']:.2f} s in total"
    lines += [("time", f"{loop}; {of_all}"), ("files", f"{out}{os.sep}")]
    width = max(len(heading) for heading, _ in lines) + 1
    print("\n".join(f"{heading:{width}}{text}" for heading, text in lines))


def versions():
    """Return the versions of Python and of packages, and the commit of the code, as a dict."""
    return {"versions": package_versions(), "commit": commit()}


def versions_text(versions):
    """Return versions of Python and of packages, a dict, as a text."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def package_versions():
    """Return the versions of Python and of the packages that results may depend on, as a dict."""
    packages = ("tensorflow", "keras", "numpy", "scipy", "matplotlib")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def commit():
    """Return Git's name of the code's commit, with -dirty if files were changed; None without Git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        folder = Path(__file__).parent
        return subprocess.check_output(
            command, cwd=folder, stderr=subprocess.DEVNULL, text=True
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def save_history(path, history, costs):
    """Write the history of run_frames and training costs (K lists) to a MATLAB v5 file."""
    write_mat(path, history | {"costs": np.array(costs)})


def log_costs(writer, costs, steps):
    """Write training costs (training steps, K) for TensorBoard, as steps after the first `steps`."""
    from ddlo.backend import tf

    # tf.summary.scalar would need the tensorboard package to write what only its reader needs.
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin)
    with writer.as_default():
        for i, k in np.ndindex(costs.shape):
            name = f"training cost/DNN {k + 1}"
            tf.summary.write(name, costs[i, k], step=steps + i + 1, metadata=metadata)
    writer.flush()


def _plain(value):
    """A dict of NumPy's numbers as one of Python's."""
    if isinstance(value, dict):
        return {name: _plain(of_name) for name, of_name in value.items()}
    return value.item() if isinstance(value, np.generic) else value

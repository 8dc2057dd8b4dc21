"""The report of a run: numbers and versions."""

import json
import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ddlo import FRAMES_PER_CALL
from ddlo.baselines import LABELS, baselines, best_fixed
from ddlo.data import MEASURES


def make_report(history, tests, network, data, seed):
    """Return the report of the last `tests` frames, the test, and baselines in all frames.

    `history` comes from run_frames, `data` is a Data, and the seed is that of the random baseline. The
    report is a dict of Python's numbers and texts. The baselines' utilities in all frames, a dict by
    name, are empty if gain_min is known: then DDLO is compared with that.
    """
    index, measure, reference = history["index"], data.measure, data.reference
    test, Q, decision = index[-tests:], history["Q"][-tests:], history["decision"][-tests:]
    fixed = best_fixed(network, data.states[test])

    def utilities(samples):
        states = data.states[samples]
        decisions = baselines(network, states, fixed, seed)
        return {name: network.compute_Q(states, x) for name, x in decisions.items()}

    rules, distinct = utilities(test), len(np.unique(decision, axis=0))
    means = {"ddlo": Q.mean()}
    report = {
        "frames": len(index),
        "test_frames": tests,
        "reference": reference,
        "measure": measure,
        "unit": network.unit,
        "distinct_decisions": distinct,
        f"mean_{measure}": data.compare(Q, test).mean(),
        # One decision in all frames only seems to beat the best one, if that was found in some.
        "beats_best_fixed": distinct > 1 and Q.mean() < rules["best_fixed"].mean(),
        "rules": {name: data.compare(values, test).mean() for name, values in rules.items()},
        "mean_utility": means,
    }
    everywhere = {}
    if data.gain_min is None:
        everywhere = utilities(index)
        del everywhere["random"]
    else:
        least = means[reference] = data.gain_min[test].mean()
        share = data.optimal_share(Q, test) if reference == "optimum" else None
        report["optimal_share"] = share
        report["excess"] = Q.mean() / least - 1 if least > 0 else None
    means |= {name: values.mean() for name, values in rules.items()}
    if measure == "gain_ratio":
        # As released: the sum lacks the last frame, but the mean counts it.
        report["released_gain_ratio"] = history["gain_ratio"][-tests:-1].sum() / tests
    for name in ("energy", "delay"):
        if name in history:
            report[f"mean_{name}"] = history[name][-tests:].mean()
    return json.loads(json.dumps(report, default=np.generic.item)), everywhere


def energy_and_delay(network, states, history):
    """Return the sums over users of energy (J) and delay (s) in each frame, a dict of (frames,).

    A user's delay is the larger of local and offload delay. {} if the network does not know them.
    """
    index, decision, parts = history["index"], history["decision"].astype(np.int32), []
    for start in range(0, len(index), FRAMES_PER_CALL):
        part = slice(start, start + FRAMES_PER_CALL)
        users = network.energy_and_delays(states[index[part]], decision[part])
        if users is None:
            return {}
        energy, local, offload = users
        parts.append((energy.sum(-1), np.maximum(local, offload).sum(-1)))
    return dict(zip(("energy", "delay"), map(np.concatenate, zip(*parts))))


def print_report(report, out):
    """Print the report of a run whose files are in the folder `out`."""
    r, measure = report, report["measure"]
    name = MEASURES[measure].format(reference=r["reference"])
    test = f"in the {r['test_frames']} test frames, the last of {r['frames']}"
    if r["test_frames"] == r["frames"]:
        test = f"in all {r['frames']} frames"
    rules = [f"{r['rules'][key]:.5f} {LABELS[key]}" for key in LABELS if key in r["rules"]]
    lines = [(f"mean {name}", f"{r[f'mean_{measure}']:.5f} {test}")]
    if measure == "gain_ratio":
        lines.append(("", f"{r['released_gain_ratio']:.5f} by the released package's formula"))
    lines.append(("without learning", ", ".join(rules[:2])))
    if not r["beats_best_fixed"]:
        lines.append(("", "DDLO does not beat the best fixed decision, the same in every frame"))
    if r["reference"] == "optimum":
        lines.append(("optimal decisions", f"{r['optimal_share']:.1%} of the test frames"))
    elif r["reference"]:
        relative = f"{measure.replace('_', ' ')}s are relative to the {r['reference']}"
        lines.append(("optimal decisions", f"unknown; {relative}"))
    lines.append(("distinct decisions", f"{r['distinct_decisions']} in the test frames"))
    spec = ".2f" if max(map(abs, r["mean_utility"].values())) >= 10 else ".4g"
    utility = ", ".join(f"{name} {Q:{spec}}" for name, Q in r["mean_utility"].items())
    lines.append((f"mean utility ({r['unit']})" if r["unit"] else "mean utility", utility))
    if r.get("excess") is not None:
        side = "above" if r["excess"] >= 0 else "below"
        lines.append(("", f"DDLO is {abs(r['excess']):.2%} {side} the {r['reference']}"))
    if "mean_energy" in r:
        sums = f"{r['mean_energy']:.2f} J, {r['mean_delay']:.2f} s, summed over users"
        lines.append(("energy, delay", sums))
    seconds = (
        f"{r['loop_seconds']:.2f} s for the loop, {1e6 * r['seconds_per_frame']:.0f} us per frame; "
        f"{r['compile_seconds']:.2f} s to compile it; {r['total_seconds']:.2f} s in total"
    )
    lines += [("time", seconds), ("files", f"{out}{os.sep}")]
    width = max(len(heading) for heading, _ in lines) + 1
    print("\n".join(f"{heading:{width}}{text}" for heading, text in lines))


def seconds(started, ready, compiled, done, frames):
    """Return the times of a run for its report, from the clock at these events."""
    return {
        "compile_seconds": compiled - ready,
        "loop_seconds": done - compiled,
        "seconds_per_frame": (done - compiled) / frames,
        "total_seconds": time.perf_counter() - started,
    }


def versions(backend="tensorflow"):
    """Return the versions of Python and packages, and the commit of the code, as a dict."""
    return {"versions": package_versions(backend), "commit": commit()}


def versions_text(versions):
    """Return versions of Python and packages, a dict, as a text."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def package_versions(backend="tensorflow"):
    """Return the versions of Python and of the packages that results depend on, as a dict."""
    packages = ["tensorflow", "keras"] if backend == "tensorflow" else [backend]
    packages += ["numpy", "scipy", "matplotlib"]
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def commit():
    """Return the Git commit of the code, with -dirty if files were changed.

    None without Git, or if the package is only a folder in another repository.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    options = {"cwd": root, "stderr": subprocess.DEVNULL, "text": True}
    try:
        return subprocess.check_output(command, **options).strip()
    except (OSError, subprocess.CalledProcessError):
        return None

"""What the experiments found: numbers with their intervals, and verdicts on the claims."""

from dataclasses import replace

import numpy as np
from scipy import stats

from main import optimal_share

from .runs import Run
from .settings import MENDED, MILP, SWEEPS

UNTRAINED = 500  # time frames before any training, whatever the parameters
NEAR = 0.01  # near-optimal: a mean utility at most so far above the optimum
SLOW = 1000  # ms a frame: too slow
# The paper's claims are judged by no fewer time frames, and no fewer seeds.
JUDGED_FRAMES, JUDGED_SEEDS = 20000, 3


def interval(values):
    """Return the mean over the first axis and half of its 95 % confidence interval (Student's t).

    The half is NaN if there is one value only.
    """
    values = np.asarray(values, float)
    n = len(values)
    if n < 2:
        return values.mean(axis=0), np.full(values.shape[1:], np.nan)
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return values.mean(axis=0), half


def summarise(experiment, setting, store):
    """Return the numbers of a setting, from its runs that are in the store, as a dict.

    Each number is a dict of its mean over the seeds, half of its 95 % interval (None for a single
    run), and its values seed by seed. Means and shares are over the test frames.
    """
    numbers = {}

    def add(name, value):
        numbers.setdefault(name, []).append(float(value))

    runs = [run for run in setting.runs if run in store]
    for run in runs:
        arrays, about = store.load(run)
        ratio, Q = (arrays[key][-about["test_frames"] :] for key in ("gain_ratio", "Q"))
        add("mean_gain_ratio", ratio.mean())
        add("gain_ratio_5th_percentile", np.percentile(ratio, 5))
        add("optimal_share", optimal_share(ratio))
        add("mean_utility", Q.mean())
        add("excess", Q.mean() / (ratio * Q).mean() - 1)
        add("frame_ms", 1e3 * about["frame_seconds"])
        add("block_ms", 1e3 * about["block_seconds"])
        if "loop_seconds" in about:
            add("loop_seconds", about["loop_seconds"])
        if "costs" in arrays:
            untrained = arrays["gain_ratio"][:UNTRAINED].mean()
            add("untrained_gain_ratio", untrained)
            if "fixed_gain_ratio" in about:
                add("fixed_gain_ratio", about["fixed_gain_ratio"])
            if experiment in SWEEPS:
                # To learn is to decide in the light of the task sizes, better than without.
                add("fails_to_learn", ratio.mean() <= about["fixed_gain_ratio"])
            if experiment == "training_cost" and arrays["costs"].size:
                last = arrays["costs"][:, -max(1, arrays["costs"].shape[1] // 5) :].mean(axis=1)
                for k, cost in enumerate(last, start=1):
                    add(f"last_cost_of_DNN_{k}", cost)
    row = {
        "label": setting.label,
        "value": setting.value,
        "is_released": replace(setting.runs[0], frames=Run.frames) == Run(),
        "seeds": [run.seed for run in runs],
        "failed": len(setting.runs) - len(runs),
    }
    for name, values in numbers.items():
        mean, half = interval(values)
        half = None if np.isnan(half) else float(half)
        row[name] = {"mean": float(mean), "half": half, "values": values}
    return row


def failures(row):
    """Return in words with how many seeds a setting fails to learn, or its runs failed, or ''."""
    if row["failed"]:
        return f"runs failed ({row['failed']} of {row['failed'] + len(row['seeds'])} seeds)"
    values = row.get("fails_to_learn", {"values": []})["values"]
    failed = round(sum(values))
    if not failed:
        return ""
    return "fails to learn" + (
        "" if failed == len(values) else f" ({failed} of {len(values)} seeds)"
    )


def number(row, name):
    """Return a number of a row in words, mean ± half of its 95 % interval, or "-" for none."""
    if name not in row:
        return "-"
    mean, half = row[name]["mean"], row[name]["half"]
    if name.endswith("_ms"):
        if mean < 0.001:
            return "< 0.001"
        return f"{mean:.2g}" if mean < 100 else f"{mean:.0f}"
    if name == "loop_seconds":
        return f"{mean:.2f}"
    factor, digits, unit = {
        "excess": (100, 2, " %"),
        "optimal_share": (100, 1, " %"),
        "mean_utility": (1, 2, ""),
    }.get(name, (1, 4, ""))
    spread = "" if half is None else f" ± {factor * half:.{digits}f}"
    return f"{factor * mean:.{digits}f}{spread}{unit}"


# The paper's claims (abstract, and a summary of it), each a function of the rows of the experiments
# it needs that returns what was measured, and a verdict.


def _converges_with_two_dnns(net_num):
    more = [row for row in net_num if row["value"] > 1]
    verdict = "does not hold" if any(map(failures, more)) else "holds"
    return "gain ratio " + "; ".join(map(_learning, net_num)), verdict


def _converges_under_various_parameters(*sweeps):
    rows = [row for sweep in sweeps for row in sweep if not row["is_released"]]
    learning = [row["mean_gain_ratio"]["mean"] for row in rows if not failures(row)]
    failing = [row for row in rows if failures(row)]
    measured = f"{len(learning)} of {len(rows)} settings other than the released one learn"
    if learning:
        measured += f", gain ratio {min(learning):.4f} to {max(learning):.4f}"
    verdict = "holds"
    if failing:
        measured += "; " + "; ".join(map(_learning, failing))
        but_for = ", ".join(row["label"] for row in failing)
        verdict = f"holds, but for {but_for}" if learning else "does not hold"
    return measured, verdict


def _is_near_optimal(schemes, scaling):
    ddlo = _ddlo(schemes)
    farthest = max(_released_ddlo(scaling), key=lambda row: row["excess"]["mean"])
    measured = "; ".join(
        f"{row['label']}: utility {number(row, 'excess')} above the optimum, "
        f"{number(row, 'optimal_share')} of the frames decided optimally"
        for row in ddlo
    )
    measured += f"; in networks of other sizes up to {number(farthest, 'excess')} above it "
    measured += f"({farthest['label']}, {farthest['value']} tasks)"
    near, everywhere = (
        all(row["excess"]["mean"] + (row["excess"]["half"] or 0) < NEAR for row in rows)
        for rows in (ddlo, _released_ddlo(scaling))
    )
    if not near:
        return measured, "does not hold"
    verdict = f"holds for the network as released: within {100 * NEAR:g} %"
    return measured, verdict + (", and for others" if everywhere else ", but not for all others")


def _takes_less_than_a_second(schemes):
    ddlo = _ddlo(schemes)
    measured = "; ".join(f"{row['label']}: {number(row, 'frame_ms')} ms a frame" for row in ddlo)
    fast = all(row["frame_ms"]["mean"] < SLOW for row in ddlo)
    return measured, "holds" if fast else "does not hold"


def _general_tools_are_too_slow(scaling):
    milp = [row for row in scaling if row["label"] == MILP]
    slowest = max(milp, key=lambda row: row["frame_ms"]["mean"])
    measured = (
        f"{MILP}: {number(milp[0], 'frame_ms')} ms a frame for {milp[0]['value']} tasks, at most "
    )
    measured += f"{number(slowest, 'frame_ms')} ms, for {slowest['value']}"
    slow = slowest["frame_ms"]["mean"] > SLOW
    verdict = f"holds for {slowest['value']} tasks" if slow else "does not hold for these networks"
    return measured, f"{verdict}; larger ones are not tested"


CLAIMS = {
    "DDLO converges with two or more DNNs": (_converges_with_two_dnns, ("net_num",)),
    "It converges under various parameter settings": (
        _converges_under_various_parameters,
        ("learning_rate", "batch_size", "memory_size", "training_interval"),
    ),
    "Its decisions are near-optimal": (_is_near_optimal, ("schemes", "scaling")),
    "They take less than one second": (_takes_less_than_a_second, ("schemes",)),
    "General optimisation tools are too slow, above all for many WDs": (
        _general_tools_are_too_slow,
        ("scaling",),
    ),
}


def judge(rows, frames, seeds):
    """Return a dict of claim, measured and verdict of each claim whose experiments are at hand.

    Short runs and few seeds do not decide them.
    """
    judged = []
    for claim, (function, needed) in CLAIMS.items():
        if all(name in rows for name in needed):
            compared = [row for name in needed if name not in SWEEPS for row in rows[name]]
            if any(row["failed"] for row in compared):
                judged.append({"claim": claim, "measured": "runs failed", "verdict": "not judged"})
                continue
            found, verdict = function(*(rows[name] for name in needed))
            if frames < JUDGED_FRAMES or seeds < JUDGED_SEEDS:
                verdict = (
                    f"not judged with less than {JUDGED_FRAMES} frames or {JUDGED_SEEDS} seeds"
                )
            judged.append({"claim": claim, "measured": found, "verdict": verdict})
    return judged


def _ddlo(schemes):
    return [row for row in schemes if row["label"].startswith("DDLO")]


def _released_ddlo(scaling):
    return [row for row in _ddlo(scaling) if row["label"] != MENDED]


def _learning(row):
    measured = (number(row, "mean_gain_ratio"), failures(row))
    return f"{row['label']}: " + ", ".join(filter(None, measured))

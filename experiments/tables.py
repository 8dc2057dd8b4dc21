"""What the runs found: a table with a row per run, summaries over seeds, and pages of tables."""

import numpy as np
import pandas as pd
from scipy import stats

from .runs import UTILITIES, released

# Metrics in tables: heading, digits and unit.
FORMATS = {
    "mean_gain_ratio": ("mean gain ratio", 4, ""),
    "gain_ratio_5th_percentile": ("5th percentile", 4, ""),
    "optimal_share": ("optimal decisions", 1, " %"),
    "mean_utility": ("mean utility", 2, ""),  # the unit is the network's
    "excess": ("above the optimum", 2, " %"),
    "last_cost": ("training cost, last fifth (nats)", 4, ""),
    "ms_per_frame": ("ms per frame, batch size 1", 0, ""),
    "ms_per_frame_batched": ("ms per frame, batched", 0, ""),
    "loop_seconds": ("seconds to decide and learn all frames", 2, ""),
    "ms_per_utility": ("ms per utility", 0, ""),
    "fall": ("fall", 4, ""),
    "frames_to_recover": ("frames to recover", 0, ""),
    "candidates_per_frame": ("utilities per frame", 1, ""),
    "ms_per_training_step": ("ms per training step", 0, ""),
    "min_max": ("min and max over seeds", 4, ""),
    "learns": ("seeds that learn", 0, ""),
}
SHARES = ("mean_gain_ratio", "gain_ratio_5th_percentile", "optimal_share")  # in [0, 1]


def table(suite, results):
    """Return a DataFrame with a row per run of a suite, the rows of its experiments by name.

    `results` maps a run to its metrics or to its error, a text. Columns are experiment, label,
    value, seed, is_released (whether all but seed and frames are published values), frames, the metrics
    of `execution.execute`, and error.
    """
    lines = []
    for name, rows in suite.items():
        for label, value, run in ((*row, run) for *row, runs in rows for run in runs):
            line = {"experiment": name, "label": label, "value": value, "seed": run.seed}
            line["is_released"] = run == released(frames=run.frames, seed=run.seed)
            line["frames"], found = run.frames, results[run]
            found = {"error": found} if isinstance(found, str) else found | {"error": ""}
            lines.append(line | found)
    return pd.DataFrame(lines)


def interval(values):
    """Return the mean over the first axis and the half-width of its 95 % confidence interval.

    The interval is Student's t; its half-width is NaN for a single value.
    """
    values = np.asarray(values, float)
    n = len(values)
    if n < 2:
        return values.mean(axis=0), np.full(values.shape[1:], np.nan)
    with np.errstate(invalid="ignore"):  # some may be infinite
        deviation = values.std(axis=0, ddof=1)
    return values.mean(axis=0), stats.t.ppf(0.975, n - 1) * deviation / np.sqrt(n)


def summary(runs):
    """Return a row per setting of an experiment's runs: means of the metrics, and ci95 columns.

    Further columns: seeds and failed, numbers of runs; min and max of SHARES; unit; and learns, the
    number of seeds above the best fixed decision, for runs as long as the released one.
    """
    rows, metrics = [], [name for name in FORMATS if name in runs]
    for (label, value), group in runs.groupby(["label", "value"], sort=False, dropna=False):
        done = group[group.error == ""]
        row = {"label": label, "value": value, "is_released": group.is_released.all()}
        row |= {"seeds": len(done), "failed": len(group) - len(done)}
        row["test_frames"] = done.test_frames.max()
        row["unit"] = done.unit.iloc[0] if len(done) else ""
        for name in metrics:
            known = done[name].dropna()
            mean, ci95 = interval(known) if len(known) else (np.nan, np.nan)
            row |= {name: mean, f"{name}_ci95": float(ci95)}
            if name in SHARES:
                row |= {f"{name}_min": known.min(), f"{name}_max": known.max()}
        if "fixed_gain_ratio" in runs and (group.frames >= 20000).all():
            known = done.dropna(subset="fixed_gain_ratio")
            learned = known.mean_gain_ratio > known.fixed_gain_ratio
            row["learns"] = learned.sum() if len(known) else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def text(row, metric):
    """Return a metric of a summary's row as text: mean ± ci95, or "-" if it is unknown.

    Where the interval of a share leaves 0 to 1, least and greatest take its place.
    """
    if metric == "min_max":
        least, most = row.mean_gain_ratio_min, row.mean_gain_ratio_max
        return f"{least:.4f} {most:.4f}" if row.seeds else "-"
    _, digits, unit = FORMATS[metric]
    mean, ci95 = row[metric], row.get(f"{metric}_ci95")
    if np.isnan(mean):
        return "-"
    if metric == "learns":
        return f"{mean:g} of {row.seeds}"
    if metric.startswith("ms_"):
        return "< 0.001" if mean < 0.001 else f"{mean:.2g}" if mean < 100 else f"{mean:.0f}"
    if np.isinf(mean):
        return "not with all seeds"
    factor = 100 if unit == " %" else 1
    if metric in SHARES and (mean - ci95 < 0 or mean + ci95 > 1):
        least, most = (factor * row[f"{metric}_{end}"] for end in ("min", "max"))
        return f"{least:.{digits}f} to {most:.{digits}f}{unit}"
    is_plain = np.isnan(ci95) or metric in ("loop_seconds", UTILITIES)
    spread = "" if is_plain else f" ± {factor * ci95:.{digits}f}"
    return f"{factor * mean:.{digits}f}{spread}{unit}"


def heading(metric, rows):
    """Return the heading of a metric; that of utilities has the unit if all networks share it."""
    title, units = FORMATS[metric][0], set(rows[rows.seeds > 0].unit)
    if metric == "mean_utility" and len(units) == 1 and units != {""}:
        return f"{title} ({units.pop()})"
    return title


def tables(experiment, runs):
    """Return the tables of an experiment, from its runs: lines of Markdown by title."""
    rows = summary(runs)
    metrics = [name for name in experiment.metrics if name == "min_max" or name in rows]
    if experiment.across:
        with_utilities = UTILITIES in metrics
        return {
            heading(name, rows): _across(experiment.across, rows, name, with_utilities)
            for name in metrics
            if name != UTILITIES
        }
    headings, lines = ["", *(heading(name, rows) for name in metrics)], []
    for _, row in rows.iterrows():
        label = f"{row.label} (as released)" if row.is_released and "=" in row.label else row.label
        lines.append([label, *(text(row, name) for name in metrics)])
    if "learns" in metrics and experiment.beside:
        headings.append("released package's DNNs, single runs")
        for line, label in zip(lines, rows.label):
            line.append(experiment.beside.get(label, ""))
    return {"": markdown_table(headings, lines)}


def _across(across, rows, metric, with_utilities):
    """Return the lines of a table: a row per label, a column per value, and utilities per frame."""
    values = list(dict.fromkeys(rows.value))
    last, lines = [FORMATS[UTILITIES][0]] * with_utilities, []
    for label, group in rows.groupby("label", sort=False):
        texts = {row.value: text(row, metric) for _, row in group.iterrows()}
        if set(texts.values()) != {"-"}:
            lines.append([label, *(texts.get(value, "-") for value in values)])
            if with_utilities:
                known = sorted(set(group[UTILITIES].dropna().round(1)))
                ends = dict.fromkeys(known[:1] + known[-1:])
                lines[-1].append(" to ".join(f"{end:,g}" for end in ends) or "-")
    headings = [value if isinstance(value, str) else f"{value:g}" for value in values]
    return markdown_table([across, *headings, *last], lines)


def markdown_table(headings, rows):
    """Return the lines of a table."""
    rows = [[cell.replace("|", "\\|") for cell in cells] for cells in (headings, *rows)]
    rows.insert(1, ["---"] * len(headings))
    return [f"| {' | '.join(cells)} |" for cells in rows]


def page(experiments, table, about):
    """Return a page with the tables of experiments, a dict by name; `about` says how it was made."""
    lines = ["# Results of the experiments", "", about, ""]
    failed = table[table.error != ""]
    if len(failed):
        failures = [f"- {row.label}, seed {row.seed}: {row.error}" for row in failed.itertuples()]
        lines += ["**Runs that failed:**", "", *failures, ""]
    for name, runs in table.groupby("experiment", sort=False):
        for title, lines_of_table in tables(experiments[name], runs).items():
            title = ": ".join(filter(None, (experiments[name].title, title)))
            lines += [f"## {title}", "", *lines_of_table, ""]
    return "\n".join(lines)

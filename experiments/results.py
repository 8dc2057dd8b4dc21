"""What the runs found: a tidy table with a row per run, summaries over seeds, and pages of tables."""

import numpy as np
import pandas as pd
from scipy import stats

from .runs import Run
from .suite import EXPERIMENTS

# Of the metrics in tables: heading, factor, digits and unit.
FORMATS = {
    "mean_gain_ratio": ("mean gain ratio", 1, 4, ""),
    "gain_ratio_5th_percentile": ("5th percentile", 1, 4, ""),
    "optimal_share": ("optimal decisions", 100, 1, " %"),
    "mean_utility": ("mean utility (J)", 1, 2, ""),
    "excess": ("above the optimum", 100, 2, " %"),
    "last_cost": ("training cost, last fifth (nats)", 1, 4, ""),
    "ms_per_frame": ("ms per frame, batch size 1", 1, 0, ""),
    "ms_per_frame_batched": ("ms per frame, batched", 1, 0, ""),
    "loop_seconds": ("seconds to decide and learn all frames", 1, 2, ""),
    "candidates_per_frame": ("candidates scored per frame", 1, 1, ""),
    "ms_per_training_step": ("ms per training step", 1, 0, ""),
    "min_max": ("min and max over seeds", 1, 4, ""),
    "learns": ("seeds that learn", 1, 0, ""),
}
# Test gain ratios of the released package's DNNs at 20,000 frames: one unseeded run each.
RELEASED = {
    "K = 1": "0.818 0.865 0.891",
    "K = 2": "0.9877 0.9802 0.9874",
    "K = 5": "0.9955 0.9944 0.9957",
    "K = 10": "0.9971 0.9977 0.9963",
    "learning rate = 0.1": "0.923 0.963",
    "learning rate = 0.001": "0.9882 0.9906",
    "learning rate = 0.0001": "0.9781 0.9800",
    "batch size = 32": "0.9909",
    "batch size = 512": "0.9933",
    "memory size = 256": "0.9928",
    "memory size = 4096": "0.9853",
    "training interval = 1": "0.9869",
    "training interval = 5": "0.9916",
    "training interval = 50": "0.9828",
}
AS_RELEASED = "0.9923 0.9925 0.9930 0.9932 0.9926"


def table(chosen, frames, seeds, store, failed):
    """Return the tidy table of experiments, lists of settings by name: a row per run.

    Columns are experiment, label, value, seed, is_released (whether all but the seed and frames are
    the released values), the metrics of `execution.execute`, and error, of the runs that failed.
    """
    rows = []
    for name, settings in chosen.items():
        for setting in settings:
            for run in setting.runs(frames, seeds):
                row = {"experiment": name, "label": setting.label, "value": setting.value}
                released = Run(frames=run.frames, seed=run.seed) == run
                row |= {"seed": run.seed, "is_released": released, "frames": run.frames}
                metrics = {} if run in failed else store.load(run)[0]
                rows.append(row | metrics | {"error": failed.get(run, "")})
    return pd.DataFrame(rows)


def interval(values):
    """Return the mean over the first axis and the half-width of its 95 % confidence interval.

    The interval is Student's t; its half-width is NaN if there is one value only.
    """
    values = np.asarray(values, float)
    n = len(values)
    if n < 2:
        return values.mean(axis=0), np.full(values.shape[1:], np.nan)
    half_width = stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return values.mean(axis=0), half_width


def summary(runs):
    """Return a row per setting of an experiment's runs: metrics as means, and ci95 columns.

    Further columns are seeds, failed (numbers of runs), min and max of the mean gain ratio, and
    learns: with how many seeds it is above that of the best fixed decision, unless runs are shorter
    than the released one, or nothing learns.
    """
    rows = []
    metrics = [name for name in FORMATS if name in runs]
    for (label, value), of_setting in runs.groupby(["label", "value"], sort=False, dropna=False):
        done = of_setting[of_setting.error == ""]
        row = {"label": label, "value": value, "is_released": of_setting.is_released.all()}
        row |= {"seeds": len(done), "failed": len(of_setting) - len(done)}
        row["test_frames"] = done.test_frames.max() if len(done) else 0
        for name in metrics:
            known = done[name].dropna()
            mean, ci95 = interval(known) if len(known) else (np.nan, np.nan)
            row |= {name: mean, f"{name}_ci95": float(ci95)}
        ratio = done.get("mean_gain_ratio", pd.Series(dtype=float))
        row |= {"min": ratio.min(), "max": ratio.max()}
        if "fixed_gain_ratio" in done and (of_setting.frames >= Run.frames).all():
            known = done.fixed_gain_ratio.notna().any()
            row["learns"] = (ratio > done.fixed_gain_ratio).sum() if known else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def text(row, metric):
    """Return a metric of a summary's row as text: mean ± ci95, or "-" where there is none."""
    _, factor, digits, unit = FORMATS[metric]
    if metric == "min_max":
        return f"{row['min']:.4f} {row['max']:.4f}" if row.seeds else "-"
    if metric == "learns":
        known = row.seeds and not np.isnan(row.get("learns", np.nan))
        return f"{row.learns:g} of {row.seeds}" if known else "-"
    mean, ci95 = row.get(metric, np.nan), row.get(f"{metric}_ci95", np.nan)
    if np.isnan(mean):
        return "-"
    if metric.startswith("ms_"):
        return "< 0.001" if mean < 0.001 else f"{mean:.2g}" if mean < 100 else f"{mean:.0f}"
    is_plain = np.isnan(ci95) or metric in ("loop_seconds", "candidates_per_frame")
    spread = "" if is_plain else f" ± {factor * ci95:.{digits}f}"
    return f"{factor * mean:.{digits}f}{spread}{unit}"


def tables(name, runs):
    """Return the tables of an experiment, from its runs: lines of Markdown by title."""
    experiment, rows = EXPERIMENTS[name], summary(runs)
    metrics = [metric for metric in experiment.metrics if metric != "learns" or metric in rows]
    if experiment.across:
        return {
            FORMATS[metric][0]: _across(experiment, rows, metric)
            for metric in experiment.metrics
            if metric in rows
        }
    headings = ["", *(FORMATS[metric][0] for metric in metrics)]
    lines = []
    for _, row in rows.iterrows():
        label = f"{row.label} (as released)" if row.is_released and "=" in row.label else row.label
        lines.append([label, *(text(row, metric) for metric in metrics)])
        if "learns" in metrics:
            lines[-1].append(AS_RELEASED if row.is_released else RELEASED.get(row.label, ""))
    if "learns" in metrics:
        headings.append("released package's DNNs, single runs")
    return {"": markdown_table(headings, lines)}


def _across(experiment, rows, metric):
    """Lines of a table with a row for each label and a column for each value."""
    values = list(dict.fromkeys(rows.value))
    lines = []
    for label, of_label in rows.groupby("label", sort=False):
        texts = {row.value: text(row, metric) for _, row in of_label.iterrows()}
        if set(texts.values()) != {"-"}:
            lines.append([label, *(texts.get(value, "-") for value in values)])
    headings = [value if isinstance(value, str) else f"{value:g}" for value in values]
    return markdown_table([experiment.across, *headings], lines)


def markdown_table(headings, rows):
    """Return the lines of a table."""
    return [f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows)]


def page(table, about):
    """Return a page with the tables of all experiments in a tidy table; `about` says how it was made."""
    lines = ["# Results of the experiments", "", about, ""]
    failed = table[table.error != ""]
    if len(failed):
        lines += ["**Runs that failed:**", ""]
        lines += [f"- {row.label}, seed {row.seed}: {row.error}" for row in failed.itertuples()]
        lines.append("")
    for name, runs in table.groupby("experiment", sort=False):
        for title, of_metric in tables(name, runs).items():
            heading = f"{EXPERIMENTS[name].title}: {title}" if title else EXPERIMENTS[name].title
            lines += [f"## {heading}", "", *of_metric, ""]
    return "\n".join(lines)

"""What README.md and docs/ tell users to do works, and what they show is there."""

import re
import runpy

import pandas as pd
import pytest

from experiments import benchmark, results
from experiments.suite import EXPERIMENTS
from memory import MemoryDNN

from .conftest import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "data" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
EXAMPLES = [
    pytest.param(code, id=f"{page.name}-{i}")
    for page in PAGES
    for i, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


AUTHORS_AND_OURS = ("authors' run", "DDLO, K = 3")


def tables_of(text):
    """The tables in a page: lists of lines."""
    return [table.splitlines() for table in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)]


def of_experiment(runs, name):
    return runs[runs.experiment == name]


def test_there_are_examples():
    assert len(EXAMPLES) == 12


@pytest.mark.slow
@pytest.mark.parametrize("code", EXAMPLES)
def test_example_runs(tmp_path, monkeypatch, capsys, code):
    monkeypatch.chdir(tmp_path)
    if "results/ten/model" in code:  # of a command in README.md
        (tmp_path / "results" / "ten").mkdir(parents=True)
        MemoryDNN([9, 120, 80, 9], net_num=10, seed=0).save("results/ten/model")
    (tmp_path / "example.py").write_text(code)
    runpy.run_path("example.py", run_name="__main__")
    shown = capsys.readouterr()
    assert shown.out and not shown.err


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page):
    for link in re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", page.read_text()):
        link = "".join(link)
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
        words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
        anchors = {heading.replace(" ", "-") for heading in words}
        assert not anchor or anchor in anchors, link


def test_tables_are_those_of_the_runs():
    runs = pd.read_csv(ROOT / "docs" / "results" / "results.csv", dtype={"error": str})
    runs["error"] = runs["error"].fillna("")
    assert list(dict.fromkeys(runs.experiment)) == list(EXPERIMENTS)
    assert (runs.error == "").all()
    lines = set()
    for name, of_one in runs.groupby("experiment", sort=False):
        for table in results.tables(name, of_one).values():
            lines |= set(table)
    # Others are written by hand: symbols and figures of the paper, and the authors' recorded run.
    for page, by_hand in {"results.md": 3, "beyond.md": 0, "wpmec.md": 0}.items():
        tables = tables_of((ROOT / "docs" / page).read_text())
        of_runs = [table for table in tables if table[0] in lines]
        assert len(of_runs) > 3 and len(tables) - len(of_runs) == by_hand, page
        assert not {line for table in of_runs for line in table} - lines, page
    readme = (ROOT / "README.md").read_text()
    assert tables_of(readme)[0] == results.tables("net_num", of_experiment(runs, "net_num"))[""]
    cells = {cell for line in lines for cell in line.split(" | ")}
    shown = re.findall(r"[\d.]+ ± [\d.]+(?= \|)", readme)
    assert len(shown) == 16 and all(any(number in cell for cell in cells) for number in shown)
    for suffix in ("png", "pdf", "csv"):
        files = {path.stem for path in (ROOT / "docs" / "results").glob(f"*.{suffix}")}
        assert files - {"results"} == set(EXPERIMENTS)


def test_recorded_run_of_the_authors_is_beside_ours():
    data = pd.read_csv(ROOT / "docs" / "results" / "recorded.csv")
    rows = []
    for (begin, end), of_frames in data.groupby(["from", "to"], sort=False):
        authors, ours = (of_frames[of_frames.label == label].iloc[0] for label in AUTHORS_AND_OURS)
        mean = f"{ours['mean']:.4f} ± {ours.ci95:.4f}"
        rows.append([f"{begin:,} to {end:,}", f"{authors['mean']:g}", mean])
    lines = results.markdown_table(["time frames", *AUTHORS_AND_OURS], rows)
    assert lines in tables_of((ROOT / "docs" / "results.md").read_text())


def test_benchmark_page_is_that_of_one_run():
    folder = ROOT / "docs" / "benchmark"
    content = pd.read_json(folder / "benchmark.json", typ="series")
    assert content["about"]["command"] == "python -m experiments.benchmark"
    assert content["about"]["wrong"] == {}
    rows = {name: content[name] for name in content.index if name != "about"}
    assert list(rows) == list(benchmark.PARTS)
    assert (folder / "benchmark.md").read_text() == benchmark.markdown(content["about"], rows)

"""The examples in README.md and docs/ run, and the numbers there are those of the runs."""

import json
import re
import runpy

import pandas as pd
import pytest

from experiments import agents, tables
from experiments.suite import EXPERIMENTS
from memory import MemoryDNN
from tools.benchmark import __main__ as benchmark

from .conftest import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted(DOCS.glob("*.md"))]
EXAMPLES = [
    pytest.param(code, id=f"{page.name}-{i}")
    for page in PAGES
    for i, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]
AUTHORS, OURS = "authors' run", "DDLO, K = 3"


def tables_on(page):
    """Return the tables on a page: lists of lines."""
    found = re.findall(r"(?:^\|.*\|$\n?)+", page.read_text(), re.MULTILINE)
    return [table.splitlines() for table in found]


@pytest.fixture(scope="module")
def made():
    """The tables of the committed runs; experiments may be newer than these."""
    runs = pd.read_csv(DOCS / "results" / "results.csv")
    assert runs.error.isna().all()
    made = [agents.table(pd.read_csv(DOCS / "results" / "agents.csv"))]
    return made + [
        table
        for name, group in runs.assign(error="").groupby("experiment", sort=False)
        if name in EXPERIMENTS
        for table in tables.tables(EXPERIMENTS[name], group).values()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("code", EXAMPLES)
def test_example_runs(tmp_path, monkeypatch, capsys, code):
    monkeypatch.chdir(tmp_path)
    if "results/ten/model" in code:  # a command in README.md writes it
        (tmp_path / "results" / "ten").mkdir(parents=True)
        MemoryDNN([9, 120, 80, 9], net_num=10, seed=0).save("results/ten/model")
    script = tmp_path / "example.py"
    script.write_text(code)
    runpy.run_path(str(script), run_name="__main__")  # workers find its functions by this path
    shown = capsys.readouterr()
    assert shown.out and not shown.err


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
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


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_tables_of_results_are_those_of_the_runs(page, made):
    headings = {table[0] for table in made}
    for table in tables_on(page):
        is_result = table[0] in headings or any(" ± " in line for line in table)
        if is_result and AUTHORS not in table[0]:
            assert table in made, table[0]
    for name in re.findall(r"results/(\w+)\.png", page.read_text()):
        assert all((DOCS / "results" / f"{name}.{kind}").exists() for kind in ("pdf", "csv"))


def test_numbers_in_the_readme_are_those_of_the_runs(made):
    cells = {cell.strip() for table in made for line in table for cell in line.split("|")}
    shown = re.findall(r"[\d.]+ ± [\d.]+(?= \|)", (ROOT / "README.md").read_text())
    assert shown and set(shown) <= cells


def test_recorded_run_of_the_authors_is_beside_ours():
    data = pd.read_csv(DOCS / "results" / "recorded.csv")
    rows = []
    for (begin, end), group in data.groupby(["from", "to"], sort=False):
        authors, ours = (group[group.label == label].iloc[0] for label in (AUTHORS, OURS))
        means = f"{authors['mean']:.4f}", f"{ours['mean']:.4f} ± {ours.ci95:.4f}"
        shares = (f"{each.optimal_share:.1%}".replace("%", " %") for each in (authors, ours))
        rows.append([f"{begin:,} to {end:,}", *means, *shares])
    headings = ["time frames", AUTHORS, OURS, "optimal, authors", "optimal, DDLO"]
    assert tables.markdown_table(headings, rows) in tables_on(DOCS / "results.md")


def test_benchmark_page_is_that_of_one_run():
    folder = ROOT / "docs" / "benchmark"
    rows = json.loads((folder / "benchmark.json").read_text())
    about = rows.pop("about")
    assert about["command"] == "python -m tools.benchmark"
    assert (folder / "benchmark.md").read_text() == benchmark.markdown(about, rows)

"""Reports of small real runs: their structure, their links, and the commands that make them again."""

import shlex
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report_pages import Parsed, check_page, commands

from walras.experiments.observing.config import ObserveConfig
from walras.experiments.reports.pages.made import read_back
from walras.experiments.spec import RunSpec
from walras.experiments.store.run_folder import read_result
from walras.experiments.training.config import TrainConfig

Walras = Callable[..., Any]
EARLIER = Path(__file__).parents[2] / "data" / "earlier"
SMALL = ("--task", "stsb", "--length", 16, "--sentences", 12)


def page_in(folder: str) -> Parsed:
    place = Path(folder)
    return check_page((place / "report.html").read_text(encoding="utf-8"), place)


def settings_of(page: Parsed, kind: Any, *flags: str) -> Any:
    """The settings that a page's command has."""
    (line,) = commands(page)
    words = [word for word in shlex.split(line)[2:] if word not in flags]
    return kind.parse(read_back(words, kind))


def headings(page: Parsed) -> list[str]:
    return [heading.text for heading in page.all("h2")]


@pytest.mark.nightly
def test_a_run(walras: Walras, models: Path, glue: Path) -> None:
    line = ("--model", models / "bert", "--data", glue, *SMALL, "--recipe", "none", "--rounds", 2)
    assert walras("run", *line, "--budget", 0.6, "--out", "r").code == 0
    page = page_in("r")
    assert settings_of(page, RunSpec) == RunSpec.read("r/config.yaml", {})
    assert headings(page) == ["Verdict", "Allocation", "Economics", "Rounds (2)", "How this was made"]
    rows = next(row.text for row in page.all("table")[0:1])
    for told in (
        "spearman",
        "MACs, 16 tokens",
        "megabytes",
        "parameters",
    ):
        assert told in rows
    assert any("Milliseconds were not measured (--measure-latency)" in p.text for p in page.all("p"))
    result = read_result("r")
    assert {*result["versions"]} == {"walras", "torch", "transformers"}
    assert f"torch {result['versions']['torch']}" in page.all("footer")[0].text
    assert str(Path.cwd()) not in Path("r/report.html").read_text()
    for seen in page.all("svg"):
        assert seen.text


@pytest.mark.usefixtures("no_pictures")
def test_a_sweep_and_its_cells_lead_to_each_other(walras: Walras, models: Path, glue: Path) -> None:
    line = ("--model", models / "bert", "--data", glue, *SMALL, "--recipe", "none", "--workers", 0, "--rounds", 1)
    varied = ("--vary", "valuation=magnitude,random", "--budget", 0.75, "--budget", 0.5, "--seeds", 1)
    answer = walras("compare", *line, *varied, "--out", "c")
    assert answer.code == 0, answer
    page = page_in("c")
    reports = [link.attributes["href"] for link in page.all("a") if link.attributes["href"].startswith("cells/")]
    assert len(reports) == 4
    for report in reports:
        cell = page_in(str(Path("c", report).parent))
        (back,) = cell.all("a")
        assert Path("c", report).parent.joinpath(back.attributes["href"]).resolve() == Path("c/report.html").resolve()
    told = page.all("section")[0].text
    for text in ("parameters", "megabytes", "minus magnitude", "(1 of 3 seeds)"):
        assert text in told
    assert "±" not in told
    before = {cell.name for cell in Path("c/cells").iterdir()}
    (again,) = commands(page)
    assert walras(*shlex.split(again)[1:], "--workers", 0, "--out", "d").code == 0
    assert {cell.name for cell in Path("d/cells").iterdir()} == before


@pytest.mark.nightly
def test_a_training_run(walras: Walras, models: Path, glue: Path) -> None:
    line = ("--model", models / "classifier", "--task", "sst2", "--data", glue, "--length", 16, "--epochs", 2)
    answer = walras("train", *line, "--out", "t")
    assert answer.code == 0, answer
    page = page_in("t")
    assert settings_of(page, TrainConfig) == TrainConfig.read("t/config.yaml", {})
    assert headings(page) == ["Verdict", "Allocation", "Economics of training", "How this was made"]
    assert "milliseconds, 32 x " in page.all("table")[0].text


@pytest.mark.nightly
def test_an_observation(walras: Walras, models: Path, glue: Path) -> None:
    line = ("--model", models / "bert", "--task", "stsb", "--data", glue, "--length", 16, "--budgets", "4,2")
    answer = walras("observe", *line, "--out", "o")
    assert answer.code == 0, answer
    page = page_in("o")
    assert settings_of(page, ObserveConfig).tree == ObserveConfig.read("o/config.yaml", {}).tree
    assert headings(page)[:2] == ["Verdict", "Compute and quality"]
    assert not page.all("section")[0].text.count("None")
    assert all("details" in table.above for table in page.all("table"))


@pytest.mark.nightly
def test_an_earlier_run_has_a_report(walras: Walras) -> None:
    """Its folder names no versions, and its result lacks what is recorded now."""
    shutil.copytree(EARLIER / "run", "run")
    answer = walras("trace", "run", "--pictures", "p")
    assert answer.code == 0, answer
    page = page_in("p")
    assert commands(page) == ["walras trace run --pictures p"]
    assert "agreement with dense" in page.all("section")[0].text
    assert "not recorded" in page.all("footer")[0].text


@pytest.mark.nightly
def test_an_earlier_comparison_has_a_report(walras: Walras, models: Path, lines: Path) -> None:
    shutil.copytree(EARLIER / "comparison", "o")
    shutil.copytree(models, "models")
    shutil.copy(lines, "lines.txt")
    line = (
        "compare", "--model", "models/bert", "--task", "text", "--data", "lines.txt", "--length", 16, "--sentences", 8,
        "--recipe", "random", "--recipe", "magnitude", "--budget", 0.5, "--executor", "serial", "--out", "o",
    )  # fmt: skip
    answer = walras(*line, "--seeds", 2)
    assert answer.code == 0, answer
    assert "0 cells failed" not in page_in("o").all("main")[0].text


def sweep(walras: Walras, models: Path, glue: Path, seeds: int) -> None:
    """Four cells a seed, in `c`."""
    line = ("--model", models / "bert", "--data", glue, *SMALL, "--recipe", "none", "--workers", 0, "--rounds", 1)
    varied = ("--vary", "valuation=magnitude,random", "--budget", 0.75, "--budget", 0.5, "--seeds", seeds)
    assert walras("compare", *line, *varied, "--out", "c").code == 0


@pytest.mark.nightly
def test_a_sweep_of_twenty_cells(walras: Walras, models: Path, glue: Path) -> None:
    sweep(walras, models, glue, 5)
    page = page_in("c")  # and it is no larger than a page may be
    assert len([link for link in page.all("a") if link.attributes["href"].startswith("cells/")]) == 20
    assert "±" in page.all("section")[0].text
    assert len(pd.read_parquet("c/frontier.parquet")) == 20


@pytest.mark.nightly
def test_nothing_is_wider_than_the_screen(walras: Walras, models: Path, glue: Path) -> None:
    """In a real browser, with everything unfolded; left out where there is none."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = pytest.importorskip("playwright.sync_api")
    if browser is None:
        pytest.skip("no chromium here")
    sweep(walras, models, glue, 1)
    pages = [Path("c/report.html"), *sorted(Path("c/cells").glob("*/report.html"))[:1]]
    with driver.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for width, scheme in product((400, 800, 1600), ("light", "dark")):
            shown = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
            asked: list[str] = []
            shown.on("request", lambda request, asked=asked: asked.append(request.url))
            for place in pages:
                shown.goto(place.resolve().as_uri())
                shown.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                assert shown.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
            assert all(url.startswith("file:") for url in asked)
        chromium.close()

"""The README: short, with the two commands first, and with no link that leads nowhere."""

import re
from pathlib import Path

import yaml
from doc_pages import ROOT, block, blocks, code_lines

import walras

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_has_at_most_200_lines() -> None:
    assert len(README.splitlines()) <= 200


def test_it_begins_with_the_two_commands() -> None:
    first = re.findall(r"^```\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z]+)`", README)) <= set(targets)


def test_its_rule_is_that_of_the_guide() -> None:
    """Which is held to 15 lines and to the conformance suite in `tests/docs/test_guides.py`."""
    shown = block("../README.md", "class FirstCome")
    assert shown == block("guides/own-mechanism.md", "class FirstCome")
    assert code_lines(shown) <= 15
    assert len(blocks("../README.md")) == 2


def test_its_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []


def test_no_placeholder_is_left() -> None:
    pages = [ROOT / "README.md", *Path(ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if re.search(r"@[A-Z]+@", page.read_text(encoding="utf-8"))] == []


def test_citation_and_changelog_are_of_this_version() -> None:
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert told["version"] == walras.__version__
    assert told["authors"] == [{"name": "The Walras authors"}]
    assert set(told) >= {"cff-version", "message", "title"}  # what the format asks for
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## ([\d.]+)", changes, re.MULTILINE)[0] == walras.__version__

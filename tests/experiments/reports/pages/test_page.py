"""The template, and that the checks of pages refuse what they are there to refuse."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from report_pages import check_page

from walras.experiments.reports.pages.page import Link, Made, Note, Page, Part, Picture, Section, Shaded, Table
from walras.experiments.reports.pages.writing import write_page

EVIL = '</title><script>alert("1")</script> & \u202egnp.x\x1b[0m'


def page(text: str = "a") -> Page:
    table = Table((text, "b"), [[text, "1"], [Link(text, "report.html"), "2"]], text)
    shaded = Shaded([(text, 0.5, text)], text)
    picture = Picture("a", Figure(figsize=(2, 1)), text, text)
    parts: list[Part] = [Note(text), Note(text, warning=True), table, picture, shaded]
    sections = [Section(text, parts), Section(text, [table], folded=True)]
    made = Made(text, text, {text: text}, {"walras": text}, [Link(text, "report.html")])
    return Page(text, text, f"{text}.", [table], sections, made)


def test_all_parts(tmp_path: Path) -> None:
    write_page(tmp_path, page())
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = check_page(text, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "a.png"}
    assert [section.attributes.get("class", "") for section in found.all("section")] == ["verdict", "", ""]
    assert len(found.all("details")) == 1
    assert found.all("code")[0].text == "a"


def test_texts_are_shown_as_they_are(tmp_path: Path) -> None:
    write_page(tmp_path, page(EVIL))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert check_page(text, tmp_path).all("h1")[0].text == '</title><script>alert("1")</script> & gnp.x'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<html lang="en">', "<html>"), ("<td>1</td>", "<td>nan</td>"), ("<td>1</td>", "<td>-5.551e-17</td>"),
        ("<td>1</td>", "<td>None</td>"), ('href="report.html"', 'href="https://example.org/x"'),
        ('href="report.html"', 'href="elsewhere.html"'), ('href="report.html"', 'href="/report.html"'),
        ("default-src 'none'", "default-src *"), ('scope="col"', 'scope=""'), ('role="img"', 'role="none"'),
        ("<h2>Verdict</h2>", "<h4>Verdict</h4>"), ("<h2>Verdict</h2>", "<h2>Result</h2>"),
        ('<section class="verdict">', "<section>"), ("</main>", "<script></script></main>"), ("</main>", "</p></main>"),
        ("</main>", f"<p>{'x' * 1_000_000}</p></main>"), ('<p class="caption">', '<p class="c">'),
        ('aria-label="a" style', 'style'),
        ('<div class="wide" tabindex="0" role="region" aria-label="a"><table>', "<section><table>"),
    ],
)  # fmt: skip
def test_the_checks_refuse(before: str, after: str, tmp_path: Path) -> None:
    write_page(tmp_path, page())
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert before in text
    with pytest.raises((AssertionError, KeyError, IndexError, ValueError)):
        check_page(text.replace(before, after), tmp_path)

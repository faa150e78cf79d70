"""What every report page has: structure, links that lead somewhere, nothing fetched, no noise in its numbers."""

import itertools
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import final

LARGEST = 1_000_000  # bytes
NOISE = re.compile(r"(?<![\w])nan(?![\w])|\d[eE][-+]?\d|-0(?![\d.])|\binf\b|None")
VOID = {"meta", "img", "br", "hr", "link", "input"}


@final
@dataclass
class Element:
    """A tag with its attributes, the tags around it, and all text inside."""

    tag: str
    attributes: dict[str, str]
    above: tuple[str, ...]
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text on one line."""
        return " ".join("".join(self.texts).split())


@final
class Parsed(HTMLParser):
    """A page taken apart; refuses end tags that close nothing, and what stays open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[Element] = []
        self.elements: list[Element] = []
        self.feed(text)
        self.close()
        assert self.open == [], [element.tag for element in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {k: v or "" for k, v in attrs}, tuple(outer.tag for outer in self.open))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.texts.append(data)

    def all(self, *tags: str) -> list[Element]:
        """All elements of some tags, in order."""
        return [element for element in self.elements if element.tag in tags]


def check_page(text: str, folder: Path | None = None) -> Parsed:
    """Refuse a page that lacks what all have; what it holds comes back.

    Args:
        text: the page.
        folder: where it lies, for its links; None: they are not followed.
    """
    assert text.startswith("<!doctype html>")
    assert len(text.encode()) < LARGEST
    page = Parsed(text)
    assert page.all("html")[0].attributes["lang"] == "en"
    assert "default-src 'none'" in text
    assert not re.search(r"(?:https?:)?//[\w.]", text), "an external address"
    assert not page.all("script", "link", "iframe")
    headings = page.all("h1", "h2", "h3", "h4", "h5", "h6")
    levels = [int(heading.tag[1]) for heading in headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    first, *_, last = page.all("section", "footer")
    assert first.attributes.get("class") == "verdict"
    assert last.tag == "footer"
    assert headings[1].text == "Verdict"
    sentence = next(p for p in page.all("p") if p.attributes.get("class") == "sentence")
    assert sentence.above[-1] == "section"
    assert sentence.text.endswith(".")
    for heading in page.all("th"):
        assert heading.attributes["scope"] in ("col", "row")
    for table in page.all("table"):
        assert table.above[-1] == "div", "a table outside of a box that scrolls"
    captions = [p for p in page.all("p") if p.attributes.get("class") == "caption"]
    assert len(captions) == len(page.all("table"))
    for picture in page.all("svg"):
        assert picture.attributes["role"] == "img"
        assert picture.attributes["aria-label"]
        assert "viewbox" in picture.attributes
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    used = {*re.findall(r"url\(#([^)]+)\)", text), *re.findall(r'href="#([^"]+)"', text)}
    assert used <= set(ids)
    for cell in page.all("td", "text", "p"):
        if "code" not in cell.above:
            assert not NOISE.search(cell.text), cell.text
    for link in page.all("a"):
        to = link.attributes["href"]
        assert not to.startswith("/")
        assert ":" not in to
        assert folder is None or (folder / to).is_file(), to
    return page


def commands(page: Parsed) -> list[str]:
    """The lines by which a report is made again."""
    return [code.text for code in page.all("code")]

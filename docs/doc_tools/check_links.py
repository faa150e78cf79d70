"""Checks a built site: links and anchors within it lead somewhere, and no page loads anything from elsewhere.

`python docs/doc_tools/check_links.py build/docs`; exit code 1 and a line per fault. Addresses of other sites are
counted, never fetched: the site is built without a network.
"""

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
MADE_BY_SPHINX = {"genindex.html", "search.html", "py-modindex.html"}


class Page(HTMLParser):
    """The anchors of a page, its links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if LOADED.get(tag) in given:
            self.loaded.append(given[LOADED[tag]])


@cache
def page_at(path: Path) -> Page:
    """A page, read once."""
    return Page(path.read_text(encoding="utf-8"))


def faults_of(site: Path) -> tuple[list[str], set[str]]:
    """Faults, a line each, and the addresses of other sites that pages link to."""
    faults, outside = [], set()
    for path in sorted(site.rglob("*.html")):
        place = path.relative_to(site)
        for target in page_at(path).loaded:
            if urlsplit(target).scheme not in ("", "data") or target.startswith("//"):
                faults.append(f"{place}: loads {target} from elsewhere")
            elif not target.startswith("data:") and _missing(path, target):
                faults.append(f"{place}: {target} is not there")
        for target in page_at(path).links:
            if urlsplit(target).scheme or target.startswith("//"):
                outside.add(target)
            elif problem := _missing(path, target):
                faults.append(f"{place}: {target} {problem}")
    return faults, outside


def _missing(path: Path, target: str) -> str:
    """What is wrong with a link of a page; nothing where it leads somewhere."""
    parts = urlsplit(target)
    to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    to = to / "index.html" if to.is_dir() else to
    if not to.is_file():
        return "is not there"
    anchor = unquote(parts.fragment)
    if anchor and to.suffix == ".html" and to.name not in MADE_BY_SPHINX and anchor not in page_at(to).anchors:
        return "is no anchor there"
    return ""


def main(site: Path) -> int:
    """Print faults; 0 if there are none."""
    faults, outside = faults_of(site)
    pages = len(list(site.rglob("*.html")))
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{pages} pages, {len(faults)} dead links, {len(outside)} addresses of other sites (not fetched)")
    return 1 if faults or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

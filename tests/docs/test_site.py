"""The site as a whole: its links, its drawings, its building."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import DOCS, ROOT
from doc_tools import check_links, draw

PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
FENCED = re.compile(r"^(`{3,}|:{3,}).*?^\1$", re.DOTALL | re.MULTILINE)
INCLUDED = {"contributing.md": "CONTRIBUTING.md", "changes.md": "CHANGELOG.md"}


def targets(page: Path) -> list[str]:
    """Places within the checkout to which a page links or refers, relative to the page."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    documents = [f"{name}.md" for name in re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text)]
    return [link for link in (*links, *documents) if link]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_of_a_page(page: Path) -> None:
    assert [target for target in targets(page) if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_block_of_a_page_is_closed(page: Path) -> None:
    assert len(re.findall(r"^```", page.read_text(encoding="utf-8"), re.MULTILINE)) % 2 == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_has_one_title(page: Path) -> None:
    if page.name in INCLUDED:
        page = ROOT / INCLUDED[page.name]
    plain = FENCED.sub("", page.read_text(encoding="utf-8"))
    assert len(re.findall(r"^# \S", plain, re.MULTILINE)) == 1


def test_drawings_are_those_of_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "STATIC", tmp_path)
    draw.round_of_a_market()
    draw.rooms()
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (DOCS / "_static" / file.name).read_bytes()


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<a href='b.html'>", "a.html: b.html is not there"),
        ("<a href='#nowhere'>", "a.html: #nowhere is no anchor there"),
        ("<a id='x'></a><a href='a.html#y'>", "a.html: a.html#y is no anchor there"),
        ("<script src='https://cdn.example/x.js'>", "a.html: loads https://cdn.example/x.js from elsewhere"),
        ("<link href='//cdn.example/x.css'>", "a.html: loads //cdn.example/x.css from elsewhere"),
        ("<img src='gone.png'>", "a.html: gone.png is not there"),
        ("<a id='x'></a><a href='#x'><a href='https://example.org'>", None),
    ],
)
def test_dead_links_are_found(page: str, fault: str | None, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    check_links.page_at.cache_clear()
    faults, outside = check_links.faults_of(tmp_path)
    assert faults == ([fault] if fault else [])
    assert outside == ({"https://example.org"} if not fault else set())


def test_nothing_of_the_manual_was_left_in_two_places() -> None:
    """A paragraph of three lines or more stands on one page only."""
    seen: dict[str, Path] = {}
    for page in [ROOT / "README.md", *PAGES]:
        for paragraph in FENCED.sub("", page.read_text(encoding="utf-8")).split("\n\n"):
            if paragraph.count("\n") >= 2 and not paragraph.startswith(("|", "---")):
                assert seen.setdefault(paragraph, page) == page, paragraph


@pytest.mark.nightly
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    for package in ("sphinx", "furo", "myst_nb"):
        pytest.importorskip(package)
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(tmp_path / "trees"), str(DOCS)]
    done = subprocess.run(
        [*build, str(tmp_path / "site")], env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
        timeout=1200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert check_links.main(tmp_path / "site") == 0

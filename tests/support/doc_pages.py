"""Pages of the documentation and the code in them, for tests that run it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(?P<language>[^`\n]*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str, language: str = "python") -> list[str]:
    """The blocks of code of a page, `guides/run.md` or `../README.md`, in one language."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [found["code"] for found in FENCE.finditer(text) if found["language"] == language]


def block(page: str, marker: str, language: str = "python") -> str:
    """The only block of a page that holds some text."""
    found = [code for code in blocks(page, language) if marker in code]
    assert len(found) == 1, f"{page}: {len(found)} blocks hold {marker!r}"
    return found[0]


def cells(page: str) -> str:
    """The code of a tutorial, from top to bottom."""
    return "\n".join(blocks(page, "{code-cell} python"))


def code_lines(text: str) -> int:
    """Lines that are neither empty nor comments."""
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))

"""The examples of the reference: files of cells, `# %% Name, Name`, that are run to show what they print.

A cell runs in an empty folder with the names that the cell `# %% setup` of its file has made, and nothing else.
"""

import io
import os
import re
import tempfile
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "reference" / "examples"
SETUP = "setup"
HEAD = re.compile(r"^# %% (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One cell."""

    room: str
    names: tuple[str, ...]  # of what it shows
    code: str


@cache
def examples(room: str) -> tuple[Example, ...]:
    """The cells of a room's file, without the one that sets up."""
    return tuple(cell for cell in _cells(room) if cell.names != (SETUP,))


@cache
def setup(room: str) -> str:
    """The code that goes before every example of a room."""
    return "\n".join(cell.code for cell in _cells(room) if cell.names == (SETUP,))


@cache
def _prepared(room: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(setup(room), f"{room}.py, setup", "exec"), names)
    return names


@cache
def printed(example: Example) -> str:
    """Run an example; what it printed."""
    names = dict(_prepared(example.room))
    out = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(out):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        exec(compile(example.code, f"{example.room}.py, {', '.join(example.names)}", "exec"), names)
    return out.getvalue().rstrip()


def _cells(room: str) -> list[Example]:
    parts = HEAD.split((FOLDER / f"{room}.py").read_text(encoding="utf-8"))[1:]
    return [
        Example(room, tuple(name.strip() for name in names.split(",")), code.strip("\n"))
        for names, code in zip(parts[::2], parts[1::2], strict=True)
    ]

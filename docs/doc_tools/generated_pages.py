"""Sphinx extension: replaces a line `%% generated: WHAT` of a page by what is made of the code at build time.

Pages are read in an order in which no process gets all those that run code.
"""

import re
from typing import Any

LINE = re.compile(r"^%% generated: (\w+)(?: (\w+))?$", re.MULTILINE)
CHUNKS = 4
"""Of pages; two processes read one each."""


def _fill(app: Any, page: str, source: list[str]) -> None:
    del app, page
    source[0] = LINE.sub(lambda found: _made(*found.groups()), source[0])


def _made(what: str, which: str | None) -> str:
    if what == "commands":
        from doc_tools.commands import command_page

        return command_page()
    from doc_tools.reference import overview, room_page

    return overview() if which is None else room_page(which)


def _spread(app: Any, env: Any, pages: list[str]) -> None:
    """Pages that run code are neighbours, and neighbours are read one after the other by one process: spread them."""
    del app, env
    pages[:] = [page for first in range(CHUNKS) for page in sorted(pages)[first::CHUNKS]]


def setup(app: Any) -> dict[str, bool]:
    """Entry point of Sphinx."""
    app.connect("source-read", _fill)
    app.connect("env-before-read-docs", _spread)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

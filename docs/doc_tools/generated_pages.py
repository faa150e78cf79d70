"""Sphinx extension: replaces a line `%% generated: WHAT` of a page by what is made of the code at build time."""

import re
from typing import Any

LINE = re.compile(r"^%% generated: (\w+)(?: (\w+))?$", re.MULTILINE)


def _fill(app: Any, page: str, source: list[str]) -> None:
    del app, page
    source[0] = LINE.sub(lambda found: _made(*found.groups()), source[0])


def _made(what: str, which: str | None) -> str:
    if what == "commands":
        from doc_tools.commands import command_page

        return command_page()
    from doc_tools.reference import overview, room_page

    return overview() if which is None else room_page(which)


def setup(app: Any) -> dict[str, bool]:
    """Entry point of Sphinx."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Lines of text from anybody: of bounded length, and with bytes that are no text told apart."""

from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO

from walras.files.contents import check_file, reading

LONGEST = 2**25
"""Characters of a line."""
_PIECE = 2**20  # characters of a longer line that are in memory at once


def read_lines(path: str | Path, what: str) -> Iterator[str]:
    """The lines of a file, as `lines_of` gives them.

    Args:
        path: of the file.
        what: the kind of file, for errors: "queries".

    Raises:
        InputError: a file that is missing, or cannot be read to its end.
    """
    check_file(path, what)
    with reading(what, path), Path(path).open("rb") as file:
        yield from lines_of(file)


def lines_of(file: BinaryIO, newline: str | None = None) -> Iterator[str]:
    """The lines of UTF-8 text as they come, each with its end. What is wrong with a line `fault` tells.

    A line of more than `LONGEST` characters is given cut off after one more, and the rest of it passed over. `newline`
    as that of `open`. A mark of the byte order, which some programs put in front, is left out.
    """
    text = TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline=newline)
    try:
        line = text.readline(LONGEST + 1).removeprefix("\ufeff")
        while line:
            yield line
            if len(line) > LONGEST:
                _pass_over(text, line)
            line = text.readline(LONGEST + 1)
    finally:
        if not file.closed:
            text.detach()  # the file is its owner's to close


def _pass_over(text: TextIO, line: str) -> None:
    """Read to the end of a line that has begun."""
    while line and not line.endswith("\n"):
        line = text.readline(_PIECE)


def fault(line: str) -> str:
    """What is wrong with a line or a part of it, to stand after its name; nothing where it is text."""
    if len(line) > LONGEST:
        return f"is longer than {LONGEST:,} characters"
    if line.isascii():
        return ""
    try:
        line.encode()
    except UnicodeEncodeError:
        return "is no UTF-8"
    return ""

"""Rows of data files, with the file and the line named in every error.

TSV is split at tabs and at "\\n" alone: GLUE's files hold stray quotation marks, so the csv rules for quotes
do not apply, and texts hold separators such as U+2028 or U+0085 at which `str.splitlines` would break them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from walras.errors import InputError
from walras.escaping import one_line
from walras.files.contents import brief, check_file, reading
from walras.files.plain_data import parse_json

Row = dict[str, object]
LONGEST = 2**24
"""Bytes of a line: a passage of 16 MB is no passage, and a file without ends of lines would fill the memory."""
WHAT = "data file"


@final
@dataclass(frozen=True)
class Example:
    """One sentence or one pair of sentences, and its label: a score (float) or the index of a class (int)."""

    first: str
    second: str | None = None
    label: float | int | None = None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file, counted from 1, without line ends, byte order mark or trailing blank lines.

    Raises:
        InputError: the file cannot be read, or is empty; a line that is not UTF-8, holds a null character, or is longer
            than `LONGEST`.
    """
    blank: list[int] = []  # held back until a line follows, so that those at the end are dropped
    empty = True
    check_file(path, WHAT)
    with reading(WHAT, path), path.open("rb") as handle:
        number = 0
        while raw := handle.readline(LONGEST + 1):
            number += 1
            data = raw.removesuffix(b"\n").removesuffix(b"\r")
            line = decoded(data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data, path, number)
            if not line.strip():
                blank.append(number)
                continue
            yield from ((missing, "") for missing in blank)
            blank.clear()
            empty = False
            yield number, line
    if empty:
        raise InputError(f"{path} is empty")


def decoded(data: bytes, path: Path, number: int) -> str:
    """The text of line `number`.

    Raises:
        InputError: it is not UTF-8, holds a null character, or is too long.
    """
    if len(data) > LONGEST:
        raise InputError(f"{path}, line {number}: longer than {LONGEST:,} bytes; is this a file of lines?")
    if b"\0" in data:
        raise InputError(f"{path}, line {number}: a null character at column {data.index(0) + 1}; this is no text file")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, line {number}: not UTF-8 (byte {data[error.start]:#04x} at column {error.start + 1}); "
            "save the file as UTF-8"
        ) from error


def tsv_rows(path: Path, header: Sequence[str] = (), torn: bool = False) -> Iterator[tuple[int, Row]]:
    """Rows of a tab-separated file as (line number, column name -> cell).

    Args:
        path: the file.
        header: names of the columns where the file does not begin with them.
        torn: rows with a wrong number of columns are passed over instead of refused.

    Raises:
        InputError: a row with another number of columns than the header; see also `numbered_lines`.
    """
    names = list(header)
    for number, line in numbered_lines(path):
        cells = line.split("\t")
        if not names:
            names = cells
        elif len(cells) == len(names):
            yield number, dict(zip(names, cells, strict=True))
        elif not torn:
            expected = f"{len(names)} ({one_line(', '.join(names), 300)})"
            raise InputError(f"{path}, line {number}: {len(cells)} columns, expected {expected}")


def json_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Rows of a file with one JSON object a line, as (line number, object).

    Raises:
        InputError: a line that is not a JSON object; see also `numbered_lines`.
    """
    for number, line in numbered_lines(path):
        try:
            row = parse_json(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not JSON ({brief(error)})") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}")
        yield number, row

"""The bytes and the text of a file."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from walras.errors import InputError

LARGEST = 2**26
"""Bytes of a file of plain data, unless a reader says otherwise: none of ours comes near it."""
_ALWAYS = (ValueError, RecursionError, MemoryError, OverflowError)
_SHOWN = 200  # characters of a library's own words in an error


@contextmanager
def reading(what: str, path: str | Path, *errors: type[BaseException]) -> Iterator[None]:
    """Turn what goes wrong while a file is read into one sentence.

    Args:
        what: the kind of file, such as "latency table".
        path: of the file.
        errors: what the library that reads it may raise, besides what every reader may.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {what} {str(path)!r}: {error.strerror or brief(error)}") from error
    except BaseException as error:
        if not isinstance(error, (*_ALWAYS, *errors)):
            raise
        raise InputError(f"cannot read {what} {str(path)!r}: {brief(error)}") from error


def brief(error: BaseException) -> str:
    """What an error says, on one line and short."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it is too large for the memory"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def check_file(path: str | Path, what: str, largest: int | None = None) -> None:
    """Refuse what is no file that can be read to its end, such as a pipe, and what is too large.

    Raises:
        InputError: as said, and a missing file.
    """
    with reading(what, path):
        _check_status(path, what, largest, os.stat(path))


def _check_status(path: str | Path, what: str, largest: int | None, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"cannot read {what} {str(path)!r}: it is no regular file")
    if largest is not None and status.st_size > largest:
        raise InputError(f"cannot read {what} {str(path)!r}: it has {status.st_size:,} bytes; valid: {largest:,}")


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for who writes into a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_text(path: str | Path, what: str, largest: int = LARGEST) -> str:
    """The text of a file, in UTF-8.

    Raises:
        InputError: a file that is missing, no text, or too large.
    """
    content = read_bytes(path, what, largest)
    with reading(what, path):
        return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: str | Path, what: str, largest: int = LARGEST) -> bytes:
    """What a file holds, as it is: ends of lines too.

    Raises:
        InputError: a file that is missing or too large.
    """
    with reading(what, path), open(path, "rb", buffering=0, opener=_at_once) as file:
        status = os.fstat(file.fileno())
        _check_status(path, what, largest, status)
        content = bytearray()
        while piece := file.read(largest + 1 - len(content)):  # what grows meanwhile, or tells no size, ends too
            content += piece
        if len(content) > largest:
            raise InputError(f"cannot read {what} {str(path)!r}: it has more than {largest:,} bytes")
        return bytes(content)


def hash_of(path: str | Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        InputError: a file that cannot be read.
    """
    check_file(path, "file")
    found = sha256()
    with reading("file", path), Path(path).open("rb") as file:
        while piece := file.read(2**20):
            found.update(piece)
    return found.hexdigest()


def hash_of_all(folder: str | Path, pattern: str) -> str:
    """SHA-256 of the names and contents of all files of a folder that match a pattern.

    Raises:
        InputError: a file that cannot be read.
    """
    files = sorted(Path(folder).glob(pattern))
    return sha256("".join(f"{hash_of(file)} {file.name}\n" for file in files).encode()).hexdigest()

"""Folders that appear whole or not at all, and removing them."""

import ctypes
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from walras.files.writing import ENDING, OLD, draft_of, inherit

RESULT = "result.json"
"""The file whose presence says that a folder is finished: it is the last to come and the first to go."""
_AT_FDCWD, _EXCHANGE, _SWAP = -100, 2, 2  # of renameat2 (Linux) and renamex_np (macOS)


@contextmanager
def whole_folder(place: str | Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of another in one step once all is written.

    Until then, and where anything fails, what was there stays as it was, and nothing of the new folder remains. A link
    is followed: what it leads to is replaced.
    """
    real = Path(os.path.realpath(place))
    real.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(real)
    try:
        draft.mkdir()
        if real.is_dir():
            inherit(draft, real)
        yield draft
        put_in_place(draft, real)
    except BaseException:
        with suppress(OSError):  # what went wrong first is told
            remove(draft)
        raise


def put_in_place(draft: Path, place: Path) -> None:
    """Let a folder take the place of another, or of none, in one step.

    The other one is removed; what of it cannot be is left to the next writer.
    """
    if not place.exists():
        os.rename(draft, place)
        return
    if _swap(draft, place):
        with suppress(OSError):
            remove(draft)
        return
    old = draft_of(place).with_suffix(OLD)  # no exchange here: `restore` mends a death between the two steps
    os.rename(place, old)
    try:
        os.rename(draft, place)
    except BaseException:
        os.rename(old, place)
        raise
    with suppress(OSError):
        remove(old)


def movable(place: Path) -> bool:
    """Whether another folder can take a place: not where somebody works in it, where a file system is mounted, or where
    nothing may be written beside it."""
    real = Path(os.path.realpath(place))
    if not real.exists():
        return True
    here = Path(os.path.realpath(os.curdir))
    return not (os.path.ismount(real) or real == here or real in here.parents) and os.access(real.parent, os.W_OK)


def restore(place: Path) -> None:
    """Bring back what stood at a place where a process died while it replaced it; only its one writer may do so."""
    for old in left_by_others(place, OLD):
        if place.exists():
            remove(old)
        else:
            os.rename(old, place)


@contextmanager
def set_aside(place: Path) -> Iterator[None]:
    """Hide a file or folder, and remove it once the context has ended; where anything fails it is back.

    After a death within the context `sweep` brings it back, or `tidy` removes it from a folder that is finished.
    """
    if not place.exists():
        yield
        return
    aside = draft_of(place).with_suffix(OLD)
    os.rename(place, aside)
    try:
        yield
    except BaseException:
        os.rename(aside, place)
        raise


def tidy(folder: Path, names: Iterable[str]) -> None:
    """Sweep what dead processes left of some files and folders in a folder; only its one writer may do so.

    What they had set aside comes back, unless the folder is finished.
    """
    finished = (folder / RESULT).is_file()
    for name in names if folder.is_dir() else ():
        for old in left_by_others(folder / name, OLD) if finished else ():
            remove(old)
        sweep(folder / name)


def remove(place: Path) -> None:
    """Remove a file or folder; of a folder that is finished first of all what says so."""
    with suppress(FileNotFoundError):
        if place.is_dir() and not place.is_symlink():
            (place / RESULT).unlink(missing_ok=True)
            shutil.rmtree(place)
        else:
            place.unlink()


def clear(folder: Path) -> None:
    """Remove all that a folder holds; first of all what says that it is finished."""
    for inner in sorted(folder.iterdir(), key=lambda p: (p.name != RESULT, p.name)) if folder.is_dir() else ():
        remove(inner)


def sweep(place: Path) -> None:
    """Remove what processes that died left unfinished of a file or folder; only its one writer may do so."""
    restore(place)
    for draft in left_by_others(place, ENDING):
        remove(draft)


def left_by_others(place: Path, ending: str) -> list[Path]:
    """Drafts of a file or folder beside it and in it; with another ending what it was before."""
    made = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{8}}{re.escape(ending)}")
    around = [other for near in (place.parent, place) if near.is_dir() for other in sorted(near.iterdir())]
    return [other for other in around if made.fullmatch(other.name)]


def _swap(one: Path, other: Path) -> bool:
    """Exchange two places in one step; False where the system or file system has no such step."""
    exchange = _exchange()
    return exchange is not None and exchange(os.fsencode(one), os.fsencode(other)) == 0


@cache
def _exchange() -> "Callable[[bytes, bytes], Any] | None":
    """The system's call that exchanges two names."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform.startswith("linux") and hasattr(library, "renameat2"):
        linux: Any = library
        return lambda one, other: linux.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _EXCHANGE)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        mac: Any = library
        return lambda one, other: mac.renamex_np(one, other, _SWAP)
    return None

"""Files that appear whole or not at all: written under a name of their own, then put in place in one step."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from walras.errors import InputError
from walras.files.contents import brief

ENDING, LOCK, OLD = ".partial", ".lock", ".old"


def draft_of(place: Path) -> Path:
    """A new name beside a file or folder for what will take its place; hidden, and nobody else's."""
    return place.with_name(f".{place.name}.{secrets.token_hex(4)}{ENDING}")


def is_hidden_work(name: str) -> bool:
    """Whether this is the name of a draft, a lock, or what a draft replaces, which a killed process leaves."""
    return name.startswith(".") and name.endswith((ENDING, LOCK, OLD))


@contextmanager
def whole_file(file: str | Path) -> Iterator[Path]:
    """A place to write to, which becomes the file when all is written; folders above it are made.

    A link is followed: what it leads to is replaced. Nothing is left where the writing fails.
    """
    place = Path(os.path.realpath(file))
    if place.exists() and not (place.is_file() or place.is_dir()):
        raise InputError(f"{str(file)!r} is a pipe or a device; a file would take its place")
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(place)
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        mode = draft.stat().st_mode  # as the user's mask has it; some libraries write for the owner alone
        yield draft
        draft.chmod(mode)
        if place.exists():
            inherit(draft, place)
        os.replace(draft, place)
    except BaseException:
        with suppress(OSError):  # what went wrong first is told
            draft.unlink(missing_ok=True)
        raise


def inherit(draft: Path, place: Path) -> None:
    """Give what will take a place the permissions and the group of what is there: private things stay private."""
    status = place.stat()
    with suppress(OSError):  # not everybody may give files away
        os.chown(draft, -1, status.st_gid)
    draft.chmod(stat.S_IMODE(status.st_mode))


def write_whole(file: str | Path, content: str | bytes) -> None:
    """Write a file whole or not at all; folders above it are made."""
    with whole_file(file) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(
    path: str | Path, *errors: type[BaseException], kept: str = "what was there is as it was"
) -> Iterator[None]:
    """Turn what goes wrong while a file or folder is written into one sentence.

    Args:
        path: of the file or folder, as the user gave it.
        errors: what a library that writes may raise, besides errors of the system.
        kept: what is told of what was there before.

    Raises:
        InputError: it cannot be written.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not isinstance(error, (OSError, *errors)):
            raise
        reason = getattr(error, "strerror", None) or brief(error)
        raise InputError(f"cannot write {str(path)!r}: {reason}; {kept}") from error

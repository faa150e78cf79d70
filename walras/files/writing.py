"""Files that appear whole or not at all: written under a name of their own, then put in place in one step."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDING = ".partial"


def draft_of(place: Path) -> Path:
    """A new name beside a file or folder for what will take its place; hidden, and nobody else's."""
    return place.with_name(f".{place.name}.{secrets.token_hex(4)}{ENDING}")


def is_draft(name: str) -> bool:
    """Whether a file or folder of this name is unfinished; a killed process leaves such."""
    return name.startswith(".") and name.endswith(ENDING)


@contextmanager
def whole_file(file: str | Path) -> Iterator[Path]:
    """A place to write to, which becomes the file when all is written; folders above it are made.

    A link is followed: what it leads to is replaced. Nothing is left where the writing fails.
    """
    place = Path(os.path.realpath(file))
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(place)
    try:
        yield draft
        os.replace(draft, place)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(file: str | Path, content: str | bytes) -> None:
    """Write a file whole or not at all; folders above it are made."""
    with whole_file(file) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)

"""Folders that are written whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from walras.errors import InputError


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder beside `path` to write into; it takes the place of `path` once the context ends without an error.

    Until then, and where anything fails (a full disk, Ctrl-C), what was at `path` stays as it was, and nothing of the
    new folder remains.

    Raises:
        InputError: the folder cannot be written.
    """
    place = Path(path).resolve()
    draft, old = (place.parent / f".{place.name}.{secrets.token_hex(4)}.{end}" for end in ("partial", "old"))
    try:
        draft.mkdir(parents=True)
        yield draft
        if place.exists():
            os.rename(place, old)
        try:
            os.rename(draft, place)
        except BaseException:
            if old.exists():
                os.rename(old, place)
            raise
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot write {str(path)!r}: {error}; what was there is as it was") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if place.exists():
            shutil.rmtree(old, ignore_errors=True)

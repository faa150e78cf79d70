"""Checkpoints of a training run: which of them were written to their end, and whether anybody changed them since."""

import re
from pathlib import Path

from walras.errors import InputError
from walras.files.contents import hash_of
from walras.files.folders import remove
from walras.files.plain_data import read_json, write_json
from walras.files.record import Record
from walras.files.writing import write_whole

_NAME = re.compile(r"checkpoint-(\d+)")
_EARLIER = "step-*"
HASHES = "hashes.json"
"""SHA-256 of every other file. It is the last to be written: a checkpoint without it was interrupted. And training that
goes on from one flipped bit would end in other weights, untold."""


def seal(place: Path) -> None:
    """Write the hashes of a checkpoint that is complete."""
    files = {file.name: hash_of(file) for file in sorted(place.iterdir()) if file.is_file() and file.name != HASHES}
    write_whole(place / HASHES, write_json(files))


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of a run; None where there is none.

    Raises:
        InputError: those of an earlier version, from which no training goes on any more.
    """
    if not folder.is_dir():
        return None
    if any(folder.glob(_EARLIER)):
        raise InputError(f"{str(folder)!r} holds a checkpoint of an earlier version; --overwrite begins the run anew")
    return max((place for place in _places(folder) if (place / HASHES).is_file()), key=_step, default=None)


def usable_checkpoint(folder: Path) -> Path | None:
    """The same, once every file is found to be what was written. What was interrupted is removed.

    Raises:
        InputError: as said; a file that is not what was written.
    """
    newest = newest_checkpoint(folder)
    for place in _places(folder):
        if not (place / HASHES).is_file():
            remove(place)
        else:
            _check(place)
    return newest


def _check(place: Path) -> None:
    try:
        check_unchanged(place)
    except InputError as error:
        raise InputError(f"{error}; --overwrite begins the run anew") from error


def check_unchanged(place: Path) -> None:
    """Refuse a checkpoint that is not what was written.

    Raises:
        InputError: as said, and one that is not there.
    """
    told = Record(read_json(place / HASHES, "checkpoint"), f"hashes of checkpoint {str(place)!r}")
    for name in sorted({*told, *(file.name for file in place.iterdir())} - {HASHES}):
        if name not in told or hash_of(place / name) != told.text(name):
            raise InputError(f"{str(place / name)!r} was changed after the checkpoint was written")


def _places(folder: Path) -> list[Path]:
    return [place for place in folder.glob("checkpoint-*") if place.is_dir() and _NAME.fullmatch(place.name)]


def _step(place: Path) -> int:
    return int(place.name.rpartition("-")[2])

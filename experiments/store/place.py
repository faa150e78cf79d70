"""Whether a folder can be written, found out before anything is computed."""

import errno
import os
from collections.abc import Collection
from pathlib import Path

from walras.errors import InputError
from walras.files.contents import reading
from walras.files.folders import remove
from walras.files.locks import refuse_second
from walras.files.writing import draft_of, is_hidden_work

_BELOW = 256  # bytes of a path that are left for what lies in a folder


def check_place(path: str | Path) -> None:
    """Refuse what cannot become a folder that is written to.

    Raises:
        InputError: a file, a name that is no name of a folder or too long for one, or a place in which the user may not
            write, or cannot.
    """
    place = Path(path)
    try:
        if place.exists() and not place.is_dir():
            raise InputError(f"--out {str(path)!r} is a file; it must be a folder")
        whole = place.absolute()
        above = next(p for p in (whole, *whole.parents) if p.exists())
        if not (above.is_dir() and os.access(above, os.W_OK)):
            raise InputError(
                f"--out {str(path)!r} cannot be written: {str(above)!r} is no folder that you may write to"
            )
        _try_place(whole, above)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        why = getattr(error, "strerror", None) or error
        raise InputError(f"--out {_short(path)} cannot be written: {why}; choose another folder") from error


def check_own_place(folder: Path, names: Collection[str], what: str) -> None:
    """Find out, before anything is computed, whether a folder of a few files may take a place.

    Args:
        folder: the place.
        names: of the files that may be there already, and are replaced.
        what: such a folder is called in errors: "a predictor".

    Raises:
        InputError: a file, a folder with anything else in it, or a place to which another process writes.
    """
    refuse_second(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is a file; valid: a new or empty folder, or one of {what}")
    with reading("folder", folder):
        inside = sorted(path.name for path in folder.iterdir())
    foreign = [name for name in inside if name not in names and name != ".lock" and not is_hidden_work(name)]
    if foreign:
        raise InputError(
            f"folder {str(folder)!r} holds {foreign[0]!r}, which is no part of {what}; valid: a new or empty "
            f"folder, or one of {what}, which is replaced"
        )


def _short(path: str | Path) -> str:
    text = str(path)
    return repr(text if len(text) <= 80 else f"{text[:60]}...")


def _try_place(place: Path, above: Path) -> None:
    """Find out whether a folder could be made, and written to; nothing is left of the attempt.

    Args:
        place: the folder.
        above: itself, or the innermost folder above it that is there.

    Raises:
        OSError, ValueError: it could not.
    """
    longest, most = os.pathconf(above, "PC_NAME_MAX"), os.pathconf(above, "PC_PATH_MAX")
    if any(len(os.fsencode(part)) > longest for part in place.parts) or len(os.fsencode(place)) > most - _BELOW:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    if "\0" in str(place):
        raise ValueError("a null character is in it")
    first = place if above == place else above / place.relative_to(above).parts[0]
    trial = above / draft_of(first).name  # a name that the next writer sweeps away, should this process die here
    trial.mkdir()  # /proc grants access, and yet refuses
    remove(trial)

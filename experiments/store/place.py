"""Whether a folder can be written, found out before anything is computed."""

import errno
import os
from pathlib import Path
from tempfile import mkdtemp

from walras.errors import InputError

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
        above = next(p for p in (place, *place.absolute().parents) if p.exists())
        if not (above.is_dir() and os.access(above, os.W_OK)):
            raise InputError(
                f"--out {str(path)!r} cannot be written: {str(above)!r} is no folder that you may write to"
            )
        _try_place(place.absolute(), above)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        why = getattr(error, "strerror", None) or error
        raise InputError(f"--out {_short(path)} cannot be written: {why}; choose another folder") from error


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
    Path(mkdtemp(prefix=".walras-", suffix=".partial", dir=above)).rmdir()  # /proc grants access, and yet refuses

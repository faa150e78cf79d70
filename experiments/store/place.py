"""Whether a folder can be written, found out before anything is computed."""

import errno
import os
from pathlib import Path
from tempfile import mkdtemp

BELOW = 256  # bytes of a path that are left for what lies in a folder


def try_place(place: Path, above: Path) -> None:
    """Find out whether a folder could be made, and written to; nothing is left of the attempt.

    Args:
        place: the folder.
        above: itself, or the innermost folder above it that is there.

    Raises:
        OSError, ValueError: it could not.
    """
    longest, most = os.pathconf(above, "PC_NAME_MAX"), os.pathconf(above, "PC_PATH_MAX")
    if any(len(os.fsencode(part)) > longest for part in place.parts) or len(os.fsencode(place)) > most - BELOW:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    if "\0" in str(place):
        raise ValueError("a null character is in it")
    Path(mkdtemp(prefix=".walras-", suffix=".partial", dir=above)).rmdir()  # /proc grants access, and yet refuses

"""A file that only grows, by whole lines that outlive the process which wrote them."""

import os
from pathlib import Path
from typing import final


@final
class AppendedLines:
    """Appends lines to a file that is made anew, or goes on, for its owner's eyes only.

    Each line is handed to the system in one call, and so survives the death of the process; not that of the machine.

    Args:
        path: of the file.
        anew: what is in it is dropped; else lines come after it.
    """

    def __init__(self, path: Path, anew: bool = True) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if anew else 0), 0o600)

    def write(self, line: str) -> None:
        """Append a line, its end included.

        Raises:
            OSError: it could not be written whole; then nothing of it is there.
        """
        data = line.encode()
        written = os.write(self._file, data)
        if written != len(data):
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)  # the next line would end it
            raise OSError("a line could be written in part only")

    def close(self) -> None:
        """Let the file go; what is written is there."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

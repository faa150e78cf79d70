"""The user's own text for label-free runs: one passage a line."""

from pathlib import Path

from walras.errors import InputError
from walras.experiments.tasks.data.rows import numbered_lines


def read_lines(path: str | Path) -> list[str]:
    """The passages of a UTF-8 text file, stripped, without blank lines.

    Raises:
        InputError: the file is missing, empty, not UTF-8, or holds a single passage (there is then nothing to
            average over, and nothing to hold out).
    """
    found = [passage for _, line in numbered_lines(Path(path)) if (passage := line.strip())]
    if len(found) < 2:
        raise InputError(f"{path} holds one passage; expected at least two, one a line")
    return found

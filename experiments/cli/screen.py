"""The terminal: where tables, progress and errors go."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress

WIDE = 120  # columns of a table that goes to a file or a pipe


def output() -> Console:
    """Standard output, wide enough for the tables where it is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=WIDE, highlight=False)


def fail(error: Exception) -> NoReturn:
    """End with the error in red on one line of standard error, and exit code 2."""
    line = " ".join(part.strip() for part in str(error).splitlines())
    Console(stderr=True, soft_wrap=True).print(f"Error: {line}", style="red", markup=False, highlight=False)
    sys.exit(2)


def interrupted(left: str) -> NoReturn:
    """End after Ctrl-C with a word on what is left, and exit code 130."""
    line = f"Interrupted; {left}" if left else "Interrupted"
    Console(stderr=True, soft_wrap=True).print(line, style="red", markup=False, highlight=False)
    sys.exit(130)


@contextmanager
def progress_bar(shown: bool = True) -> Iterator["Progress"]:
    """A progress bar on standard error, on a terminal only."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as progress:
        yield progress

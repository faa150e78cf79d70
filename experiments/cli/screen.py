"""The terminal: where tables, progress and errors go."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, final

from rich.console import Console

from walras.experiments.progress import Progress

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
def progress_bar(shown: bool = True) -> Iterator["Screen"]:
    """Progress on standard error: a bar on a terminal, elsewhere a line per finished step; nothing if not `shown`."""
    console = Console(stderr=True)
    if shown and not console.is_terminal:
        yield LineProgress(Console(stderr=True, width=WIDE, highlight=False))
        return
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True, disable=not shown) as progress:
        yield progress


class Screen(Progress, Protocol):
    """Progress that is shown on a console; a task's total may turn out later."""

    @property
    def console(self) -> Console:
        """Where lines beside it go."""

    def update(
        self, task_id: Any, *, advance: float | None = None, completed: float | None = None,
        description: str | None = None, total: float | None = None,
    ) -> None:  # fmt: skip
        """Steps of a task are done."""


@final
@dataclass
class _Task:
    """How far a task has come."""

    total: float | None
    done: float = 0.0
    told: float = 0.0  # how far it had come when a line was written


@final
class LineProgress:
    """Progress for files and pipes: a line for every step that is finished and says what came of it.

    A step is finished by `advance` together with a `description`: it always gets its line. `completed` with a
    `description` is a place on the way of a long task: it gets a line for every twentieth of the way.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._tasks: list[_Task] = []

    def add_task(self, description: str, *, total: float | None = None) -> int:
        """Begin a task of so many steps."""
        self._tasks.append(_Task(total))
        return len(self._tasks) - 1

    def update(
        self, task_id: Any, *, advance: float | None = None, completed: float | None = None,
        description: str | None = None, total: float | None = None,
    ) -> None:  # fmt: skip
        """Steps of a task are done."""
        task = self._tasks[task_id]
        task.total = task.total if total is None else total
        task.done = task.done + (advance or 0.0) if completed is None else completed
        if description is None or (advance is None and completed is None):
            return
        if advance is not None:
            self._write(f"[{task.done:g}/{task.total:g}] {description}" if task.total else description)
        elif not task.total or task.done >= task.total or task.done - task.told >= 0.05 * task.total:
            task.told = task.done
            self._write(f"[{task.done / task.total:4.0%}] {description}" if task.total else description)

    def _write(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

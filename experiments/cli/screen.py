"""The terminal: where tables, progress and errors go."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, NoReturn, Protocol, final

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from walras.errors import WalrasError
from walras.escaping import one_line, terminal_text
from walras.experiments.cli.process.early import INTERRUPTED
from walras.experiments.progress import Progress

WIDE = 120  # columns of a table that goes to a file or a pipe


@final
class TerminalConsole(Console):
    """The only kind of console there is here: what is printed is shown as it is, whatever it holds.

    No text is taken for rich's markup, a name of an emoji, or something to be coloured; none reaches the terminal with
    codes that it would obey. What wants style uses `rich.text.Text`, or `style`.
    """

    def __init__(self, *, stderr: bool = False, file: IO[str] | None = None, width: int | None = None) -> None:
        super().__init__(stderr=stderr, file=file, width=width, markup=False, emoji=False, highlight=False)
        if width is None and not self.is_terminal:
            self.width = WIDE

    def render_str(self, text: str, **how: Any) -> Text:
        """A plain text, without markup whoever asks for it."""
        return super().render_str(terminal_text(text), **{**how, "markup": False, "emoji": False})

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """All that is printed passes here: also what comes as a `Text`."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else terminal_text(segment.text)
            yield segment if text == segment.text else Segment(text, segment.style)


def output(stderr: bool = False) -> TerminalConsole:
    """Standard output, or standard error, wide enough for the tables where it is no terminal."""
    return TerminalConsole(stderr=stderr)


def show_error(text: str, lines: bool = False) -> None:
    """A text in red on standard error, on one line unless it has several; nothing where there is no standard error."""
    with suppress(OSError, ValueError):
        TerminalConsole(stderr=True).print(text if lines else one_line(text), style="red", soft_wrap=True)


def fail(error: Exception) -> NoReturn:
    """End with the error in red on one line of standard error, and exit code 2."""
    show_error(f"Error: {error}")
    sys.exit(2)


def interrupted(left: str) -> NoReturn:
    """End after Ctrl-C with a word on what is left, and exit code 130."""
    show_error(f"Interrupted; {left}" if left else "Interrupted")
    sys.exit(INTERRUPTED)


@contextmanager
def ended_in_words(left: str = "the same command goes on from there") -> Iterator[None]:
    """End as `fail` and `interrupted` do where an error of ours, or Ctrl-C, comes out of the context."""
    try:
        yield
    except WalrasError as error:
        fail(error)
    except KeyboardInterrupt:
        interrupted(left)


@contextmanager
def progress_bar(shown: bool = True) -> Iterator["Screen"]:
    """Progress on standard error: a bar on a terminal, elsewhere a line per finished step; nothing if not `shown`."""
    console = output(stderr=True)
    if shown and not console.is_terminal:
        yield LineProgress(console)
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
    """Progress for files and pipes: a line for every task that begins, and every step that says what came of it.

    A step is finished by `advance` together with a `description`: it always gets its line. `completed` with a
    `description` is a place on the way of a long task: it gets a line for every twentieth of the way.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._tasks: list[_Task] = []

    def add_task(self, description: str, *, total: float | None = None) -> int:
        """Begin a task of so many steps."""
        self._tasks.append(_Task(total))
        self._write(f"[0/{total:g}] {description}" if total else f"{description} ...")
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
        self.console.print(line, soft_wrap=True)

"""What long work tells of its progress while it goes on."""

from typing import Any, Protocol, final


class Progress(Protocol):
    """Who is told how far work has come; `rich.progress.Progress` is one."""

    def add_task(self, description: str, *, total: float | None = None) -> Any:
        """Begin a task of so many steps."""

    def update(
        self, task_id: Any, *, advance: float | None = None, completed: float | None = None,
        description: str | None = None,
    ) -> None:  # fmt: skip
        """Steps of a task are done."""


@final
class Silent:
    """Progress that nobody watches."""

    def add_task(self, description: str, *, total: float | None = None) -> int:
        """Nothing."""
        return 0

    def update(
        self, task_id: Any, *, advance: float | None = None, completed: float | None = None,
        description: str | None = None,
    ) -> None:  # fmt: skip
        """Nothing."""


def say(progress: Progress, text: str) -> None:
    """A line beside the progress, where it is shown on a console."""
    console = getattr(progress, "console", None)
    if console is not None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

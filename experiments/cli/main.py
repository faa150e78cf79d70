"""The command line's first module, which loads next to nothing, so that Ctrl-C finds its handler in place."""

import sys

from walras.experiments.cli.process.early import end_at_once, raise_again

TYPE_CHECKING = False  # `early` says why
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def main() -> None:
    """Run the command line, and end the process with an exit code: `ending` has what each of them says."""
    start(_app)


def start(load: "Callable[[], Callable[..., Any]]") -> None:
    """Load a typer app and run it, as the command line does."""
    early = end_at_once()
    try:
        from walras.experiments.cli.process.ending import Ending
        from walras.experiments.executors.memory import keep_freed_memory

        keep_freed_memory()
    finally:
        if early:
            raise_again()
    Ending(sys.argv[1:]).run(load)


def _app() -> "Callable[..., Any]":
    from walras.experiments.cli.app import app

    return app

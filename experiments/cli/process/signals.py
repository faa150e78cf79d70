"""Requests to end, such as SIGTERM, clear away what is unfinished, as Ctrl-C does."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

from walras.experiments.cli.process.early import INTERRUPTED

_REQUESTS = ("SIGTERM", "SIGHUP")


@final
class Interrupts:
    """Requests to end as `KeyboardInterrupt`, and the exit code of what was interrupted.

    They do not raise `SystemExit`, which users' code may raise as well, and which then counts as a fault of theirs. A
    second request is obeyed at once. What the caller ignores or handles stays as it is.
    """

    def __init__(self) -> None:
        self._code = INTERRUPTED

    @property
    def code(self) -> int:
        """Exit code after an interrupt: 130 of Ctrl-C, 143 of SIGTERM."""
        return self._code

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Requests to end interrupt what runs within the context, where it is the main thread."""
        main = threading.current_thread() is threading.main_thread()
        known = [getattr(signal, name) for name in _REQUESTS if main and hasattr(signal, name)]
        taken = [one for one in known if signal.getsignal(one) == signal.SIG_DFL]
        for one in taken:
            signal.signal(one, self._requested)
        try:
            yield
        finally:
            for one in taken:
                signal.signal(one, signal.SIG_DFL)

    def _requested(self, number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        self._code = 128 + number
        raise KeyboardInterrupt

"""Ctrl-C while the command line is still being loaded: the process ends at once, for there is nothing to clear away.

An exception would not do: libraries that are half imported take it for one of their own, or drop it. Next to nothing is
imported here, not even `typing`, so that the handler is in place some milliseconds after Python has begun.
"""

import os
import signal

INTERRUPTED = 130
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def end_at_once() -> bool:
    """Let Ctrl-C end the process, unless the caller ignores it or handles it itself; whether it now does.

    Outside the main thread Python takes no signals.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, _end)
    except ValueError:
        return False
    return True


def raise_again() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt`, as Python does by itself."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: "FrameType | None") -> None:
    del number, frame
    os.write(2, b"Interrupted\n")
    os._exit(INTERRUPTED)

"""How the command line ends: whatever goes wrong is one line on standard error, and an exit code that says what kind.

0: done; 1: not done, such as a check that fails, or an error of Walras itself; 2: something that the user can mend;
130: Ctrl-C; 143: asked to end (SIGTERM).
"""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TextIO, final

from walras.errors import WalrasError
from walras.experiments.cli.process.early import INTERRUPTED, end_at_once, raise_again
from walras.experiments.cli.process.signals import Interrupts
from walras.experiments.cli.screen import show_error

SHOW = "--traceback"
VARIABLE = "WALRAS_TRACEBACK"
_OF_MACHINE: tuple[type[BaseException], ...] = (OSError, MemoryError, RecursionError, OverflowError)
_OF_LIBRARIES = (  # their packages may not be loaded
    "torch.OutOfMemoryError", "safetensors.SafetensorError", "safetensors_rust.SafetensorError",
)  # fmt: skip
_IN_WORDS = ("can't allocate memory", "not enough memory", "No space left on device")  # in errors of any type
Load = Callable[[], Callable[..., Any]]


@final
class Ending:
    """Runs the command line, and ends the process.

    Args:
        arguments: of the command line; `--traceback` anywhere among them shows where an error comes from.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = [argument for argument in arguments if argument != SHOW]
        self._traced = SHOW in arguments or bool(os.environ.get(VARIABLE))

    def run(self, load: Load) -> NoReturn:
        """Load the app, call it with the arguments, and end as it ends."""
        interrupts = Interrupts()
        _show_all_characters()
        try:
            code = self._code(load, interrupts)
        finally:
            _drop_unwritten()
        sys.exit(interrupts.code if code == INTERRUPTED else code)

    def _code(self, load: Load, interrupts: Interrupts) -> int:
        try:
            app = _loaded(load)
            try:
                with interrupts.heard():
                    app(args=self.arguments)
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            _flush(sys.stdout)  # what cannot be written is an error, also where it waits in a buffer
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:  # the reader of our output has gone
            return 1
        except Exception as error:
            return self._told(error)
        return code

    def _told(self, error: Exception) -> int:
        """Tell an error; the exit code comes back."""
        if self._traced:
            show_error("".join(traceback.format_exception(error)).rstrip(), lines=True)
        sentence = explained(error)
        show_error(f"Error: {sentence}" if sentence else f"internal error: {_named(error)}; {SHOW} shows where")
        return 2 if sentence else 1


def explained(error: BaseException) -> str:
    """What went wrong, where the user or the machine is to blame; "" of an error of Walras itself."""
    if isinstance(error, WalrasError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        names = (error.filename, error.filename2)
        places = ", ".join(repr(os.fsdecode(name)) for name in names if isinstance(name, (str, bytes)))
        if not places and isinstance(error, FileNotFoundError) and not _is_somewhere():
            return "the folder in which the command was started is gone; change to one that exists"
        return f"{error.strerror}: {places}" if places else error.strerror
    if isinstance(error, MemoryError):
        return f"the memory is too small: {error}" if str(error) else "the memory is too small"
    if isinstance(error, RecursionError):
        return "something is nested too deeply"
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    of_machine = isinstance(error, _OF_MACHINE) or not kinds.isdisjoint(_OF_LIBRARIES)
    return _named(error) if of_machine or any(words in str(error) for words in _IN_WORDS) else ""


def _is_somewhere() -> bool:
    """Whether the current folder exists."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _loaded(load: Load) -> Callable[..., Any]:
    early = end_at_once()
    try:
        return load()
    finally:
        if early:
            raise_again()


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _flush(stream: TextIO | None) -> None:
    if stream is not None:  # as Python has it where a caller closed it
        stream.flush()


def _show_all_characters() -> None:
    """Let characters that the terminal's encoding lacks be told by their numbers, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drop_unwritten() -> None:
    """Forget what standard output and error could not take: Python would try again as it ends, and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            _flush(stream)
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

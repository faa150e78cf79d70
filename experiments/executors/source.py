"""What every executor is here: a frozen description that opens a `concurrent.futures.Executor` for a while."""

from abc import ABC, abstractmethod
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import ClassVar

from walras.errors import InputError
from walras.extras import installing


class ExecutorSource(ABC):
    """Opens an executor; what can be named with `--executor` is derived from this.

    Attributes:
        abroad: whether the workers were started by others, or elsewhere, so that they may work in another folder and on
            several threads.
        ahead: how many items are handed over before the outcome of the first is waited for; None: all.
    """

    abroad: ClassVar[bool] = False
    ahead: ClassVar[int | None] = None

    @property
    def side_by_side(self) -> int | None:
        """How many items are worked on at once, or None where only the opened executor knows."""
        return None

    def check(self) -> None:  # noqa: B027  # may be overridden, need not be: most have nothing to check
        """Find out whether it could be opened, before anything is written.

        Raises:
            InputError: it could not; the message says why.
        """

    @abstractmethod
    def open(self) -> AbstractContextManager[Executor]:
        """The executor; leaving the context ends what still runs, as far as the executor can end it.

        Raises:
            InputError: it cannot be opened.
        """

    def may_be_innocent(self, error: BaseException) -> bool:
        """Whether an item ended in this error through the death of a process that others may be to blame for.

        Such an item is tried again alone, after all others.
        """
        return False

    def watch(self, executor: Executor) -> None:  # noqa: B027  # may be overridden, need not be: most cannot be lost
        """Called about once a second while outcomes are waited for.

        Raises:
            ExecutorError: the executor can no longer be reached, so that no outcome will come.
        """


def require(package: str, executor: str) -> None:
    """Check that a package is installed without importing it.

    Raises:
        InputError: it is not; the message has the line that installs it.
    """
    if find_spec(package) is None:
        raise InputError(f"executor {executor} needs the package {package}: {installing('cluster')}")


def imported(package: str, executor: str) -> ModuleType:
    """A package, which an executor needs.

    Raises:
        InputError: it does not import; the message says why.
    """
    try:
        return import_module(package)
    except Exception as error:  # whatever a broken installation raises
        told = f"{type(error).__name__}: {error}"
        raise InputError(
            f"executor {executor} needs the package {package}, which does not import ({told}): "
            f"{installing('cluster')}, with --force-reinstall"
        ) from error


def check_workers(workers: object) -> None:
    """Check a number of workers.

    Raises:
        InputError: it is no whole number of at least 1.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers is {workers!r}; it must be a whole number of at least 1")

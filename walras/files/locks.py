"""One writer at a time: a lock that dies with its process, and tells who holds it."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile

from filelock import FileLock, Timeout

from walras.errors import InputError
from walras.files.folders import sweep
from walras.files.writing import LOCK


class BusyError(InputError):
    """Another process writes there."""


@contextmanager
def one_writer(place: str | Path, wait: bool = False) -> Iterator[None]:
    """Be the only process that writes to a file or folder, until the context ends or the process dies.

    What earlier writers left unfinished is swept away first. Folders above are made, and removed again if they stay
    empty.

    Args:
        place: the file or folder; a link is followed.
        wait: until the other one is done; else a second writer is an error.

    Raises:
        BusyError: another process, which is named, writes there.
        OSError: the place cannot be written.
    """
    real = Path(os.path.realpath(place))
    made = [above for above in real.parents if not above.exists()]
    real.parent.mkdir(parents=True, exist_ok=True)
    file = lock_file(real)
    lock = FileLock(file, timeout=-1 if wait else 0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        if not file.exists():
            TemporaryFile(dir=real.parent).close()  # where nothing can be made, the error says that
        raise BusyError(f"{str(place)!r} is being written by {holder(real)}; wait for it, or choose another") from error
    try:
        file.write_text(json.dumps(_oneself()), encoding="utf-8")
        for missing in (*made, real):
            sweep(missing)
        yield
    finally:
        with suppress(OSError):
            file.unlink()  # while it is held: who waits for this file sees that it is gone, and makes a new one
        lock.release()
        for above in made:
            with suppress(OSError):
                above.rmdir()


def refuse_second(place: str | Path) -> None:
    """Find out early, with nothing created, that another process writes to a place.

    Raises:
        BusyError: it does.
    """
    real = Path(os.path.realpath(place))
    file = lock_file(real)
    if file.is_symlink() or file.is_dir():
        raise InputError(f"{str(file)!r} stands where the lock of {str(place)!r} would be; remove it")
    if not file.exists():
        return
    with suppress(OSError):  # what cannot be written is found out, and told, by who writes
        lock = FileLock(file, timeout=0, thread_local=False)
        try:
            with lock:
                file.unlink()  # of a process that died
        except Timeout as error:
            raise BusyError(
                f"{str(place)!r} is being written by {holder(real)}; wait for it, or choose another"
            ) from error


def lock_file(real: Path) -> Path:
    """The lock of a place: beside it, or in a folder whose own folder is not ours to write to."""
    if real.is_dir() and not os.access(real.parent, os.W_OK):
        return real / LOCK
    return real.with_name(f".{real.name}{LOCK}")


def holder(real: Path) -> str:
    """Who holds the lock of a place, in words."""
    try:
        told = json.loads(lock_file(real).read_text(encoding="utf-8"))
        return f"process {int(told['pid'])} on {told['host']!s:.80} since {told['since']!s:.30}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"


def _oneself() -> dict[str, str | int]:
    since = datetime.now().isoformat(" ", "seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}

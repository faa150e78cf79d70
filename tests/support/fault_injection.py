"""A file system that dies or fails at the k-th operation, for tests: what is left then.

`operations(folder, watcher)` sees every operation that changes something below a folder: whatever Python opens to
write, renames, removes, makes, and what libraries write by themselves. A death by kill -9 leaves what lies on the
disk before an operation, which `Recorder` keeps; `Failure` lets one fail as a full or broken disk would.
"""

import errno
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import pyarrow.parquet
import safetensors.torch

from walras.files import folders

Tree = dict[str, bytes | None]
"""Content of every file below a folder by its name, None for folders."""
_CREATING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_RANDOM = re.compile(r"(?<=\.)[0-9a-f]{8}(?=\.(partial|old))")


def tree(folder: Path) -> Tree:
    """What lies below a folder."""
    found: Tree = {}
    for place in sorted(folder.rglob("*")):
        found[known(place.relative_to(folder))] = None if place.is_dir() else place.read_bytes()
    return found


def known(name: Path) -> str:
    """A name without what is random in it."""
    return _RANDOM.sub("RANDOM", str(name))


def put(folder: Path, content: Tree) -> None:
    """Let nothing else lie below a folder."""
    for place in folder.iterdir():
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    for name, data in content.items():
        place = folder / name.replace("RANDOM", "0123abcd")
        if data is None:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)


class Watcher(Protocol):
    """Is told of every operation before it is done; what it raises comes of the operation."""

    def __call__(self, operation: str, place: Path) -> None:
        """`operation`: open, rename, remove, mkdir, rmdir or write (of a library)."""


@dataclass
class Recorder:
    """What lay below a folder before each operation, and with the file written by half that was opened before it."""

    folder: Path
    states: list[Tree] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)
    opened: Path | None = None  # by the last operation

    def __call__(self, operation: str, place: Path) -> None:
        now = tree(self.folder)
        self.operations.append(f"{operation} {place.name}")
        self.states.append(now)
        if self.opened is not None and self.opened.is_file():
            name, data = known(self.opened.relative_to(self.folder)), self.opened.read_bytes()
            self.states.append({**now, name: data[: len(data) // 2]})
        self.opened = place if operation in ("open", "write") else None


@dataclass
class Failure:
    """Lets the k-th operation fail, from 0; a full disk stays full until something is removed."""

    k: int
    errno: int
    seen: int = 0

    def __call__(self, operation: str, place: Path) -> None:
        failed = self.seen == self.k
        full = self.errno == errno.ENOSPC and self.seen > self.k and operation in ("open", "mkdir", "write")
        self.seen += 1
        if failed or full:
            raise OSError(self.errno, os.strerror(self.errno), str(place))


_EVENTS = {"os.rename": "rename", "os.remove": "remove", "os.mkdir": "mkdir", "os.rmdir": "rmdir"}
_watching: list[tuple[Path, Watcher]] = []


def _audited(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching or (event != "open" and event not in _EVENTS):
        return
    name, *more = arguments
    if event == "open":
        if not isinstance(more[1], int) or not more[1] & _CREATING:
            return
        _tell("open", name, -1)
    else:
        _tell(_EVENTS[event], name, more[-1] if event != "os.rename" else more[1])


def _tell(operation: str, name: Any, handle: int) -> None:
    folder, watcher = _watching[-1]
    if isinstance(name, int) or (isinstance(handle, int) and handle >= 0 and not Path("/proc/self/fd").is_dir()):
        return
    above = Path(os.readlink(f"/proc/self/fd/{handle}")) if isinstance(handle, int) and handle >= 0 else Path.cwd()
    place = above / os.fsdecode(name)
    if folder in place.parents:
        _watching.append((folder, lambda operation, place: None))  # what the watcher itself does counts for nothing
        try:
            watcher(operation, place)
        finally:
            _watching.pop()


_hooked: list[bool] = []


@contextmanager
def operations(folder: Path, watcher: Watcher) -> Iterator[None]:
    """Let a watcher be told of every operation below a folder."""
    if not _hooked:
        sys.addaudithook(_audited)  # it can never be taken away: it does nothing while nobody watches
        _hooked.append(True)

    def told(real: Callable[..., Any], at: int, *arguments: Any, **more: Any) -> Any:
        place = arguments[at]
        if isinstance(place, (str, bytes, Path)):
            _tell("write", place, -1)
        return real(*arguments, **more)

    def exchange(real: Callable[..., Any], one: bytes, other: bytes) -> Any:
        _tell("rename", one, -1)
        return real(one, other)

    real = folders._exchange()
    exchanging = None if real is None else partial(exchange, real)
    with (
        patch.object(pyarrow.parquet, "write_table", partial(told, pyarrow.parquet.write_table, 1)),
        patch.object(safetensors.torch, "save_file", partial(told, safetensors.torch.save_file, 1)),
        patch.object(folders, "_exchange", lambda: exchanging),
    ):
        _watching.append((folder.resolve(), watcher))
        try:
            yield
        finally:
            _watching.pop()

"""Files that settings name: found by what lies on the disk, and told by their content."""

import os
import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from walras.user_code import fingerprint

_ENDS = re.compile(r"\.[A-Za-z]\w*(?=$|[\s:,=+@])")  # behind the suffix of a file: FILE.py:Class, FILE.py=0.5
_STARTS = re.compile(r"(?:^|(?<=[\s:,=+@]))(?=\S)")
_LARGE = 2**20  # bytes
_OURS = ({"compare.yaml"}, {"cells"}, {"config.yaml", "trace"})  # a folder that holds all of one of these


def with_contents(text: str) -> str:
    """A text in which every file that it names is told by the hash of its content, and its suffix.

    Where a name ends, its suffix says. Where it begins, the disk says: it is the longest one that is a file, whatever
    marks are in it. So `truthful=0.5+a+b/own.py:Mine=0.5` names a+b/own.py if there is such a file, and else b/own.py.

    Raises:
        InputError: a file that cannot be read.
    """
    told, done = "", 0
    for end in (found.end() for found in _ENDS.finditer(text)):
        starts = (found.start() for found in _STARTS.finditer(text, done, end))
        begin = next((start for start in starts if os.path.isfile(text[start:end])), None)
        if begin is not None:
            told += f"{text[done:begin]}{fingerprint(text[begin:end])}{Path(text[begin:end]).suffix}"
            done = end
    return told + text[done:]


def content_of(place: str) -> str:
    """The hash of what a file or folder holds; a text that is neither, as it is.

    A file counts by its content. A folder counts by the names and sizes of the files in it and below, and the content
    of those under 1 MB; so it counts the same wherever it is copied, but a large file in it that is edited without
    getting longer or shorter goes unseen. Hidden files and folders of runs are left out.

    Raises:
        InputError: a file that cannot be read.
    """
    if os.path.isfile(place):
        return _of_file(place)
    if not os.path.isdir(place):
        return place
    found = []
    for folder, below, files in os.walk(place):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if any(marks <= {*below, *files} for marks in _OURS):
            below.clear()
            continue
        for name in sorted(files):
            file = os.path.join(folder, name)
            if not name.startswith(".") and os.path.isfile(file):
                size = os.path.getsize(file)
                told = _of_file(file) if size < _LARGE else ""
                found.append(f"{os.path.relpath(file, place)}\0{size}\0{told}\n")
    return sha256("".join(found).encode(errors="surrogateescape")).hexdigest()[:16]


def _of_file(file: str) -> str:
    state = os.stat(file)
    if state.st_size < _LARGE:
        return fingerprint(file)
    return _large(file, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _large(file: str, size: int, changed: int) -> str:
    """Of a file that takes long to read: read once as long as it is not written to."""
    del size, changed
    return fingerprint(file)

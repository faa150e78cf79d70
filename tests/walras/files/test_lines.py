"""Lines of bounded length, of text or not."""

import io
import os
from pathlib import Path

import pytest

from walras.errors import InputError
from walras.files import lines as module
from walras.files.lines import fault, lines_of, read_lines


def test_lines_as_they_are() -> None:
    content = "\ufeffone\r\ntwö\n\nlast".encode()
    file = io.BytesIO(content)
    assert list(lines_of(file)) == ["one\n", "twö\n", "\n", "last"]
    assert not file.closed
    assert next(iter(lines_of(io.BytesIO(content), newline=""))) == "one\r\n"
    assert list(lines_of(io.BytesIO(b""))) == []


def test_what_is_no_text_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 10)
    monkeypatch.setattr(module, "_PIECE", 4)
    found = list(lines_of(io.BytesIO(b"fine\nx\xff\n" + b"y" * 33 + b"\n" + b"z" * 10 + b"\n" + b"w" * 50)))
    assert [fault(line) for line in found] == ["", "is no UTF-8", *["is longer than 10 characters"] * 3]
    assert [len(line) for line in found] == [5, 3, 11, 11, 11]
    assert fault("\ud800") == "is no UTF-8"
    assert fault("tür") == ""


def test_lines_come_while_the_pipe_is_open() -> None:
    end, start = os.pipe()
    with os.fdopen(end, "rb") as file:
        found = lines_of(file)
        os.write(start, b"first\nsec")
        assert next(found) == "first\n"
        os.write(start, b"ond\n")
        assert next(found) == "second\n"
        os.close(start)
        assert list(found) == []


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("none", "No such file"), ("pipe", "no regular file"), (".", "no regular file")):
        with pytest.raises(InputError, match=message):
            list(read_lines(tmp_path / name, "queries"))

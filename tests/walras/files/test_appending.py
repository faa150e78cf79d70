"""Lines that outlive the process which wrote them."""

import os
from pathlib import Path

import pytest

from walras.files.appending import AppendedLines


def test_a_line_that_could_be_written_in_part_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full for a moment: half a line would spoil the next one, which is told to be written."""
    write = os.write
    file = AppendedLines(tmp_path / "lines")
    file.write("one\n")
    with monkeypatch.context() as patch:
        patch.setattr("walras.files.appending.os.write", lambda to, data: write(to, data[:3]))
        with pytest.raises(OSError, match="in part"):
            file.write("second\n")
    file.write("three\n")
    file.close()
    assert (tmp_path / "lines").read_text() == "one\nthree\n"

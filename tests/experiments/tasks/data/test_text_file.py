"""The user's own text: one passage a line."""

from pathlib import Path

import pytest

from walras.errors import InputError
from walras.experiments.tasks.data.text_file import read_lines


def test_passages_are_stripped_and_blank_lines_dropped(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbf first \r\n\r\n\t\nsecond, \xc3\xa9t\xc3\xa9\n")
    assert read_lines(path) == ["first", "second, été"]


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "is empty"), (b"\n\n", "is empty"), (b"\nalone\n\n", "one passage"), (b"a\n\xff\n", "line 2: not UTF-8")],
)
def test_files_without_text_to_compare_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_lines(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nowhere"):
        read_lines(tmp_path / "nowhere")

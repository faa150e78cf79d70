"""Lines and rows: what separates them, what is dropped, and the file and line in every error."""

from pathlib import Path

import pytest

from walras.errors import InputError
from walras.experiments.tasks.data.rows import json_rows, numbered_lines, tsv_rows


def write(folder: Path, data: bytes) -> Path:
    path = folder / "rows.txt"
    path.write_bytes(data)
    return path


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    text = "one\u2028still one\u0085\x0b\x0c\ntwo\r still two\n"
    lines = list(numbered_lines(write(tmp_path, text.encode())))
    assert lines == [(1, "one\u2028still one\u0085\x0b\x0c"), (2, "two\r still two")]


def test_windows_line_ends_and_byte_order_mark_are_dropped(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfa\tb\r\n1\t2\r\n")
    assert list(tsv_rows(path)) == [(2, {"a": "1", "b": "2"})]


def test_quotation_marks_are_text(tmp_path: Path) -> None:
    path = write(tmp_path, b'a\tb\n"open\tshut"\n')
    assert list(tsv_rows(path)) == [(2, {"a": '"open', "b": 'shut"'})]


def test_blank_lines_are_dropped_at_the_end_only(tmp_path: Path) -> None:
    assert list(numbered_lines(write(tmp_path, b"a\n\nb\n\n\n"))) == [(1, "a"), (2, ""), (3, "b")]


@pytest.mark.parametrize("row", [b"1", b"1\t2\t3", b""])
def test_wrong_number_of_columns_names_the_line(tmp_path: Path, row: bytes) -> None:
    path = write(tmp_path, b"a\tb\n1\t2\n" + row + b"\n3\t4\n")
    with pytest.raises(InputError, match=r"rows\.txt, line 3: [13] columns, expected 2 \(a, b\)"):
        list(tsv_rows(path))
    assert [number for number, _ in tsv_rows(path, torn=True)] == [2, 4]


@pytest.mark.parametrize(("row", "message"), [(b"{", "not JSON"), (b"[1]", "expected a JSON object, found list")])
def test_bad_json_names_the_line(tmp_path: Path, row: bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"rows\.txt, line 2: {message}"):
        list(json_rows(write(tmp_path, b'{"a": 1}\n' + row)))


def test_other_encodings_are_refused_by_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows\.txt, line 2: not UTF-8 \(byte 0xe9 at column 4\)"):
        list(numbered_lines(write(tmp_path, "fine\ncafé\n".encode("latin-1"))))


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_empty_files_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match=r"rows\.txt is empty"):
        list(numbered_lines(write(tmp_path, data)))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*absent"):
        list(numbered_lines(tmp_path / "absent"))
    with pytest.raises(InputError, match="cannot read"):
        list(numbered_lines(tmp_path))

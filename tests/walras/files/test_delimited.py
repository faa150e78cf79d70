"""Tables of text, as spreadsheets and strangers write them."""

from pathlib import Path

import pytest

from walras.errors import InputError, UnknownNameError
from walras.files.delimited import read_columns


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b'x,a,b\n1,"p, ""q""\nr",\n\n2,s,t\n'), ("t.csv", b'\xef\xbb\xbfx;a;b\r\n1;"p, ""q""\nr";\r\n2;s;t'),
        ("t.tsv", b'x\ta\tb\n1\t"p, ""q""\nr"\t\n2\ts\tt\n'), ("t.csv", b'x\ta\tb\n1\t"p, ""q""\nr"\t\n2\ts\tt\n'),
    ],
)  # fmt: skip
def test_cells(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    found = read_columns(tmp_path / name, "table", ["b", "a"], 2)
    assert found == {"b": ["", "t"], "a": ['p, "q"\nr', "s"]}
    assert read_columns(tmp_path / name, "table", ["b"], 1, first=1) == {"b": [""]}
    with pytest.raises(InputError, match="more than 1 rows"):
        read_columns(tmp_path / name, "table", ["a"], 1)


def test_a_tab_in_a_tsv_parts_cells_whatever_else_is_there(tmp_path: Path) -> None:
    (tmp_path / "t.TSV").write_text("a,b\tc\nx,y\tz\n")
    assert read_columns(tmp_path / "t.TSV", "table", ["a,b"], 9) == {"a,b": ["x,y"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"), (b"\n\n", "is empty"), (b"a,a\n1,2\n", "has 2 columns 'a'"),
        (b"a,b\n1\n", "line 2: 1 cells"),
        (b'a,b\n"1,2\n', "unexpected end of data"), (b"a,b\n1,\xff\n", "byte 0xff is not UTF-8"),
        (b"\xff\xfea\0", "UTF-8"),
        (b"a" * 2**21, "longer than 1,048,576 bytes"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_columns(tmp_path / "t.csv", "table", ["a"], 9)


def test_names_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("label,text\n1,x\n")
    with pytest.raises(UnknownNameError, match=r"'lable'. Did you mean 'label'\? Known: label, text"):
        read_columns(tmp_path / "t.csv", "table", ["lable"], 9)
    with pytest.raises(InputError, match="No such file"):
        read_columns(tmp_path / "u.csv", "table", ["a"], 9)

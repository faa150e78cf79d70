"""Files that are none, that do not end, or that are small and unfold to gigabytes, are refused at once."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from walras.errors import InputError, WalrasError
from walras.files import contents, tables
from walras.files.contents import read_bytes, read_text
from walras.files.plain_data import read_json, read_yaml
from walras.files.tables import read_table, rows_of


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_pipes_and_endless_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path(os.devnull), Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match=r"cannot read table '.*': (it is no regular file|Is a directory)"):
            read_text(place, "table")


def test_a_file_that_grows_while_it_is_read(tmp_path: Path) -> None:
    file, stop = tmp_path / "log", threading.Event()
    file.write_bytes(b"x" * 1000)

    def grow() -> None:
        with file.open("ab") as log:
            while not stop.is_set():
                log.write(b"x" * 100_000)
                log.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        while file.stat().st_size < 10**6:
            time.sleep(0.001)
        with pytest.raises(InputError, match=r"bytes"):
            read_bytes(file, "log", 10**6)
    finally:
        stop.set()
        writer.join()


def test_no_more_is_read_than_was_allowed_when_the_file_was_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of /proc tell a size of 0, and others grow after they were looked at."""
    file = tmp_path / "log"
    file.write_bytes(b"x" * 100)
    monkeypatch.setattr(contents, "_check_status", lambda *_: None)
    with pytest.raises(InputError, match="it has more than 99 bytes"):
        read_bytes(file, "log", 99)
    assert len(read_bytes(file, "log", 100)) == 100


def test_a_bit_that_flips_in_a_page_is_noticed(tmp_path: Path) -> None:
    """The numbers of a page that is not compressed are there as they are: but for its checksum it would be read."""
    values, file = np.arange(1.0, 1000.0), tmp_path / "t.parquet"
    tables.write_table(file, pa.table({"x": values}), compression="none")
    content = bytearray(file.read_bytes())
    place = content.find(values[500:510].tobytes())
    assert place > 0
    content[place] ^= 1
    file.write_bytes(bytes(content))
    assert pq.read_table(file)["x"][500].as_py() != values[500]
    with pytest.raises(InputError, match="cannot read table"):
        read_table(file, "table")


def test_line_ends_are_those_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"a\r\nb\rc\n")
    assert read_text(tmp_path / "t", "text") == "a\nb\nc\n"
    (tmp_path / "t").write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot read text"):
        read_text(tmp_path / "t", "text")


def test_a_key_is_once_in_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"a": 1, "b": {"c": 2, "c": 3}}')
    with pytest.raises(InputError, match=r"cannot read result '.*': it gives 'c' twice; give it once"):
        read_json(tmp_path / "j", "result")


def test_numbers_in_base_60_are_texts(tmp_path: Path) -> None:
    (tmp_path / "y").write_text("a: 1:30\nb: 1:2.5\nc: 12\nd: 1.5\nseed: " + ":".join(["1"] * 400_000))
    start = time.perf_counter()
    found = read_yaml(tmp_path / "y", "config file")
    assert (found["a"], found["b"], found["c"], found["d"]) == ("1:30", "1:2.5", 12, 1.5)
    assert time.perf_counter() - start < 20  # they took minutes


def test_one_text_that_stands_for_thousands_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(5000, np.int32)), pa.array(["z" * 1000]))
    plain = pa.array(["y" * 1000] * 5000)
    pq.write_table(pa.table({"id": ids, "text": plain, "n": np.arange(5000)}), tmp_path / "t.parquet")
    monkeypatch.setattr(tables, "_MOST_BYTES", 100_000)
    pieces = []
    with tables.open_table(tmp_path / "t.parquet", "queries", compact=["text"]) as file:
        for batch in file.iter_batches(tables.PIECE):
            pieces += [piece.num_rows for piece in tables._pieces(batch)]
    assert sum(pieces) == 5000
    assert max(pieces) <= 50
    rows = list(rows_of(tmp_path / "t.parquet", "queries", ["id", "text", "n"]))
    assert [row["n"] for row in rows] == list(range(5000))
    assert rows[0] == {"id": "z" * 1000, "text": "y" * 1000, "n": 0}


def test_what_pandas_noted_is_not_trusted(tmp_path: Path) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({b"pandas": b"{"})
    pq.write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", "table").to_pandas()["a"].tolist() == [1]


def test_errors_stay_short() -> None:
    told = str(InputError("recipe is " + "1, " * 10_000 + "; it must be a name"))
    assert len(told) < 2000
    assert told.startswith("recipe is 1, ")
    assert told.endswith("; it must be a name")
    assert isinstance(InputError("x"), WalrasError)

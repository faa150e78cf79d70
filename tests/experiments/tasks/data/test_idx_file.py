"""IDX files: arrays that were written by hand, and faulty ones."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from walras.errors import InputError
from walras.experiments.tasks.data import idx_file
from walras.experiments.tasks.data.idx_file import read_idx

GREY = b"\0\0\x08\x03" + struct.pack(">3I", 2, 1, 3) + bytes(range(6))
PACKED = gzip.compress(GREY, mtime=0)  # the hour of packing must not be part of a test's name


@pytest.mark.parametrize("packed", [False, True])
def test_an_array_is_read(packed: bool, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(PACKED if packed else GREY)
    found = read_idx(file, 3)
    assert found.dtype == np.uint8
    assert found.tolist() == [[[0, 1, 2]], [[3, 4, 5]]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin with two zeros"),
        (b"\x89PNG", "does not begin with two zeros"),
        (b"\0\0\x0d\x03" + GREY[4:], "has the type 0x0d; valid: 0x08"),
        (b"\0\0\x08\x01\0\0\0\0", "has 1 dimensions; it must have 3"),
        (GREY[:9], "ends within its header"),
        (GREY[:-1], "has 5 bytes behind its header, for 2 x 1 x 3"),
        (GREY + b"\0", "has 7 bytes behind its header, for 2 x 1 x 3"),
        (PACKED[:-9], "it is cut short"),
        (PACKED[:12] + b"\xff\xff\xff", "cannot read IDX file"),
    ],
)
def test_faulty_files(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_idx(file, 3)


def test_a_small_file_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx_file, "LARGEST", 1000)
    (tmp_path / "x").write_bytes(gzip.compress(bytes(5000)))
    with pytest.raises(InputError, match="unpacked it has more than 1,000 bytes"):
        read_idx(tmp_path / "x", 3)

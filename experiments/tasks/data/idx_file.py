"""Files in the IDX format of MNIST: an array of bytes behind a header, plain or packed by gzip."""

import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError
from walras.files.contents import read_bytes, reading

LARGEST = 2**31
"""Bytes of a file, and of what is packed in it."""
_BYTES = 0x08  # the code of unsigned bytes, the only type that pictures and classes come in
_GZIP = b"\x1f\x8b"


def read_idx(path: str | Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of a file.

    The header is two zeros, a byte for the type, one for the number of dimensions, and each dimension in four bytes,
    the most significant first (Y. LeCun, the MNIST database).

    Args:
        path: the file, with or without `.gz` behind its name.
        dimensions: how many the array must have: 1 for classes, 3 for grey pictures.

    Raises:
        InputError: a file that is none, is cut short, or holds something else.
    """
    what = "IDX file"
    content = read_bytes(path, what, LARGEST)
    if content[:2] == _GZIP:
        content = _unpacked(content, path, what)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise InputError(f"{str(path)!r} is no IDX file: it does not begin with two zeros")
    if content[2] != _BYTES:
        raise InputError(f"IDX file {str(path)!r} has the type {content[2]:#04x}; valid: {_BYTES:#04x}, bytes")
    if content[3] != dimensions:
        raise InputError(f"IDX file {str(path)!r} has {content[3]} dimensions; it must have {dimensions}")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise InputError(f"IDX file {str(path)!r} ends within its header")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if math.prod(shape) != len(content) - start:
        told = " x ".join(map(str, shape))
        raise InputError(f"IDX file {str(path)!r} has {len(content) - start:,} bytes behind its header, for {told}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _unpacked(content: bytes, path: str | Path, what: str) -> bytes:
    """What gzip packed; a small file that would fill the memory is refused."""
    with reading(what, path, zlib.error):
        machine = zlib.decompressobj(wbits=31)
        found = machine.decompress(content, LARGEST + 1)
    if len(found) > LARGEST:
        raise InputError(f"cannot read {what} {str(path)!r}: unpacked it has more than {LARGEST:,} bytes")
    if not machine.eof:
        raise InputError(f"cannot read {what} {str(path)!r}: it is cut short")
    return found

"""Files as strangers leave them: strategies of Hypothesis that damage what a reader takes, for fuzz tests of all rooms.

    @fuzzed
    @given(damaged_json(VALID))
    def test_a_table_is_read_or_refused(tmp_path, content):
        (tmp_path / "table.json").write_bytes(content)
        table = read_or_refused(read_table, tmp_path / "table.json")
        assert table is None or table is sound

A reader that raises anything but an `InputError`, or takes longer than `SECONDS`, fails.
"""

import json
import os
import struct
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from walras.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

EXAMPLES = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 100
SECONDS = 20
"""What one example may take: some seconds, and as much again on a busy machine."""

_SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=timedelta(seconds=SECONDS),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def fuzzed(test: Callable[..., Any]) -> Any:
    """Decorator of a fuzz test: 100 examples, in the nightly profile 2,000; the suite ends with how many were tried."""
    quiet = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # it would stand in for what failed
    return quiet(pytest.mark.tried("faulty inputs", EXAMPLES)(_SETTINGS(test)))


NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, -(2**63), 10**400, 1e300, 1e308,
    -1e308, 5e-324, float("nan"), float("inf"), -float("inf"), "", " ", "x", "1", "nan", "1e999", "a\0b", "\ud800",
    "\x1b[31m", "[/b]", "../../x", "ä€😀", "x" * 70_000,
    [], {}, [None], [[]], {"": None}, [1] * 1000,
)  # fmt: skip
"""Values of every type and of sizes that overflow, to stand where a reader expects another."""
_DEEP = 3000  # levels of nesting that a parser's stack does not hold


def read_or_refused(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """What a reader makes of its input; None where it refuses it. Any other error is the reader's fault."""
    try:
        return read(*args, **kwargs)
    except InputError as error:
        words = str(error)
    assert len(words) < 2000, "an error can be read"
    return None


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """A file as it was, or empty, cut off, with bits flipped, blocks of NULs, garbage, or parts that come twice."""
    kind = draw(st.sampled_from(("sound", "empty", "cut", "flip", "flip", "nul", "garbage", "twice", "tail")))
    if kind == "sound" or not content:
        return content
    if kind == "empty":
        return b""
    start = draw(st.integers(0, len(content) - 1))
    end = draw(st.integers(start, min(start + 512, len(content))))
    if kind == "cut":
        return content[:start]
    if kind == "flip":
        changed = bytearray(content)
        for place in (start, *draw(st.lists(st.integers(0, len(content) - 1), max_size=7))):
            changed[place] ^= 1 << draw(st.integers(0, 7))
        return bytes(changed)
    if kind == "nul":
        return content[:start] + bytes(end - start) + content[end:]
    if kind == "garbage":
        return content[:start] + draw(st.binary(min_size=1, max_size=64)) + content[end:]
    if kind == "twice":
        return content[:end] + content[start:]
    return content + draw(st.sampled_from((b"\0", b"\xff", b"\n", b"}", b"x" * 100_000, content)))


@st.composite
def changed_data(draw: st.DrawFn, data: Any, most: int = 3) -> Any:
    """Plain data (mappings, lists, values) with one to `most` places dropped, renamed, doubled or of another type."""
    for _ in range(draw(st.integers(1, most))):
        data = _changed_once(draw, data)
    return data


def _changed_once(draw: st.DrawFn, data: Any) -> Any:
    """One change, at a place that is as likely deep as high up."""
    inside = bool(data) and isinstance(data, (dict, list)) and draw(st.integers(0, 4)) > 0
    if not inside:
        return draw(st.sampled_from(NASTY))
    keys: list[Any] = list(data) if isinstance(data, dict) else list(range(len(data)))
    key = draw(st.sampled_from(keys))
    kind = draw(st.sampled_from(("inner", "inner", "inner", "inner", "drop", "more")))
    copy: Any = dict(data) if isinstance(data, dict) else list(data)
    if kind == "drop":
        del copy[key]
    elif kind == "inner":
        copy[key] = _changed_once(draw, data[key])
    elif isinstance(copy, dict):
        copy[draw(st.sampled_from(("", "x", f"{key}s", str(key).upper(), "\ud800")))] = data[key]
    else:
        copy.insert(key, draw(st.sampled_from((data[key], *NASTY))))
    return copy


@st.composite
def damaged_json(draw: st.DrawFn, data: Any) -> bytes:
    """A JSON file with other values, or damaged bytes, or nested thousands of levels deep."""
    kind = draw(st.sampled_from(("values", "values", "values", "bytes", "bytes", "deep")))
    text = dumps(data).encode()
    if kind == "values":
        return dumps(draw(changed_data(data))).encode()
    if kind == "bytes":
        return draw(damaged_bytes(text))
    start = draw(st.integers(0, len(text)))
    deep = draw(st.sampled_from((b"[" * _DEEP, b'{"a":' * _DEEP, b"[" * _DEEP + b"]" * _DEEP)))
    return text[:start] + deep + text[start:]


@st.composite
def damaged_lines(draw: st.DrawFn, records: list[Any]) -> bytes:
    """A file of JSON lines, of which one or more are changed, damaged, or missing their end."""
    lines = [dumps(record).encode() + b"\n" for record in records]
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        lines[place] = draw(damaged_json(records[place])) + draw(st.sampled_from((b"\n", b"\n", b"\n", b"\r\n", b"")))
    return b"".join(lines)


@st.composite
def damaged_arrays(draw: st.DrawFn, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Named arrays of which one is missing, renamed, of another shape or type, or holds values that are no numbers."""
    changed, name = dict(arrays), draw(st.sampled_from(sorted(arrays)))
    array = changed.pop(name)
    kind = draw(st.sampled_from(("drop", "name", "shape", "type", "value", "value")))
    if kind == "name":
        changed[f"{name}x"] = array
    elif kind == "shape":
        flat = np.atleast_1d(array)
        shapes = (array[None], array[..., None], flat.reshape(-1), flat[:0], flat[:-1], np.concatenate((flat, flat)))
        changed[name] = draw(st.sampled_from(shapes))
    elif kind == "type":
        wanted = draw(st.sampled_from(("f2", "f4", "f8", "i4", "i8", "u1", "?")))
        with np.errstate(all="ignore"):  # NaN among whole numbers
            changed[name] = array.astype(wanted)
    elif kind == "value":
        value = draw(st.sampled_from((np.nan, np.inf, -np.inf, 0.0, -1.0, 1e38)))
        changed[name] = array.copy()
        if array.dtype.kind == "f" and array.size:
            changed[name].flat[draw(st.integers(0, array.size - 1))] = value
    return changed


@st.composite
def damaged_safetensors(draw: st.DrawFn, content: bytes) -> bytes:
    """A safetensors file with damaged bytes, or with a head that says something else of the same data."""
    if draw(st.booleans()):
        return draw(damaged_bytes(content))
    (size,) = struct.unpack("<Q", content[:8])
    head = dumps(draw(changed_data(json.loads(content[8 : 8 + size])))).encode()
    told = draw(st.sampled_from((len(head), len(head), len(head), 0, 2**63, len(head) + 1)))
    return struct.pack("<Q", told) + head + content[8 + size :]


def dumps(data: Any) -> str:
    """JSON as loosely as programs write it: NaN, numbers of hundreds of digits, half characters."""
    return json.dumps(data)

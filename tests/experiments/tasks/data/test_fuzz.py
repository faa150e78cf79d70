"""Data of tasks as strangers leave them: read, or refused by file and line."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzzing import damaged_bytes, damaged_lines, fuzzed
from hypothesis import given

from walras.errors import InputError
from walras.experiments.tasks.data import rows
from walras.experiments.tasks.data.glue_files import read_glue
from walras.experiments.tasks.data.rows import json_rows, numbered_lines
from walras.experiments.tasks.data.text_file import read_lines
from walras.experiments.tasks.data.wikitext_files import read_wikitext

TSV = "sentence1\tsentence2\tscore\n" + "".join(f"A cat {i}.\tA dög {i}.\t{i}.5\n" for i in range(5))
PAIRS = [{"sentence1": f"A cat {i}.", "sentence2": "A dög.", "label": float(i)} for i in range(4)]
CLASSES = [{"sentence": f"A cat {i}.", "label": i % 2} for i in range(4)]
TEXT = "One pässage.\n\nAnother one.\n"


def place(folder: Path, name: str, content: bytes) -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return file


def named(read: Callable[..., Any], *args: Any, file: Path) -> Any:
    """What was read; a refusal names the file."""
    try:
        return read(*args)
    except InputError as error:
        message = str(error)
    assert file.name in message
    assert len(message) < 2000
    return None


@fuzzed
@given(content=damaged_bytes(TSV.encode()))
def test_tab_separated_rows(content: bytes, tmp_path: Path) -> None:
    file = place(tmp_path, "STS-B/dev.tsv", content)
    found = named(read_glue, "stsb", tmp_path, "dev", file=file)
    assert found is None or all(0 <= example.label <= 5 and isinstance(example.first, str) for example in found)


@fuzzed
@given(pairs=damaged_lines(PAIRS), classes=damaged_lines(CLASSES))
def test_json_lines(pairs: bytes, classes: bytes, tmp_path: Path) -> None:
    for task, name, content in (("stsb", "STS-B/train.jsonl", pairs), ("sst2", "SST-2/train.jsonl", classes)):
        found = named(read_glue, task, tmp_path, "train", file=place(tmp_path, name, content))
        assert found is None or all(0 <= example.label <= 5 for example in found)


@pytest.mark.nightly
@fuzzed
@given(content=damaged_bytes(TEXT.encode()))
def test_texts(content: bytes, tmp_path: Path) -> None:
    lines = named(read_lines, tmp_path / "t.txt", file=place(tmp_path, "t.txt", content))
    assert lines is None or (len(lines) > 1 and not any("\0" in line for line in lines))
    text = named(read_wikitext, "wikitext2", tmp_path, "test", file=place(tmp_path, "wikitext-2/test.txt", content))
    assert text is None or "\0" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\0c\n", r"rows\.txt, line 2: a null character at column 2"),
        (b"a\n" + b"x" * 101, r"rows\.txt, line 2: longer than 100 bytes"),
        (b"a\n\xc3", r"rows\.txt, line 2: not UTF-8 \(byte 0xc3"),
        (b"\0" * 5, r"rows\.txt, line 1: a null character at column 1"),
    ],
)
def test_lines_are_named(content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LONGEST", 100)
    with pytest.raises(InputError, match=message):
        list(numbered_lines(place(tmp_path, "rows.txt", content)))


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "/dev/null/x", "/dev/zero", "."])
def test_what_is_no_file(name: str) -> None:
    with pytest.raises(InputError, match="cannot read data file"):
        list(numbered_lines(Path(name)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
        ("[" * 3000, "not JSON"),
        ('{"a": "\\ud800"}', "not JSON"),
        ('{"a": 1', "not JSON"),
        ("3", "expected a JSON object, found int"),
    ],
)
def test_json_lines_are_named(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape("rows.txt, line 2: ") + message):
        list(json_rows(place(tmp_path, "rows.txt", f"{json.dumps({'a': 1})}\n{line}\n".encode())))


@pytest.mark.parametrize("label", [True, None, [1], {"a": 1}, 10**300, float("nan"), "x" * 9000, 1.0, "2", -1])
def test_labels_that_are_none(label: Any, tmp_path: Path) -> None:
    place(tmp_path, "SST-2/train.jsonl", f"{json.dumps({'sentence': 'a', 'label': label})}\n".encode())
    with pytest.raises(InputError, match=r"train\.jsonl, line 1: label .{1,70} is no class") as error:
        read_glue("sst2", tmp_path, "train")
    assert len(str(error.value)) < 300

"""Examples of a GLUE task, from a folder of files or from the Hugging Face hub.

A folder in the official layout holds `CoLA/train.tsv`, `STS-B/dev.tsv`, `MNLI/dev_matched.tsv` and so on; the
other layout holds `train.jsonl`, `validation.jsonl` in the same folders, one JSON object a line with the
fields of the hub.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from walras.errors import InputError, UnknownNameError
from walras.escaping import one_line, shown
from walras.experiments.tasks.data.glue_hub import hub_rows
from walras.experiments.tasks.data.glue_table import GLUE, SPLITS, Columns, GlueTask
from walras.experiments.tasks.data.rows import Example, Row, json_rows, tsv_rows

SUFFIXES = (".tsv", ".jsonl")  # in the order in which they are looked for


def glue_task(name: str) -> GlueTask:
    """The table's row for a name in any usual spelling: stsb, STS-B, sts_b.

    Raises:
        UnknownNameError: no such task.
    """
    found = [task for key, task in GLUE.items() if plain(key) == plain(name)]
    if not found:
        raise UnknownNameError("GLUE task", name, GLUE)
    return found[0]


def read_glue(task: str, data: str | Path | None, split: str) -> list[Example]:
    """All labelled examples of a split, in the order of the file.

    Args:
        task: name of the task, e.g. "stsb"; "mnli" has the matched, "mnli-mm" the mismatched dev set.
        data: folder with the task's folder in it (or that folder itself); None asks the hub.
        split: "train" or "dev".

    Raises:
        InputError: files that are missing, empty or not UTF-8; a malformed row, by file and line.
        UnknownNameError: an unknown task or split.
    """
    row = glue_task(task)
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    if data is None:
        where = f"nyu-mll/glue, {row.hub}, {split}"
        return examples(hub_rows(row, split), row, row.fields, where, "row")
    path = split_file(row, Path(data), split)
    if path.suffix == ".jsonl":
        return examples(json_rows(path), row, row.fields, str(path), "line")
    return examples(tsv_rows(path, row.header, row.torn), row, row.tsv, str(path), "line")


def plain(name: str) -> str:
    """The name without case, "-" and "_"."""
    return name.lower().replace("-", "").replace("_", "")


def split_file(task: GlueTask, data: Path, split: str) -> Path:
    """The file of a split below `data`.

    Raises:
        InputError: no such folder, or none of the files in it; all that was looked for is named.
    """
    wanted = [stem + suffix for suffix in SUFFIXES for stem in task.stems(split)]
    file = f"{task.folder}/{wanted[0]}"
    if not data.is_dir():
        raise InputError(f"{data} is not a folder; expected a folder with {file}")
    folders = [f for f in sorted(data.iterdir()) if f.is_dir() and plain(f.name) == plain(task.folder)]
    if plain(data.resolve().name) == plain(task.folder):
        folders.append(data)
    if not folders:
        raise InputError(f"data folder {data} holds no folder {task.folder}; expected {file}")
    for path in (folder / name for folder in folders for name in wanted):
        if path.is_file():
            return path
    raise InputError(f"{folders[0]} holds no {split} split; looked for {', '.join(wanted)}")


def examples(rows: Iterable[tuple[int, Row]], task: GlueTask, columns: Columns, where: str, unit: str) -> list[Example]:
    """The rows with their texts and labels checked; errors name `where` and the row's number."""
    found = list(checked(rows, task, columns, where, unit))
    if not found:
        raise InputError(f"{where} holds no rows")
    return found


def checked(
    rows: Iterable[tuple[int, Row]], task: GlueTask, columns: Columns, where: str, unit: str
) -> Iterator[Example]:
    """One example a row."""
    for number, row in rows:
        place = f"{where}, {unit} {number}"
        missing = [name for name in columns.names if name not in row]
        if missing:
            raise InputError(f"{place}: no field {missing[0]!r}; it has {one_line(', '.join(row), 300) or 'none'}")
        first = text(row[columns.first], columns.first, place)
        second = None if columns.second is None else text(row[columns.second], columns.second, place)
        yield Example(first, second, label(row[columns.label], task, place))


def text(value: object, name: str, place: str) -> str:
    """The cell, which must be a string."""
    if not isinstance(value, str):
        raise InputError(f"{place}: {name} is {shown(value)}, expected a text")
    return value


def label(value: object, task: GlueTask, place: str) -> float | int:
    """A score as a float, or a class (by name or by index) as its index."""
    if task.classes:
        valid = {name: index for index, name in enumerate(task.classes)}
        valid |= {str(index): index for index in range(len(task.classes))}
        if not isinstance(value, (str, int)) or isinstance(value, bool) or str(value) not in valid:
            names = ", ".join(f"{i} ({name})" for i, name in enumerate(task.classes))
            raise InputError(f"{place}: label {shown(value)} is no class; expected one of {names}")
        return valid[str(value)]
    low, high = task.scores
    try:
        score = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        score = math.nan
    if not low <= score <= high:
        raise InputError(f"{place}: label {shown(value)} is not a number from {low:g} to {high:g}")
    return score

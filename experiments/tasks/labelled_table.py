"""Labelled data of the user's own in a CSV or TSV file: sentences or pairs, with classes or numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from walras.errors import InputError, UnknownNameError
from walras.escaping import shown
from walras.experiments.tasks.base import Task
from walras.experiments.tasks.classification import Classification
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.data.splits import check_share, drawn
from walras.experiments.tasks.regression import Regression
from walras.experiments.tasks.similarity import BEST, Similarity
from walras.files.delimited import read_columns

MOST_ROWS = 1_000_000
"""Rows of a table: all are kept in memory."""
KINDS = ("classes", "numbers", "similarity")
_FEW = 20  # different whole numbers up to which they are taken for classes
_MOST_CLASSES = 1000
_LEAST = 4  # rows: two to calibrate, two to evaluate
_SPLITS = {
    **dict.fromkeys(("train", "training", "calibration", "calibrate"), True),
    **dict.fromkeys(("dev", "valid", "validation", "test", "eval", "evaluation", "evaluate"), False),
}
"""Words in a column of splits, and whether they mean the rows on which units are valued."""

Mask = NDArray[np.bool_]


def csv(
    data: str | None = None,
    text: tuple[str, ...] = (),
    label: str = "",
    kind: str = "",
    classes: tuple[str, ...] = (),
    split: str = "",
    share: float = 0.2,
    seed: int = 0,
    rows: int | None = None,
) -> Task:
    """Labelled texts of your own in a CSV or TSV file: csv:text=question/answer,label=y.

    Words are classes, and so are whole numbers of at most 20 different values; other numbers are numbers, of which a
    network with one output is judged, or of pairs the cosine of two embeddings. `kind` says otherwise.

    Args:
        data: the file; its first row names the columns.
        text: one or two columns with texts.
        label: the column with the label.
        kind: classes, numbers (a head with one output) or similarity (pairs; no head).
        classes: names of the classes in the order of the model's head, where its own names are others.
        split: a column that says train or test, row by row; without one rows are drawn.
        share: of the rows that evaluate, where they are drawn.
        seed: of the draw.
        rows: read the first so many rows only.

    Raises:
        InputError, UnknownNameError: a file or columns that cannot be used, naming what is wrong in them.
    """
    if data is None:
        raise InputError("task csv needs a file: --data FILE.csv")
    if len(text) not in (1, 2) or not label:
        raise InputError(
            "task csv needs the names of one or two columns with texts, and of the label: --text question,answer "
            "--label y, or csv:text=question/answer,label=y"
        )
    if kind and kind not in KINDS:
        raise UnknownNameError("kind of labels", kind, KINDS)
    check_share(share)
    if rows is not None and rows < _LEAST:
        raise InputError(f"rows is {rows}; it must be a whole number of at least {_LEAST}")
    wanted = [*text, label, *([split] if split else [])]
    if len(set(wanted)) < len(wanted):
        raise InputError(f"task csv names a column twice: {', '.join(wanted)}")
    table = _whole_rows(pd.DataFrame(read_columns(data, "table", wanted, MOST_ROWS, rows), dtype=str), wanted, data)
    calibrating = _by_column(table[split], data) if split else drawn(table[label].tolist(), share, seed)
    return _Labels(table[label].tolist(), label, data).task(table, text, kind, classes, calibrating)


def _whole_rows(table: pd.DataFrame, columns: Sequence[str], data: str) -> pd.DataFrame:
    """Rows without an empty cell, cells stripped.

    Raises:
        InputError: too few of them.
    """
    table = table.apply(lambda column: column.str.strip())
    found = table[(table != "").all(axis=1)].reset_index(drop=True)
    if len(found) < _LEAST:
        empty = f" ({len(table) - len(found)} others have an empty cell)" if len(found) < len(table) else ""
        raise InputError(
            f"{data} has {len(found)} rows with {', '.join(columns)}{empty}; it needs at least {_LEAST}: two to "
            "calibrate and two to evaluate"
        )
    return found


def _by_column(column: "pd.Series[str]", data: str) -> Mask:
    """Which rows calibrate [rows], by the words of a column.

    Raises:
        InputError: another word; fewer than two rows on one side.
    """
    words = column.str.lower()
    for word in words.unique():
        if word not in _SPLITS:
            raise InputError(f"column {column.name} of {data} says {shown(word)}; it must say train, or dev or test")
    found = words.map(_SPLITS).to_numpy(dtype=bool)
    if min(found.sum(), (~found).sum()) < 2:
        raise InputError(
            f"column {column.name} of {data} leaves {found.sum()} rows to calibrate and {(~found).sum()} to evaluate; "
            "each takes two at least"
        )
    return found


@final
@dataclass(frozen=True)
class _Labels:
    """The cells of the column of labels, and what they may be."""

    cells: Sequence[str]
    name: str
    data: str

    def task(
        self, table: pd.DataFrame, text: Sequence[str], kind: str, classes: Sequence[str],
        calibrating: Mask,
    ) -> Task:  # fmt: skip
        """The task that the labels make.

        Raises:
            InputError: labels that are all alike, or not of the kind that is asked for.
        """
        if len(set(self.cells)) < 2:
            raise InputError(f"all labels in column {self.name} of {self.data} are {shown(self.cells[0])}")
        pairs = len(text) == 2
        kind = kind or self._kind(pairs)
        if kind == "similarity" and not pairs:
            raise InputError("kind is similarity, which is of pairs; give two columns: --text a,b")
        if classes and kind != "classes":
            raise InputError(f"classes are {', '.join(classes)}, and column {self.name} holds {kind}; say kind=classes")
        names = self._classes(classes) if kind == "classes" else ()
        label: Callable[[str], float | int] = names.index if names else self._scale(kind == "similarity")
        first, second = table[text[0]], table[text[1]] if pairs else [None] * len(table)
        rows = [Example(a, b, label(c)) for a, b, c in zip(first, second, self.cells, strict=True)]
        train = [row for row, own in zip(rows, calibrating, strict=True) if own]
        dev = [row for row, own in zip(rows, calibrating, strict=True) if not own]
        if len({row.label for row in dev}) < 2:
            raise InputError(
                f"all labels of the {len(dev)} rows of {self.data} that evaluate are alike; give another share or seed"
            )
        if kind == "similarity":
            return Similarity("csv", train, dev)
        if kind == "numbers":
            return Regression("csv", train, dev)
        others = ("f1", "matthews") if len(names) == 2 else ()
        return Classification("csv", "accuracy", names, train, dev, others, in_order=bool(classes) or self._whole())

    def _kind(self, pairs: bool) -> str:
        if not self._numbers() or (self._whole() and len(set(self.cells)) <= _FEW):
            return "classes"
        return "similarity" if pairs else "numbers"

    def _numbers(self) -> bool:
        return all(_number(cell) is not None for cell in set(self.cells))

    def _whole(self) -> bool:
        return all(cell.lstrip("+-").isdecimal() for cell in set(self.cells))

    def _classes(self, given: Sequence[str]) -> list[str]:
        """Names of the classes: as given, or else whole numbers by size and words by the alphabet.

        Raises:
            InputError: too many, or one that is not among those given.
        """
        found = sorted(set(self.cells), key=int if self._whole() else str)
        if given and (missing := [name for name in found if name not in given]):
            raise InputError(
                f"column {self.name} of {self.data} has {shown(missing[0])}; classes are {', '.join(given)}"
            )
        if len(found) > _MOST_CLASSES:
            raise InputError(
                f"column {self.name} of {self.data} has {len(found):,} different labels; classes are at most "
                f"{_MOST_CLASSES:,}: is it the right column?"
            )
        return list(given) or found

    def _scale(self, best: bool) -> Callable[[str], float]:
        """A cell as its number; of a similarity from 0 to the best score.

        Raises:
            InputError: a cell that is no number.
        """
        for row, cell in enumerate(self.cells, start=1):
            if _number(cell) is None:
                raise InputError(
                    f"column {self.name} of {self.data} has {shown(cell)} in row {row} of those without an empty "
                    "cell; it is no number"
                )
        values = [float(cell) for cell in self.cells]
        low, wide = min(values), max(values) - min(values)
        return (lambda cell: BEST * (float(cell) - low) / wide) if best else float


def _number(cell: str) -> float | None:
    try:
        found = float(cell)
    except ValueError:
        return None
    return found if isfinite(found) else None

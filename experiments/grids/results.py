"""What a cell came to, checked: a result that holds something else counts as a cell that has not been run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import pyarrow as pa

from walras.experiments.grids.cell import Cell, S
from walras.experiments.grids.experiment import Experiment
from walras.experiments.grids.table import FIGURES, NEEDED
from walras.experiments.store.grid_folder import GridFolder

_TEXTS, _OPTIONAL = ("task", "model"), {"length": int, "higher_is_better": bool}


@final
@dataclass(frozen=True)
class Finished:
    """A cell's result with all that is read of it in its place, and its row without labels and seed."""

    result: Mapping[str, Any]
    row: Mapping[str, Any]


def finished_cell(experiment: Experiment[S], folder: GridFolder, cell: Cell[S]) -> Finished | None:
    """What a cell came to; None where it has not run, or its result is damaged."""
    found = _read(experiment, folder, cell)
    return found if isinstance(found, Finished) else None


def fault(experiment: Experiment[S], folder: GridFolder, cell: Cell[S]) -> str:
    """What is wrong with the result of a cell; "" where there is none, or nothing is wrong."""
    found = _read(experiment, folder, cell)
    return found if isinstance(found, str) else ""


def damage(experiment: Experiment[S], folder: GridFolder, cell: Cell[S]) -> str:
    """Which file of a cell is damaged, and what is done about it; "" where all is well."""
    told = folder.damage(cell)
    wrong = "" if told else fault(experiment, folder, cell)
    if not wrong:
        return told
    return f"{folder.place(cell).relative_to(folder.path)}/result.json is damaged ({wrong}): {cell} runs again"


def _read(experiment: Experiment[S], folder: GridFolder, cell: Cell[S]) -> Finished | str | None:
    """A sound result, what is wrong with it, or None where there is none."""
    result = folder.result(cell)
    if result is None:
        return None
    try:
        _check_result(result)
        row = experiment.row(cell, result, {})
        _check_row(row)
    except KeyError as error:
        return f"there is no {error}"
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        return " ".join(str(error).split())
    return Finished(result, row)


def _check_result(result: Mapping[str, Any]) -> None:
    """Check what is read of every result.

    Raises:
        KeyError, TypeError: something is missing, or of another type.
    """
    metric = result["metric"]
    if not isinstance(metric, Mapping) or not isinstance(metric["name"], str):
        raise TypeError(f"metric is {metric!r}")
    for name, value in (("value of the metric", metric["value"]), ("seconds", result["seconds"])):
        _check(name, value, pa.float64())
    for name in _TEXTS:
        if not isinstance(result.get(name, ""), str):
            raise TypeError(f"{name} is {result[name]!r}")
    for name, kind in _OPTIONAL.items():
        value = {**metric, **result}.get(name)
        if value is not None and type(value) is not kind:
            raise TypeError(f"{name} is {value!r}")


def _check_row(row: Mapping[str, Any]) -> None:
    """Check a row: columns that all experiments have are of their type, and others no lists.

    Raises:
        TypeError: as said.
    """
    kinds = dict(FIGURES)
    for name, value in row.items():
        if name in NEEDED or (name in kinds and value is not None):
            _check(name, value, kinds[name])
        elif isinstance(value, (list, tuple)):
            raise TypeError(f"{name} is {value!r}")


def _check(name: str, value: Any, kind: pa.DataType) -> None:
    types = {pa.string(): str, pa.int64(): int}.get(kind, (int, float))
    if (
        not isinstance(value, types)
        or isinstance(value, bool)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise TypeError(f"{name} is {value!r}")

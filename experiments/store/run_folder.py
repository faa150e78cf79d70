"""The folder of a run: its layout, and what its tensors and tables say."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import safetensors.numpy
import safetensors.torch
from numpy.typing import NDArray
from torch import Tensor

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.store.result_folder import FILES, PARTS, Layout
from walras.files import tables, tensors
from walras.files.contents import hash_of, hash_of_all
from walras.files.plain_data import parse_json, read_json
from walras.files.record import Record
from walras.files.writing import whole_file, write_whole
from walras.market import rounds_table
from walras.market.phases.levels import trades_table

ROUNDS, TRADES = rounds_table.NAME, trades_table.NAME
NETWORK = "network"
"""In `result.json`: the fingerprint of the dense network."""
LARGEST_RESULT = 2**23
"""Bytes of a `result.json`: ours have a few thousand, with many rows some hundred thousand."""
RUN = Layout(
    "run",
    (
        "config.yaml",
        "result.json",
        ROUNDS,
        TRADES,
        "allocation.safetensors",
        "weights.safetensors",
        "report.html",
        "trace",
        "price.png",
        "allocation.png",
        "bids.png",
        "lorenz.png",
        "frontier.png",
        "trades.png",
    ),
    {"trace": re.compile(r"part-\d{5,}\.(parquet|partial)")},
)
ALLOCATION, WEIGHTS = "allocation.safetensors", "weights.safetensors"


def write_table(file: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet, whole or not at all."""
    with whole_file(file) as draft:
        tables.write_table(draft, pa.Table.from_pandas(table, preserve_index=False))


def write_allocation(
    folder: Path, columns: Mapping[str, NDArray[Any]], block: int, kinds: Sequence[str] = ("head", "ffn")
) -> None:
    """Write gates [n] and which unit each belongs to; its kind by its place in `kinds`, which stand in the file."""
    # One entry alone: safetensors writes several in any order, and the same run gives the same bytes.
    told = {"units": json.dumps({"block": block, "kinds": [*kinds]})}
    arrays = {name: np.ascontiguousarray(values) for name, values in columns.items()}
    write_whole(folder / ALLOCATION, safetensors.numpy.save(arrays, metadata=told))


def write_weights(folder: Path, repaired: Mapping[str, Tensor]) -> None:
    """Write the tensors of the smaller model that were repaired; nothing where none were."""
    if repaired:
        with whole_file(folder / WEIGHTS) as draft:
            safetensors.torch.save_file(dict(repaired), draft)


def read_result(path: str | Path) -> dict[str, Any]:
    """The result of a finished run.

    Raises:
        InputError: no run there, or one that has not finished.
    """
    file = Path(path) / "result.json"
    if not file.is_file():
        unfinished = " has not finished" if (Path(path) / "config.yaml").is_file() else " holds no run"
        raise InputError(f"{str(path)!r}{unfinished}: there is no result.json")
    found = read_json(file, "result", LARGEST_RESULT)
    return dict(Record(found, f"{str(path)!r} is no run of walras: its result.json").content)


def check_hashes(path: str | Path, result: Mapping[str, Any]) -> None:
    """Refuse a run whose files are not those that its result was written with; earlier versions kept no hashes.

    Raises:
        InputError: a file that is missing or was changed.
    """
    told = Record(result, f"result of run {str(path)!r}")
    if FILES not in told:
        return
    hashes = told.record(FILES)
    for name in sorted({*hashes, ALLOCATION, WEIGHTS, TRADES}):
        file = Path(path) / name
        if name not in RUN.parts:
            raise InputError(f"result of run {str(path)!r} tells of a file that no run has: {shown(name)}")
        now = None if name not in hashes else hash_of_all(file, PARTS) if name in RUN.inside else hash_of(file)
        if now is not None and now != hashes.text(name):
            raise InputError(f"{str(file)!r} was changed after the run: result.json has another hash of it")
        if name not in hashes and file.exists():
            raise InputError(f"{str(file)!r} was not written by the run: result.json has no hash of it")


def is_finished(path: str | Path) -> bool:
    """Whether a run has finished; of one that has, result and files are checked first.

    Raises:
        InputError: a result that cannot be read, or files that are not those that it was written with.
    """
    if not (Path(path) / "result.json").is_file():
        return False
    check_hashes(path, read_result(path))
    return True


def read_allocation(path: str | Path) -> dict[str, NDArray[Any]]:
    """Gates [n] of a run and the kind (its place among the kinds of the run), layer and index of each unit.

    Raises:
        InputError: no sound file.
    """
    file = Path(path) / ALLOCATION
    found = tensors.read_arrays(file, "allocation")
    where = f"allocation {str(file)!r}"
    tensors.column(found, "gate", "f", where)
    tensors.check_finite(found, where)
    return found


def read_units(path: str | Path) -> tuple[int, list[str]]:
    """FFN neurons per unit, and the kinds of units in a run's allocation; as earlier versions wrote them, too.

    Raises:
        InputError: the file is missing, or no allocation of a run.
    """
    file = Path(path) / ALLOCATION
    where, metadata = f"allocation {str(file)!r}", tensors.read_metadata(file, "allocation")
    try:
        told: dict[str, Any] = (
            parse_json(metadata["units"])
            if "units" in metadata
            else {"block": int(metadata["block"]), "kinds": ["head", "ffn"]}
        )
    except (ValueError, KeyError) as error:
        raise InputError(f"{where} tells no units: {error!r}; it is no allocation of a run") from error
    record = Record(told, where)
    return record.whole("block", 1), [*record.texts("kinds")]

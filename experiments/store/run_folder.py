"""The folder of a run. Each piece is written whole; `result.json` comes last, and its presence means finished."""

import json
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
import safetensors.torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from torch import Tensor

from walras.errors import InputError
from walras.experiments.store.place import try_place
from walras.files.plain_data import read_json
from walras.files.record import Record
from walras.files.writing import whole_file, write_whole

PARTS = (
    "config.yaml",
    "result.json",
    "rounds.parquet",
    "allocation.safetensors",
    "weights.safetensors",
    "report.html",
    "trace",
    "price.png",
    "allocation.png",
    "bids.png",
    "lorenz.png",
    "frontier.png",
)
_PART = re.compile(r"part-\d{5,}\.(parquet|partial)")  # of the trace


def check_place(path: str | Path) -> None:
    """Refuse what cannot become a folder that is written to.

    Raises:
        InputError: a file, a name that is no name of a folder or too long for one, or a place in which the user may not
            write, or cannot.
    """
    place = Path(path)
    try:
        if place.exists() and not place.is_dir():
            raise InputError(f"--out {str(path)!r} is a file; it must be a folder")
        above = next(p for p in (place, *place.absolute().parents) if p.exists())
        if not (above.is_dir() and os.access(above, os.W_OK)):
            raise InputError(
                f"--out {str(path)!r} cannot be written: {str(above)!r} is no folder that you may write to"
            )
        try_place(place.absolute(), above)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        why = getattr(error, "strerror", None) or error
        raise InputError(f"--out {_short(path)} cannot be written: {why}; choose another folder") from error


def _short(path: str | Path) -> str:
    text = str(path)
    return repr(text if len(text) <= 80 else f"{text[:60]}...")


def names_in(path: str | Path, parts: Collection[str], otherwise: str) -> list[str]:
    """What lies in a folder that is to be written, sorted; nothing where there is no folder yet.

    Args:
        path: the folder.
        parts: names that may be there; a killed process may have left unfinished files as well.
        otherwise: what is told of any other name.

    Raises:
        InputError: a place that cannot be written, or another name.
    """
    check_place(path)
    present = sorted(p.name for p in Path(path).iterdir()) if Path(path).is_dir() else []
    foreign = [n for n in present if n not in parts and not (n.startswith(".") and n.endswith(".partial"))]
    refuse_foreign(path, foreign, otherwise)
    return present


def refuse_foreign(path: str | Path, foreign: Sequence[str], otherwise: str) -> None:
    """Raise InputError where a folder holds something else."""
    if foreign:
        raise InputError(f"--out {str(path)!r} holds {foreign[0]!r}, {otherwise}")


def check_same(path: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on in a folder with other settings than it was begun with; both by the names of their fields.

    Raises:
        InputError: the first setting that differs.
    """
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            raise InputError(
                f"--out {str(path)!r} was begun with {name} = {then.get(name)!r}, now it is {now.get(name)!r}; resume "
                "with the same settings, or use --overwrite"
            )


def write_table(file: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet, whole or not at all."""
    with whole_file(file) as partial:
        table.to_parquet(partial, index=False)


def write_allocation(
    folder: Path, columns: Mapping[str, NDArray[Any]], block: int, kinds: Sequence[str] = ("head", "ffn")
) -> None:
    """Write gates [n] and which unit each belongs to; its kind by its place in `kinds`, which stand in the file."""
    with whole_file(folder / "allocation.safetensors") as partial:
        # One entry alone: safetensors writes several in any order, and the same run gives the same bytes.
        told = {"units": json.dumps({"block": block, "kinds": [*kinds]})}
        save_file({k: np.ascontiguousarray(v) for k, v in columns.items()}, partial, metadata=told)


@final
class RunFolder:
    """Where a run is kept. Nothing is created, and nothing old removed, before the first round is done.

    Raises:
        InputError: the folder holds another run and `overwrite` is off, or holds something that is no run.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = Path(path)
        self._begun = False
        otherwise = "which is no part of a run; choose another folder"
        present = names_in(path, PARTS, otherwise)
        traced = sorted(p.name for p in self.trace.iterdir()) if self.trace.is_dir() else []
        refuse_foreign(path, [f"trace/{n}" for n in traced if not _PART.fullmatch(n)], otherwise)
        if present and not overwrite:
            raise InputError(f"--out {str(path)!r} holds another run; use --overwrite to replace it")

    @property
    def trace(self) -> Path:
        """Where the trace's parts go."""
        return self.path / "trace"

    def begin(self, config: str) -> None:
        """Remove what an earlier run left, and write the settings. A second call does nothing."""
        if self._begun:
            return
        self._begun = True
        for place in self.path.iterdir() if self.path.is_dir() else ():
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink()
        self.write("config.yaml", config)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        write_whole(self.path / name, content)

    def write_rounds(self, rounds: pd.DataFrame) -> None:
        """Write the table of rounds."""
        write_table(self.path / "rounds.parquet", rounds)

    def write_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Write the tensors of the smaller model that were repaired; nothing where none were."""
        if tensors:
            with whole_file(self.path / "weights.safetensors") as partial:
                safetensors.torch.save_file(dict(tensors), partial)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the result; the run is finished."""
        self.write("result.json", json.dumps(result, indent=2) + "\n")


def read_result(path: str | Path) -> dict[str, Any]:
    """The result of a finished run.

    Raises:
        InputError: no run there, or one that has not finished.
    """
    file = Path(path) / "result.json"
    if not file.is_file():
        unfinished = " has not finished" if (Path(path) / "config.yaml").is_file() else " holds no run"
        raise InputError(f"{str(path)!r}{unfinished}: there is no result.json")
    found = read_json(file, "result")
    return dict(Record(found, f"{str(path)!r} is no run of walras: its result.json").content)


def read_allocation(path: str | Path) -> dict[str, NDArray[Any]]:
    """Gates [n] of a run and the kind (its place among the kinds of the run), layer and index of each unit."""
    found: dict[str, NDArray[Any]] = load_file(Path(path) / "allocation.safetensors")
    return found


def read_units(path: str | Path) -> tuple[int, list[str]]:
    """FFN neurons per unit, and the kinds of units in a run's allocation; as earlier versions wrote them, too.

    Raises:
        OSError, SafetensorError, KeyError, ValueError: the file is missing, or no allocation of a run.
    """
    with safe_open(Path(path) / "allocation.safetensors", "np") as opened:
        metadata = opened.metadata() or {}
    if "units" not in metadata:
        return int(metadata["block"]), ["head", "ffn"]
    told = json.loads(metadata["units"])
    return int(told["block"]), [str(kind) for kind in told["kinds"]]

"""A measured table of sub-layer times, as it is kept in a file, and the place where files are kept."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import final

import numpy as np

from walras.errors import InputError
from walras.files.plain_data import read_json, write_json
from walras.files.record import Record, whole
from walras.files.writing import write_whole
from walras.models.resources.resource import Column

FORMAT = 2
_LARGEST = 2**24  # bytes of a table
_LONGEST = 1e12  # milliseconds: some thirty years


@final
@dataclass(frozen=True)
class Setting:
    """What a time depends on besides the network's shape."""

    device: str  # as its maker calls it
    dtype: str
    batch: int
    length: int
    threads: int
    torch: str

    def __str__(self) -> str:
        return f"{self.device}, {self.dtype}, batch {self.batch}, length {self.length}, {self.threads} thread(s)"


@final
@dataclass(frozen=True)
class Curve:
    """Milliseconds that one sub-layer of a shape adds to the empty network, at features of its output projection kept.

    Starts at 0 features and 0 ms, and never falls.
    """

    features: tuple[int, ...]
    ms: tuple[float, ...]

    def __post_init__(self) -> None:
        grid, times = np.array(self.features, dtype=float), np.array(self.ms, dtype=float)
        sound = len(grid) == len(times) > 1 and grid[0] == times[0] == 0 and np.isfinite(times).all()
        if not (sound and (np.diff(grid) > 0).all() and (np.diff(times) >= 0).all()):
            raise InputError(f"a curve must rise from 0: features {_some(self.features)}, ms {_some(self.ms)}")

    def at(self, features: Column) -> Column:
        """Milliseconds at any numbers of features up to the last, linear between those measured."""
        found: Column = np.interp(features, self.features, self.ms)
        return found


def _some(values: Sequence[float]) -> str:
    return f"({', '.join(map(str, values[:9]))}{', ...' if len(values) > 9 else ''})"


@final
@dataclass(frozen=True)
class LatencyTable:
    """Times of one network's sub-layers by shape, and of the whole network with all units and with none."""

    setting: Setting
    network: str  # hash of its shapes
    dense_ms: float
    empty_ms: float
    curves: Mapping[str, Curve] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its file in the cache: by all that the times depend on."""
        return file_name(self.setting, self.network)

    def write(self, path: Path) -> None:
        """Write the table whole or not at all."""
        write_whole(path, write_json({"format": FORMAT, **asdict(self)}, indent=1))


def file_name(setting: Setting, network: str) -> str:
    """Name of the file of a table."""
    key = json.dumps([FORMAT, asdict(setting), network])
    return f"latency-{hashlib.sha256(key.encode()).hexdigest()[:20]}.json"


def cache_folder() -> Path:
    """Where tables are kept: `$WALRAS_CACHE`, or `walras` in the user's cache folder."""
    given = os.environ.get("WALRAS_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "walras"


def check_cache(folder: Path) -> None:
    """Find out, by a real trial, whether tables can be kept in a folder; it is made where there is none.

    Raises:
        InputError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"the cache {str(folder)!r} cannot be written: {why}; set WALRAS_CACHE to a folder") from error


def read_table(path: str | Path) -> LatencyTable:
    """A table from its file.

    Raises:
        InputError: no such file, or no sound table in it.
    """
    found = Record(read_json(path, "latency table", _LARGEST), f"latency table {str(path)!r}")
    version = found.whole("format")
    if version != FORMAT:
        raise InputError(f"{found.where} has format {version}; this version reads {FORMAT}")
    told = found.record("setting")
    setting = Setting(
        told.text("device"), told.text("dtype"), told.whole("batch", 1), told.whole("length", 1),
        told.whole("threads", 1), told.text("torch"),
    )  # fmt: skip
    curves = found.record("curves")
    empty = found.number("empty_ms", 0, _LONGEST)
    table = LatencyTable(
        setting, found.text("network"), found.number("dense_ms", 0, _LONGEST), empty,
        {shape: _curve(curves.record(shape)) for shape in curves},
    )  # fmt: skip
    if not 0 < table.empty_ms < table.dense_ms:
        raise InputError(f"{found.where} is not sound: dense {table.dense_ms} ms, empty {table.empty_ms} ms")
    return table


def _curve(found: Record) -> Curve:
    features = found.items("features")
    for value in features:
        whole(value, f"{found.where}: features")
    try:
        return Curve(tuple(features), found.numbers("ms", 0, _LONGEST))
    except InputError as error:
        raise InputError(f"{found.where}: {error}") from error

"""A measured table of sub-layer times, as it is kept in a file, and the place where files are kept."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, final

import numpy as np

from walras.errors import InputError
from walras.models.resources.resource import Column

FORMAT = 2


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
            raise InputError(f"a curve must rise from 0: features {self.features}, ms {self.ms}")

    def at(self, features: Column) -> Column:
        """Milliseconds at any numbers of features up to the last, linear between those measured."""
        found: Column = np.interp(features, self.features, self.ms)
        return found


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
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        content = {"format": FORMAT, **asdict(self)}
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, path)


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


def read_table(path: str | Path) -> LatencyTable:
    """A table from its file.

    Raises:
        InputError: no such file, or no sound table in it.
    """
    try:
        found: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        if found.get("format") != FORMAT:
            raise InputError(
                f"latency table {str(path)!r} has format {found.get('format')}; this version reads {FORMAT}"
            )
        setting = Setting(**{f.name: f.type(found["setting"][f.name]) for f in fields(Setting)})  # type: ignore[operator]
        curves = {str(key): Curve(tuple(c["features"]), tuple(c["ms"])) for key, c in found["curves"].items()}
        table = LatencyTable(setting, str(found["network"]), float(found["dense_ms"]), float(found["empty_ms"]), curves)
    except OSError as error:
        raise InputError(f"cannot read latency table {str(path)!r}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{str(path)!r} holds no sound latency table: {type(error).__name__}: {error}") from error
    if not 0 < table.empty_ms < table.dense_ms < np.inf:
        raise InputError(
            f"{str(path)!r} holds no sound latency table: dense {table.dense_ms} ms, empty {table.empty_ms} ms"
        )
    return table

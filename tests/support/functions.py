"""An experiment whose cells are values of a known function, so that designs are tested in no time."""

import json
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from walras.errors import InputError
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.experiment import Experiment
from walras.experiments.store.grid_folder import GridFolder


@dataclass(frozen=True)
class Point:
    """Settings: three numbers, a whole one, and the function's name."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    rounds: int = 0
    rule: str = "ishigami"
    seed: int = 0

    def as_yaml(self) -> str:
        return yaml.safe_dump(asdict(self), sort_keys=False)


def ishigami(at: Point) -> float:
    """Ishigami and Homma 1990, with a = 7 and b = 0.1, on [-pi, pi]^3."""
    return math.sin(at.x) + 7 * math.sin(at.y) ** 2 + 0.1 * at.z**4 * math.sin(at.x)


def additive(at: Point) -> float:
    """3x + 2y + z, whose Sobol indices on equal ranges are 9, 4 and 1 of 14."""
    return 3 * at.x + 2 * at.y + at.z


FUNCTIONS: dict[str, Callable[[Point], float]] = {
    "ishigami": ishigami, "additive": additive, "constant": lambda at: 2.0, "step": lambda at: float(at.x >= 0.37),
    "hill": lambda at: 1 - (at.x - 0.6) ** 2, "rounds": lambda at: float(at.rounds), "square": lambda at: at.x**2,
    "noisy": lambda at: at.x + (-1) ** at.seed * 0.25,
}  # fmt: skip


@dataclass(frozen=True)
class FunctionExperiment(Experiment[Point]):
    """`value` and `welfare` are the function's; a file `fail` in the working folder makes cells with x > 0.5 fail."""

    @property
    def known(self) -> tuple[str, ...]:
        return tuple(f.name for f in fields(Point))

    def resolve(self, given: Mapping[str, Any]) -> Point:
        return Point(**given)

    def number_type(self, axis: str, given: Mapping[str, Any]) -> type[int] | type[float]:
        if axis == "rule":
            raise InputError("rule is no number")
        return int if axis == "rounds" else float

    def check(self, settings: Sequence[Point]) -> None:
        for point in settings:
            if point.rule not in FUNCTIONS:
                raise InputError(f"rule is {point.rule}")

    def label(self, axis: str, settings: Point) -> Any:
        return getattr(settings, axis)

    def subject(self, settings: Point) -> Hashable:
        return settings.rule

    def job(self, folder: GridFolder) -> Callable[[Cell[Point]], object]:
        return FunctionJob(folder)

    def row(self, cell: Cell[Point], result: Mapping[str, Any], timing: Mapping[str, Any]) -> dict[str, Any]:
        value = result["metric"]["value"]
        return {"macs": 1.0, "parameters": 1, "latency_ms": None, "value": value, "dense": 1.0,
                "welfare": additive(cell.settings), "revenue": 1.0}  # fmt: skip


@dataclass(frozen=True)
class FunctionJob:
    """Writes what a run would, and notes in the file `ran` that it did."""

    folder: GridFolder

    def __call__(self, cell: Cell[Point]) -> None:
        with Path("ran").open("a", encoding="utf-8") as log:
            print(cell, file=log)
        if Path("fail").exists() and cell.settings.x > 0.5:
            raise OSError("an accident")
        place = self.folder.place(cell)
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.yaml").write_text(cell.settings.as_yaml(), encoding="utf-8")
        value = FUNCTIONS[cell.settings.rule](cell.settings)
        result = {"metric": {"name": "f", "value": value, "dense": 1.0}, "seconds": 0.0, "task": "functions",
                  "model": "none", "length": 1}  # fmt: skip
        (place / "result.json").write_text(json.dumps(result), encoding="utf-8")


def ran() -> int:
    """How many cells have been begun since the last call."""
    log = Path("ran")
    count = len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0
    log.unlink(missing_ok=True)
    return count

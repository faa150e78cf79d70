"""An experiment without a network, so that grids, keys and folders are tested in no time."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from walras.errors import InputError, UnknownNameError
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.experiment import Experiment
from walras.experiments.store.grid_folder import GridFolder


@dataclass(frozen=True)
class Toy:
    """Settings of a sum."""

    rule: Any = "plain"
    gain: float = 1.0
    budget: float = 0.5
    seed: int = 0
    on: bool = field(default=False)

    def as_yaml(self) -> str:
        return yaml.safe_dump({**asdict(self), "rule": str(self.rule)}, sort_keys=False)


@dataclass(frozen=True)
class ToyExperiment(Experiment[Toy]):
    """`value` is the sum of gain, budget and seed; a file `fail-SEED` in the working folder makes cells fail."""

    @property
    def known(self) -> tuple[str, ...]:
        return tuple(f.name for f in fields(Toy))

    def resolve(self, given: Mapping[str, Any]) -> Toy:
        for name in given:
            if name not in self.known:
                raise UnknownNameError("setting", name, self.known)
        values: dict[str, Any] = {k: float(v) if k in ("gain", "budget") else v for k, v in given.items()}
        return Toy(**values)

    def check(self, settings: Sequence[Toy]) -> None:
        for toy in settings:
            if not 0 < toy.budget <= 1:
                raise InputError(f"budget is {toy.budget}")

    def label(self, axis: str, settings: Toy) -> Any:
        value = getattr(settings, axis)
        return value if isinstance(value, (str, bool, int, float)) else type(value).__name__

    def subject(self, settings: Toy) -> Hashable:
        return str(settings.rule)

    def job(self, folder: GridFolder) -> Callable[[Cell[Toy]], object]:
        return ToyJob(folder)

    def row(self, cell: Cell[Toy], result: Mapping[str, Any], timing: Mapping[str, Any]) -> dict[str, Any]:
        return {"macs": 1e6 * cell.settings.budget, "parameters": 7, "latency_ms": timing.get("latency_ms"),
                "value": result["metric"]["value"], "dense": 1.0}  # fmt: skip


@dataclass(frozen=True)
class ToyJob:
    """Writes what a run would."""

    folder: GridFolder

    def __call__(self, cell: Cell[Toy]) -> None:
        cell.check_sources()
        with Path("ran").open("a", encoding="utf-8") as log:
            print(cell, file=log)
        if Path(f"fail-{cell.seed}").exists():
            raise OSError(f"seed {cell.seed} met an accident")
        if Path(f"stop-{cell.seed}").exists():
            raise KeyboardInterrupt
        toy, place = cell.settings, self.folder.place(cell)
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.yaml").write_text(toy.as_yaml(), encoding="utf-8")
        value = toy.gain + toy.budget + 0.1 * toy.seed
        result = {"metric": {"name": "sum", "value": value, "dense": 1.0}, "seconds": 0.0, "task": "sums",
                  "model": "none", "length": 1}  # fmt: skip
        (place / "result.json").write_text(json.dumps(result), encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran() -> list[str]:
    """Cells that have been begun since the last call, in order."""
    log = Path("ran")
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


@pytest.fixture
def begun() -> Callable[[], list[str]]:
    """Tells which cells have been begun since it was last asked."""
    return ran


@pytest.fixture
def toys() -> ToyExperiment:
    """The experiment."""
    return ToyExperiment()

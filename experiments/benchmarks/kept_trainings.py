"""Trainings of a measurement that goes on where it was ended: a row each, by what tells it from the others."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.progress import Progress
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.train import TrainResult, train

Key = Mapping[str, Any]


def measure(
    designs: Sequence[tuple[Key, TrainConfig]], figures: Callable[[TrainResult], Mapping[str, Any]], file: Path,
    progress: Progress,
) -> list[dict[str, Any]]:  # fmt: skip
    """Train those whose row is not in the file, and add it; the rows of all designs, in their order."""
    rows, found = read_rows(file), list[dict[str, Any]]()
    bar = progress.add_task("Trainings", total=len(designs))
    for own, config in designs:
        row = next((row for row in rows if all(row.get(name) == value for name, value in own.items())), None)
        if row is None:
            row = {**own, **figures(train(config, progress=progress))}
            rows.append(row)
            write_rows(file, rows)
        found.append(row)
        progress.update(bar, advance=1)
    return found

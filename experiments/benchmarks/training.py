"""Prices in training beside post-hoc pruning with the same further epochs, on the same dense models.

    python -m walras.experiments.benchmarks.training --data GLUE_FOLDER --only stsb
    python -m walras.experiments.benchmarks.training --data DATA_FOLDER --only wikitext2 --model runs/small-gpt2/model

For every task and seed: a dense model is fine-tuned for three epochs; from it `walras train` goes on for three epochs
under a price (a market that clears four times in the first quarter of the steps), and for each baseline a recipe
removes units first and what is left is trained for the same three epochs. WikiText begins from a decoder that is
trained already (that of small_gpt2): all cells go on from it for 2,000 blocks of 256 tokens, and so does the dense
model, whose run is in wikitext2-dense/. Every cell is a run folder, so that the same command goes on after an
interruption. Written to the folder: training_TASK.csv (a row per cell; columns `untrained ...` hold what a recipe left
before it was trained), training_TASK_statistics.csv (baselines against `cleared`), and training_TASK_cells.jsonl, the
results of finished cells: `--cells FOLDER` takes what was run elsewhere, with the same settings, from such files.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, final

import typer

from walras.errors import InputError, UnknownNameError
from walras.experiments.benchmarks.frontier import keeping, machine, restore
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.executors.processes import Processes
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import conclude, run_grid
from walras.experiments.reports.grids.frontier_tables import print_grid
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.grid import TrainCell, chosen_trainings
from walras.files.writing import write_whole

OURS = "cleared"
BASELINES = ("k-prune", "kwon", "magnitude")


@final
@dataclass(frozen=True)
class Study:
    """What is compared on one task."""

    seeds: Sequence[int]
    budgets: Sequence[float] = (0.6, 0.4, 0.8)  # in the order of their runs
    baseline_budgets: Sequence[float] = (0.6, 0.4)
    settings: Mapping[str, Any] = field(default_factory=dict)
    trained: bool = False  # whether cells begin from the model that is named, and not from the dense runs

    def dense(self, task: str, data: str, more: Mapping[str, Any]) -> Grid[TrainConfig]:
        """Dense models, one per seed."""
        common = {"task": task, "data": data, "pricing": "none", "budget": 1.0, **self.settings, **more}
        return chosen_trainings([_cell("dense", {**common, "seed": seed}) for seed in self.seeds])

    def starts(self, dense: Grid[TrainConfig], folder: GridFolder) -> Mapping[int, Path]:
        """The model that all cells of a seed begin from."""
        if self.trained:
            return {cell.seed: Path(cell.settings.subject.model) for cell in dense.cells}
        return {cell.seed: folder.place(cell) / "model" for cell in dense.cells}

    def cells(self, task: str, data: str, dense: Mapping[int, Path], more: Mapping[str, Any]) -> Grid[TrainConfig]:
        """Ours and the baselines from the dense model of their seed; budget by budget, so that half a run tells."""
        found: list[TrainCell] = []
        for seed in self.seeds:
            common = {"task": task, "data": data, **self.settings, **more, "seed": seed, "model": str(dense[seed])}
            for budget in self.budgets:
                found.append(_cell(OURS, {**common, "budget": budget}))
                recipes = BASELINES if budget in self.baseline_budgets else ()
                found += [_cell(name, {**common, "recipe": name, "budget": budget}) for name in recipes]
        return chosen_trainings(found, f"recipe={OURS}")


def _cell(name: str, settings: Mapping[str, Any]) -> TrainCell:
    config = TrainConfig.parse(settings)
    return Cell({"recipe": name, "budget": config.budget}, config.seed, config)


STUDIES = {
    "stsb": Study((0, 1, 2)),
    "sst2": Study((0, 1, 2), settings={"limit": 8000}),
    "mnli": Study((0,)),
    "cola": Study((0,), budgets=(0.6, 0.4)),
    "wikitext2": Study(
        (0,), (0.6, 0.9, 0.8, 0.7), (0.6, 0.9, 0.8, 0.7),
        {
            "task": "wikitext2:tokens=65536", "epochs": 1, "limit": 2000, "length": 256, "batch_size": 16,
            "sentences": 128, "rate": 3e-4,
        },
        trained=True,
    ),
}  # fmt: skip
OWN_MODEL = ("cola", "wikitext2")  # the others are about MiniLM


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout; or with wikitext-2/ in it.")],
    out: Annotated[Path, typer.Option(help="Folder of the cells and tables.")] = Path("runs/training"),
    cells: Annotated[Path | None, typer.Option(help="Folder of training_TASK_cells.jsonl: results at hand.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Tasks to run. [default: all of GLUE]")] = None,
    model: Annotated[str | None, typer.Option(help="Model for cola (all-mpnet-base-v2) or wikitext2.")] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="Seeds to run, in this order. [default: the study's]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes, one thread each. [default: one per core]")] = None,
    limit: Annotated[int | None, typer.Option(help="Training rows at most, for a small run.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs, for a small run. [default: 3]")] = None,
) -> None:
    """Run all cells that are not finished; print and write the tables. Exit code 1 where a cell failed."""
    with ended_in_words():
        executor = Processes(workers)
        write_whole(out / "training_machine.json", json.dumps(machine(executor.side_by_side), indent=2) + "\n")
        small = {name: value for name, value in (("limit", limit), ("epochs", epochs)) if value is not None}
        failed = 0
        for task in only or [name for name, study in STUDIES.items() if not study.trained]:
            if task not in STUDIES:
                raise UnknownNameError("study", task, STUDIES)
            if STUDIES[task].trained and model is None:
                raise InputError(f"{task} begins from a trained decoder; name its folder: --model FOLDER")
            more = {**small, **({"model": model} if model is not None and task in OWN_MODEL else {})}
            study = STUDIES[task] if seeds is None else replace(STUDIES[task], seeds=tuple(seeds))
            failed += _study(task, study, data, out, cells, executor, more)
    sys.exit(1 if failed else 0)


def _study(
    task: str, study: Study, data: str, out: Path, cells: Path | None, executor: Processes, more: Mapping[str, Any]
) -> int:
    """One task; how many cells failed. Dense models are trained for the seeds with unfinished cells alone."""
    folder, first = GridFolder(out / task), GridFolder(out / f"{task}-dense")
    dense = study.dense(task, data, more)
    grid = study.cells(task, data, study.starts(dense, first), {k: v for k, v in more.items() if k != "model"})
    if cells is not None:
        restore(grid, folder, cells / f"training_{task}_cells.jsonl")
    unfinished = {cell.seed for cell in grid.cells if not folder.finished(cell)}
    begun = [cell for cell in dense.cells if cell.seed in unfinished]
    try:
        with progress_bar() as progress, keeping(grid, folder, out / f"training_{task}_cells.jsonl"):
            if not begun:
                found = conclude(grid, folder)
            else:
                found = run_grid(chosen_trainings(begun), first, executor, progress)
                if not found.failed:
                    found = run_grid(grid, folder, executor, progress)
    finally:
        for name, copy in (("frontier.csv", ".csv"), ("statistics.csv", "_statistics.csv")):
            if (folder.path / name).is_file():
                write_whole(out / f"training_{task}{copy}", (folder.path / name).read_bytes())
    output().print(task)
    print_grid(output(), found)
    return len(found.failed)


if __name__ == "__main__":
    typer.run(main)

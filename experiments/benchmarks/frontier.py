"""All recipes beside each other on STS-B dev and the built-in task: 14 recipes, 5 budgets, 5 seeds, 2 tasks.

    python -m walras.experiments.benchmarks.frontier --data GLUE_FOLDER

Finished cells are not run again, so that it can be interrupted. Written to the folder: frontier_TASK.csv (a row per
cell), frontier_TASK_statistics.csv (means, and paired differences to `walras`), frontier_TASK.png,
frontier_machine.json, and frontier_TASK_cells.jsonl, the results of finished cells: `--cells FOLDER` takes what was run
elsewhere, with the same settings, from such files.
All trade single neurons, or whole sub-layers where that is what a recipe drops. ZipLM and EvoPress search for as long
as published; `--recipe` and `--budget` run a part, of which the tables and the picture are then.
Cells, reports and seconds lie in a folder per task below it. The development split chooses nothing: it is only
evaluated on.
"""

import json
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from walras.errors import InputError, WalrasError
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.executors.processes import Processes
from walras.experiments.executors.worker import cores
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.compare import compare
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import GridResult
from walras.experiments.grids.runs import grid_of_runs
from walras.experiments.reports.grids.frontier_tables import print_grid
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.tasks.data.rows import json_rows
from walras.files.plain_data import parse_yaml
from walras.files.record import Record
from walras.files.writing import write_whole

RECIPES = (
    "walras", "k-prune", "kwon", "michel", "flap", "wanda-sp", "shortgpt", "sleb", "ziplm", "osscar", "evopress",
    "magnitude", "uniform", "random",
)  # fmt: skip
BUDGETS = (0.75, 0.6, 0.5, 0.4, 0.3)
SEEDS = 5
BLOCK = 1  # neurons that trade as one unit, the same for all recipes


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    out: Annotated[Path, typer.Option(help="Folder of the cells and tables.")] = Path("runs/frontier"),
    cells: Annotated[Path | None, typer.Option(help="Folder of frontier_TASK_cells.jsonl: results at hand.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Tasks to run. [default: both]")] = None,
    recipe: Annotated[list[str] | None, typer.Option(help="Recipes to run. [default: all]")] = None,
    budget: Annotated[list[float] | None, typer.Option(help="Budgets to run. [default: all]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes, one thread each. [default: one per core]")] = None,
    measure_latency: Annotated[bool, typer.Option("--measure-latency", help="Time the small models as well.")] = False,
) -> None:
    """Run all cells that are not finished; print and write the tables. Exit code 1 where a cell failed."""
    with ended_in_words():
        executor = Processes(workers)
        stsb, pairs = {"task": "stsb", "data": data, "block": BLOCK}, {"task": "pairs", "block": BLOCK}
        settings: dict[str, dict[str, Any]] = {"stsb": stsb, "pairs": pairs}
        vary = {"recipe": recipe or RECIPES, "budget": budget or BUDGETS}
        grids = {task: grid_of_runs(vary, SEEDS, given) for task, given in settings.items()}
        folders = {task: GridFolder(out / task) for task in grids}
        write_whole(out / "frontier_machine.json", json.dumps(machine(executor.side_by_side), indent=2) + "\n")
        failed = 0
        for task, grid in grids.items():
            if only and task not in only:
                continue
            if cells is not None:
                restore(grid, folders[task], cells / f"frontier_{task}_cells.jsonl")
            with progress_bar() as progress, keeping(grid, folders[task], out / f"frontier_{task}_cells.jsonl"):
                found = compare(grid, folders[task], executor, progress, measure_latency)
            publish(found, out, task)
            output().print(task)
            print_grid(output(), found)
            failed += len(found.failed)
    sys.exit(1 if failed else 0)


def publish(found: GridResult[Any], out: Path, task: str) -> None:
    """Copy the tables and the picture of a finished grid to where those of all tasks lie."""
    for name, copy in (("frontier.csv", ".csv"), ("statistics.csv", "_statistics.csv"), ("frontier.png", ".png")):
        if found.statistics is not None:
            write_whole(out / f"frontier_{task}{copy}", (found.folder.path / name).read_bytes())


def settings_of(cell: Cell[Any]) -> dict[str, Any]:
    """What a cell's result depends on; not where the data lie, nor on which device it ran."""
    return _without(parse_yaml(cell.settings.as_yaml()), ("data", "device"))


def restore(grid: Grid[Any], folder: GridFolder, file: Path) -> None:
    """Put the results of a file where finished cells are; those of other settings are left out.

    Settings that there were not yet when a result was obtained count as their defaults.
    """
    if not file.is_file():
        raise InputError(f"there is no {str(file)!r}")
    known: dict[str, Any] = {}
    for number, row in json_rows(file):
        told = Record(row, f"{file}, line {number}")
        known[_key(grid, told.record("settings").content)] = told.record("result").content
    for cell in grid.cells:
        found = known.get(_key(grid, settings_of(cell)))
        if found is not None and not folder.finished(cell):
            write_whole(folder.place(cell) / "config.yaml", cell.settings.as_yaml())
            write_whole(folder.place(cell) / "result.json", json.dumps(found, indent=2) + "\n")


@contextmanager
def keeping(grid: Grid[Any], folder: GridFolder, file: Path) -> Iterator[None]:
    """Write the results of finished cells to a file, beside those of other cells that it has, however it ends."""
    try:
        yield
    finally:
        before: list[Any] = [row for _, row in json_rows(file)] if file.is_file() else []
        rows = [{"settings": settings_of(c), "result": folder.result(c)} for c in grid.cells if folder.finished(c)]
        kept = {json.dumps(row["settings"], sort_keys=True): row for row in (*before, *rows)}
        write_whole(file, "".join(json.dumps(row) + "\n" for row in kept.values()))


def _key(grid: Grid[Any], settings: Mapping[str, Any]) -> str:
    """The key of a cell of these settings; "" where they are none of now."""
    try:
        return str(Cell({}, 0, grid.experiment.resolve(settings)).key)
    except WalrasError:
        return ""


def _without(tree: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Nested settings without some of them."""
    return {k: _without(v, names) if isinstance(v, dict) else v for k, v in tree.items() if k not in names}


def machine(workers: int | None) -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cpu": _cpu(), "cores": cores(), "workers": workers, "threads per worker": 1, "system": platform.platform(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None, "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "numpy", "scipy")},
    }  # fmt: skip


def _cpu() -> str:
    """The processor's name, where the system tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    typer.run(main)

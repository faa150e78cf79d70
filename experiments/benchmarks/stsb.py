"""STS-B dev at plain settings (no recipe): Spearman of the sliced model, five calibration seeds.

    python -m walras.experiments.benchmarks.stsb --data GLUE_FOLDER

Cells that are finished are not run again. The development split chooses nothing: the number of rounds and
re-entry were compared on 1,500 held-out training rows, where they differ by less than the noise; other schedules than
the geometric one were not compared.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.executors.processes import Processes
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import GridResult, run_grid
from walras.experiments.grids.runs import grid_of_runs
from walras.experiments.reports.grids.frontier_tables import print_grid
from walras.experiments.spec import RunSpec
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.store.run_folder import read_result
from walras.files.writing import write_whole

BUDGETS = (0.5, 0.4)
VARIANTS = ((4, False), (4, True), (1, False))  # rounds, without labels; the first is that of plain settings
COLUMNS = ["rounds", "label_free", "budget", "seed", "used", "macs", "price", "dense", "spearman", "seconds"]


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    seeds: Annotated[int, typer.Option(help="Calibration seeds.", min=1)] = 5,
    out: Annotated[Path, typer.Option(help="Folder of the cells and of stsb.csv.")] = Path("runs/stsb"),
    more: Annotated[bool, typer.Option("--more", help="Also without labels, and in one clearing.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes, one thread each. [default: one per core]")] = None,
) -> None:
    """Run all cells that are not finished, print the table, write `stsb.csv`. Exit code 1 where a cell failed."""
    with ended_in_words():
        cells = grid(data, seeds, VARIANTS if more else VARIANTS[:1])
        with progress_bar() as progress:
            found = run_grid(cells, GridFolder(out / "runs"), Processes(workers), progress)
    write_whole(out / "stsb.csv", table(found).to_csv(index=False, float_format="%.6g"))
    print_grid(output(), found)
    sys.exit(1 if found.failed else 0)


def grid(data: str, seeds: int, variants: Sequence[tuple[int, bool]]) -> Grid[RunSpec]:
    """The cells of some variants."""
    vary = {name: list(dict.fromkeys(v[i] for v in variants)) for i, name in enumerate(("rounds", "label_free"))}
    settings = {"recipe": "none", "task": "stsb", "data": data}
    every = grid_of_runs({**vary, "budget": BUDGETS}, seeds, settings)
    return replace(every, cells=[cell for cell in every.cells if (cell["rounds"], cell["label_free"]) in variants])


def table(found: GridResult[RunSpec]) -> pd.DataFrame:
    """A row per finished cell, in the columns of `COLUMNS`."""
    rows = []
    for cell in found.grid.cells:
        if cell not in found.failed:
            result = read_result(found.folder.place(cell))
            score = {"dense": result["metric"]["dense"], "spearman": result["metric"]["value"]}
            rows.append({**result, **cell.labels, "seed": cell.seed, **score})
    return pd.DataFrame(rows, columns=COLUMNS)


if __name__ == "__main__":
    typer.run(main)

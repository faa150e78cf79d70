"""Rules against populations on STS-B: efficiency, revenue and Spearman of what is left of the network.

    python -m walras.experiments.benchmarks.populations --data GLUE_FOLDER

MiniLM, `fisher` values of 64 training sentences, taken anew in each of 12 rounds at the final budget with re-entry, so
that learners learn from the network's own answers; no repair. Means over the last third of the rounds, by the true
values of the round. The same command goes on after an interruption. Written to populations.csv: a row per
run. `--rows FILE` takes rows of runs that were finished elsewhere from such a file.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from walras.errors import InputError
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.executors.processes import Processes
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import run_cells
from walras.experiments.grids.runs import grid_of_runs
from walras.experiments.spec import RunSpec, SubjectSpec
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.store.run_folder import read_result
from walras.files.writing import write_whole
from walras.market import read_rounds

RULES = ("ShadowPrice", "PayAsBidAuction", "VCG", "PostedPrice", "AscendingClock")
POPULATIONS = (
    "truthful", "truthful=0.5,shading=0.5", "zero-intelligence", "best-response", "hedge",
    "truthful=0.5,regret-matching=0.5",
)  # fmt: skip
BUDGETS = (0.6, 0.4)
ROUNDS, LAST = 12, 4
KEY = ["rule", "population", "budget", "seed"]


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    seeds: Annotated[int, typer.Option(help="Seeds of the calibration and of the agents.", min=1)] = 3,
    out: Annotated[Path, typer.Option(help="Folder of the runs and of populations.csv.")] = Path("runs/populations"),
    model: Annotated[str, typer.Option(help="Folder or hub id.")] = SubjectSpec().model,
    rows: Annotated[Path | None, typer.Option(help="populations.csv with runs that are finished.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes, one thread each. [default: one per core]")] = None,
    limit: Annotated[int | None, typer.Option(help="Runs at most, for a part of the table.", min=1)] = None,
) -> None:
    """Play what has not been played, print the means, write all rows. Exit code 1 where a run failed."""
    with ended_in_words():
        runs, folder, given = grid(data, seeds, model), GridFolder(out / "runs"), known(rows)
        wanted = [cell for cell in runs.cells if key(cell) not in given and not folder.finished(cell)][:limit]
        failed = 0
        try:
            with progress_bar() as progress:
                failed = run_cells(runs, folder, wanted, Processes(workers), progress)
        finally:
            found = [row(c, folder) if folder.finished(c) else given.get(key(c)) for c in runs.cells]
            table = pd.DataFrame([r for r in found if r is not None])
            write_whole(out / "populations.csv", table.to_csv(index=False, float_format="%.6g"))
    if len(table):
        shown = table.groupby(["rule", "population", "budget"], sort=False)[["efficiency", "revenue", "spearman"]]
        output().print(shown.agg(["mean", "std"]).to_string(float_format=lambda x: f"{x:.4f}"))
    sys.exit(1 if failed else 0)


def grid(data: str, seeds: int, model: str) -> Grid[RunSpec]:
    """All runs."""
    vary = {"mechanism": RULES, "strategy": POPULATIONS, "budget": BUDGETS}
    settings: Mapping[str, Any] = {
        "recipe": "none", "model": model, "task": "stsb", "data": data, "rounds": ROUNDS, "schedule": "constant",
        "reentry": True, "sentences": 64, "probes": 0,
    }  # fmt: skip
    return grid_of_runs(vary, seeds, settings)


def key(cell: Cell[RunSpec]) -> tuple[Any, ...]:
    """What tells a run from all others, as in `KEY`."""
    return cell["mechanism"], cell["strategy"], cell["budget"], cell.seed


def known(rows: Path | None) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows of a table of finished runs, by their keys.

    Raises:
        InputError: no such file, or another table.
    """
    if rows is None:
        return {}
    try:
        table = pd.read_csv(rows)
        found = [{str(name): value for name, value in r.items()} for r in table.to_dict("records")]
        return {tuple(r[name] for name in KEY): r for r in found}
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{str(rows)!r} is no table of populations: {error}") from error


def row(cell: Cell[RunSpec], folder: GridFolder) -> dict[str, Any]:
    """A finished run in a line; revenue is a share of the welfare."""
    found = read_result(folder.place(cell))
    rounds = read_rounds(folder.place(cell)).tail(LAST)
    return {
        **dict(zip(KEY, key(cell), strict=True)),
        "efficiency": rounds["efficiency"].mean(), "revenue": (rounds["revenue"] / rounds["welfare"]).mean(),
        "regret": rounds["regret"].iloc[-1] / rounds["welfare"].mean(), "used": found["used"],
        "volatility": rounds["volatility"].iloc[-1], "spearman": found["metric"]["value"],
        "dense": found["metric"]["dense"], "seconds": found["seconds"],
    }  # fmt: skip


if __name__ == "__main__":
    typer.run(main)

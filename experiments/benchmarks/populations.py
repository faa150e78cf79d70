"""Rules against populations on STS-B: efficiency, revenue and Spearman of what is left of the network.

    python -m walras.experiments.benchmarks.populations --data GLUE_FOLDER

MiniLM, `fisher` values of 64 training sentences, taken anew in each of 12 rounds at the final budget with re-entry, so
that learners learn from the network's own answers; no repair. Means over the last third of the rounds, by the true
values of the round. Seed by seed; the same command goes on after an interruption. Written to populations.csv: a row a
run. `--rows FILE` takes rows of runs that were finished elsewhere from such a file.
"""

import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from walras.errors import InputError, WalrasError
from walras.experiments.cli.screen import fail, interrupted, output, progress_bar
from walras.experiments.config import RunConfig
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.compare import RunCell
from walras.experiments.grids.executor import Executor, Local, cores
from walras.experiments.run import Progress
from walras.experiments.store.grid_folder import SweepFolder
from walras.experiments.store.run_folder import write_whole

RULES = ("ShadowPrice", "PayAsBidAuction", "VCG", "PostedPrice", "AscendingClock")
POPULATIONS = (
    "truthful", "truthful=0.5,shading=0.5", "zero-intelligence", "best-response", "hedge",
    "truthful=0.5,regret-matching=0.5",
)  # fmt: skip
BUDGETS = (0.6, 0.4)
ROUNDS, LAST = 12, 4
KEY = ["rule", "population", "budget", "seed"]

RunCells = Sequence[Cell[RunConfig]]


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    seeds: Annotated[int, typer.Option(help="Seeds of the calibration and of the agents.", min=1)] = 3,
    out: Annotated[Path, typer.Option(help="Folder of the runs and of populations.csv.")] = Path("runs/populations"),
    model: Annotated[str, typer.Option(help="Folder or hub id.")] = RunConfig().model,
    rows: Annotated[Path | None, typer.Option(help="populations.csv with runs that are finished.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes, one thread each. [default: one a core]")] = None,
    limit: Annotated[int | None, typer.Option(help="Runs at most, for a part of the table.", min=1)] = None,
) -> None:
    """Play what has not been played, print the means, write all rows. Exit code 1 where a run failed."""
    try:
        cells, folder, given = grid(data, seeds, model), SweepFolder(out / "runs"), known(rows)
        wanted = [cell for cell in cells if key(cell) not in given and not folder.finished(cell)][:limit]
        failed = 0
        try:
            with progress_bar() as progress:
                failed = play(wanted, folder, Local(cores() if workers is None else workers), progress)
        finally:
            found = [row(c, folder) if folder.finished(c) else given.get(key(c)) for c in cells]
            table = pd.DataFrame([r for r in found if r is not None])
            write_whole(out / "populations.csv", table.to_csv(index=False, float_format="%.6g"))
    except WalrasError as error:
        fail(error)
    except KeyboardInterrupt:
        interrupted("the same command goes on from there")
    if len(table):
        shown = table.groupby(["rule", "population", "budget"], sort=False)[["efficiency", "revenue", "spearman"]]
        output().print(shown.agg(["mean", "std"]).to_string(float_format=lambda x: f"{x:.4f}"))
    sys.exit(1 if failed else 0)


def grid(data: str, seeds: int, model: str) -> RunCells:
    """All runs, seed by seed, so that an unfinished table compares the rules and populations of some seeds."""
    return [
        Cell(
            f"{rule}, {population}",
            RunConfig(
                model=model, task="stsb", data=data, mechanism=rule, strategy=population, budget=budget, rounds=ROUNDS,
                schedule="constant", reentry=True, sentences=64, seed=seed, probes=0,
            ),
        )
        for seed, budget, rule, population in product(range(seeds), BUDGETS, RULES, POPULATIONS)
    ]  # fmt: skip


def key(cell: Cell[RunConfig]) -> tuple[Any, ...]:
    """What tells a run from all others, as in `KEY`."""
    config = cell.config
    return config.mechanism, config.strategy, config.budget, config.seed


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


def play(waiting: RunCells, folder: SweepFolder, executor: Executor, progress: Progress) -> int:
    """Run the cells side by side; how many failed."""
    bar, failed = progress.add_task("Markets", total=len(waiting)), 0
    with closing(executor.run(RunCell(folder.path.absolute()), waiting)) as outcomes:
        for outcome in outcomes:
            if outcome.error is None:
                folder.forget_failure(outcome.item)
            else:
                folder.record_failure(outcome.item, outcome.error)
                failed += 1
            progress.update(bar, advance=1, description=str(outcome.item))
    return failed


def row(cell: Cell[RunConfig], folder: SweepFolder) -> dict[str, Any]:
    """A finished run in a line; revenue is a share of the welfare."""
    rounds, found = pd.read_parquet(folder.place(cell) / "rounds.parquet").tail(LAST), folder.result(cell)
    return {
        **dict(zip(KEY, key(cell), strict=True)),
        "efficiency": rounds["efficiency"].mean(), "revenue": (rounds["revenue"] / rounds["welfare"]).mean(),
        "regret": rounds["regret"].iloc[-1] / rounds["welfare"].mean(), "used": found["used"],
        "volatility": rounds["volatility"].iloc[-1], "spearman": found["metric"]["value"],
        "dense": found["metric"]["dense"], "seconds": found["seconds"],
    }  # fmt: skip


if __name__ == "__main__":
    typer.run(main)

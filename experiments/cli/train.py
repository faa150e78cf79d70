"""`walras train`: a price of compute in the loss, and a smaller model at the end; one run, or a grid of them."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from walras.errors import InputError
from walras.experiments.cli.options import Code, with_settings
from walras.experiments.cli.screen import interrupted, output, progress_bar
from walras.experiments.executors import ExecutorSource, parse_executor
from walras.experiments.grids.axes import read_vary, split_values
from walras.experiments.settings.fields import number
from walras.experiments.store.new_folder import new_folder
from walras.experiments.training.config import TrainConfig

if TYPE_CHECKING:
    from walras.experiments.grids.grid import Grid
    from walras.experiments.training.families.run import Families


GRID = "What varies"


@with_settings(TrainConfig, without=("budget", "price", "recipe"))
def train(
    given: dict[str, Any],
    budget: Annotated[
        list[str] | None,
        typer.Option(
            help="Share of the dense model's compute: 0.5 or 50%; several times. [default: 0.5]", rich_help_panel=GRID
        ),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            help="The tax, in units of the loss for the dense model's compute; LOW:HIGH:COUNT for a log grid.",
            rich_help_panel=GRID,
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(help="Remove units before training by a recipe; no price then.", rich_help_panel=GRID),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,VALUE",
            help="Any setting and its values, as for walras compare; several times.",
            rich_help_panel=GRID,
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Runs of each kind, with seeds from --seed on.", min=1, rich_help_panel=GRID)
    ] = 1,
    against: Annotated[
        str | None,
        typer.Option(
            help="What others are compared with: AXIS=VALUE. [default: what comes first]", rich_help_panel=GRID
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these settings.")] = None,
    code: Code = None,
    out: Annotated[Path | None, typer.Option(help="Run folder, or folder of a grid. [default: under runs/]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out holds.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    executor: Annotated[
        str | None, typer.Option(help="Where a grid runs: processes, serial, dask, mpi. [default: processes]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of a grid, one thread each; 0: none but this. [default: one per core]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fine-tune under a price of compute: units that are not worth theirs are cut out on the way.

    walras train --task sst2 --data glue --budget 50% --out runs/half

    walras train --task stsb --data glue --budget 0.8 --budget 0.6 --seeds 3

    walras train --task cola,stsb,mnli --data glue --price 0.01:3:5 --recipe k-prune --recipe magnitude --seeds 3

    Several --budget, --price or --recipe, --vary, or --seeds, make a grid: the time it takes is estimated before it
    starts, and the same command goes on with one that was interrupted. Several tasks, with commas between them, have a
    grid each. Recipes beside prices are post-hoc baselines, at budgets of 0.8, 0.6 and 0.4 unless --budget says others.
    """
    tasks = split_values(str(given["task"])) if "task" in given else []
    shares = [number(text) for text in budget or []]
    varied: dict[str, list[Any]] = {"budget": shares, "price": prices(price or []), "recipe": recipe or []}
    beside = bool(price and recipe)  # taxes and recipes are no settings of the same run
    for name, found in varied.items():
        if len(found) == 1 and not (beside and name != "budget"):
            given[name] = found[0]
    several = {name: found for name, found in varied.items() if len(found) > 1 or (found and name not in given)}
    for name, found in read_vary(vary or []).items():
        several.setdefault(name, []).extend(found)
    if "task" in several:
        tasks = [*tasks, *several.pop("task")]
    if varied["price"] and "pricing" not in given:
        given["pricing"] = "tax"

    from walras.experiments.training.families.run import Families

    families = Families.of_tasks(
        {**(TrainConfig.written(config, {**given, **several}, code or ()) if config else {}), **given},
        several,
        seeds,
        tasks,
        against,
    )
    if families.cells > 1:
        if resume:
            raise InputError("--resume is for one run; a grid goes on by itself: leave --resume out")
        if overwrite:
            raise InputError("--overwrite is for one run; a grid keeps what has finished: choose another --out")
        _many(families, out or Path("runs") / "train", parse_executor(executor, workers), as_json)
    elif resume and out is None:
        raise InputError("--resume needs the folder of the run that is to go on: --out FOLDER")
    else:
        (grid,) = families.grids.values()
        _one(grid, out, overwrite, resume, as_json)


def prices(texts: list[str]) -> list[float]:
    """Taxes as given: numbers, and LOW:HIGH:COUNT for so many, evenly spaced on a logarithmic scale.

    Raises:
        InputError: neither of the two.
    """
    found: list[float] = []
    for text in texts:
        try:
            low, high, count = (float(part) for part in text.split(":")) if ":" in text else (float(text), 0.0, 1.0)
        except ValueError:
            raise InputError(f"price is {text!r}; it must be a number, or LOW:HIGH:COUNT") from None
        if ":" not in text:
            found.append(low)
        elif 0 < low < high < math.inf and count >= 2 and count == int(count):
            found += [low * (high / low) ** (i / (count - 1)) for i in range(int(count))]
        else:
            raise InputError(f"price is {text!r}; LOW:HIGH:COUNT needs 0 < LOW < HIGH and a COUNT of at least 2")
    return found


def _one(grid: "Grid[TrainConfig]", out: Path | None, overwrite: bool, resume: bool, as_json: bool) -> None:
    from walras.experiments.store.result_folder import unfinished_folder
    from walras.experiments.training.folder import CHECKPOINT
    from walras.experiments.training.loop.checkpoints import newest_checkpoint
    from walras.experiments.training.loop.processes import is_main
    from walras.experiments.training.tables import train_card
    from walras.experiments.training.train import train as run

    cell = grid.cells[0]
    task = Path(str(cell.settings.subject.task).partition(":")[0]).stem
    source = str(cell["recipe"]).replace(" ", "")
    place = out or new_folder(f"{task}-{source}-{cell['budget']:g}-seed{cell.seed}")
    try:
        with progress_bar(not as_json) as progress:
            result = run(cell.settings, place, overwrite=overwrite, resume=resume, progress=progress)
    except KeyboardInterrupt:
        begun = newest_checkpoint(unfinished_folder(place) / CHECKPOINT)
        interrupted(f"the same command with --out {place} --resume goes on from there" if begun else "")
    if not is_main():
        return
    if as_json:
        print(json.dumps(result.summary.as_dict(), indent=2))
        return
    console = output()
    console.print(train_card(result.summary))
    console.print(f"Model: {place / 'model'}   Report: {place / 'report.html'}", soft_wrap=True)


def _many(families: "Families", out: Path, executor: ExecutorSource, as_json: bool) -> None:
    from walras.experiments.reports.grids.frontier_tables import print_grid
    from walras.experiments.training.estimate import hours
    from walras.experiments.training.families.report import Family
    from walras.experiments.training.families.run import joined

    waiting = families.waiting(out)
    try:
        with progress_bar(not as_json) as progress:
            if waiting:
                progress.add_task("Estimating the time", total=None)
                processes = min(executor.side_by_side or 1, len(waiting))
                told = f"about {hours(waiting, processes):.2g} hours on {processes} process(es)"
                progress.console.print(f"{len(waiting)} run(s): {told}")  # on standard error
            found = families.run(out, executor, progress)
    except KeyboardInterrupt:
        done = families.cells - len(families.waiting(out))
        interrupted(f"{done} of {families.cells} runs are finished; the same command goes on from there")
    if as_json:
        print(joined(found).to_json(orient="records", indent=2))
    else:
        for own in found.values():
            print_grid(output(), own)
            if len(own.table):
                output().print(Family(own).verdict, soft_wrap=True)
        if len(found) > 1:
            output().print(f"Pareto fronts: {out / 'report.html'}   Table: {out / 'frontier.csv'}", soft_wrap=True)
    if any(own.failed for own in found.values()):
        raise typer.Exit(1)

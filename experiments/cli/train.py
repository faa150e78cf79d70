"""`walras train`: a price of compute in the loss, and a smaller model at the end; one run, or a grid of them."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from walras.errors import InputError
from walras.experiments.cli.new_folder import new_folder
from walras.experiments.cli.options import Options
from walras.experiments.cli.screen import interrupted, output, progress_bar
from walras.experiments.config import read_settings
from walras.experiments.training.config import TrainConfig

if TYPE_CHECKING:
    from walras.experiments.training.grid import Grid


option = Options(TrainConfig)


def train(
    budget: Annotated[list[float] | None, option("budget")] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            help="The tax, in units of the loss for the dense model's compute; LOW:HIGH:COUNT for a log grid."
        ),
    ] = None,
    recipe: Annotated[list[str] | None, option("recipe")] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each kind, with seeds from --seed on.", min=1)] = 1,
    model: Annotated[str | None, option("model")] = None,
    task: Annotated[str | None, option("task")] = None,
    data: Annotated[str | None, option("data")] = None,
    pricing: Annotated[str | None, option("pricing")] = None,
    rise: Annotated[str | None, option("rise")] = None,
    mechanism: Annotated[str | None, option("mechanism")] = None,
    valuation: Annotated[str | None, option("valuation")] = None,
    label_free: Annotated[bool | None, option("label_free", "--label-free/--labels")] = None,
    values: Annotated[bool | None, option("values", "--values/--alike")] = None,
    rounds: Annotated[int | None, option("rounds")] = None,
    schedule: Annotated[str | None, option("schedule")] = None,
    cost: Annotated[str | None, option("cost")] = None,
    taxed: Annotated[str | None, option("taxed")] = None,
    priced: Annotated[float | None, option("priced")] = None,
    repair: Annotated[str | None, option("repair")] = None,
    epochs: Annotated[int | None, option("epochs")] = None,
    rate: Annotated[float | None, option("rate")] = None,
    travel: Annotated[float | None, option("travel")] = None,
    ascent: Annotated[float | None, option("ascent")] = None,
    warmup: Annotated[float | None, option("warmup")] = None,
    decay: Annotated[float | None, option("decay")] = None,
    distil: Annotated[float | None, option("distil")] = None,
    held_out: Annotated[float | None, option("held_out")] = None,
    patience: Annotated[int | None, option("patience")] = None,
    limit: Annotated[int | None, option("limit")] = None,
    block: Annotated[int | None, option("block")] = None,
    length: Annotated[int | None, option("length")] = None,
    sentences: Annotated[int | None, option("sentences")] = None,
    batch_size: Annotated[int | None, option("batch_size")] = None,
    seed: Annotated[int | None, option("seed")] = None,
    device: Annotated[str | None, option("device")] = None,
    precision: Annotated[str | None, option("precision")] = None,
    save_every: Annotated[int | None, option("save_every")] = None,
    trust_remote_code: Annotated[
        bool | None, option("trust_remote_code", "--trust-remote-code/--no-trust-remote-code")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these settings.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder, or folder of a grid. [default: under runs/]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out holds.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes of a grid, one thread each; 0: none but this. [default: one a core]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fine-tune under a price of compute: heads and FFN blocks that are not worth theirs are cut out on the way.

    Several --budget, --price or --recipe, or --seeds, make a grid: the time it takes is estimated before it starts,
    and the same command goes on with one that was interrupted.
    """
    given = option.given(locals())
    varied: dict[str, list[Any]] = {"budget": budget or [], "price": prices(price or []), "recipe": recipe or []}
    for name, found in varied.items():
        given.pop(name, None)
        if len(found) == 1:
            given[name] = found[0]
    several = {name: found for name, found in varied.items() if len(found) > 1}
    if varied["price"] and "pricing" not in given:
        given["pricing"] = "tax"

    from walras.experiments.training.grid import Grid

    grid = Grid.of({**(read_settings(config) if config else {}), **given}, several, seeds)
    if len(grid.cells) > 1:
        if resume:
            raise InputError("--resume is for one run; a grid goes on by itself: leave --resume out")
        if overwrite:
            raise InputError("--overwrite is for one run; a grid keeps what has finished: choose another --out")
        _many(grid, out or Path("runs") / "train", workers, as_json)
    elif resume and out is None:
        raise InputError("--resume needs the folder of the run that is to go on: --out FOLDER")
    else:
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


def _one(grid: "Grid", out: Path | None, overwrite: bool, resume: bool, as_json: bool) -> None:
    from walras.experiments.training.processes import is_main
    from walras.experiments.training.tables import train_card
    from walras.experiments.training.train import train as run

    cell = grid.cells[0]
    task = Path(cell.config.task.partition(":")[0]).stem
    place = out or new_folder(f"{task}-{cell.recipe.replace(' ', '')}-{cell.budget:g}-seed{cell.seed}")
    try:
        with progress_bar(not as_json) as progress:
            result = run(cell.config, place, overwrite=overwrite, resume=resume, progress=progress)
    except KeyboardInterrupt:
        begun = any((place / "checkpoint").glob("step-*"))
        interrupted(f"the same command with --out {place} --resume goes on from there" if begun else "")
    if not is_main():
        return
    if as_json:
        print(json.dumps(result.summary, indent=2))
        return
    console = output()
    console.print(train_card(result.summary))
    console.print(f"Model: {place / 'model'}   Report: {place / 'report.html'}", soft_wrap=True)


def _many(grid: "Grid", out: Path, workers: int | None, as_json: bool) -> None:
    from walras.experiments.grids.executor import Local, Serial
    from walras.experiments.store.grid_folder import SweepFolder
    from walras.experiments.training.estimate import hours
    from walras.experiments.training.grid import run_grid
    from walras.experiments.training.tables import print_trainings

    executor: Any = Serial() if workers == 0 else Local() if workers is None else Local(workers)
    folder = SweepFolder(out)
    waiting = [cell.config for cell in grid.cells if not folder.finished(cell)]
    console = output()
    try:
        with progress_bar(not as_json) as progress:
            if waiting:
                progress.add_task("Estimating the time", total=None)
                processes = min(getattr(executor, "workers", 1), len(waiting))
                told = f"about {hours(waiting, processes):.2g} hours on {processes} process(es)"
                progress.console.print(f"{len(waiting)} run(s): {told}")  # on standard error
            found = run_grid(grid, folder, executor, progress)
    except KeyboardInterrupt:
        done = sum(folder.finished(cell) for cell in grid.cells)
        interrupted(f"{done} of {len(grid.cells)} runs are finished; the same command goes on from there")
    if as_json:
        print(found.table.to_json(orient="records", indent=2))
    else:
        print_trainings(console, found)
    if found.failed:
        raise typer.Exit(1)

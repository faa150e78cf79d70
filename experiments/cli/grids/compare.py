"""`walras compare`: any settings of a run, varied, and what is left of the network in each cell."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from walras.experiments.cli.options import Code, with_settings
from walras.experiments.cli.screen import interrupted, output, progress_bar
from walras.experiments.recipes import DEFAULT_RECIPE
from walras.experiments.settings.fields import read_settings
from walras.experiments.settings.trust import as_data
from walras.experiments.spec import RunSpec

GRID = "What varies"


@with_settings(RunSpec, without=("recipe", "budget", "seed"), recipe=DEFAULT_RECIPE)
def compare(
    given: dict[str, Any],
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Recipe by name; several times, to compare. [default: {DEFAULT_RECIPE}]", rich_help_panel=GRID
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,VALUE or NAME=LOW..HIGH",
            help="Any setting of walras run, or a parameter of what it names (strategy.factor), and its values: "
            "mechanism=ShadowPrice,my_rule.py:FirstCome; several times for several settings or more values. "
            "budget=0.3..0.9 is a range, endowment=0.01..10:log one on a logarithmic scale. "
            "Hedge:rate=.1,window=3 and truthful=0.8,shading=0.2 are one value each: a comma goes on with a value "
            "that has a key=value where another key=value follows.",
            rich_help_panel=GRID,
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            help="Share of the dense model: 0.5, 50%, or latency=0.6; several times. [default: 0.5]",
            rich_help_panel=GRID,
        ),
    ] = None,
    design: Annotated[
        str | None,
        typer.Option(
            help="Which combinations are run: grid (all of them), grid:n=5 (ranges at 5 levels), sobol:n=64, "
            "halton:n=50, latin:n=50, saltelli:n=64 (Sobol's indices), morris:n=10 (elementary effects). "
            "[default: grid]",
            rich_help_panel=GRID,
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Draws of the calibration data, the same ones for all. [default: 5; 1 with another design than grid]",
            rich_help_panel=GRID,
        ),
    ] = None,
    most_cells: Annotated[int, typer.Option(help="Cells that there may be.", rich_help_panel=GRID)] = 2000,
    against: Annotated[
        str | None,
        typer.Option(
            help="What the others are compared with, seed by seed: AXIS=VALUE, or a value alone. "
            "[default: the first value of the first axis; of recipes walras, or the last one]",
            rich_help_panel=GRID,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with settings for all cells; they go before a recipe's own.")
    ] = None,
    code: Code = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; an existing comparison is resumed. [default: runs/compare]")
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(help="Where cells run: processes, serial, dask, dask:tcp://HOST:8786, mpi. [default: processes]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes, one thread each; 0: none but this one. [default: one per core]")
    ] = None,
    measure_latency: Annotated[
        bool, typer.Option("--measure-latency", help="Time the small models as well, once the report is written.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print rows and statistics as JSON.")] = False,
) -> None:
    """Compare values of any setting over budgets and seeds; finished cells of an earlier, interrupted call are kept.

    walras compare --recipe walras --recipe k-prune --budget 0.5 --budget 0.4

    walras compare --vary mechanism=ShadowPrice,my_rule.py:FirstCome --vary strategy=truthful,hedge --seeds 5

    walras compare --design saltelli:n=64 --vary budget=0.3..0.9 --strategy shading --vary strategy.factor=0.5..1

    Exit code 1 where a cell failed; why is told in failed/ under the folder.
    """
    from walras.experiments.designs.of_runs import designed_runs
    from walras.experiments.executors import parse_executor
    from walras.experiments.grids.axes import read_vary
    from walras.experiments.grids.compare import as_json as told
    from walras.experiments.grids.compare import compare as run
    from walras.experiments.reports.grids.frontier_tables import print_grid
    from walras.experiments.store.grid_folder import GridFolder

    where = parse_executor(executor, workers)
    folder = GridFolder(out or Path("runs") / "compare")
    axes = axes_of({"recipe": recipe, "budget": budget}, read_vary(vary or []))
    written = as_data(read_settings(config), config, {**given, **axes}, code or ()) if config else {}
    grid = designed_runs(design, axes, seeds, {**written, **given}, against, most_cells)
    try:
        with progress_bar(not as_json) as progress:
            found = run(grid, folder, where, progress, measure_latency)
    except KeyboardInterrupt:
        done = sum(folder.finished(cell) for cell in grid.cells)
        interrupted(f"{done} of {len(grid.cells)} cells are finished; the same command goes on from there")
    if as_json:
        print(json.dumps(told(found), indent=2))
    else:
        print_grid(output(), found)
    if found.failed:
        raise typer.Exit(1)


def axes_of(options: dict[str, list[Any] | None], varied: dict[str, list[str]]) -> dict[str, list[Any]]:
    """Values by axis: of options that may be given several times, and of `--vary`; together where both name one."""
    found: dict[str, list[Any]] = {name: list(values) for name, values in options.items() if values}
    for name, values in varied.items():
        found.setdefault(name, []).extend(values)
    return found

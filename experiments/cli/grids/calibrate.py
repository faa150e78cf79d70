"""`walras calibrate`: the value of a setting at which runs meet a target."""

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

SEARCH = "Search"


@with_settings(RunSpec, without=("seed",), recipe=DEFAULT_RECIPE)
def calibrate(
    given: dict[str, Any],
    vary: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=LOW..HIGH",
            help="The setting that is sought, or a parameter of what one names (strategy.factor), and its range: "
            "budget=0.3..0.9, or mechanism.price=1e-4..1:log.",
            rich_help_panel=SEARCH,
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            help="What runs must come to: quality>=0.95*dense, quality=0.8, used<=0.4, welfare=3; quality is the "
            "task's metric.",
            rich_help_panel=SEARCH,
        ),
    ],
    seeds: Annotated[
        int, typer.Option(help="Draws of the calibration data, of which figures are means.", rich_help_panel=SEARCH)
    ] = 1,
    tolerance: Annotated[
        float, typer.Option(help="Share of the range to which the value is found.", rich_help_panel=SEARCH)
    ] = 0.01,
    runs: Annotated[int, typer.Option(help="Values that are tried at most.", rich_help_panel=SEARCH)] = 20,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with settings for all runs; they go before a recipe's own.")
    ] = None,
    code: Code = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; finished runs that it holds count. [default: runs/calibrate]")
    ] = None,
    executor: Annotated[
        str, typer.Option(help="Where runs go: serial, processes, dask, mpi. One value is tried at a time.")
    ] = "serial",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Find the value of a setting at which runs meet a target.

    walras calibrate --vary budget=0.3..0.9 --target "quality>=0.95*dense"

    Exit code 1 where the target was reached nowhere, or not within --runs values.
    """
    from walras.experiments.calibrating.of_runs import calibrate_runs
    from walras.experiments.calibrating.search import NOWHERE, RAN_OUT
    from walras.experiments.executors import parse_executor
    from walras.experiments.grids.axes import read_vary
    from walras.experiments.store.grid_folder import GridFolder

    ranges = read_vary(vary)
    folder = GridFolder(out or Path("runs") / "calibrate")
    written = as_data(read_settings(config), config, {**given, **ranges}, code or ()) if config else {}
    settings = {name: value for name, value in {**written, **given}.items() if name != "seed"}
    try:
        with progress_bar(not as_json) as progress:
            found = calibrate_runs(
                ranges, target, settings, folder, seeds=seeds, tolerance=tolerance, runs=runs,
                executor=parse_executor(executor), progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        interrupted("finished runs are kept; the same command goes on from there")
    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        output().print(found.message, soft_wrap=True)
    if found.status in (NOWHERE, RAN_OUT):
        raise typer.Exit(1)

"""`walras compare`: recipes x budgets x seeds, and what is left of the network in each."""

import json
from pathlib import Path
from typing import Annotated

import typer

from walras.experiments.cli.options import option
from walras.experiments.cli.screen import interrupted, output, progress_bar
from walras.experiments.config import read_config


def compare(
    recipe: Annotated[list[str], typer.Option(help="Recipe by name; several times, to compare. `walras list`.")],
    budget: Annotated[
        list[float] | None, typer.Option(help="Share of the dense model's compute; several times. [default: 0.5]")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Draws of the calibration data, the same ones for every recipe.")] = 5,
    against: Annotated[
        str | None, typer.Option(help="Recipe that the others are compared with. [default: walras, or the last one]")
    ] = None,
    model: Annotated[str | None, option("model")] = None,
    task: Annotated[str | None, option("task")] = None,
    data: Annotated[str | None, option("data")] = None,
    label_free: Annotated[bool | None, option("label_free", "--label-free/--labels")] = None,
    block: Annotated[int | None, option("block")] = None,
    length: Annotated[int | None, option("length")] = None,
    sentences: Annotated[int | None, option("sentences")] = None,
    batch_size: Annotated[int | None, option("batch_size")] = None,
    device: Annotated[str | None, option("device")] = None,
    trust_remote_code: Annotated[
        bool | None, option("trust_remote_code", "--trust-remote-code/--no-trust-remote-code")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with settings for all cells; they go before a recipe's own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder; one of an earlier comparison is gone on with. [default: runs/compare]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes, one thread each; 0: none but this one. [default: one a core]")
    ] = None,
    measure_latency: Annotated[
        bool, typer.Option("--measure-latency", help="Time the small models as well, once all cells are done.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print rows and statistics as JSON.")] = False,
) -> None:
    """Compare recipes at several budgets and seeds; finished cells of an earlier, interrupted call are kept.

    Exit code 1 where a cell failed; why is told in failed/ under the folder.
    """
    given = option.given(locals())
    for name in ("recipe", "budget"):
        given.pop(name, None)

    from walras.experiments.grids.compare import as_json as told
    from walras.experiments.grids.compare import compare as run
    from walras.experiments.grids.executor import Local, Serial
    from walras.experiments.grids.sweep import Sweep
    from walras.experiments.reports.frontier_tables import print_comparison
    from walras.experiments.store.grid_folder import SweepFolder

    executor = Serial() if workers == 0 else Local() if workers is None else Local(workers)
    folder = SweepFolder(out or Path("runs") / "compare")
    settings = {**(read_config(config) if config else {}), **given}
    sweep = Sweep.of(recipe, [0.5] if budget is None else budget, seeds, settings, against)
    try:
        with progress_bar(not as_json) as progress:
            found = run(sweep, folder, executor, progress, measure_latency)
    except KeyboardInterrupt:
        done = sum(folder.finished(cell) for cell in sweep.cells)
        interrupted(f"{done} of {len(sweep.cells)} cells are finished; the same command goes on from there")
    if as_json:
        print(json.dumps(told(found), indent=2))
    else:
        print_comparison(output(), found)
    if found.failed:
        raise typer.Exit(1)

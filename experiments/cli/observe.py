"""`walras observe`: scarcity on attention, and what is behaviour about it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from walras.errors import InputError
from walras.experiments.cli.options import Code, with_settings
from walras.experiments.cli.screen import interrupted, output, progress_bar
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.store.new_folder import new_folder


@with_settings(ObserveConfig)
def observe(
    given: dict[str, Any],
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these settings.")] = None,
    code: Code = None,
    out: Annotated[Path | None, typer.Option(help="Folder. [default: a new one under runs/]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the observation that --out holds.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted observation.")] = False,
    executor: Annotated[
        str, typer.Option(help="Where evaluations run: serial, processes, dask, mpi; each loads the network.")
    ] = "serial",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Ration attention in some layers, by several budgets, and measure what all layers do about it.

    walras observe --task stsb --data glue --rule top-k --budgets 16,8,4

    walras observe --rule entmax:alpha=1.3 --constrain first-half --constrain 0,2 --controls none
    """
    if resume and out is None:
        raise InputError("--resume needs the folder of the observation that is to go on: --out FOLDER")
    settings = ObserveConfig.parse(given) if config is None else ObserveConfig.read(config, given, code or ())
    task, rule = (Path(str(name).partition(":")[0]).stem for name in (settings.subject.task, settings.scarcity.rule))
    place = out or new_folder(f"observe-{task}-{rule}-seed{settings.seed}")

    from walras.experiments.observing.folder import EVALUATIONS
    from walras.experiments.observing.observe import observe as run
    from walras.experiments.observing.reports.card import print_observed
    from walras.experiments.store.result_folder import unfinished_folder

    try:
        with progress_bar(not as_json) as progress:
            found = run(settings, place, overwrite, progress, resume=resume, executor=executor)
    except KeyboardInterrupt:
        begun = (unfinished_folder(place) / EVALUATIONS).is_dir()
        interrupted(f"the same command with --out {place} --resume goes on from there" if begun else "")
    if as_json:
        print(json.dumps(found.summary.as_dict(), indent=2))
    else:
        print_observed(output(), found, place)

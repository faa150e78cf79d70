"""`walras observe`: scarcity on attention, and what is behaviour about it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from walras.errors import InputError
from walras.experiments.cli.new_folder import new_folder
from walras.experiments.cli.options import Options
from walras.experiments.cli.screen import interrupted, output, progress_bar
from walras.experiments.config import read_settings
from walras.experiments.observing.config import ObserveConfig

option = Options(ObserveConfig)


def observe(
    model: Annotated[str | None, option("model")] = None,
    task: Annotated[str | None, option("task")] = None,
    data: Annotated[str | None, option("data")] = None,
    rule: Annotated[str | None, option("rule")] = None,
    budgets: Annotated[list[str] | None, option("budgets")] = None,
    constrain: Annotated[list[str] | None, option("constrain")] = None,
    controls: Annotated[list[str] | None, option("controls")] = None,
    eliminate: Annotated[bool | None, option("eliminate", "--eliminate/--no-eliminate")] = None,
    limit: Annotated[int | None, option("limit")] = None,
    sentences: Annotated[int | None, option("sentences")] = None,
    length: Annotated[int | None, option("length")] = None,
    batch_size: Annotated[int | None, option("batch_size")] = None,
    seed: Annotated[int | None, option("seed")] = None,
    device: Annotated[str | None, option("device")] = None,
    trust_remote_code: Annotated[
        bool | None, option("trust_remote_code", "--trust-remote-code/--no-trust-remote-code")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these settings.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder. [default: a new one under runs/]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the observation that --out holds.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted observation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Ration attention in some layers, by several budgets, and measure what all layers do about it."""
    given = option.given(locals())
    if resume and out is None:
        raise InputError("--resume needs the folder of the observation that is to go on: --out FOLDER")
    settings = ObserveConfig.of({**(read_settings(config) if config else {}), **given})
    task = Path(settings.task.partition(":")[0]).stem
    place = out or new_folder(f"observe-{task}-{settings.rule}-seed{settings.seed}")

    from walras.experiments.observing.card import print_observed
    from walras.experiments.observing.folder import EVALUATIONS
    from walras.experiments.observing.observe import observe as run

    try:
        with progress_bar(not as_json) as progress:
            found = run(settings, place, overwrite, progress, resume=resume)
    except KeyboardInterrupt:
        begun = (place / EVALUATIONS).is_file()
        interrupted(f"the same command with --out {place} --resume goes on from there" if begun else "")
    if as_json:
        print(json.dumps(found.summary, indent=2))
    else:
        print_observed(output(), found, place)

"""`walras trace`: what became of the agents of a run, or what the tokens of a sparsified network bought."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from walras.errors import InputError
from walras.experiments.cli.screen import output


def trace(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or of a sparsified network.")],
    others: Annotated[list[Path] | None, typer.Argument(help="Run folders to compare it with.")] = None,
    top: Annotated[int, typer.Option(help="How many units to list.", min=1)] = 8,
    pictures: Annotated[Path | None, typer.Option(help="Folder for the pictures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Study a run's agents: which won, which left and when, the price by round, the most and least valued units.

    With further runs of the same network: which units both keep, and where they differ.

    walras trace runs/pairs-walras-0.5-seed0

    walras trace runs/a runs/b --pictures pictures

    Of what `walras sparsify --trace` wrote: which tokens bought how much, from whom, and how surprising they were.
    """
    from walras.experiments.sparsifying.trace_table import parts

    if parts(run):
        if others:
            raise InputError(f"{run} holds a token trace, which is compared with no other")
        _token_trace(run, top, pictures, as_json)
        return
    from walras.experiments.reports.tables import comparison_table, study_json, study_tables
    from walras.experiments.reports.trace_pictures import draw, run_names
    from walras.experiments.store.result_file import check_result
    from walras.experiments.store.run_folder import is_finished, read_result
    from walras.market import Trace, read_trace

    folders = [run, *(others or ())]
    study, *rest = runs = [Trace(read_trace(folder)) for folder in folders]
    unfinished = [folder for folder in folders if not is_finished(folder)]
    names = run_names(folders)
    compared = {name: study.against(other) for name, other in zip(names[1:], rest, strict=True)}
    if pictures is not None:
        told = None if run in unfinished else check_result(read_result(run), f"result of {str(run)!r}")
        draw(dict(zip(names, runs, strict=True)), pictures, _command(folders, pictures), told)
    if as_json:
        rows = [{"run": name, **row} for name, both in compared.items() for row in both.to_dict("records")]
        print(json.dumps({**study_json(study, top), **({"compared": rows} if rows else {})}, indent=2))
        return
    for table in study_tables(study, top):
        output().print(table)
    for name, both in compared.items():
        output().print(comparison_table(both, names[0], name))
    for folder in unfinished:
        output().print(f"{folder} has not finished: these are the rounds so far", soft_wrap=True)


def _command(folders: Sequence[Path], pictures: Path) -> str:
    """The line by which the pictures are made again."""
    return shlex.join(["walras", "trace", *map(str, folders), "--pictures", str(pictures)])


def _token_trace(folder: Path, top: int, pictures: Path | None, as_json: bool) -> None:
    """The same of tokens."""
    from walras.experiments.sparsifying.pictures import draw
    from walras.experiments.sparsifying.study import TokenStudy
    from walras.experiments.sparsifying.study_tables import study_json, study_tables
    from walras.experiments.sparsifying.trace_table import read_token_trace

    study = TokenStudy(read_token_trace(folder))
    if pictures is not None:
        draw(study, pictures, _command([folder], pictures))
    if as_json:
        print(json.dumps(study_json(study, top), indent=2))
        return
    for table in study_tables(study, top):
        output().print(table, soft_wrap=not hasattr(table, "columns"))

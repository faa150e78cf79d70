"""`walras trace`: what became of the agents of a run, or what the tokens of a sparsified network bought."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from walras.errors import InputError
from walras.experiments.cli.screen import output

if TYPE_CHECKING:
    from walras.experiments.tracing.comparison import Comparison, TracedRun


def trace(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or of a sparsified network.")],
    others: Annotated[list[Path] | None, typer.Argument(help="Run folders to compare it with.")] = None,
    where: Annotated[str | None, typer.Option(help="Rows to look at: layer == 3 and kind == 'head'.")] = None,
    top: Annotated[int, typer.Option(help="How many units to list.", min=1)] = 8,
    csv: Annotated[Path | None, typer.Option(help="Table to write: rows of the first run.")] = None,
    graphml: Annotated[Path | None, typer.Option(help="Graph to write: which units replaced which.")] = None,
    png: Annotated[Path | None, typer.Option(help="Picture to write: price, use, and what is kept.")] = None,
    svg: Annotated[Path | None, typer.Option(help="The same picture, as SVG.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    pictures: Annotated[Path | None, typer.Option(help="Folder for more pictures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Study a run's agents: which won, which left and when, the price by round, the most and least valued units.

    With further runs of the same network: which units both keep, and where they differ.

    walras trace runs/pairs-walras-0.5-seed0

    walras trace runs/a runs/b --png both.png

    walras trace runs/a --where "layer == 3 and kind == 'head' and quantity == 0" --csv lost.csv

    Of what `walras sparsify --trace` wrote: which tokens bought how much, from whom, and how surprising they were.
    """
    from walras.experiments.sparsifying.trace_table import FIGURES, parts

    files = {"csv": csv, "graphml": graphml, "png": png, "svg": svg}
    if parts(run):
        if others:
            raise InputError(f"{run} holds a token trace, which is compared with no other")
        given = [name for name, value in {"where": where, **files}.items() if value is not None]
        if given:
            raise InputError(f"{run} holds a token trace; --{given[0]} is of traces of runs. valid: --pictures, --json")
        _token_trace(run, top, pictures, as_json)
        return
    if (run / FIGURES).is_file():
        raise InputError(f"{run} was written by walras sparsify without --trace; write it again with --trace")
    from walras.experiments.reports.tables import study_json
    from walras.experiments.reports.trace_pictures import draw, run_names
    from walras.experiments.store.result_file import check_result
    from walras.experiments.store.run_folder import read_result
    from walras.experiments.tracing.comparison import Comparison, TracedRun, plain_rows
    from walras.experiments.tracing.exports import Exports

    exports, folders = Exports(files, overwrite), [run, *(others or ())]
    runs = [TracedRun.read(folder, name) for folder, name in zip(folders, run_names(folders), strict=True)]
    chosen = [one.where(where) for one in runs]
    units = None if where is None else frozenset(name for one in chosen for name in one.trace.trace["agent"])
    compared = [Comparison(runs[0], other, units) for other in runs[1:]]
    for pair in compared:
        pair.check()
    if pictures is not None:
        told = check_result(read_result(run), f"result of {str(run)!r}") if runs[0].finished else None
        draw({one.name: one.trace for one in runs}, pictures, _command(folders, pictures), told, runs[0].trades)
    written = exports.write(chosen[0].trace.trace, runs[0].trace, chosen)
    if as_json:
        rows = [{"run": pair.second.name, **row} for pair in compared for row in pair.kept.to_dict("records")]
        found = (
            {**study_json(runs[0].trace, top), "trades": plain_rows(runs[0].trades)}
            if where is None
            else {"rows": plain_rows(chosen[0].trace.trace)}
        )
        more = {"compared": rows, "differences": [pair.as_json() for pair in compared]} if compared else {}
        print(json.dumps({**found, **more}, indent=2))
        return
    _print(runs[0], chosen[0] if where is not None else None, compared, top)
    for folder, one in zip(folders, runs, strict=True):
        if not one.finished:
            output().print(f"{folder} has not finished: these are the rounds so far", soft_wrap=True)
    if written:
        output().print("   ".join(map(str, written)), soft_wrap=True)


def _print(run: "TracedRun", chosen: "TracedRun | None", compared: "list[Comparison]", top: int) -> None:
    """The study of a run, or the rows that were chosen of it, and where other runs differ."""
    from walras.experiments.reports.tables import (
        comparison_table,
        difference_tables,
        selection_table,
        study_tables,
        trade_tables,
    )

    tables = (
        [*study_tables(run.trace, top), *trade_tables(run.trades, top)]
        if chosen is None
        else [selection_table(chosen.trace.trace, len(run.trace.trace), top)]
    )
    for pair in compared:
        only = {pair.first.name: pair.only("first only"), pair.second.name: pair.only("second only")}
        tables += [
            comparison_table(pair.kept, pair.first.name, pair.second.name),
            *difference_tables(pair.rounds, only, top, pair.same_unit),
        ]
    for table in tables:
        output().print(table)


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

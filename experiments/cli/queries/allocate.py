"""`walras allocate`: token budgets for a file or a stream of queries."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from walras.errors import InputError, UnknownNameError
from walras.experiments.cli.screen import interrupted, output, progress_bar

if TYPE_CHECKING:
    from walras.experiments.queries.batch import Predict
    from walras.market.queries import Allocator


def allocate(
    queries: Annotated[str, typer.Argument(help="jsonl, csv or parquet file with id and threshold; - with --stream.")],
    budget: Annotated[float, typer.Option(help="Tokens for all queries; with --stream, for each window.")],
    out: Annotated[Path | None, typer.Option(help="jsonl, csv or parquet file. [default: standard output]")] = None,
    allocator: Annotated[
        str, typer.Option(help="NAME:key=value or FILE.py:Class; `walras list allocators` names them.")
    ] = "clear",
    headroom: Annotated[float | None, typer.Option(help="Tokens above the threshold. [default: adaptive]")] = None,
    utility: Annotated[str, typer.Option(help="surge, quadratic, triangular or gamma.")] = "surge",
    price: Annotated[float | None, typer.Option(help="Price per token, for the allocator posted.")] = None,
    predictor: Annotated[Path | None, typer.Option(help="Folder of a predictor; queries need text then.")] = None,
    reserve: Annotated[
        float,
        typer.Option(help="Tokens of each grant kept for the answer, beside the thinking; also a field."),
    ] = 0.0,
    on_bad: Annotated[
        str, typer.Option(help="fail: bad rows are an error; skip: they get nothing (a stream always goes on).")
    ] = "fail",
    stream: Annotated[bool, typer.Option("--stream", help="Answer json lines from - as they come.")] = False,
    window: Annotated[int, typer.Option(help="Queries per window of the stream.")] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Grant reasoning tokens to queries by the shadow price of a token (CLEAR), or by a simpler rule."""
    if on_bad not in ("fail", "skip"):
        raise UnknownNameError("--on-bad", on_bad, ("fail", "skip"))
    predict = _predict(predictor)
    if stream:
        _stream(queries, out, budget, window, headroom, predict, reserve)
        return
    if queries == "-":
        raise InputError("standard input can be read once only; give a file, or --stream")

    from walras.experiments.queries.batch import allocate_file

    rule = _allocator(allocator, headroom, utility, price)
    try:
        with progress_bar(not as_json) as progress:
            task = progress.add_task("Reading", total=None)
            allocation, bad = allocate_file(
                Path(queries), out, rule, budget, skip_bad=on_bad == "skip", predict=predict, reserve=reserve,
                tell=lambda rows: progress.update(task, description=f"Reading: {rows:,} queries"),
            )  # fmt: skip
    except BrokenPipeError:
        _closed()
    except KeyboardInterrupt:
        interrupted("nothing was written")
    _summarise(allocation.summary(), [str(row) for row in bad], as_json, out)


def _allocator(spec: str, headroom: float | None, utility: str, price: float | None) -> "Allocator":
    from walras.market.queries import ALLOCATORS

    rule = ALLOCATORS.make(spec, headroom=headroom, utility=utility, price=price)
    if price is not None and not hasattr(rule, "price"):
        raise InputError(f"allocator {rule.name} takes no price; posted does")
    return rule


def _predict(folder: Path | None) -> "Predict | None":
    if folder is None:
        return None
    from walras.experiments.queries.predictors import load_predictor

    return load_predictor(folder).predict


def _stream(
    source: str, out: Path | None, budget: float, window: int, headroom: float | None, predict: "Predict | None",
    reserve: float,
) -> None:  # fmt: skip
    from walras.experiments.queries.stream import filter_stream
    from walras.files.lines import lines_of
    from walras.market.queries import OnlineMarket
    from walras.market.queries.limits import amount

    if sys.stdin is None:  # closed by whoever started the program
        raise InputError("--stream reads standard input, which is closed")
    if source != "-" or out is not None:
        raise InputError("--stream reads standard input (-) and writes standard output: no other file, no --out")
    market, reserve = OnlineMarket(budget, window, headroom=headroom), amount(reserve, "reserve", 0.0)
    try:
        figures = filter_stream(market, lines_of(sys.stdin.buffer), sys.stdout, predict, reserve)
    except KeyboardInterrupt:
        interrupted("every answer that was given stands")
    if figures.pop("output_closed"):
        _closed()
    print(json.dumps(figures), file=sys.stderr)


def _closed() -> NoReturn:
    """End quietly: the reader of the output has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has no reader
    raise typer.Exit(1)


def _summarise(summary: dict[str, Any], bad: list[str], as_json: bool, out: Path | None) -> None:
    """To standard output, or to standard error where the rows go to standard output. Links are followed, and said."""
    written = None if out is None else os.path.realpath(out)
    if as_json:
        content = {**summary, "bad_rows": bad, "out": written}
        print(json.dumps(content, indent=2), file=sys.stderr if out is None else sys.stdout)
        return
    from walras.experiments.queries.card import allocation_card

    console = output(stderr=out is None)
    console.print(allocation_card(summary))
    if out is not None:
        told = str(out) if written == os.path.abspath(out) else f"{out}, a link to {written}"
        console.print(f"Written: {told}", soft_wrap=True)
    for line in bad[:10]:
        console.print(f"Bad: {line}", style="red", soft_wrap=True)

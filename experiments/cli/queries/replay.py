"""`walras replay`: a trace of requests, played against online policies."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from walras.errors import InputError, UnknownNameError
from walras.experiments.cli.screen import interrupted, output, progress_bar

if TYPE_CHECKING:
    from walras.experiments.replaying.opening import Opening


def replay(
    trace: Annotated[
        Path, typer.Argument(help="jsonl, csv or parquet file with id, arrival, threshold or text, tokens, correct.")
    ],
    budget: Annotated[float, typer.Option(help="Tokens for each window.")],
    policy: Annotated[
        list[str] | None,
        typer.Option(help="NAME:key=value or FILE.py:Class; several. `walras list online-policies` names them."),
    ] = None,
    per: Annotated[str | None, typer.Option(help="Time of a window, such as 60s, 500ms or 5m. [default: 60s]")] = None,
    window: Annotated[int | None, typer.Option(help="Requests of a window, instead of a time.")] = None,
    headroom: Annotated[float | None, typer.Option(help="Tokens above the threshold. [default: adaptive]")] = None,
    typical: Annotated[
        float | None, typer.Option(help="Tokens that a request is taken to get at first. [default: twice its need]")
    ] = None,
    reserve: Annotated[
        float,
        typer.Option(help="Tokens of each grant kept for the answer, beside the thinking; also a field."),
    ] = 0.0,
    predictor: Annotated[Path | None, typer.Option(help="Folder of a predictor; requests need text then.")] = None,
    unfunded: Annotated[
        str,
        typer.Option(help="reject; queue, queue:SECONDS: ask again at every window; floor=TOKENS; FILE.py:Class."),
    ] = "reject",
    tokens_a_second: Annotated[float, typer.Option(help="Tokens of one answer per second.")] = 50.0,
    on_bad: Annotated[str, typer.Option(help="fail: bad rows are an error; skip: they are left out.")] = "fail",
    out: Annotated[Path | None, typer.Option(help="Folder for tables, picture and report. [default: none]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Play a trace of requests against policies that grant tokens, and compare accuracy, spending and waiting.

    walras replay trace.jsonl --budget 20000 --per 60s --policy clear --policy uniform --policy fixed-cap:tokens=400

    walras replay trace.csv --budget 20000 --unfunded queue:120 --predictor FOLDER --out replayed
    """
    if on_bad not in ("fail", "skip"):
        raise UnknownNameError("--on-bad", on_bad, ("fail", "skip"))
    policies = list(dict.fromkeys(policy or ["clear"]))

    from walras.experiments.queries.unfunded import UNFUNDED_RULES
    from walras.experiments.replaying.comparison import compare_policies
    from walras.experiments.replaying.replay import check_rule
    from walras.experiments.replaying.requests import read_requests
    from walras.market.queries import ONLINE_POLICIES

    opening, rule = _opening(budget, per, window, headroom, typical), UNFUNDED_RULES.make(unfunded)
    check_rule(rule, timed=window is None)
    for name in policies:
        ONLINE_POLICIES.make(name)
    if out is not None:
        from walras.experiments.replaying.report import check_replay_place

        check_replay_place(out)
    predict = None
    if predictor is not None:
        from walras.experiments.queries.predictors import load_predictor

        predict = load_predictor(predictor).predict
    try:
        with progress_bar(not as_json) as progress:
            task = progress.add_task("Reading", total=None)
            requests = read_requests(
                trace, predict=predict, reserve=reserve, skip_bad=on_bad == "skip",
                tell=lambda rows: progress.update(task, description=f"Reading: {rows:,} requests"),
            )  # fmt: skip
            compared = compare_policies(policies, requests, opening, rule, tokens_a_second, progress)
        if out is not None:
            from walras.experiments.replaying.report import write_replay

            given = {
                "budget": budget, "policy": policies, "per": per, "window": window, "headroom": headroom,
                "typical": typical, "reserve": reserve or None, "predictor": predictor,
                "unfunded": None if unfunded == "reject" else unfunded,
                "tokens-a-second": tokens_a_second, "on-bad": None if on_bad == "fail" else on_bad,
            }  # fmt: skip
            write_replay(out, compared, _command(trace, given))
    except KeyboardInterrupt:
        interrupted("nothing was written")
    if as_json:
        print(json.dumps(compared.summary(), indent=2))
        return

    from walras.experiments.replaying.card import comparison_card

    console = output()
    console.print(comparison_card(compared))
    for note in compared.notes():
        console.print(f"Note: {note}", style="yellow", soft_wrap=True)
    if out is not None:
        console.print(f"Report: {out / 'report.html'}   Table: {out / 'requests.csv'}", soft_wrap=True)


def _opening(
    budget: float, per: str | None, window: int | None, headroom: float | None, typical: float | None
) -> "Opening":
    from walras.experiments.queries.durations import seconds_of
    from walras.experiments.replaying.opening import Opening

    if per is not None and window is not None:
        raise InputError("--per and --window both say how long a window is; give one of them")
    return Opening(budget, None if window is not None else seconds_of(per or "60s"), window, headroom, typical)


def _command(trace: Path, given: dict[str, Any]) -> str:
    """The line of a shell that was given."""
    words = ["walras", "replay", str(trace)]
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                words += [f"--{name}", f"{one:.15g}" if isinstance(one, float) else str(one)]
    return shlex.join(words)

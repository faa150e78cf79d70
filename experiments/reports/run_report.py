"""The report of a run: the verdict, the allocation, and the economics; and the same of a folder that is there."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from walras.experiments.reports import plots
from walras.experiments.reports.numbers import decimals, number, percent
from walras.experiments.reports.pages.made import command_of
from walras.experiments.reports.pages.page import Link, Made, Note, Page, Picture, Section, Table
from walras.experiments.reports.pages.writing import write_page
from walras.experiments.reports.sentence import in_one_sentence
from walras.experiments.reports.trades import trades_section
from walras.experiments.reports.verdict import allocation_notes, budgets_section, verdict_table
from walras.experiments.store.grid_folder import SWEEP
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.versions import VERSIONS, versions
from walras.market import Trace
from walras.mechanisms import Status

if TYPE_CHECKING:
    from walras.experiments.outcome import Outcome

UNSETTLED = (Status.NOT_CONVERGED.word, Status.NO_EQUILIBRIUM.word)
_FROM_PYTHON = "It was started from Python, with objects that no command line names; config.yaml has its settings."
_IN_PYTHON = "It was started from Python with agents, shocks or hooks of its own, which the command does not have."


def write_report(folder: ResultFolder, outcome: "Outcome", exact: bool = True) -> None:
    """Write `report.html` and the pictures of a run whose trace is written.

    Args:
        folder: of the run.
        outcome: what it came to.
        exact: the settings say all of it; else agents, shocks or hooks of the user's own took part.
    """
    summary = {**outcome.summary.as_dict(), VERSIONS: versions()}
    made = made_of(summary, folder.settings, folder.place, exact)
    page = run_page(summary, outcome.trace, outcome.rounds, outcome.trades, made)
    write_page(folder.path, page)


def run_page(
    summary: Mapping[str, Any], trace: pd.DataFrame, rounds: pd.DataFrame, trades: pd.DataFrame, made: Made
) -> Page:
    """The page of a run.

    Args:
        summary: what `result.json` holds, of this version or an earlier one.
        trace: a row per agent and round.
        rounds: a row per round.
        trades: a row per meeting of two sub-layers; no rows where none traded.
        made: how it can be made again.
    """
    notes = [Note(_unsettled(summary), warning=True)] if summary.get("status") in UNSETTLED else []
    picture = Picture(
        "allocation", plots.allocation(trace), "Which units of every layer stay, by kind.",
        "Filled cells stay, crosses leave. Where a layer has more units than cells that can be told apart, a cell is "
        "several neighbours, and its shade the share of them that stays.",
    )  # fmt: skip
    budgets = budgets_section(summary)
    sections = [
        Section("Allocation", [*allocation_notes(summary), picture]),
        *([] if budgets is None else [budgets]),
        Section("Economics", [_figures(summary), *_pictures(summary, trace, rounds)], folded=True),
        *trades_section(trades),
        Section(f"Rounds ({len(rounds)})", [_rounds(rounds)], folded=True),
    ]
    return Page(
        f"{summary['mechanism']} on {summary['task']}", _about(summary), in_one_sentence(summary),
        [verdict_table(summary), *notes], sections, made,
    )  # fmt: skip


def made_of(summary: Mapping[str, Any], settings: Any, place: Path, exact: bool = True) -> Made:
    """How a run, or a training run, can be made again.

    Args:
        summary: its figures.
        settings: of its command; None where they are not known.
        place: its folder, which may lie in that of a sweep.
        exact: the settings say all of it.
    """
    own = summary["model"] == getattr(getattr(settings, "subject", None), "model", None)
    flags = ["--measure-latency"] if summary.get("latency_ms") and getattr(settings, "command", "") == "run" else []
    command = command_of(settings, *flags) if own else ""
    links = []
    if place.parent.name == "cells" and (place.parent.parent / SWEEP).is_file():
        links.append(Link("The sweep that this is a cell of", "../../report.html"))
    reason = (_FROM_PYTHON if not command else "") if exact else _IN_PYTHON
    names = ("seed", "recipe", "mechanism", "valuation", "strategy", "pricing")
    told = {name: str(summary[name]) for name in names if summary.get(name) is not None}
    told |= {"model": str(summary["model"]), "task": str(summary["task"])}
    protocol = ", ".join(f"{name} {value}" for name, value in summary.get("protocol", {}).items())
    if protocol:
        told["measured on"] = protocol
    return Made(command, reason, told, summary.get(VERSIONS, {}), links)


def _about(summary: Mapping[str, Any]) -> str:
    """What was run, in two sentences."""
    by = f", by recipe {summary['recipe']}" if summary.get("recipe") else ""
    valued = f", valued by {summary['valuation']}" if "valuation" in summary else ""
    rounds = summary.get("rounds", 1)
    return (
        f"{summary['model']}: {summary.get('units', 0):,} units traded compute in {rounds} round{'s' * (rounds != 1)}"
        f"{valued}{by}. Compute is counted in multiply-accumulates (MACs) of the layers, for "
        f"{summary['length']} tokens."
    )


def _unsettled(summary: Mapping[str, Any]) -> str:
    return f"{summary['status']}: excess demand of {number(summary.get('residual'))} at the price."


def _figures(summary: Mapping[str, Any]) -> Table:
    """What the market came to."""
    unit, resource = summary.get("unit", ""), summary.get("resource", "macs").replace("macs", "MACs")
    rows = [
        ["budget", f"{percent(summary['budget'])} of {resource}"], ["used", f"{percent(summary['used'])}"],
        ["price of the dense compute", number(summary.get("price"))], ["welfare", number(summary.get("welfare"))],
        ["revenue", number(summary.get("revenue"))],
        ["status", str(summary.get("status", ""))],
    ]  # fmt: skip
    if summary.get("method"):
        rows.append(["found by", str(summary["method"])])
    return Table(("", "at the end"), rows, f"What the market came to; money is counted in: {unit}")


def _pictures(summary: Mapping[str, Any], trace: pd.DataFrame, rounds: pd.DataFrame) -> list[Picture]:
    unit = str(summary.get("unit", "money"))
    return [
        Picture("price", plots.price_path(rounds, unit), "Clearing price and budget by round.",
                "Both axes start at 0."),
        Picture("bids", plots.bids(trace, unit), "Bids against values in the last round.",
                "A point is a unit with a value above 0; both axes are logarithmic."),
        Picture("lorenz", plots.lorenz(Trace(trace).lorenz), "Lorenz curves of what each agent holds at the end.",
                "The further below the line, the more unequal."),
        Picture("frontier", plots.frontier(summary), "Task metric against compute used, dense and after.",
                "The axis of the metric spans at least a fifth of the dense model's figure."),
    ]  # fmt: skip


def _rounds(rounds: pd.DataFrame) -> Table:
    """The table of rounds; shares as such."""
    table = Table.from_frame(rounds, "What the market came to in every round")
    shares = {i for i, name in enumerate(rounds.columns) if name in ("budget", "used")}
    rows = [
        [decimals(value, 4) if i in shares else cell for i, (cell, value) in enumerate(zip(row, raw, strict=True))]
        for row, raw in zip(table.rows, rounds.itertuples(index=False, name=None), strict=True)
    ]
    return Table(table.headings, rows, table.caption)

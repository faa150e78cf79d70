"""The pictures of `walras trace`, and a page with them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from walras.experiments.reports import plots
from walras.experiments.reports.numbers import count, number
from walras.experiments.reports.pages.page import Made, Note, Page, Picture, Section, Table
from walras.experiments.reports.pages.writing import write_page
from walras.experiments.reports.run_report import made_of
from walras.experiments.reports.sentence import in_one_sentence
from walras.experiments.reports.trades import trades_section
from walras.experiments.reports.verdict import verdict_table
from walras.experiments.store.place import check_place
from walras.market import Trace

_LONGEST = 40  # characters of a run's name in that of a file, which must stay below 256 bytes
_TOP = 20  # rows of long tables


def draw(
    runs: Mapping[str, Trace], folder: Path, command: str = "", summary: Mapping[str, Any] | None = None,
    trades: pd.DataFrame | None = None,
) -> None:  # fmt: skip
    """Write pictures of the first run into a folder; of several, prices.png and compared-NAME.png show all of them.

    Beside them `report.html` has them all, with the tables and the first run's verdict.

    Args:
        runs: by name.
        folder: where they go.
        command: by which they were made.
        summary: what `result.json` holds of the first run, of this version or an earlier one; None: unfinished.
        trades: of its sub-layers; None or no rows where none traded.

    Raises:
        InputError: a place that cannot be written, or runs of different units.
    """
    page = trace_page(runs, command, summary, trades)
    check_place(folder)
    write_page(folder, page)


def trace_page(
    runs: Mapping[str, Trace], command: str, summary: Mapping[str, Any] | None = None,
    trades: pd.DataFrame | None = None,
) -> Page:  # fmt: skip
    """The page of the first run's agents, and of what others keep that it does not; arguments as of `draw`.

    Raises:
        InputError: runs of different units.
    """
    (first, study), *others = runs.items()
    compared = [
        Picture(f"compared-{name if len(name) <= _LONGEST else i}", plots.two_allocations(both, first, name),
                f"Units that {first} and {name} keep, by layer.", "Triangles: units that only one of them keeps.")
        for i, (name, both) in enumerate(((name, study.against(other)) for name, other in others), 2)
    ]  # fmt: skip
    prices = plots.price_paths({name: run.rounds for name, run in runs.items()}, "money")
    last, units = study.rounds.iloc[-1], len(study.last)
    funded = len(study.winners)
    funding = (
        f"{count(funded)} of {count(units)} units are funded after {count(last['round'])} "
        f"round{'' if last['round'] == 1 else 's'}, at a price of {number(last['price'])} for the dense compute."
    )
    allocation = Picture("allocation", plots.allocation(study.trace), "Which units of every layer stay, by kind.",
                         "Filled cells stay, crosses leave.")  # fmt: skip
    economics = [
        Picture("prices", prices, "Clearing price by round.", "The axis starts at 0."),
        Picture("survival", plots.survival(study.survival), "Share of units that are funded, by round and kind."),
        Picture("bids", plots.bids(study.trace, "money"), "Bids against values in the last round.",
                "A point is a unit with a value above 0; both axes are logarithmic."),
        Picture("lorenz", plots.lorenz(study.lorenz), "Lorenz curves of wealth and compute at the end."),
    ]  # fmt: skip
    winner = ["agent", "strategy", "value", "bid", "payment", "surplus", "wealth"]
    tables = [
        Table.from_frame(study.rounds, "By round"),
        Table.from_frame(study.layers.rename(columns={"sum": "funded", "size": "of"}), "Funded units by layer"),
        Table.from_frame(study.winners.head(_TOP)[winner], f"The wealthiest of {count(funded)} funded units"),
        Table.from_frame(study.strategies, "What became of each strategy"),
    ]
    sections = [
        Section("Allocation", [allocation]),
        *([Section("Against other runs", compared)] if compared else []),
        Section("Economics", economics),
        *([] if trades is None else trades_section(trades)),
        Section("Tables", tables, folded=True),
    ]
    about = f"What became of the agents of a run, from its trace of {count(len(study.trace))} bids."
    if summary is None:
        note = [Note("This run has not finished: these are its rounds so far.", warning=True)]
        return Page(f"Agents of {first}", about, funding, note, sections, Made(command))
    figures: list[Table | Note] = [Note(funding), verdict_table(summary)]
    made = made_of(summary, None, Path(first))
    made = replace(made, command=command, reason="The versions are those that made the run.")
    return Page(f"Agents of {first}", about, in_one_sentence(summary), figures, sections, made)


def run_names(folders: Sequence[Path]) -> list[str]:
    """What runs are called: by their folders' names or, where two have the same, by number as well."""
    names = [folder.resolve().name for folder in folders]
    return [name if names.count(name) == 1 else f"{name}-{i}" for i, name in enumerate(names, 1)]

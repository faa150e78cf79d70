"""What the commands print."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table

from walras.agents import STRATEGIES, VALUATIONS
from walras.experiments.budgets import binding
from walras.experiments.observing.scarcity import SCARCE
from walras.experiments.recipes import RECIPES
from walras.experiments.reports.metric import titled
from walras.experiments.tasks import TASKS
from walras.experiments.tasks.data.glue_table import GLUE
from walras.experiments.tasks.data.wikitext_files import WIKITEXT
from walras.market import SCHEDULES, Trace
from walras.market.queries import ALLOCATORS
from walras.mechanisms import MECHANISMS, Status
from walras.mechanisms.testing.conformance import Check
from walras.models import ARCHITECTURES
from walras.models.repair.table import REPAIRS


def result_table(summaries: Sequence[Mapping[str, Any]], title: str | None = None) -> Table:
    """A row a run: what it cost and what it saved."""
    table = Table(title=title, box=box.SIMPLE_HEAD)
    columns = [_cells(s) for s in summaries]
    for i, name in enumerate(columns[0]):
        table.add_column(name, justify="left" if i < 2 else "right", no_wrap=True)
    for cells in columns:
        table.add_row(*cells.values())
    return table


def result_card(summary: Mapping[str, Any]) -> Table:
    """The same for a single run, a line a figure."""
    table = Table(box=box.SIMPLE, show_header=False)
    for name, cell in _cells(summary).items():
        table.add_row(name.replace("\n", " "), cell)
    table.add_row("units kept", f"{summary['heads']} heads and {summary['ffn']} FFN blocks of {summary['units']}")
    table.add_row(
        "MACs", f"{summary['macs'] / 1e6:,.0f} M of {summary['dense_macs'] / 1e6:,.0f} M for {summary['length']} tokens"
    )
    if [*summary.get("budgets", {})] not in ([], ["macs"]):
        table.add_row("budgets", binding(summary["budgets"]))
    if summary.get("protocol"):
        table.add_row("measured on", ", ".join(f"{name} {value}" for name, value in summary["protocol"].items()))
    if summary.get("method"):
        table.add_row("found by", summary["method"])
    if summary["status"] in UNSETTLED:
        table.add_row("warning", f"{summary['status']}: excess demand of {summary['residual']:.3g} at the price")
    table.add_row("money in", str(summary["unit"]))
    return table


UNSETTLED = (Status.NOT_CONVERGED.word, Status.NO_EQUILIBRIUM.word)


def _cells(s: Mapping[str, Any]) -> dict[str, str]:
    """Heading and text of every figure of a run."""
    metric, resource = s["metric"], s.get("resource", "macs").replace("macs", "MACs")
    title = titled(metric)
    return {
        "mechanism": s["mechanism"], "valuation": s["valuation"], "budget": f"{s['budget']:g}",
        f"{resource}\nused": f"{s['used']:.3f}", "clearing\nprice": f"{s['price']:.3g}",
        "welfare": f"{s['welfare']:.3g}", "revenue": f"{s['revenue']:.3g}", "status": s["status"],
        f"{title}\ndense": f"{metric['dense']:.3f}", f"{title}\nafter": f"{metric['value']:.3f}",
    }  # fmt: skip


def study_tables(study: Trace, top: int) -> list[Table]:
    """The tables of `walras trace`."""
    most, least = study.by_value(top)
    left = study.leavers.groupby(["left", "kind"], observed=True).size().rename("units").reset_index()
    return [
        _frame("Price by round (of the dense model's whole compute)", study.rounds),
        _frame("Funded units by layer", study.layers.rename(columns={"sum": "funded", "size": "of"})),
        _frame(f"Who won: the wealthiest of {len(study.winners)} funded units", study.winners.head(top)[_WINNER]),
        _frame("Who left, and in which round", left),
        *([] if study.replacements.empty else [_frame("Who replaced whom", study.replacements)]),
        _frame("What became of each strategy", study.strategies),
        _frame("Most valued in the first round", most[_VALUED]),
        _frame("Least valued in the first round", least[_VALUED]),
    ]


_LONG = 40  # characters of a cell that may be told in several lines
_WINNER = ["agent", "strategy", "value", "bid", "payment", "surplus", "wealth"]
_VALUED = ["agent", "cost", "value", "quantity"]


def study_json(study: Trace, top: int) -> dict[str, Any]:
    """The same figures as JSON."""
    most, least = study.by_value(top)
    return {
        "rounds": study.rounds.to_dict("records"),
        "layers": study.layers.to_dict("records"),
        "winners": study.winners[_WINNER].to_dict("records"),
        "leavers": study.leavers.to_dict("records"),
        "survival": study.survival.to_dict("records"),
        "turnover": study.turnover.to_dict("records"),
        "replacements": study.replacements.to_dict("records"),
        "gini": study.lorenz.groupby("of")["gini"].first().to_dict(),
        "strategies": study.strategies.to_dict("records"),
        "most_valued": most[_VALUED].to_dict("records"),
        "least_valued": least[_VALUED].to_dict("records"),
    }


def comparison_table(both: pd.DataFrame, first: str, second: str) -> Table:
    """How many units of a kind both runs keep, one of them, or none."""
    counts = both.pivot_table(index="kind", columns="funded", values="agent", aggfunc="count", observed=True)
    order = ["both", "first only", "second only", "neither"]
    counts = counts.reindex(columns=order).fillna(0).astype(int).reset_index()
    kept = (both["funded"] != "neither").sum()
    agree = (both["funded"] == "both").sum() / kept if kept else 1.0
    return _frame(f"{first} and {second}: {agree:.0%} of the units that either keeps, both keep", counts)


def checks_table(name: str, checks: Sequence[Check]) -> Table:
    """A row a check of the conformance suite."""
    table = Table(title=f"{name}: {sum(c.passed for c in checks)} of {len(checks)} checks hold", box=box.SIMPLE_HEAD)
    for column in ("check", "markets", "holds", "first failure"):
        table.add_column(column, overflow="fold")
    for c in checks:
        table.add_row(c.name, str(c.instances), "yes" if c.passed else "NO", c.detail)
    return table


def catalogue() -> dict[str, dict[str, str]]:
    """Everything that can be named on the command line, with a line about each."""
    lists: dict[str, Mapping[str, Any]] = {
        "mechanisms": MECHANISMS, "valuations": VALUATIONS, "strategies": STRATEGIES, "schedules": SCHEDULES,
        "repairs": REPAIRS, "allocators": ALLOCATORS,
    }  # fmt: skip
    found = {kind: {name: _about(entry) for name, entry in entries.items()} for kind, entries in lists.items()}
    found["tasks"] = {name: _about(task) for name, task in TASKS.items()}
    found["tasks"] |= {
        name: f"{GLUE[name].folder} of GLUE, by {GLUE[name].metrics[0]}" for name in TASKS if name in GLUE
    }
    found["tasks"] |= {name: f"{edition.folder}, by perplexity" for name, edition in WIKITEXT.items()}
    found["recipes"] = {name: recipe.source for name, recipe in RECIPES.items()}
    found["attention rules"] = {name: f"{rule.about}; budget: {rule.unit}" for name, rule in SCARCE.items()}
    found["architectures"] = dict.fromkeys(ARCHITECTURES, "")
    return found


def catalogue_table(entries: Mapping[str, Mapping[str, str]]) -> Table:
    """A row an entry."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("list", "name", "about"):
        table.add_column(column)
    for kind, names in entries.items():
        for i, (name, about) in enumerate(names.items()):
            table.add_row(kind if i == 0 else "", name, about)
    return table


def _about(entry: Any) -> str:
    """The first sentence of what it says of itself."""
    first = " ".join(str(entry.__doc__ or "").split("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".")


def _frame(title: str, frame: pd.DataFrame) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, min_width=len(title) + 2)
    for column in frame.columns:
        text = not pd.api.types.is_numeric_dtype(frame[column])
        long = text and int(frame[column].astype(str).str.len().max() or 0) > _LONG
        table.add_column(str(column), justify="left" if text else "right", no_wrap=not long)
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    return table

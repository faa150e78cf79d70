"""What the commands print."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import amounts, count, decimals, megabytes, number, percent, quality, short
from walras.experiments.reports.pages.page import cells
from walras.experiments.reports.sentence import binding, kept_units
from walras.experiments.reports.trades import trade_balances, trade_rounds
from walras.market import Trace
from walras.mechanisms import Status
from walras.mechanisms.testing.conformance import Check


def result_table(summaries: Sequence[Mapping[str, Any]], title: str | None = None) -> Table:
    """One row per run: what it cost and what it saved."""
    table = Table(title=title, box=box.SIMPLE_HEAD)
    columns = [_cells(s) for s in summaries]
    for i, name in enumerate(columns[0]):
        table.add_column(name, justify="left" if i < 2 else "right", no_wrap=True)
    for row in columns:
        table.add_row(*row.values())
    return table


def result_card(summary: Mapping[str, Any]) -> Table:
    """One run, one line per figure: quality and what was bought first, the economics after."""
    table = Table(box=box.SIMPLE, show_header=False)
    for name, cell in {**_bought(summary), **_economics(summary)}.items():
        table.add_row(Text(name), Text(cell))
    return table


def _bought(summary: Mapping[str, Any]) -> dict[str, str]:
    """Quality, and what is left of the network."""
    metric, dense_macs = summary["metric"], summary["dense_macs"]
    macs, dense = amounts(summary["macs"], dense_macs)
    found = {
        titled(metric): f"{quality(metric['value'])} (dense {quality(metric['dense'])})",
        "MACs": f"{percent(summary['macs'] / dense_macs)}: {macs} of {dense} for {summary['length']} tokens",
    }
    for rows, timing in summary.get("latency_ms", {}).items():
        found[f"milliseconds at batch {rows}"] = (
            f"{percent(timing['value'] / timing['dense'])}: {number(timing['value'])} of {number(timing['dense'])}"
        )
    if "parameters" in summary:
        now, before = summary["parameters"], summary["dense_parameters"]
        found["parameters"] = f"{percent(now / before)}: {count(now)} of {count(before)}"
    if "bytes" in summary and "dense_bytes" in summary:
        found["megabytes"] = " of ".join(megabytes(summary["bytes"], summary["dense_bytes"]))
    found["units kept"] = kept_units(summary)
    if [*summary.get("budgets", {})] not in ([], ["macs"]):
        found["budgets"] = binding(summary["budgets"])
    if summary.get("protocol"):
        found["measured on"] = ", ".join(f"{name} {value}" for name, value in summary["protocol"].items())
    return found


def _economics(summary: Mapping[str, Any]) -> dict[str, str]:
    """How it came to that."""
    found = {"recipe": str(summary["recipe"])} if summary.get("recipe") else {}
    found |= {name: str(summary[name]) for name in ("mechanism", "valuation", "strategy") if name in summary}
    found |= {
        "budget": f"{percent(summary['budget'])} of {summary.get('resource', 'macs')}, {percent(summary['used'])} used",
        "clearing price": f"{number(summary['price'])} {summary['unit']}",
        "welfare": number(summary["welfare"]),
        "revenue": number(summary["revenue"]),
        "status": str(summary["status"]),
    }
    if summary.get("method"):
        found["found by"] = str(summary["method"])
    if summary["status"] in UNSETTLED:
        found["warning"] = f"{summary['status']}: excess demand of {number(summary['residual'])} at the price"
    return found


UNSETTLED = (Status.NOT_CONVERGED.word, Status.NO_EQUILIBRIUM.word)


def _cells(s: Mapping[str, Any]) -> dict[str, str]:
    """Heading and text of every figure of a run."""
    metric, resource = s["metric"], s.get("resource", "macs").replace("macs", "MACs")
    title = titled(metric)
    return {
        "mechanism": in_brief(s["mechanism"]), "valuation": in_brief(s["valuation"]), "budget": short(s["budget"]),
        f"{resource}\nused": decimals(s["used"]), "clearing\nprice": number(s["price"]),
        "welfare": number(s["welfare"]), "revenue": number(s["revenue"]), "status": s["status"],
        f"{title}\ndense": quality(metric["dense"]), f"{title}\nafter": quality(metric["value"]),
    }  # fmt: skip


def in_brief(spec: object) -> str:
    """`NAME:key=value` for a narrow column: parameters below the name, and long numbers to three digits."""
    name, _, parameters = str(spec).partition(":")
    short = re.sub(r"\d+\.\d{4,}(e[+-]?\d+)?", lambda number: f"{float(number[0]):.3g}", parameters)
    return f"{name}\n  {short}" if short else name


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


def trade_tables(trades: pd.DataFrame, top: int) -> list[Table]:
    """The tables of `walras trace` on trades between sub-layers; none where there were none."""
    if trades.empty:
        return []
    balances = trade_balances(trades).sort_values("balance", key=abs, ascending=False, kind="stable")
    rounds = _frame("Trades: meetings of two sub-layers by round of trade", trade_rounds(trades))
    if balances.empty:
        return [rounds]
    return [rounds, _frame("Who bought and who sold [share of the dense compute]", balances.head(top))]


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
    return _frame(f"{first} and {second}: {percent(agree, 0)} of the units that either keeps, both keep", counts)


def difference_tables(rounds: pd.DataFrame, only: Mapping[str, Sequence[str]], top: int, welfare: bool) -> list[Table]:
    """Where two runs differ: price, use and perhaps welfare by round, and which units one of them alone keeps.

    Args:
        rounds: a row per round.
        only: names of units by the run that alone keeps them.
        top: names that are told of each run.
        welfare: whether both count value in one unit.
    """
    note = "" if welfare else "; their units of value differ or are unknown: no welfare, and prices do not compare"
    names = pd.DataFrame(
        [
            {"kept by": run, "units": len(units), "which": ", ".join(units[:top]) + (", ..." * (len(units) > top))}
            for run, units in only.items()
        ]
    )
    return [_frame(f"By round{note}", rounds), _frame("Units that only one of them keeps", names)]


def selection_table(rows: pd.DataFrame, of: int, top: int) -> Table:
    """The first rows of a trace for which a condition holds; what an agent's name says has no column of its own."""
    shown = rows.drop(columns=[name for name in ("kind", "layer", "index") if name in rows and "agent" in rows])
    return _frame(f"{len(rows):,} of {of:,} rows", shown.head(top))


def checks_table(name: str, checks: Sequence[Check]) -> Table:
    """A row a check of the conformance suite."""
    table = Table(title=f"{name}: {sum(c.passed for c in checks)} of {len(checks)} checks hold", box=box.SIMPLE_HEAD)
    for column in ("check", "markets", "holds", "first failure"):
        table.add_column(column, overflow="fold")
    for c in checks:
        table.add_row(c.name, str(c.instances), "yes" if c.passed else "NO", c.detail)
    return table


def _frame(title: str, frame: pd.DataFrame) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, min_width=len(title) + 2)
    for column in frame.columns:
        text = not pd.api.types.is_numeric_dtype(frame[column])
        long = text and int(frame[column].astype(str).str.len().max() or 0) > _LONG
        table.add_column(str(column), justify="left" if text else "right", no_wrap=not long)
    for row in zip(*(cells(frame[name].tolist()) for name in frame.columns), strict=True):
        table.add_row(*row)
    return table

"""What a run came to, as rows of a table: quality first, then what was bought; absent figures say why they are."""

from collections.abc import Mapping
from typing import Any

from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import ABSENT, amounts, change, count, megabytes, number, percent, quality
from walras.experiments.reports.pages.page import Note, Section, Table
from walras.experiments.reports.sentence import kept_units

HEADINGS = ("", "dense", "this model", "change")
NOT_TIMED = "Milliseconds were not measured (--measure-latency)."


def verdict_table(summary: Mapping[str, Any], not_timed: str = NOT_TIMED) -> Table:
    """Quality, MACs, milliseconds, megabytes and parameters of what `result.json` holds of a run, or training run.

    Args:
        summary: its figures, of this version or an earlier one.
        not_timed: what the caption says where milliseconds were not measured.
    """
    metric = summary["metric"]
    rows = [
        [titled(metric), quality(metric["dense"]), quality(metric["value"]), change(metric["value"], metric["dense"])]
    ]
    for name, value in summary.get("scores", {}).items():
        if name != metric["name"]:
            before = summary.get("dense_scores", {}).get(name)
            rows.append([name, quality(before), quality(value), ABSENT if before is None else change(value, before)])
    macs = amounts(summary["dense_macs"], summary["macs"])
    rows.append([f"MACs, {count(summary['length'])} tokens", *macs, change(summary["macs"], summary["dense_macs"])])
    for batch, timing in summary.get("latency_ms", {}).items():
        dense, now = timing["dense"], timing["value"]
        size = f"{batch} x {count(summary['length'])} tokens"
        rows.append([f"milliseconds, {size}", number(dense), number(now), change(now, dense)])
    caption = ["Quality, and what is left of the network."]
    if not summary.get("latency_ms"):
        rows.append(["milliseconds", ABSENT, ABSENT, ABSENT])
        caption.append(not_timed)
    for name, key, told in (("megabytes", "bytes", megabytes), ("parameters", "parameters", _counts)):
        if key in summary and f"dense_{key}" in summary:
            dense, now = summary[f"dense_{key}"], summary[key]
            rows.append([name, *told(dense, now), change(now, dense)])
        else:
            rows.append([name, ABSENT, ABSENT, ABSENT])
            caption.append(f"An earlier version did not record {name}.")
    return Table(HEADINGS, rows, " ".join(caption))


def allocation_notes(summary: Mapping[str, Any]) -> list[Note]:
    """Which units stay, in words."""
    if not (summary.get("kept") or "head" in summary) or "units" not in summary:
        return []
    return [Note(f"{kept_units(summary)} stay.")]


def budgets_section(summary: Mapping[str, Any]) -> Section | None:
    """Every budget, its use and its price; None where the MACs have the only one, and the verdict says it all."""
    budgets = summary.get("budgets") or {}
    if [*budgets] in ([], ["macs"]):
        return None
    rows = [
        [_named(name), percent(b["budget"]), percent(b["used"]), f"{number(b['absolute'], 4)} {b['unit']}",
         f"{number(b['dense'], 4)} {b['unit']}", number(b["price"]), "yes" if b["binds"] else "no"]
        for name, b in budgets.items()
    ]  # fmt: skip
    headings = ("resource", "budget", "used", "amount used", "of the dense", "price of the dense", "binds")
    return Section("Budgets", [Table(headings, rows, "What was for sale, and what it cost")])


def _named(resource: str) -> str:
    return "MACs" if resource == "macs" else resource


def _counts(*values: Any) -> list[str]:
    return [count(value) for value in values]

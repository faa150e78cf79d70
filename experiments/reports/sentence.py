"""A run in one sentence: what was kept, and what it cost in quality."""

import math
from collections.abc import Mapping
from typing import Any

from walras.experiments.reports.numbers import number, percent, short
from walras.experiments.tasks.base import ROWS

_WORDS = {0.25: "a quarter", 1 / 3: "a third", 0.5: "half", 2 / 3: "two thirds", 0.75: "three quarters"}
_MOST = 1.0  # of a change in percent: beyond, and of a figure that is not above 0, both figures say more
_NEAR = 0.006  # of a share to the one that has a word
_EXACT = 1e-9  # of a share: rounding
_EARLIER = {"head": "heads", "ffn": "ffn"}  # kinds of units: keys of an earlier result.json
_NOUNS = {"head": "heads", "ffn": "FFN units", "expert": "experts", "block": "sub-layers"}
_MEMBERS = {"head": "query heads"}  # what units hold that hold several
_PEOPLE = {"spearman", "pearson", "matthews"}  # metrics that are named after somebody
_NAMES = {"macs": "MACs", "latency": "milliseconds"}


def in_one_sentence(summary: Mapping[str, Any]) -> str:
    """`Half of the MACs for a loss of 0.6 % of Spearman.` for what `result.json` holds of a run.

    A run that uses more than its budget, as a phase of the user's own may, is told so.
    """
    resource, used, budget = str(summary.get("resource", "macs")), float(summary["used"]), float(summary["budget"])
    over = f", more than the budget of {_share(budget)}," if used > budget + _EXACT else ""
    bought = f"{_share(used)} of the {_NAMES.get(resource, resource)}{over}"
    rows = summary.get("protocol", {}).get(ROWS)
    few = f" Measured on {rows} rows: a difference may well be chance." if rows else ""
    return f"{bought[0].upper()}{bought[1:]} {_price(summary['metric'])}.{few}"


def kept_units(summary: Mapping[str, Any]) -> str:
    """`30 heads, 20 FFN units of 264 units`, of a run of now or of an earlier version.

    Where heads share keys and values and leave in groups, `8 query heads in 2 groups`.
    """
    kept = summary.get("kept") or {kind: summary[key] for kind, key in _EARLIER.items() if key in summary}
    members = summary.get("members") or {}
    parts = [
        f"{members[kind]:,} {_MEMBERS[kind]} in {count:,} groups"
        if kind in members and kind in _MEMBERS
        else f"{count:,} {_NOUNS.get(kind, kind)}"
        for kind, count in kept.items()
    ]
    return f"{', '.join(parts)} of {summary['units']:,} units"


def binding(budgets: Mapping[str, Mapping[str, Any]]) -> str:
    """In words, which budgets bind and how much of each is used."""
    parts = [
        f"{name} {'binds' if b['binds'] else 'does not bind'} ({percent(b['used'])} of {percent(b['budget'])}, "
        f"{number(b['absolute'], 4)} {b['unit']})"
        for name, b in budgets.items()
    ]
    return "; ".join(parts)


def _share(share: float) -> str:
    near = min(_WORDS, key=lambda known: abs(known - share))
    return _WORDS[near] if abs(near - share) <= _NEAR else percent(share)


def _named(metric: str) -> str:
    """A metric as it is written within a sentence."""
    return metric.capitalize() if metric in _PEOPLE else metric


def _price(metric: Mapping[str, Any]) -> str:
    """What the metric did."""
    name, dense, value = _named(str(metric["name"])), float(metric["dense"]), float(metric["value"])
    better = metric.get("higher_is_better")
    change = (value - dense) / dense if dense > 0 else math.inf
    if better is None or not abs(change) <= _MOST:
        return f"with {name} at {short(value, 4)}, {short(dense, 4)} before"
    amount = percent(abs(change))
    if amount == "0.0 %":
        return f"at the same {name}"
    if better:
        return f"for a loss of {amount} of {name}" if change < 0 else f"and {amount} more {name}"
    return f"for {amount} more {name}" if change > 0 else f"and {amount} less {name}"

"""The summary of an allocation on the terminal."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table


def allocation_card(s: Mapping[str, Any]) -> Table:
    """A table with one line per figure."""
    table = Table(box=box.SIMPLE, show_header=False)
    budget = "no limit" if s["budget"] is None else f"{s['budget']:,.0f}"
    lines = {
        "allocator": s["allocator"],
        "queries": f"{s['funded']:,} funded, {s['abandoned']:,} abandoned, {s['bad']:,} bad, of {s['queries']:,}",
        "tokens": f"{s['spent']:,} of {budget}",
        "unspent": "" if s["unspent"] is None else f"{s['unspent']:,.0f}",
        "regime": s["regime"],
        "price per token": "" if s["price"] is None else f"{s['price']:.4g}",
        "utility": f"{s['utility']:.4g}",
        "duality gap": "" if s["duality_gap"] is None else f"{s['duality_gap']:.3g}",
        "full headroom": "" if s["headroom"] is None else f"{s['headroom']:.4g} tokens",
    }
    for name, text in lines.items():
        if text:
            table.add_row(name, text)
    return table

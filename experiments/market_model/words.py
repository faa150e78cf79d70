"""A market model in words: one line, and a small page for notebooks."""

from collections.abc import Mapping
from html import escape

from walras.market import ComputeMarket
from walras.market.round import Figure, column_of

_SHOWN = ("round", "budget", "used", "price", "welfare", "revenue", "surplus", "left", "entered", "status")
"""Columns of the last round that a page shows."""
_CELL = "border:1px solid color-mix(in srgb, currentColor 30%, transparent);padding:2px 8px;text-align:right"
_MOST_LAYERS = 64


def line(market: ComputeMarket) -> str:
    """Units, mechanism, budget, round, price and use on one line."""
    resources, last = market.supply.resources, market.sessions[-1].budgets
    shares = [
        f"{share:g}" if len(last) == 1 else f"{r.name} {share:g}" for r, share in zip(resources, last, strict=True)
    ]
    told = [
        f"{len(market.ledger)} units", type(market.mechanism).__name__, f"budget {' and '.join(shares)}",
        f"round {market.round} of {len(market.sessions)}",
    ]  # fmt: skip
    if market.rounds:
        told += [f"price {market.rounds[-1].price:.4g}", f"used {market.rounds[-1].used:.1%}"]
    return f"{type(market).__name__}({', '.join(told)})"


def page(market: ComputeMarket) -> str:
    """The same with the allocation by layer and kind, and the last round, as HTML without scripts.

    Colours are those of the page around it, with a tint that can be read on white and on black.
    """
    rounds = f"{_last_round(market.rounds[-1].row)}" if market.rounds else "<p>No round has been played yet.</p>"
    return (
        f'<div style="font-family:sans-serif"><p>{escape(line(market))}</p>'
        f'<div style="display:flex;gap:2em;flex-wrap:wrap">{_allocation(market)}{rounds}</div></div>'
    )


def _allocation(market: ComputeMarket) -> str:
    """Kept units of every layer and kind."""
    books, kinds = market.ledger, market.calibration.inventory.kinds
    layers = sorted(set(books.layer.tolist()))
    rows = []
    for layer in layers[:_MOST_LAYERS]:
        cells = []
        for kind in kinds:
            own = (books.layer == layer) & (books.kind == kind)
            cells.append(_share(int((own & (books.quantity > 0)).sum()), int(own.sum())))
        rows.append(f"<tr><th style='{_CELL}'>{layer}</th>{''.join(cells)}</tr>")
    head = "".join(f"<th style='{_CELL}'>{escape(column_of(kind))}</th>" for kind in kinds)
    more = len(layers) - len(rows)
    rest = f"<tr><td style='{_CELL}' colspan='{len(kinds) + 1}'>and {more} more layers</td></tr>" if more else ""
    return _table("Units kept", f"<tr><th style='{_CELL}'>layer</th>{head}</tr>{''.join(rows)}{rest}")


def _share(kept: int, of: int) -> str:
    """A cell that is filled as far as units are kept."""
    if of == 0:
        return f"<td style='{_CELL}'></td>"
    fill = f"linear-gradient(90deg,rgba(0,114,178,.35) {kept / of:.0%},transparent {kept / of:.0%})"
    return f"<td style='{_CELL};background:{fill}'>{kept} of {of}</td>"


def _last_round(row: Mapping[str, Figure]) -> str:
    """Name and figure of each column that is shown."""
    told = {name: f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in _SHOWN}
    rows = [
        f"<tr><th style='{_CELL}'>{escape(name)}</th><td style='{_CELL}'>{escape(text)}</td></tr>"
        for name, text in told.items()
    ]
    return _table("Last round", "".join(rows))


def _table(caption: str, rows: str) -> str:
    return (
        f"<table style='border-collapse:collapse;color:inherit'><caption>{escape(caption)}</caption>"
        f"<tbody>{rows}</tbody></table>"
    )

"""Draws the pictures of the site that are no plots: `python docs/doc_tools/draw.py` writes docs/_static/*.svg.

The files are committed; run it again after a change here. Letters are dark on light boxes, so that light and dark
pages show them alike.
"""

from html import escape
from pathlib import Path

STATIC = Path(__file__).parents[1] / "_static"
FONT = "font-family='system-ui, sans-serif' fill='#1b2733'"
COLOURS = {"market": "#dcecf9", "model": "#fdebd2", "money": "#e2f3e1", "plain": "#eef0f2"}


def box(x: int, y: int, w: int, h: int, title: str, lines: list[str], colour: str) -> str:
    """A box with a bold title and small lines below it."""
    text = [f"<text x='{x + w / 2}' y='{y + 24}' text-anchor='middle' font-size='16' font-weight='600' {FONT}>"
            f"{escape(title)}</text>"]  # fmt: skip
    for i, line in enumerate(lines):
        text.append(f"<text x='{x + w / 2}' y='{y + 46 + 17 * i}' text-anchor='middle' font-size='12.5' {FONT}>"
                    f"{escape(line)}</text>")  # fmt: skip
    frame = f"<rect x='{x}' y='{y}' width='{w}' height='{h}' rx='8' fill='{COLOURS[colour]}' stroke='#5b6b7a'/>"
    return "\n".join([frame, *text])


def arrow(points: str, label: str = "", at: tuple[int, int] = (0, 0)) -> str:
    """A line with a head, and a word beside it."""
    line = f"<polyline points='{points}' fill='none' stroke='#5b6b7a' stroke-width='2' marker-end='url(#head)'/>"
    word = f"<text x='{at[0]}' y='{at[1]}' text-anchor='middle' font-size='12.5' {FONT}>{escape(label)}</text>"
    return line + ("\n" + word if label else "")


def picture(name: str, width: int, height: int, title: str, parts: list[str]) -> None:
    """Write a file with a light ground, a title for readers of screens, and the parts."""
    head = (
        "<defs><marker id='head' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='7' markerHeight='7' orient='auto'>"
        "<path d='M0 0L10 5L0 10z' fill='#5b6b7a'/></marker></defs>"
    )
    ground = f"<rect width='{width}' height='{height}' rx='10' fill='#ffffff'/>"
    body = "\n".join([f"<title>{escape(title)}</title>", head, ground, *parts])
    text = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img' width='{width}'>\n"
        f"{body}\n</svg>\n"
    )
    (STATIC / name).write_text(text, encoding="utf-8")


def round_of_a_market() -> None:
    """One round: five phases, and the network below them."""
    phases = [
        ("1 open", ["shocks strike; units", "that have not left", "may trade"]),
        ("2 value", ["what is a unit worth", "to the loss, under", "the present gates?"]),
        ("3 bid", ["strategies turn", "values into reports"]),
        ("4 clear", ["the mechanism finds", "quantities and prices", "within the supply"]),
        ("5 settle", ["winners pay, losers", "leave; ledger and", "trace are written"]),
    ]
    parts = [box(20 + 176 * i, 60, 150, 106, *phase, "market") for i, phase in enumerate(phases)]
    parts += [arrow(f"{170 + 176 * i},113 {194 + 176 * i},113") for i in range(4)]
    parts.append(f"<text x='20' y='36' font-size='15' font-weight='600' {FONT}>One round of a market</text>")
    parts.append(
        f"<text x='888' y='36' text-anchor='end' font-size='12.5' {FONT}>"
        "hooks may look on before and after each phase</text>"
    )
    gated = ["heads, FFN neurons, experts:", "each behind a gate of 0 or 1"]
    parts.append(box(196, 250, 326, 84, "the network, with gates", gated, "model"))
    parts.append(box(20, 250, 150, 84, "supply", ["by the schedule: a share", "of the dense compute"], "money"))
    parts.append(box(724, 250, 150, 84, "treasury", ["buys services, sells", "compute; adds up"], "money"))
    parts.append(arrow("271,250 271,168", "gradients, features", (330, 206)))
    parts.append(arrow("799,168 799,248"))
    parts.append(arrow("760,168 760,208 600,208 600,292 524,292", "gates", (562, 284)))
    parts.append(arrow("95,250 95,190 590,190 590,168", "supply", (440, 184)))
    parts.append(
        arrow("874,140 888,140 888,366 95,366 95,336", "next round: less supply, values taken anew", (450, 384))
    )
    picture("round.svg", 904, 400, "The five phases of a round, and the network that is traded", parts)


def rooms() -> None:
    """The packages, each of which imports only those below it."""
    told = [
        ("experiments", "specs, tasks, recipes, training, observing, queries, reports, command line", "plain"),
        (
            "market",
            "ComputeMarket, phases, ledger, trace, schedules, shocks; prices in training; token budgets",
            "market",
        ),
        ("agents", "Mesa agents, strategies, valuations", "market"),
        ("models", "families, units, gates, resources, repair, attention rules, token markets, export", "model"),
        (
            "mechanisms",
            "the interface, rules, bids, solvers, the conformance suite; knows no network and no files",
            "money",
        ),
        ("walras", "public names (loaded lazily), registries, errors, reading and writing of files", "plain"),
    ]
    parts = []
    for i, (name, about, colour) in enumerate(told):
        parts.append(box(60, 20 + 78 * i, 700, 60, name, [about], colour))
        if i:
            parts.append(arrow(f"410,{2 + 78 * i} 410,{18 + 78 * i}"))
    parts.append(
        f"<text x='36' y='250' font-size='12.5' transform='rotate(-90 36 250)' text-anchor='middle' {FONT}>"
        "imports point down only</text>"
    )
    picture("rooms.svg", 780, 490, "The six packages of Walras, from experiments down to walras", parts)


if __name__ == "__main__":
    round_of_a_market()
    rooms()

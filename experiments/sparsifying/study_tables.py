"""What `walras trace` prints of a token trace."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from walras.escaping import one_line
from walras.experiments.reports.numbers import decimals, percent
from walras.experiments.sparsifying.study import FIRST, TokenStudy


def study_json(study: TokenStudy, top: int) -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "tokens": len(study.tokens),
        "share": float(study.tokens["kept"].sum() / study.tokens["offered"].sum()),
        "spread": study.spread,
        "surprise": study.surprise,
        "maps": study.maps.reset_index().to_dict("records"),
        "positions": study.positions.reset_index().to_dict("records"),
        "spenders": study.spenders(top).to_dict("records"),
    }


def study_tables(study: TokenStudy, top: int) -> Iterator[Table | Text]:
    """Shares by kind of map, of the first tokens, of the keenest tokens, and what surprise has to do with it."""
    told = study_json(study, top)
    spread = ", ".join(f"{name} {percent(share)}" for name, share in told["spread"].items())
    yield Text(f"{told['tokens']:,} tokens bought {percent(told['share'])} of the multiplications on offer ({spread})")
    maps = Table("map", "bought", "least", "most", title="share bought, by layer")
    for name, shares in study.maps.items():
        maps.add_row(str(name), *(percent(x) for x in (shares.mean(), shares.min(), shares.max())))
    yield maps
    first = Table("position", *(str(name) for name in study.positions.columns), title="share bought, by position")
    for place, row in study.positions.iterrows():
        first.add_row(str(place) if int(str(place)) < FIRST else "later", *(percent(x) for x in row))
    yield first
    keenest = Table("token", "bought", "times", title="tokens that buy most")
    for row in told["spenders"]:
        keenest.add_row(Text(one_line(repr(row["token"]), 40)), percent(row["mean"]), str(row["count"]))
    yield keenest
    if study.surprise is not None:
        found = {name: decimals(value, 2) for name, value in study.surprise.items()}
        yield Text(
            f"rank correlation of what a token buys with its surprisal: {found['own']}; where as many are drawn by "
            f"lot: {found['by lot']}. Mean surprisal {found['mean']} nats, by lot {found['mean by lot']}"
        )

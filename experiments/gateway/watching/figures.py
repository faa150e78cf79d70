"""What the page shows: the ledger now, and its last ten minutes."""

import asyncio
from collections import deque
from pathlib import Path
from typing import Any, final

from walras.experiments.gateway.deciding.desk import Standing
from walras.experiments.gateway.deciding.line import Line
from walras.files.contents import read_text
from walras.market.queries import OnlineMarket

EVERY = 1.0
"""Seconds between samples."""
SAMPLES = 600


@final
class Figures:
    """Samples the ledger every second, of which it keeps the last ten minutes.

    Args:
        line: the queue, and its desk.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._history: deque[list[float]] = deque(maxlen=SAMPLES)

    async def keep_sampling(self) -> None:
        """Sample until it is cancelled."""
        while True:
            self.sample()
            await asyncio.sleep(EVERY)

    def sample(self) -> None:
        """Take one: seconds, tokens granted and used, requests and those that were granted nothing, queue, prices."""
        desk = self._line.desk
        markets = desk.markets.values()
        self._history.append(
            [
                self._line.clock(),
                sum(m.granted + m.over for m in markets),
                sum(m.used for m in markets),
                self._line.decisions,
                desk.unfunded,
                len(self._line),
                *(m.price or 0.0 for m in markets),
            ]
        )

    def now(self) -> dict[str, Any]:
        """All of it, as plain data."""
        desk, clock = self._line.desk, self._line.clock()
        standing = desk.standing(clock)
        return {
            "seconds": desk.terms.seconds, "requests": desk.terms.requests, "budget": desk.terms.budget,
            "policy": desk.terms.policy.name,
            "live": len(desk), "queue": len(self._line), "unfunded": desk.unfunded,
            "next": desk.next_window(clock),
            "tenants": {name: _of_tenant(market, standing[name]) for name, market in desk.markets.items()},
            "history": [*self._history],
        }  # fmt: skip


def _of_tenant(market: OnlineMarket, standing: Standing) -> dict[str, float]:
    totals = ("granted", "used", "returned", "expired", "over", "outstanding")
    told = {name: getattr(market, name) for name in totals}
    return {"budget": standing.budget, "left": standing.left, "price": market.price or 0.0, **told}


def page() -> bytes:
    """The page, which loads nothing but its figures."""
    return read_text(Path(__file__).with_name("page.html"), "page").encode()

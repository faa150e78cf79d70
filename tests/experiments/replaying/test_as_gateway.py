"""A trace played by `replay`, and by a gateway's desk and line under a clock that jumps: the same to the token.

Times are sums of powers of two, so that both rooms reckon them without rounding; those of different requests differ.
"""

import asyncio
import selectors
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from walras.experiments.gateway.deciding.desk import Desk
from walras.experiments.gateway.deciding.line import Line, Outcome
from walras.experiments.gateway.deciding.tenants import Tenant
from walras.experiments.gateway.deciding.terms import ALONE, Ask, Terms
from walras.experiments.queries.unfunded import UNFUNDED_RULES
from walras.experiments.replaying.opening import Opening
from walras.experiments.replaying.replay import FLOOR, FUNDED, QUEUED, STATUS, UNFUNDED, replay
from walras.experiments.replaying.requests import Requests
from walras.market.queries import ONLINE_POLICIES
from walras.mechanisms import CompetitiveEquilibrium
from walras.registry import Registry

SPEED, SECONDS, BUDGET, TYPICAL = 16.0, 8.0, 600.0, 150.0
POLICIES = ("clear", "shortest-first", "uniform", "fixed-cap:tokens=180")
RULES = ("reject", "queue:30s", "queue:seconds=20,length=2", "floor=64")


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing: it moves the clock instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout:
            self.now += timeout
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes at once."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


@dataclass
class Got:
    """What came of every request of a trace."""

    status: list[str]
    granted: list[int]
    used: list[int]
    returned: list[int]
    expired: list[int]
    price: list[float]
    totals: tuple[int, ...]


def by_gateway(requests: Requests, policy: str, rule: str, tenant: Tenant = ALONE) -> Got:
    """The trace, by a desk and a line."""
    n = len(requests)
    found = Got([""] * n, [0] * n, [0] * n, [0] * n, [0] * n, [0.0] * n, ())

    async def one(line: Line, place: int) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(float(requests.arrival[place]) - loop.time())
        own, cap = requests.id[place], float(requests.cap[place])
        ask = Ask(own, float(requests.threshold[place]), weight=float(requests.weight[place]), cap=cap, exact=True)
        outcome: Outcome = await line.outcome(ask, line.ask(ask), answers=1)
        found.status[place], found.granted[place] = outcome.status, outcome.decision.tokens
        found.price[place] = outcome.decision.price
        if outcome.decision.funded:
            used = min(outcome.decision.tokens, int(requests.tokens[place]))
            await asyncio.sleep(used / SPEED)
            settled = line.desk.settle(own, used, loop.time())
            found.used[place], found.returned[place], found.expired[place] = used, settled.returned, settled.expired

    async def all_of_them() -> None:
        clock = asyncio.get_running_loop().time
        terms = Terms(BUDGET, SECONDS, ONLINE_POLICIES.make(policy), (tenant,), CompetitiveEquilibrium(),
                      typical=TYPICAL)  # fmt: skip
        line = Line(Desk(terms, 0.0), clock, UNFUNDED_RULES.make(rule))
        await asyncio.gather(*(one(line, place) for place in range(n)))
        line.close()
        market = line.desk.markets[ALONE.name]
        assert line.decisions == n
        assert line.desk.unfunded == sum(status != STATUS[FUNDED] for status in found.status)
        found.totals = market.granted, market.used, market.returned, market.expired, market.outstanding

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(all_of_them())
    return found


def by_replay(requests: Requests, policy: str, rule: str) -> Got:
    """The trace, by a replay."""
    market = Opening(BUDGET, SECONDS, typical=TYPICAL).market(policy, requests)
    found = replay(requests, market, UNFUNDED_RULES.make(rule), SPEED)
    totals = market.granted, market.used, market.returned, market.expired, market.outstanding
    granted, used, returned, expired = (c.tolist() for c in (found.granted, found.used, found.returned, found.expired))
    status, price = [STATUS[s] for s in found.status], np.nan_to_num(found.price).tolist()
    return Got(status, granted, used, returned, expired, price, totals)


Row = tuple[int, float, float, int | None, int]


def trace_of(rows: Sequence[Row]) -> Requests:
    """Requests of a gap to the one before (in 64ths of a second), threshold, weight, cap and tokens."""
    gap, threshold, weight, cap, tokens = zip(*rows, strict=True)
    n = len(rows)
    arrival = (np.cumsum(gap) - gap[0]) / 64 + np.arange(n) / 2**16
    return Requests(
        [f"r{i}" for i in range(n)], arrival, np.array(threshold), np.array(weight),
        np.array([np.inf if one is None else one for one in cap]), np.array(tokens), np.ones(n, dtype=bool),
    )  # fmt: skip


ROWS = st.tuples(
    st.integers(0, 5 * 64), st.floats(1, 400), st.floats(0.1, 10), st.none() | st.integers(1, 500), st.integers(1, 500)
)


@pytest.mark.spread
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("policy", POLICIES)
@given(rows=st.lists(ROWS, min_size=1, max_size=12))
def test_both_rooms_do_the_same(policy: str, rule: str, rows: list[Row]) -> None:
    requests = trace_of(rows)
    alone = Tenant(ALONE.name, budget=BUDGET)  # nothing has to be shared, which takes most of a desk's time
    assert by_gateway(requests, policy, rule, alone) == by_replay(requests, policy, rule)


@pytest.mark.parametrize("policy", POLICIES)
def test_traces_of_many_have_every_status(policy: str) -> None:
    """What the test above compares happens: waiting, floors, refusals, and tokens that come back or expire."""
    draw = np.random.default_rng(3)
    rows = [
        (int(draw.integers(0, 96)), float(draw.uniform(20, 300)), 1.0, None, int(draw.integers(1, 500)))
        for _ in range(60)
    ]
    met, requests, returned, expired = set[str](), trace_of(rows), 0, 0
    for rule in RULES:
        mine, theirs = by_replay(requests, policy, rule), by_gateway(requests, policy, rule)
        assert mine == theirs
        met |= {*mine.status}
        returned, expired = returned + sum(mine.returned), expired + sum(mine.expired)
    assert returned > 0
    assert expired > 0
    assert met == {STATUS[code] for code in (FUNDED, QUEUED, FLOOR, UNFUNDED)}


def test_both_read_one_registry() -> None:
    from walras.experiments.registries import registry

    held: Callable[[str], Registry[Any]] = registry
    assert held("unfunded rules") is UNFUNDED_RULES

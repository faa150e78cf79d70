"""A budget for so many requests, in place of one for so many seconds."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import CHAT, chat, in_process
from stub_upstream import StubUpstream

from walras.errors import InputError
from walras.experiments.gateway.app import Gateway
from walras.experiments.gateway.deciding.desk import Desk
from walras.experiments.gateway.deciding.journal import Journal
from walras.experiments.gateway.deciding.tenants import Tenant
from walras.experiments.gateway.deciding.terms import ALONE, Ask, Terms
from walras.experiments.gateway.settings import Settings
from walras.market.queries import ONLINE_POLICIES
from walras.mechanisms import CompetitiveEquilibrium


def terms(policy: str = "uniform", requests: int | None = 4, tenants: tuple[Tenant, ...] = (ALONE,)) -> Terms:
    return Terms(
        100.0, 60.0, ONLINE_POLICIES.make(policy), tenants, CompetitiveEquilibrium(), headroom=10.0, requests=requests
    )


def test_a_window_ends_with_its_last_request_and_not_with_time() -> None:
    desk = Desk(terms("unlimited"), 0.0)
    granted = [desk.ask(Ask(str(i), 5.0, cap=30.0), 1e6 * i).tokens for i in range(6)]
    assert granted == [30, 30, 30, 10, 30, 30]  # 100 for the first four, however long they take
    assert desk.settle("5", 12, 7e6).returned == 18
    assert desk.settle("3", 3, 7e6).expired == 7  # its window is over
    assert desk.markets[ALONE.name].left == 100 - 30 - 12
    assert desk.next_window(7e6) is None


def test_those_who_are_turned_away_count_as_requests() -> None:
    desk = Desk(terms("clear"), 0.0)
    assert [desk.ask(Ask(str(i), 500.0), 0.0).tokens for i in range(4)] == [0, 0, 0, 0]
    assert desk.markets[ALONE.name].state()["windows"] == {"number": 0, "met": 4}
    desk.ask(Ask("a", 5.0), 0.0)
    assert desk.markets[ALONE.name].state()["windows"] == {"number": 1, "met": 1}


def test_equal_shares_are_of_the_budget_and_the_requests() -> None:
    desk = Desk(terms("uniform"), 0.0)
    assert [desk.ask(Ask(str(i), 500.0), float(i)).tokens for i in range(8)] == [25] * 8


def test_a_gateway_that_died_goes_on_in_the_same_window(tmp_path: Path) -> None:
    before = Journal(tmp_path, terms("unlimited"))
    for i in range(3):
        before.desk.ask(Ask(str(i), 5.0, cap=20.0), 0.0)
    before.close()  # no state is written: it was killed
    after = Journal(tmp_path, terms("unlimited"))
    assert after.lost == 60
    assert [after.desk.ask(Ask(f"n{i}", 5.0), 0.0).tokens for i in range(2)] == [40, 100]
    after.close()
    with pytest.raises(InputError, match="state of a gateway"):
        Journal(tmp_path, terms("unlimited", requests=None))


def test_a_request_that_is_turned_away_is_not_told_when_to_come_again(upstream: StubUpstream) -> None:
    async def body() -> tuple[httpx.Response, Any]:
        async with in_process(Settings(upstream.url, 100, window=3, policy="unlimited")) as (_, client):
            await client.post(CHAT, json=chat("100"), headers={"x-walras-threshold": "10"})
            refused = await client.post(CHAT, json=chat("5"))
            return refused, (await client.get("/walras/figures.json")).json()

    refused, figures = asyncio.run(body())
    assert refused.status_code == 429
    assert "retry-after" not in refused.headers
    assert "the next window begins after more requests" in refused.json()["error"]["message"]
    assert (figures["requests"], figures["next"]) == (3, None)


def test_a_queue_by_which_a_request_would_count_twice_is_refused(upstream: StubUpstream) -> None:
    with pytest.raises(InputError, match="needs windows of time, --per"):
        Gateway(Settings(upstream.url, 100, window=3, unfunded="queue:5"))


def test_a_floor_does_not_count_as_a_request_of_its_own() -> None:
    desk = Desk(terms("clear"), 0.0)
    assert not desk.ask(Ask("a", 500.0), 0.0).funded
    assert desk.promise(Ask("a", 500.0), 8, 0.0).tokens == 8
    assert desk.markets[ALONE.name].state()["windows"] == {"number": 0, "met": 1}
    assert desk.markets[ALONE.name].left == 92


def test_windows_that_cannot_be_are_told() -> None:
    for wrong in (0, -1, 2**60):
        with pytest.raises(InputError, match="--window"):
            Settings("http://a", 10, window=wrong)
    with pytest.raises(InputError, match="--window is for one tenant"):
        terms(tenants=(Tenant("a"), Tenant("b")))

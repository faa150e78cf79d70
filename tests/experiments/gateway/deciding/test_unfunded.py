"""What becomes of requests that are granted nothing."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import CHAT, chat, in_process, ledger
from stub_upstream import StubUpstream

from walras.errors import InputError, UserCodeError
from walras.experiments.gateway.app import Gateway
from walras.experiments.gateway.settings import Settings

DEAR = {"x-walras-threshold": "900"}  # of a budget of 1000: one per window


def settings(upstream: StubUpstream, rule: str, per: float = 60.0, log: str = "") -> Settings:
    return Settings(upstream.url, 1000, per, unfunded=rule, log=log, policy="unlimited")


def run(given: Settings, body: Any) -> Any:
    async def inner() -> Any:
        async with in_process(given) as (gateway, client):
            return await body(gateway, client)

    return asyncio.run(inner())


async def used_up(client: httpx.AsyncClient, model: str = "1000") -> None:
    """Spend the window's budget."""
    reply = await client.post(CHAT, json=chat(model), headers=DEAR)
    assert (reply.status_code, reply.headers["x-walras-granted"]) == (200, "1000")


def test_reject(upstream: StubUpstream) -> None:
    async def body(gateway: Gateway, client: httpx.AsyncClient) -> None:
        await used_up(client)
        reply = await client.post(CHAT, json=chat("5"), headers=DEAR)
        assert reply.status_code == 429
        assert 50 <= int(reply.headers["retry-after"]) <= 60
        assert reply.headers["x-walras-status"] == "unfunded"
        assert reply.headers["x-walras-granted"] == "0"
        assert "x-walras-price" in reply.headers
        error = reply.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "not_funded")
        assert error["message"].startswith("0 tokens are left of this window, and the request has a threshold of 900")
        scrape = (await client.get("/metrics")).text
        assert "walras_unfunded_decisions_total 1.0" in scrape
        assert 'walras_requests_total{outcome="unfunded",status="4xx",tenant="all"} 1.0' in scrape

    run(settings(upstream, "reject"), body)


@pytest.mark.parametrize("rule", ["reject", "queue:20"])
def test_who_can_never_be_funded_is_not_told_to_try_again(upstream: StubUpstream, rule: str) -> None:
    async def body(gateway: Gateway, client: httpx.AsyncClient) -> None:
        reply = await client.post(CHAT, json=chat("5"), headers={"x-walras-threshold": "1000"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "never_funded")
        assert "retry-after" not in reply.headers
        assert ledger((await client.get("/metrics")).text)["granted"] == 0

    run(Settings(upstream.url, 1000, 60.0, unfunded=rule), body)


def test_floor(upstream: StubUpstream) -> None:
    async def body(gateway: Gateway, client: httpx.AsyncClient) -> None:
        await used_up(client)
        reply = await client.post(CHAT, json=chat("500", n=2), headers=DEAR)
        assert (reply.status_code, reply.headers["x-walras-status"]) == (200, "floor")
        assert reply.headers["x-walras-granted"] == "128"
        assert upstream.last.body["max_completion_tokens"] == 64
        reply = await client.post(CHAT, json=chat("500", max_tokens=10))
        assert reply.headers["x-walras-granted"] == "10"
        tokens = ledger((await client.get("/metrics")).text)
        assert tokens["used"] == 1000 + 128 + 10
        assert tokens["window_left"] == -138

    run(settings(upstream, "floor=64"), body)


def test_downgrade(upstream: StubUpstream) -> None:
    async def body(gateway: Gateway, client: httpx.AsyncClient) -> None:
        await used_up(client)
        for stream in (False, True):
            reply = await client.post(CHAT, json=chat("500", max_tokens=990, stream=stream), headers=DEAR)
            assert (reply.status_code, reply.headers["x-walras-status"]) == (200, "downgraded")
            assert reply.headers["x-walras-granted"] == "0"
            assert upstream.last.body == chat("20", max_tokens=990, stream=stream)
        assert ledger((await client.get("/metrics")).text)["used"] == 1000

    run(settings(upstream, "downgrade=20"), body)


def test_a_queue_is_served_by_later_windows_in_order(upstream: StubUpstream, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"

    async def body(gateway: Gateway, client: httpx.AsyncClient) -> None:
        await used_up(client)
        first, second = (
            asyncio.create_task(client.post(CHAT, json=chat(model), headers=DEAR)) for model in ("1000", "999")
        )
        await asyncio.sleep(0.05)
        assert len(gateway.office.line) == 2
        assert "walras_queue_length 2.0" in (await client.get("/metrics")).text
        reply = await first
        assert (reply.status_code, reply.headers["x-walras-status"]) == (200, "queued")
        assert not second.done()
        late = await client.post(CHAT, json=chat("1000"), headers=DEAR)  # waits behind the second
        assert second.done()
        assert [(await second).status_code, late.status_code] == [200, 200]
        assert len(gateway.office.line) == 0

    run(settings(upstream, "queue:20", per=0.4, log=str(log)), body)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["funded", "queued", "queued", "queued"]
    assert 0.2 < lines[1]["waited"] < lines[2]["waited"]


def test_who_waited_too_long_or_finds_the_queue_full_is_refused(upstream: StubUpstream) -> None:
    async def body(gateway: Gateway, client: httpx.AsyncClient) -> None:
        await used_up(client)
        waiting = asyncio.create_task(client.post(CHAT, json=chat("5"), headers=DEAR))
        await asyncio.sleep(0.05)
        assert (await client.post(CHAT, json=chat("5"), headers=DEAR)).status_code == 429  # at once
        assert not waiting.done()
        assert (await waiting).status_code == 429
        assert len(gateway.office.line) == 0

    run(settings(upstream, "queue:seconds=0.3,length=1"), body)


def test_who_leaves_the_queue_takes_nothing_with_it(upstream: StubUpstream) -> None:
    async def body(gateway: Gateway, client: httpx.AsyncClient) -> None:
        await used_up(client)
        waiting = asyncio.create_task(client.post(CHAT, json=chat("5"), headers=DEAR))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.sleep(0.05)
        assert len(gateway.office.line) == 0
        await asyncio.sleep(0.5)
        assert ledger((await client.get("/metrics")).text)["outstanding"] == 0

    run(settings(upstream, "queue:20", per=0.4), body)


RULE = """from dataclasses import dataclass
from walras.experiments.queries.unfunded import Refuse, UnfundedRule
from walras.market.queries import OnlinePolicy

@dataclass(frozen=True)
class Odd(OnlinePolicy):
    name = "odd"
    def wanted(self, bids, seen):
        return [70.0 if bids.threshold[0] < 60 else float("nan")]

@dataclass(frozen=True)
class Late(UnfundedRule):
    name = "late"
    def action(self, case):
        return Refuse() if case.cap > 1e9 else None

@dataclass(frozen=True)
class Never(UnfundedRule):
    name = "never"
    def action(self, case):
        raise KeyError("never")
"""


@pytest.mark.parametrize("own", [{"policy": "Odd"}, {"unfunded": "Late"}])
def test_a_rule_of_the_operators_that_fails_is_no_fault_of_the_clients(
    upstream: StubUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture, own: dict[str, str]
) -> None:
    (tmp_path / "own.py").write_text(RULE)
    log = str(tmp_path / "log")
    named: dict[str, Any] = {what: f"{tmp_path / 'own.py'}:{name}" for what, name in own.items()}
    given = replace(settings(upstream, "reject", log=log), **named)

    async def body(gateway: Gateway, client: httpx.AsyncClient) -> Any:
        if given.policy == "unlimited":
            await used_up(client)
        return await client.post(CHAT, json=chat("30", max_tokens=900))

    answer = run(given, body)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "rule_failed"
    assert str(tmp_path) not in answer.text
    assert "rule_failed" in (tmp_path / "log").read_text()
    assert "valid: " in caplog.text


def test_a_rule_that_never_works_is_told_before_anybody_asks(upstream: StubUpstream, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(RULE)
    with pytest.raises(UserCodeError, match=r"Never failed .*KeyError"):
        Gateway(settings(upstream, f"{tmp_path / 'own.py'}:Never"))


def test_a_state_that_is_no_folder_is_told(upstream: StubUpstream, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"state of a gateway .*file': File exists"):
        Gateway(replace(settings(upstream, "reject"), state=tmp_path / "file"))

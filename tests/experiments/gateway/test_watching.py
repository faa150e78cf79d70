"""The log, the page and its figures."""

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gateways import CHAT, chat, in_process, ledger
from stub_upstream import StubUpstream

from walras.errors import InputError, UserCodeError
from walras.experiments.gateway.app import Gateway
from walras.experiments.gateway.settings import Settings
from walras.experiments.gateway.watching.figures import page
from walras.experiments.gateway.watching.log import RequestLog, RequestRecord


def test_the_page_loads_nothing_from_elsewhere_and_reads_figures_that_are_there(upstream: StubUpstream) -> None:
    async def body() -> Any:
        async with in_process(Settings(upstream.url, 20_000)) as (gateway, client):
            await client.post(CHAT, json=chat("30"))
            gateway.figures.sample()
            shown = await client.get("/")
            return shown, (await client.get("/walras/figures.json")).json()

    shown, figures = asyncio.run(body())
    text = page().decode()
    assert shown.content == page()
    assert "connect-src 'self'" in shown.headers["content-security-policy"]
    assert set(re.findall(r"https?://[^\"']+", text)) == {"http://www.w3.org/2000/svg"}  # a name, which nobody loads
    assert set(re.findall(r"\btold\.(\w+)", text)) <= figures.keys()
    assert figures["tenants"]["all"]["used"] == 30
    assert figures["tenants"].keys() == {"all"}
    assert len(figures["history"][-1]) == 7
    assert figures["history"][-1][2] == 30


def test_the_log_goes_on_and_a_full_disk_stops_nobody(tmp_path: Path) -> None:
    for number in range(2):
        log = RequestLog(str(tmp_path / "log"))
        log.write(RequestRecord(str(number), "/x"))
        log.close()
    assert [json.loads(line)["id"] for line in (tmp_path / "log").read_text().splitlines()] == ["0", "1"]
    full = RequestLog("/dev/full")
    full.write(RequestRecord("2", "/x"))
    assert full.lost == 1
    full.close()
    with pytest.raises(InputError, match="cannot write log"):
        RequestLog(str(tmp_path / "no" / "such"))


def test_the_log_may_be_standard_error(upstream: StubUpstream, capsys: pytest.CaptureFixture[str]) -> None:
    async def body() -> None:
        async with in_process(Settings(upstream.url, 20_000, log="-")) as (_, client):
            await client.post(CHAT, json=chat("30"))

    asyncio.run(body())
    assert json.loads(capsys.readouterr().err)["used"] == 30


def test_a_state_that_cannot_be_written_is_told_and_nothing_is_granted(upstream: StubUpstream, tmp_path: Path) -> None:
    async def body() -> tuple[Any, Any]:
        async with in_process(Settings(upstream.url, 20_000, state=tmp_path / "state")) as (gateway, client):
            journal: Any = gateway.journal
            file, journal._file = journal._file, _Full()
            refused = await client.post(CHAT, json=chat("30"))
            scrape = (await client.get("/metrics")).text
            journal._file = file
            return refused, scrape

    refused, scrape = asyncio.run(body())
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "state_unwritable"
    assert 'walras_granted_tokens_total{tenant="all"} 0.0' in scrape


OWN = """from dataclasses import dataclass
from walras.market.queries import OnlinePolicy

@dataclass(frozen=True)
class Later(OnlinePolicy):
    name = "later"
    def wanted(self, bids, seen):
        return [100.0]
    def moved(self, seen, tokens):
        if seen.recent and seen.recent[-1][0] > 60:
            raise KeyError("moved")

@dataclass(frozen=True)
class Never(OnlinePolicy):
    name = "never"
    def wanted(self, bids, seen):
        raise KeyError("wanted")
"""


def test_a_policy_that_fails_does_not_keep_a_gateway_from_ending(
    upstream: StubUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(UserCodeError, match="policy Never failed"):
        Gateway(Settings(upstream.url, 20_000, policy=f"{tmp_path / 'own.py'}:Never"))
    given = Settings(upstream.url, 20_000, policy=f"{tmp_path / 'own.py'}:Later", state=tmp_path / "state")

    async def body() -> list[int]:
        async with in_process(given) as (_, client):
            return [
                (await client.post(CHAT, json=chat("30"), headers={"x-walras-threshold": told})).status_code
                for told in ("50", "70", "50")
            ]

    assert asyncio.run(body()) == [200, 500, 500]
    assert "The state was not written anew: policy Later failed" in caplog.text
    again = Gateway(replace(given, policy="clear"))
    assert ledger(again.office.metrics.scrape().decode())["used"] == 30
    again.close()


class _Full:
    """A file on a full disk."""

    def write(self, line: str) -> None:
        raise OSError("no space left on device")

    def close(self) -> None:
        pass

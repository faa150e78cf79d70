"""Requests at a rate: all are answered and counted, and what is wrong is seen."""

import asyncio
from pathlib import Path

import pandas as pd
import pytest
from gateways import served
from stub_upstream import StubUpstream

from walras.experiments.benchmarks.speed import gateway_load
from walras.experiments.benchmarks.speed.gateway_load import load, main, row
from walras.experiments.gateway.settings import Settings
from walras.experiments.progress import Silent


def test_every_request_is_answered_through_a_gateway() -> None:
    with StubUpstream() as stub, served(Settings(stub.url, 1e6, guess=50)) as gateway:
        told = asyncio.run(load(gateway.url, 60.0, 1.5, 8, True, "gateway", Silent()))
        tokens = gateway.settled()
    assert told.status == {"200": 90}
    assert len(told.seconds) == 90
    assert told.scrapes >= 1
    assert told.uneven == 0
    assert tokens["used"] == 90 * 20
    found = row("gateway", told, 90, None, None)
    assert found["answered"] == 90
    assert 0 < float(str(found["ms_median"])) <= float(str(found["ms_p99"]))


def test_tokens_that_are_not_conserved_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def get(connection: object, path: str) -> str:
        del connection, path
        return 'walras_granted_tokens_total{tenant="all"} 10.0\nwalras_used_tokens_total{tenant="all"} 9.0\n'

    monkeypatch.setattr(gateway_load.Connection, "get", get)
    with StubUpstream() as stub:
        told = asyncio.run(load(stub.url, 60.0, 1.5, 8, True, "gateway", Silent()))
    assert told.uneven == told.scrapes >= 1


def test_requests_that_fail_are_counted_by_what_went_wrong() -> None:
    told = asyncio.run(load("http://127.0.0.1:9", 50.0, 0.2, 4, False, "upstream", Silent()))
    assert told.status == {"ConnectionRefusedError": 10}
    assert row("upstream", told, 10, None, None)["others"] == "ConnectionRefusedError: 10"


@pytest.mark.nightly
def test_the_command(tmp_path: Path) -> None:
    with StubUpstream() as stub:
        main(stub.url, tmp_path / "load.csv", 40.0, 6.0, 16)
    table = pd.read_csv(tmp_path / "load.csv")
    assert table["part"].tolist() == ["upstream", "gateway", "upstream, again"]
    assert (table["requests"] == table["answered"]).all()
    assert not table["not_conserved"].any()

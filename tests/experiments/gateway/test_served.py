"""A gateway that is served: OpenAI's own client, streams, clients that go away, many at once, and its death."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateways import CHAT, Served, chat, ledger, served
from stub_upstream import Stub, StubUpstream

from walras.experiments.gateway.deciding.journal import Journal
from walras.experiments.gateway.settings import Settings

BIG = 1e6
STREAMS: list[tuple[str, dict[str, Any]]] = [
    (CHAT, chat("40", stream=True)), (CHAT, chat("40", stream=True, stream_options={"include_usage": True})),
    (CHAT, chat("40+always-usage+crlf", stream=True)), (CHAT, chat("40+no-usage", stream=True)),
    ("/v1/completions", {"model": "40", "prompt": "x", "stream": True}),
    ("/v1/responses", {"model": "40", "input": "x", "stream": True}),
]  # fmt: skip


def test_bytes_are_those_of_the_upstream(upstream: StubUpstream) -> None:
    """The events that the gateway asked for itself are left out again."""
    root = upstream.url.removesuffix("/v1")
    with served(Settings(upstream.url, BIG)) as gateway, httpx.Client(trust_env=False) as client:
        for path, content in STREAMS:
            alone, through = (client.post(place + path, json=content) for place in (root, gateway.url))
            assert alone.content == through.content
            assert len(alone.content) > 1000
            own = {"connection", "transfer-encoding"}
            headers = {k: v for k, v in through.headers.items() if not k.startswith("x-walras") and k not in own}
            assert headers == {k: v for k, v in alone.headers.items() if k not in own}
        for path, content in STREAMS:
            plain = {**content, "stream": False, "model": "40"}
            assert client.post(root + path, json=plain).content == client.post(gateway.url + path, json=plain).content
        assert client.get(root + "/v1/models").content == client.get(gateway.url + "/v1/models").content
        assert gateway.settled()["used"] == 40 * 12


def answers(client: openai.OpenAI) -> list[Any]:
    """What the official client makes of the API."""
    messages: Any = [{"role": "user", "content": "x"}]
    found: list[Any] = [
        client.chat.completions.create(model="12", messages=messages),
        client.chat.completions.create(model="12", messages=messages, max_completion_tokens=5),
        client.completions.create(model="12", prompt="x"),
        client.responses.create(model="12", input="x"),
        client.models.list().data,
    ]
    for options in (None, {"include_usage": True}):
        more: Any = {} if options is None else {"stream_options": options}
        found.append(list(client.chat.completions.create(model="12", messages=messages, stream=True, **more)))
    found.append(list(client.completions.create(model="12", prompt="x", stream=True)))
    found.append(list(client.responses.create(model="12", input="x", stream=True)))
    for model in ("error", "torn", "die"):
        with pytest.raises(openai.APIStatusError if model == "error" else Exception) as told:
            client.chat.completions.create(model=model, messages=messages)
        found.append(told.value)
    return found


def test_the_official_client_gets_the_same_objects(upstream: StubUpstream) -> None:
    with served(Settings(upstream.url, BIG)) as gateway:
        clients = [
            openai.OpenAI(base_url=url, api_key="k", max_retries=0) for url in (upstream.url, f"{gateway.url}/v1")
        ]
        alone, through = (answers(client) for client in clients)
        for client in clients:
            client.close()
        assert alone[:-3] == through[:-3]
        assert alone[-3].status_code == through[-3].status_code == 500
        assert alone[-3].body == through[-3].body
        for error in through[-2:]:  # where the upstream alone is not understood
            assert isinstance(error, openai.InternalServerError)
            assert error.status_code == 502


def test_the_official_async_client_and_a_stream_that_breaks(upstream: StubUpstream) -> None:
    messages: Any = [{"role": "user", "content": "x"}]

    async def both(url: str) -> tuple[Any, Any]:
        async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
            plain = await client.chat.completions.create(model="12", messages=messages)
            stream = await client.chat.completions.create(model="12", messages=messages, stream=True)
            return plain, [chunk async for chunk in stream]

    with served(Settings(upstream.url, BIG)) as gateway:
        assert asyncio.run(both(upstream.url)) == asyncio.run(both(f"{gateway.url}/v1"))
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client:
            for model in ("12+die", "12+torn", "12+short"):
                stream = client.chat.completions.create(model=model, messages=messages, stream=True)
                with pytest.raises(openai.APIError, match="upstream"):
                    list(stream)
        assert gateway.settled()["used"] == 24 + 3 * 7


def test_who_is_not_funded_is_told_in_the_clients_own_error(upstream: StubUpstream) -> None:
    messages: Any = [{"role": "user", "content": "x"}]
    with (
        served(Settings(upstream.url, 1000)) as gateway,
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
    ):
        need = {"x-walras-threshold": "900"}
        client.chat.completions.create(model="950", messages=messages, extra_headers=need)
        with pytest.raises(openai.RateLimitError) as told:
            client.chat.completions.create(model="5", messages=messages, extra_headers=need)
    assert told.value.code == "not_funded"
    assert told.value.response.headers["x-walras-status"] == "unfunded"


def raw_request(gateway: Served, content: Any) -> socket.socket:
    """A request on a connection of its own."""
    body = json.dumps(content).encode()
    place = gateway.url.removeprefix("http://").split(":")
    connection = socket.create_connection((place[0], int(place[1])), timeout=10)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def test_a_client_that_goes_away_gives_its_tokens_back(upstream: StubUpstream, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with served(Settings(upstream.url, BIG, log=str(log))) as gateway:
        with raw_request(gateway, chat("400+slow", stream=True)) as connection:
            seen = b""
            while seen.count(b"data:") < 4:
                seen += connection.recv(4096)
        tokens = gateway.settled()
        assert 4 <= tokens["used"] < 20
        with raw_request(gateway, chat("400+slow")):
            time.sleep(0.2)
        assert gateway.settled()["used"] == tokens["used"]
        with raw_request(gateway, chat("hang", stream=True)):
            time.sleep(0.2)
        assert gateway.settled()["used"] == tokens["used"]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["error"] for line in lines] == ["client_gone"] * 3
    assert lines[0]["charged"] == "counted"
    assert upstream.stub.broken == 1


def test_half_a_request_and_chunks(upstream: StubUpstream) -> None:
    def pieces() -> Any:
        body = json.dumps(chat("5")).encode()
        yield from (body[i : i + 7] for i in range(0, len(body), 7))

    with served(Settings(upstream.url, BIG, largest_body=2000)) as gateway, httpx.Client(trust_env=False) as client:
        with raw_request(gateway, chat("5")) as connection:
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 900\r\n\r\n{")
        assert client.post(gateway.url + CHAT, content=pieces()).status_code == 200
        long = client.post(gateway.url + CHAT, content=(b" " * 100 for _ in range(50)))
        assert long.status_code == 413
        assert gateway.settled()["outstanding"] == 0


MIXED = (
    "20", "5+error", "30+torn", "30+die", "30+short", "9999", "20+no-usage", "20+slow", "40+always-usage", "7+redirect",
)  # fmt: skip


def test_tokens_are_conserved_among_many_at_once(upstream: StubUpstream) -> None:
    async def one(client: httpx.AsyncClient, url: str, number: int) -> int:
        content = chat(MIXED[number % len(MIXED)], stream=number % 3 == 0, n=1 + number % 2)
        if number % 11 == 10:
            with pytest.raises(httpx.TimeoutException):
                await client.post(url + CHAT, json=chat("hang"), timeout=0.3)
            return 0
        return (await client.post(url + CHAT, json=content)).status_code

    async def all_of_them(url: str) -> list[int]:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            asked = [asyncio.ensure_future(one(client, url, number)) for number in range(50)]
            while not all(task.done() for task in asked):
                ledger((await client.get(f"{url}/metrics")).text)  # conserved at every scrape
                await asyncio.sleep(0.02)
            return [task.result() for task in asked]

    with served(Settings(upstream.url, 2e5, unfunded="queue:2", per=1.0)) as gateway:
        found = asyncio.run(all_of_them(gateway.url))
        tokens = gateway.settled()
    assert set(found) <= {0, 200, 429, 500, 502}
    assert found.count(200) >= 10
    assert tokens["granted"] + tokens["over"] == tokens["used"] + tokens["returned"] + tokens["expired"]


@pytest.mark.nightly
def test_the_ledger_outlives_a_kill(tmp_path: Path) -> None:
    """To the token: what was granted, used and returned before; what the process took with it counts as used."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom walras.experiments.gateway.app import Gateway\n"
        "from walras.experiments.gateway.serving import serve\n"
        "from walras.experiments.gateway.settings import Settings\n"
        "from walras.experiments.listening import bound\n"
        "place = bound('127.0.0.1', 0)\nprint(place.getsockname()[1], flush=True)\n"
        "serve(Gateway(Settings(sys.argv[1], 1e6, state=Path(sys.argv[2]))), place)\n"
    )

    async def load(url: str, process: "subprocess.Popen[str]") -> dict[str, float]:
        async def endless(client: httpx.AsyncClient, number: int) -> None:
            try:
                while True:
                    await client.post(url + CHAT, json=chat(("20", "60+slow")[number % 2], stream=number % 3 == 0))
            except httpx.HTTPError:
                pass

        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            for _ in range(300):
                try:
                    await client.get(f"{url}/metrics")
                    break
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
            asked = [asyncio.ensure_future(endless(client, number)) for number in range(20)]
            await asyncio.sleep(3)
            seen = ledger((await client.get(f"{url}/metrics")).text)
            process.send_signal(signal.SIGKILL)
            await asyncio.gather(*asked)
            return seen

    with StubUpstream(Stub(keep=False)) as upstream:
        command = [sys.executable, "-P", "-c", code, upstream.url, str(tmp_path / "state")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert process.stdout is not None
        seen = asyncio.run(load(f"http://127.0.0.1:{int(process.stdout.readline())}", process))
        process.wait(20)
        process.stdout.close()
        assert seen["used"] > 0
        with served(Settings(upstream.url, BIG, state=tmp_path / "state")) as again:
            assert isinstance(again.gateway.journal, Journal)
            after = ledger(httpx.get(f"{again.url}/metrics", trust_env=False).text)
    assert after["outstanding"] == 0
    assert again.gateway.journal.lost > 0
    assert after["granted"] >= seen["granted"]
    assert after["used"] >= seen["used"] + again.gateway.journal.lost

"""Requests through the gateway, in process: what the upstream is sent, what the client gets, what is charged."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import CHAT, chat, in_process, ledger
from stub_upstream import StubUpstream

from walras.experiments.gateway.app import Gateway
from walras.experiments.gateway.settings import Settings

Use = Callable[[Gateway, httpx.AsyncClient], Awaitable[Any]]


def use(settings: Settings, body: Use, **how: Any) -> Any:
    """Run a coroutine with a gateway."""

    async def run() -> Any:
        async with in_process(settings, **how) as (gateway, client):
            return await body(gateway, client)

    return asyncio.run(run())


def post(settings: Settings, content: Any, path: str = CHAT, headers: Any = None, **how: Any) -> tuple[Any, Any]:
    """One request; its answer, and the ledger after it."""

    async def body(gateway: Gateway, client: httpx.AsyncClient) -> Any:
        given: dict[str, Any] = {"content": content} if isinstance(content, bytes) else {"json": content}
        reply = await client.post(path, headers=headers, **given)
        return reply, ledger((await client.get("/metrics")).text)

    reply, after = use(settings, body, **how)
    return reply, after


def test_a_request_is_granted_tokens_and_gives_back_the_rest(upstream: StubUpstream) -> None:
    reply, tokens = post(Settings(upstream.url, 20_000), chat("30", unknown={"kept": [1, None]}))
    granted = int(reply.headers["x-walras-granted"])
    assert reply.status_code == 200
    assert reply.headers["x-walras-status"] == "funded"
    assert float(reply.headers["x-walras-price"]) > 0
    assert reply.headers["x-upstream"] == "stub"
    assert granted > 1024
    assert upstream.last.body == {**chat("30", unknown={"kept": [1, None]}), "max_completion_tokens": granted}
    assert (tokens["granted"], tokens["used"], tokens["returned"]) == (granted, 30, granted - 30)
    assert upstream.last.headers["accept-encoding"] == "identity"
    assert "x-walras-threshold" not in upstream.last.headers


@pytest.mark.parametrize(
    ("path", "content", "field"),
    [
        (CHAT, chat("30"), "max_completion_tokens"),
        (CHAT, chat("30", max_tokens=5000), "max_tokens"),
        ("/v1/completions", {"model": "30", "prompt": "x"}, "max_tokens"),
        ("/v1/responses", {"model": "30", "input": "x"}, "max_output_tokens"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_grant_goes_where_the_api_looks_for_it(
    upstream: StubUpstream, path: str, content: Any, field: str, stream: bool
) -> None:
    reply, tokens = post(Settings(upstream.url, 20_000), {**content, "stream": stream}, path)
    assert reply.status_code == 200
    assert upstream.last.target == path
    assert str(upstream.last.body[field]) == reply.headers["x-walras-granted"]
    assert tokens["used"] == 30
    assert tokens["outstanding"] == 0


def test_a_limit_of_the_requests_own_is_never_exceeded(upstream: StubUpstream) -> None:
    for own in (1, 16, 900, 1024, 1100):
        reply, _ = post(Settings(upstream.url, 200_000), chat("9999", max_tokens=own, max_completion_tokens=5000))
        assert reply.status_code == 200, own
        assert upstream.last.body["max_tokens"] == upstream.last.body["max_completion_tokens"] <= own
    reply, _ = post(Settings(upstream.url, 200_000), chat("9999", n_predict=77))
    assert upstream.last.body["n_predict"] <= 77


def test_an_answer_that_is_cut_off_raises_what_its_class_is_thought_to_need(upstream: StubUpstream) -> None:
    async def body(gateway: Gateway, client: httpx.AsyncClient) -> None:
        for _ in range(5):
            await client.post(CHAT, json=chat("99999"))
        raised = gateway.desk.needs["other"].threshold(100.0)
        assert raised > 105
        for _ in range(40):
            await client.post(CHAT, json=chat("5"))
        assert gateway.desk.needs["other"].threshold(100.0) < raised / 2

    use(Settings(upstream.url, 1e6), body)


def test_several_answers_share_a_grant(upstream: StubUpstream) -> None:
    reply, tokens = post(Settings(upstream.url, 200_000), chat("50", n=3), headers={"x-walras-threshold": "200"})
    granted = int(reply.headers["x-walras-granted"])
    assert upstream.last.body["max_completion_tokens"] == granted // 3 > 200
    assert tokens["used"] == 150
    prompts = {"model": "5", "prompt": ["a", "b"], "n": 2, "best_of": 3, "max_tokens": 40}
    reply, _ = post(Settings(upstream.url, 200_000), prompts, "/v1/completions")
    assert int(reply.headers["x-walras-granted"]) <= 40 * 6
    post(Settings(upstream.url, 200_000), {"model": "5", "prompt": [1, 2, 3]}, "/v1/completions")


@pytest.mark.parametrize(
    ("stream", "model", "used", "charged"),
    [
        (False, "30", 30, "usage"), (True, "30", 30, "usage"), (True, "30+always-usage", 30, "usage"),
        (True, "30+crlf", 30, "usage"), (False, "30+no-usage", None, "whole"), (True, "30+no-usage", 30, "counted"),
        (False, "30+error", 0, "none"), (False, "30+torn", None, "whole"), (False, "30+die", None, "whole"),
        (True, "30+die", 16, "counted"), (True, "30+short", 16, "counted"), (True, "30+torn", 16, "counted"),
        (False, "30+redirect", 0, "none"), (True, "30+error", 0, "none"),
    ],
)  # fmt: skip
def test_what_is_charged_and_how_it_is_known(
    upstream: StubUpstream, tmp_path: Path, stream: bool, model: str, used: int | None, charged: str
) -> None:
    log = tmp_path / "log.jsonl"
    reply, tokens = post(Settings(upstream.url, 20_000, log=str(log)), chat(model, "the secret text", stream=stream))
    (line,) = map(json.loads, log.read_text().splitlines())
    assert line["charged"] == charged
    assert tokens["used"] == line["used"] == (line["granted"] if used is None else used)
    assert tokens["outstanding"] == 0
    assert "secret" not in log.read_text()
    if "error" in model:
        assert reply.status_code == 500
        assert reply.json() == {"error": {"message": "out of memory", "type": "server_error"}}
    elif set(model.split("+")) & {"torn", "die", "short", "redirect"}:
        assert reply.status_code == (200 if stream else 502)
        told = reply.text.strip().rsplit("data: ", 1)[1] if stream else reply.text
        assert json.loads(told)["error"]["type"] == "upstream_error"
        assert reply.headers["x-walras-status"] == "funded"
    else:
        assert reply.status_code == 200
        assert reply.text.endswith("data: [DONE]" + ("\r\n\r\n" if "crlf" in model else "\n\n")) or not stream


def test_an_upstream_that_hangs_or_is_not_there(upstream: StubUpstream) -> None:
    reply, tokens = post(Settings(upstream.url, 20_000, upstream_timeout=0.2), chat("hang"))
    assert reply.status_code == 504
    assert reply.json()["error"]["code"] == "upstream_timeout"
    assert tokens["used"] == tokens["granted"]  # it may have generated
    reply, tokens = post(Settings("http://127.0.0.1:1/v1", 20_000), chat("30"))
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "upstream_unreachable"
    assert (tokens["used"], tokens["outstanding"]) == (0, 0)


@pytest.mark.parametrize(
    ("content", "headers", "status", "told"),
    [
        (b"{", {}, 400, "no JSON"), (b"[1]", {}, 400, "no JSON object"), (b'{"a": "\xff"}', {}, 400, "UTF-8: byte 8"),
        (b'{"temperature": NaN}', {}, 400, "no JSON"), (b'{"temperature": 1e999}', {}, 400, "no JSON"),
        (b"[" * 100_000, {}, 400, "no JSON"), (b'{"a": "\\ud800"}', {}, 400, "half a character"),
        (b'{"a": 1' + b"0" * 5000 + b"}", {}, 400, "no JSON"),
        (chat("5", max_tokens=-1), {}, 400, "max_tokens is -1"), (chat("5", max_tokens=0), {}, 400, "max_tokens is 0"),
        (chat("5", max_tokens=10**30), {}, 400, "max_tokens is 1000"), (chat("5", max_tokens="9"), {}, 400, "'9'"),
        (chat("5", max_tokens=True), {}, 400, "True"), (chat("5", n=0), {}, 400, "n is 0"),
        (chat("5", n=10**6), {}, 400, "n is 1000000"), (chat("5", stream="yes"), {}, 400, "stream is 'yes'"),
        (chat("5"), {"x-walras-threshold": "many"}, 400, "x-walras-threshold is 'many'"),
        (chat("5"), {"x-walras-threshold": "-5"}, 400, "1 to"), (chat("5"), {"x-walras-threshold": "nan"}, 400, "nan"),
        (chat("5"), {"x-walras-weight": "2"}, 400, "leave x-walras-weight out"),
        (chat("5"), {"x-walras-class": "poems"}, 400, "unknown class of request 'poems'"),
        (chat("5", max_tokens=50), {"x-walras-threshold": "80"}, 400, "exceed the request's own limit of 50"),
        (chat("5", "x" * 3000), {}, 413, "larger than 2000 bytes"),
        (chat("5"), {"content-encoding": "gzip"}, 415, "compressed"), (b"{}", {"content-length": "-3"}, 413, "larger"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_input_is_told_and_nothing_is_sent(
    upstream: StubUpstream, content: Any, headers: Any, status: int, told: str
) -> None:
    largest = 2**20 if status == 400 else 2000
    reply, tokens = post(Settings(upstream.url, 20_000, largest_body=largest), content, headers=headers)
    assert reply.status_code == status
    assert told in reply.json()["error"]["message"]
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert not [seen for seen in upstream.stub.seen if seen.method == "POST"]
    assert tokens["granted"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405), ("HEAD", "/v1/responses", 405), ("OPTIONS", CHAT, 405),
        ("PUT", "/v1/models", 405), ("GET", "/v1/models/m", 404), ("POST", "/v1/embeddings", 404),
        ("POST", "/v1/chat/completions/", 404), ("POST", "/v1/../v1/audio", 404), ("GET", "/metrics", 200),
        ("GET", "/", 200), ("GET", "/walras/figures.json", 200), ("GET", "/v1/models", 200), ("HEAD", "/", 200),
        ("POST", "//elsewhere.example/v1/chat/completions", 404),
    ],
)  # fmt: skip
def test_only_the_paths_named_are_served(upstream: StubUpstream, method: str, path: str, status: int) -> None:
    async def body(gateway: Gateway, client: httpx.AsyncClient) -> None:
        reply = await client.request(
            method, httpx.URL(f"http://127.0.0.1{path}"), json={} if method == "POST" else None
        )
        assert reply.status_code == status
        if status >= 400 and method != "HEAD":
            assert reply.json()["error"]["message"].startswith("this ")
        assert all(seen.target == "/v1/models" for seen in upstream.stub.seen)

    use(Settings(upstream.url, 20_000), body)


def test_the_query_goes_along_and_headers_of_the_connection_do_not(upstream: StubUpstream) -> None:
    headers = {
        "connection": "x-own",
        "x-own": "1",
        "te": "trailers",
        "x-kept": "2",
        "authorization": "Bearer sk-client",
    }
    reply, _ = post(Settings(upstream.url, 20_000), chat("5"), CHAT + "?a=%20b&c=http://other", headers=headers)
    assert reply.status_code == 200
    seen = upstream.last
    assert seen.target == CHAT + "?a=%20b&c=http://other"
    assert "x-own" not in seen.headers
    assert "te" not in seen.headers
    assert seen.headers["x-kept"] == "2"
    assert seen.headers["authorization"] == "Bearer sk-client"
    post(Settings(upstream.url, 20_000, upstream_key="sk-of-the-operator"), chat("5"), headers=headers)
    assert upstream.last.headers["authorization"] == "Bearer sk-of-the-operator"


def test_what_an_upstream_compresses_unasked_is_passed_on(upstream: StubUpstream) -> None:
    reply, tokens = post(Settings(upstream.url, 20_000), chat("5+gzip"))
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.json()["usage"]["completion_tokens"] == 5
    assert tokens["used"] == tokens["granted"]


def test_pages_of_other_sites_are_kept_out(upstream: StubUpstream) -> None:
    reply, _ = post(Settings(upstream.url, 20_000), chat("5"), headers={"origin": "http://evil.example"})
    assert reply.status_code == 403


def test_ids_are_the_gateways_own(upstream: StubUpstream) -> None:
    async def body(gateway: Gateway, client: httpx.AsyncClient) -> None:
        headers = {"x-request-id": "same", "x-walras-id": "same"}
        replies = await asyncio.gather(*(client.post(CHAT, json=chat("5+slow"), headers=headers) for _ in range(20)))
        assert [reply.status_code for reply in replies] == [200] * 20
        assert len({reply.headers["x-walras-id"] for reply in replies} - {"same"}) == 20

    use(Settings(upstream.url, 200_000), body)

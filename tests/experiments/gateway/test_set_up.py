"""What an operator sets up: times, addresses, classes, tenants and their keys, dialects, thresholds."""

import asyncio
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gateways import CHAT, chat, in_process, ledger
from stub_upstream import Stub, StubUpstream

from walras.errors import InputError
from walras.experiments.gateway.app import Gateway
from walras.experiments.gateway.bodies import CHAT as CHAT_API
from walras.experiments.gateway.bodies import COMPLETIONS, RESPONSES, read_body
from walras.experiments.gateway.classes import read_classes
from walras.experiments.gateway.dialects import DIALECTS, recognised
from walras.experiments.gateway.keys import read_tenants
from walras.experiments.gateway.settings import Settings
from walras.experiments.queries.predictors import Prediction

KEYS = ("sk-secret-of-research", "sk-secret-of-shop")
TENANTS = "\n".join(
    f"{name}:\n  {field}\n  keys: [{sha256(key.encode()).hexdigest()}]"
    for name, field, key in zip(("research", "shop"), ("weight: 3", "budget: 5000"), KEYS, strict=True)
)


def test_addresses() -> None:
    assert Settings("http://127.0.0.1:8000", 10).upstream == "http://127.0.0.1:8000/v1"
    assert Settings("https://a.example/openai/v1/", 10).upstream == "https://a.example/openai/v1"
    for text in (
        "127.0.0.1:8000",
        "ftp://a/v1",
        "http://",
        "http://a:0/v1",
        "http://a:b/",
        "http://a/v1?x=1",
        "http://a b",
    ):
        with pytest.raises(InputError, match="--upstream is"):
            Settings(text, 10)
    with pytest.raises(InputError, match="holds a name or a password") as told:
        Settings("http://me:hunter2@a/v1", 10)
    assert "hunter2" not in str(told.value)
    assert "sk-1" not in repr(Settings("http://a", 10, upstream_key="sk-1"))


@pytest.mark.parametrize(
    "wrong",
    [{"budget": 0.5}, {"budget": float("nan")}, {"per": 0.0}, {"reserve": -1}, {"reserve": 11}, {"guess": 0.0},
     {"largest_body": 5}, {"upstream_timeout": 0.0}, {"upstream_key": "ä"}, {"upstream_key": "a\nb"}],
    ids=str,
)  # fmt: skip
def test_settings_that_cannot_be_are_told(wrong: Any) -> None:
    with pytest.raises(InputError):
        Settings(**{"upstream": "http://a", "budget": 10.0, **wrong})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "must be a mapping"), ("proofs: 5", "must be a name with threshold"),
        ("proofs: {weight: 2}", "no threshold"), ("proofs: {threshold: 0}", "threshold of class proofs is 0"),
        ("proofs: {treshold: 9}", "Did you mean 'threshold'"), ("a: {threshold: 9, weight: -1}", "weight of class a"),
        ("p: {threshold: 9, model: 5}", "model of class"), ("'ä': {threshold: 9}", "name of"),
        ("a: {threshold: 9, model: m}\nb: {threshold: 9, model: m}", "both of model 'm'"),
    ],
)  # fmt: skip
def test_classes_that_cannot_be_are_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(InputError, match=told):
        read_classes(tmp_path / "classes.yaml", 100.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: {keys: [sk-secret]}", "key 1 of tenant 'a' is no SHA-256"), ("a: {keys: sk-secret}", "has no keys"),
        ("a: {weight: 1}", "has no keys"), ("a: {key: sk-secret}", "Did you mean 'keys'"),
        (f"a: {{weight: 1, budget: 5, keys: ['{'0' * 64}']}}", "a weight and a budget"),
        (f"a: {{keys: ['{'0' * 64}']}}\nb: {{keys: ['{'0' * 64}']}}", "one of tenant 'a' too"),
        (f"a: {{weight: 0, keys: ['{'0' * 64}']}}", "weight of tenant a"),
    ],
)  # fmt: skip
def test_tenants_that_cannot_be_are_told_and_no_key_is_quoted(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "tenants.yaml").write_text(text)
    with pytest.raises(InputError, match=told) as error:
        read_tenants(tmp_path / "tenants.yaml")
    assert "sk-secret" not in str(error.value)


def test_tenants_pay_for_themselves_and_keys_are_nowhere(upstream: StubUpstream, tmp_path: Path) -> None:
    (tmp_path / "tenants.yaml").write_text(TENANTS)
    settings = Settings(
        upstream.url, 20_000, tenants=tmp_path / "tenants.yaml", state=tmp_path / "state", log=str(tmp_path / "log")
    )

    async def body() -> str:
        seen = ""
        async with in_process(settings) as (_, client):
            for key, status in ((KEYS[0], 200), (KEYS[1], 200), ("sk-secret-of-nobody", 401), ("", 401)):
                for model in ("30", "30+error", "30+torn"):
                    headers = {"authorization": f"Bearer {key}", "api-key": key}
                    reply = await client.post(CHAT, json=chat(model), headers=headers)
                    assert (reply.status_code == 401) == (status == 401)
                    seen += f"{reply.headers} {reply.text}"
                reply = await client.get("/v1/models", headers=headers)
                assert reply.status_code == status
            scrape = (await client.get("/metrics")).text
            seen += scrape + (await client.get("/walras/figures.json")).text
            assert ledger(scrape, "research")["window_budget"] == 15_000
            assert ledger(scrape, "shop")["window_budget"] == 5000
            for name in ("research", "shop"):
                assert ledger(scrape, name)["used"] > 30
        return seen

    seen = asyncio.run(body())
    seen += "".join(path.read_text() for path in [tmp_path / "log", *(tmp_path / "state").iterdir()])
    seen += repr([request.headers for request in upstream.stub.seen])
    assert '"tenant": "shop"' in (tmp_path / "log").read_text()
    assert "secret" not in seen


DIALECT_FIELDS: dict[str, dict[str, Any]] = {
    "openai": {}, "vllm": {"thinking_token_budget": 300}, "sglang": {"custom_params": {"thinking_budget": 300}},
    "llama-server": {"thinking_budget_tokens": 300, "reasoning_budget_tokens": 300},
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_a_reserve_is_kept_from_the_thinking(name: str) -> None:
    body, dialect = read_body(json.dumps(chat("m", max_tokens=999)).encode(), CHAT_API), DIALECTS.make(name)
    assert json.loads(body.granted(400, 100, dialect)) == {**chat("m", max_tokens=400), **DIALECT_FIELDS[name]}
    assert json.loads(body.granted(400, 0, dialect)) == chat("m", max_tokens=400)
    own: dict[str, Any] = {
        "thinking_token_budget": 7,
        "thinking_budget_tokens": 7,
        "custom_params": {"thinking_budget": 7, "x": 1},
    }
    body = read_body(json.dumps(chat("m", reasoning_budget_tokens=7, **own)).encode(), CHAT_API)
    sent = json.loads(body.granted(400, 100, dialect))
    assert {key: sent[key] for key in own} == own  # its own, which are lower


@pytest.mark.parametrize(
    ("owner", "places", "name"),
    [
        ("vllm", {}, "vllm"), ("", {"/version": {"version": "0.22"}}, "vllm"), ("sglang", {}, "sglang"),
        ("", {"/get_server_info": {"version": "0.5", "tp_size": 1}}, "sglang"), ("llamacpp", {}, "llama-server"),
        ("", {"/props": {"default_generation_settings": {}}}, "llama-server"), ("HuggingFaceTB", {}, "openai"),
        ("", {"/version": {"version": "1", "name": "proxy"}, "/props": {}}, "openai"),
    ],
)  # fmt: skip
def test_dialects_are_found_out(owner: str, places: Any, name: str) -> None:
    with StubUpstream(Stub(owner, places)) as upstream:

        async def body() -> str:
            async with in_process(Settings(upstream.url, 1000)) as (gateway, _):
                return (await gateway.office.upstream.dialect()).name

        assert asyncio.run(body()) == name


def test_answers_that_mean_nothing_are_openai() -> None:
    answers: list[Any] = [None, [], {"data": []}, {"data": [5]}, {"data": [{"owned_by": 5}]}]
    for models in answers:
        assert recognised([models, None, None, None]).name == "openai"


@pytest.mark.parametrize(
    ("endpoint", "content", "texts"),
    [
        (CHAT_API, chat("m", "what?"), ["what?"]), (CHAT_API, {"messages": []}, []),
        (CHAT_API, {"messages": [{"role": "user", "content": [{"text": "a"}, {"image_url": "b"}, 5]}]}, ["a"]),
        (CHAT_API, {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, ["a"]),
        (COMPLETIONS, {"prompt": "a"}, ["a"]), (COMPLETIONS, {"prompt": ["a", "b"]}, ["a", "b"]),
        (COMPLETIONS, {"prompt": [1, 2]}, []), (RESPONSES, {"input": "a"}, ["a"]), (RESPONSES, {}, []),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]}, ["a"]),
    ],
)  # fmt: skip
def test_texts_that_a_predictor_reads(endpoint: Any, content: Any, texts: list[str]) -> None:
    assert read_body(json.dumps(content).encode(), endpoint).texts() == texts


def test_where_thresholds_come_from(upstream: StubUpstream, tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text(
        "proofs: {threshold: 3000, weight: 2}\nsmall: {threshold: 50, model: '7'}\nother: {threshold: 70}\n"
    )
    log = tmp_path / "log"
    settings = Settings(
        upstream.url, 1e6, classes=tmp_path / "classes.yaml", client_weights=True, reserve=20, log=str(log)
    )

    def predict(texts: Any) -> Prediction:
        return Prediction(np.array([float(text) for text in texts]), np.full(len(texts), 0.5))

    async def body() -> None:
        async with in_process(settings) as (gateway, client):
            await ask(client)
            vars(gateway.office.thresholds)["_predict"] = predict
            await ask(client)

    async def ask(client: httpx.AsyncClient) -> None:
        for content, headers in (
            (chat("6", "400"), {"x-walras-threshold": "123"}), (chat("6", "400"), {"x-walras-class": "proofs"}),
            (chat("7", "400"), {"x-walras-weight": "1e3"}), (chat("6", "400"), {}), (chat("6", "400", n=2), {}),
        ):  # fmt: skip
            assert (await client.post(CHAT, json=content, headers=headers)).status_code == 200

    asyncio.run(body())
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["kind"] for line in lines] == [
        "other", "proofs", "small", "other", "other", "other", "proofs", "small", "predicted", "predicted",
    ]  # fmt: skip
    assert [line["threshold"] for line in lines[:4]] == [143.0, 3020.0, 70.0, 90.0]
    assert lines[8]["threshold"] == 420.0
    assert lines[9]["threshold"] == pytest.approx(840.0, rel=0.6)  # learned from the one before
    assert lines[6]["threshold"] < 3020


def test_a_state_is_gone_on_with_and_is_one_gateways(upstream: StubUpstream, tmp_path: Path) -> None:
    settings = Settings(upstream.url, 20_000, state=tmp_path / "state")

    async def body(refuse: bool) -> dict[str, float]:
        async with in_process(settings) as (_, client):
            await client.post(CHAT, json=chat("30"))
            if refuse:
                with pytest.raises(InputError, match="is being written by process"):
                    Gateway(settings)
            return ledger((await client.get("/metrics")).text)

    assert asyncio.run(body(True))["used"] == 30
    assert asyncio.run(body(False))["used"] == 60

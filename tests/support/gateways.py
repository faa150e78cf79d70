"""Gateways of tests: in process, or under a server of their own in a thread."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, final

import httpx

from walras.experiments.gateway.app import Gateway
from walras.experiments.gateway.serving import serving
from walras.experiments.gateway.settings import Settings

ROW = re.compile(r'^walras_(\w+?)(?:_total)?\{tenant="([^"]*)"\} (\S+)$', re.MULTILINE)
CHAT = "/v1/chat/completions"


@asynccontextmanager
async def in_process(settings: Settings, **how: Any) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    """A gateway, and a client of it."""
    gateway = Gateway(settings, **how)
    transport = httpx.ASGITransport(gateway.app)
    async with gateway.running(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield gateway, client


@final
@dataclass(frozen=True)
class Served:
    """A gateway that is served."""

    gateway: Gateway
    url: str

    def settled(self, seconds: float = 10.0) -> dict[str, float]:
        """The ledger once nothing is outstanding."""
        end = time.monotonic() + seconds
        while (found := ledger(httpx.get(f"{self.url}/metrics", trust_env=False).text))["outstanding"]:
            assert time.monotonic() < end, found
            time.sleep(0.02)
        return found


@contextmanager
def served(settings: Settings, **how: Any) -> Iterator[Served]:
    """A gateway on a port of this machine."""
    gateway = Gateway(settings, **how)
    with serving(gateway) as address:
        yield Served(gateway, address)


def ledger(text: str, tenant: str | None = None) -> dict[str, float]:
    """Tokens of a scrape by what they are, of a tenant or of all; they are conserved."""
    found: dict[str, float] = {}
    for name, whose, value in ROW.findall(text):
        if name.endswith("_tokens") and tenant in (None, whose):
            key = name.removesuffix("_tokens")
            found[key] = found.get(key, 0.0) + float(value)
    taken = found["used"] + found["returned"] + found["expired"] + found["outstanding"]
    assert found["granted"] + found["over"] == taken, found
    return found


def chat(model: str, text: str = "x", **more: Any) -> dict[str, Any]:
    """The body of a request that a stub answers as its model says."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}

"""The server behind the gateway: one client, one address, and the dialect that it speaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from itertools import cycle
from typing import Any, final
from urllib.parse import quote

import httpx

from walras.experiments.gateway.dialects import DIALECTS, PROBES, Dialect, OpenAI, recognised
from walras.experiments.gateway.refusals import Header, RefusalError, bad
from walras.experiments.gateway.settings import Settings
from walras.files.plain_data import parse_json

_CONNECT = 10.0  # seconds
_PROBE = 5.0
_LARGEST_PROBE = 2**22
_POOLS, _KEPT = 32, 256  # of connections; those that stay open while nobody asks


@final
class Pools(httpx.AsyncBaseTransport):
    """Small pools of connections, in turn: one pool looks at all its connections, and all that wait, at every request.

    Args:
        secure: the server shows a certificate; else none need be loaded.
    """

    def __init__(self, secure: bool) -> None:
        verify = httpx.create_ssl_context() if secure else False
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT // _POOLS)
        self._pools = [httpx.AsyncHTTPTransport(verify, trust_env=False, limits=limits) for _ in range(_POOLS)]
        self._turns = cycle(self._pools)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """By the pool whose turn it is."""
        return await next(self._turns).handle_async_request(request)

    async def aclose(self) -> None:
        """Let all connections go."""
        for pool in self._pools:
            await pool.aclose()


@final
class Upstream:
    """Sends requests to one server. No redirect is followed, no proxy of the environment is used.

    Args:
        settings: address, dialect, timeout.
        transport: in place of sockets.
    """

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._base, self._key = settings.upstream, settings.upstream_key
        self._dialect = DIALECTS.make(settings.dialect) if settings.dialect else None
        self._finding = asyncio.Lock()
        silent = settings.upstream_timeout
        self._client = httpx.AsyncClient(
            transport=transport or Pools(secure=self._base.startswith("https")),
            trust_env=False, follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # one client's are not another's
            timeout=httpx.Timeout(silent, connect=min(_CONNECT, silent), pool=None),
        )  # fmt: skip
        self._client.headers.clear()  # what the client of ours sends is the client's

    async def close(self) -> None:
        """Let connections go."""
        await self._client.aclose()

    async def dialect(self) -> Dialect:
        """The dialect of the server; as long as it does not answer, OpenAI's."""
        if self._dialect is not None:
            return self._dialect
        async with self._finding:
            if self._dialect is None:
                answers = await asyncio.gather(*(self._probe(place) for place in PROBES))
                if not any(reached for reached, _ in answers):
                    return OpenAI()
                self._dialect = recognised([answer for _, answer in answers])
        return self._dialect

    @asynccontextmanager
    async def exchange(
        self, method: str, path: str, query: bytes, headers: list[Header], content: bytes | None
    ) -> AsyncIterator[httpx.Response]:
        """The server's answer, of which the body has not been read; the context ends the connection.

        Raises:
            RefusalError: the server cannot be reached, is silent for too long, or breaks off, also within the context;
                a redirect.
        """
        reply: httpx.Response | None = None
        try:
            try:
                url = httpx.URL(self._base + path + ("?" + quote(query, safe="=&%+/?:@!$'()*,;~[]") if query else ""))
                request = self._client.build_request(method, url, headers=headers, content=content)
            except (httpx.InvalidURL, ValueError) as error:
                raise bad("the query of the address is none") from error
            reply = await self._client.send(request, stream=True)
            if reply.is_redirect:
                raise RefusalError(502, "the upstream answers with a redirect, which is not followed", "redirect")
            yield reply
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise RefusalError(502, "the upstream cannot be reached", "upstream_unreachable") from error
        except httpx.TimeoutException as error:
            raise RefusalError(504, "the upstream was silent for too long", "upstream_timeout") from error
        except httpx.HTTPError as error:
            raise RefusalError(502, "the upstream broke off before its answer ended", "upstream_broken") from error
        finally:
            if reply is not None:
                await reply.aclose()

    async def _probe(self, place: str) -> tuple[bool, Any]:
        """Whether the server was reached, and the JSON that it answers at a place, if it does."""
        url = place.format(base=self._base, root=self._base.removesuffix("/v1"))
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            async with self._client.stream("GET", url, headers=headers, timeout=_PROBE) as reply:
                content = bytearray()
                async for piece in reply.aiter_bytes():
                    content += piece
                    if len(content) > _LARGEST_PROBE:
                        return True, None
                return True, parse_json(content.decode()) if reply.status_code == 200 else None
        except (httpx.HTTPError, ValueError) as error:
            return not isinstance(error, httpx.HTTPError), None

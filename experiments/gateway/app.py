"""The application: paths that are proxied, and those by which the gateway is watched."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any, final

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from walras.errors import WalrasError
from walras.experiments.gateway.bodies import ENDPOINTS, Endpoint
from walras.experiments.gateway.classes import read_classes
from walras.experiments.gateway.deciding.desk import Desk
from walras.experiments.gateway.deciding.journal import Journal
from walras.experiments.gateway.deciding.line import Line
from walras.experiments.gateway.deciding.terms import Terms
from walras.experiments.gateway.exchange import Exchange, Message, Office, Receive, Send
from walras.experiments.gateway.keys import read_tenants
from walras.experiments.gateway.refusals import RefusalError, to_client, to_upstream
from walras.experiments.gateway.settings import Settings
from walras.experiments.gateway.thresholds import Thresholds, load_predict
from walras.experiments.gateway.upstream import Upstream
from walras.experiments.gateway.watching.figures import Figures, page
from walras.experiments.gateway.watching.log import RequestLog
from walras.experiments.gateway.watching.metrics import Metrics
from walras.experiments.listening import OwnPages
from walras.experiments.queries.typical import typical_tokens
from walras.experiments.queries.unfunded import UNFUNDED_RULES, Case, check_waiting, decide
from walras.files.contents import reading
from walras.files.locks import one_writer
from walras.market.queries import ONLINE_POLICIES, OnlineMarket, OnlinePolicy, TimeWindows
from walras.mechanisms import MECHANISMS

_TOLD = logging.getLogger("walras.gateway")
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"


@final
class Gateway:
    """A gateway that is set up; `app` serves it while `running` is entered, which `app` itself does under a server.

    Args:
        settings: of its operator.
        local: it may be called by the names of this machine alone.
        transport: to the upstream, in place of sockets.
        clock: seconds that never go back.

    Raises:
        InputError: settings or files that cannot be worked with, or a state that another process uses.
        ConformanceError, UserCodeError: a rule of the operator's own that fails.
    """

    def __init__(
        self,
        settings: Settings,
        local: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self._stack = settings, ExitStack()
        keys = read_tenants(settings.tenants)
        classes, predict = read_classes(settings.classes, settings.guess), load_predict(settings.predictor)
        policy, sharing = ONLINE_POLICIES.make(settings.policy), MECHANISMS.make(settings.sharing)
        typical = settings.typical or typical_tokens(settings.guess + settings.reserve)
        terms = Terms(
            settings.budget, settings.per, policy, keys.tenants, sharing, settings.headroom, typical, settings.window
        )
        rule = UNFUNDED_RULES.make(settings.unfunded)
        check_waiting(rule, timed=settings.window is None)
        decide(rule, Case())  # rules that fail are told before anybody asks
        _try(policy)
        upstream = Upstream(settings, transport)
        log = RequestLog(settings.log)
        self.journal: Journal | None = None
        if settings.state is not None:
            with (
                reading("state of a gateway", settings.state),
                ExitStack() as stack,
            ):  # let go of the folder if its state cannot be read
                stack.enter_context(one_writer(settings.state))
                self.journal = Journal(settings.state, terms, clock)
                self._stack = stack.pop_all()
        self.desk = Desk(terms, clock()) if self.journal is None else self.journal.desk
        line = Line(self.desk, clock, rule)
        metrics = Metrics(line, lambda: log.lost)
        thresholds = Thresholds(classes, settings.reserve, predict, settings.client_weights)
        self.office = Office(settings, keys, thresholds, line, upstream, metrics, log)
        self.figures = Figures(line)
        self.app = _application(self, local)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sample figures; at the end, write the state and let everything go."""
        sampling = asyncio.ensure_future(self.figures.keep_sampling())
        try:
            yield
        finally:
            sampling.cancel()
            with suppress(asyncio.CancelledError):
                await sampling
            self.office.line.close()
            await self.office.upstream.close()
            self.close()

    def close(self) -> None:
        """Write the state, and let files go."""
        if self.journal is not None:
            try:
                self.journal.save()
            except (OSError, WalrasError) as error:
                _TOLD.error("The state was not written anew: %s. Its journal holds every decision.", error)
            self.journal.close()
        self.office.log.close()
        self._stack.close()

    async def models(self, request: Request) -> Response:
        """The upstream's models, as it tells them."""
        office = self.office
        if office.keys.tenant(request.headers.get("authorization", "")) is None:
            raise RefusalError(401, "the key is none of a tenant of this gateway", "invalid_api_key")
        headers = to_upstream(request.headers.raw, office.keys.open, self.settings.upstream_key)
        query = request.scope.get("query_string", b"")
        async with office.upstream.exchange(request.method, "/models", query, headers, None) as reply:
            content = b"".join([piece async for piece in reply.aiter_raw()])
            response = Response(content, reply.status_code)
            length = [(k, v) for k, v in response.raw_headers if k == b"content-length"]
            response.raw_headers = [*to_client(reply.headers.raw), *length]
            return response

    async def scrape(self, request: Request) -> Response:
        """The metrics."""
        del request
        return Response(self.office.metrics.scrape(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def tell_figures(self, request: Request) -> Response:
        """What the page shows."""
        del request
        return Response(json.dumps(self.figures.now()), media_type="application/json")

    async def show_page(self, request: Request) -> Response:
        """The page."""
        del request
        return Response(page(), media_type="text/html", headers={"content-security-policy": _POLICY})


@final
class _Proxied:
    """One path, as an application of its own: it is told when a client goes away."""

    def __init__(self, office: Office, endpoint: Endpoint) -> None:
        self._office, self._endpoint = office, endpoint

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer."""
        await Exchange(self._office, self._endpoint, scope, receive, send).run()


def _try(policy: OnlinePolicy) -> None:
    """Let a policy grant once, and settle it.

    Raises:
        ConformanceError, UserCodeError: a policy that fails.
    """
    market = OnlineMarket(1000.0, TimeWindows(60.0, 10.0), policy)
    if market.offer("one", 50.0).max_tokens:
        market.refund("one", 25, now=1.0)


def _application(gateway: Gateway, local: bool) -> Starlette:
    """Paths, and errors in OpenAI's shape."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        async with gateway.running():
            yield

    proxied = [
        Route(f"/v1{endpoint.path}", _Proxied(gateway.office, endpoint), methods=["POST"]) for endpoint in ENDPOINTS
    ]
    own = [
        Route("/v1/models", gateway.models), Route("/metrics", gateway.scrape), Route("/", gateway.show_page),
        Route("/walras/figures.json", gateway.tell_figures),
    ]  # fmt: skip
    app = Starlette(
        routes=[*proxied, *own],
        lifespan=lifespan,
        middleware=[Middleware(OwnPages, local=local)],
        exception_handlers={HTTPException: _told, RefusalError: _told},
    )
    app.router.redirect_slashes = False
    return app


async def _told(request: Request, error: Any) -> Response:
    """An error of the router's, or of ours."""
    del request
    if isinstance(error, HTTPException):
        told = {404: "this gateway serves no such path", 405: "this path knows no such method"}
        message = told.get(error.status_code, "the request cannot be answered")
        error = RefusalError(error.status_code, message, {404: "not_found"}.get(error.status_code, "invalid_request"))
        extra = {"allow": "POST"} if error.status == 405 else {}
    else:
        extra = {}
    headers = {k.decode(): v.decode() for k, v in error.headers} | extra
    return Response(error.body, error.status, headers)

"""One request, from its first byte to the settlement of its grant."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, final
from uuid import uuid4

import httpx
from starlette.datastructures import Headers

from walras.errors import ConformanceError, InputError, UserCodeError
from walras.experiments.gateway.bodies import Body, Endpoint, read_body
from walras.experiments.gateway.deciding.line import Line, Outcome
from walras.experiments.gateway.deciding.terms import Ask, Decision
from walras.experiments.gateway.keys import Keys
from walras.experiments.gateway.refusals import Header, RefusalError, refused, to_client, to_upstream
from walras.experiments.gateway.settings import Settings
from walras.experiments.gateway.thresholds import Thresholds
from walras.experiments.gateway.upstream import Upstream
from walras.experiments.gateway.usage import AnswerReader, Charge
from walras.experiments.gateway.watching.log import RequestLog, RequestRecord
from walras.experiments.gateway.watching.metrics import Metrics
from walras.experiments.queries.unfunded import UNFUNDED

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
LARGEST_REPLY = 2**26
"""Bytes of a reply that is no stream."""
_TOLD = logging.getLogger("walras.gateway")  # the operator, on standard error
_IN_THREAD = 2**19  # bytes of a body that is read beside the loop


@final
@dataclass(frozen=True)
class Office:
    """All that a request meets on its way."""

    settings: Settings
    keys: Keys
    thresholds: Thresholds
    line: Line
    upstream: Upstream
    metrics: Metrics
    log: RequestLog


@final
@dataclass(frozen=True)
class _Reply:
    """A whole answer."""

    status: int
    headers: list[Header]
    content: bytes


@final
class Exchange:
    """Answers one request.

    Its grant is settled exactly once, whatever happens after it was made: the answer ends, the upstream fails, the
    client goes away, or the server ends.
    """

    def __init__(self, office: Office, endpoint: Endpoint, scope: Message, receive: Receive, send: Send) -> None:
        self._office, self._endpoint, self._scope = office, endpoint, scope
        self._receive, self._send = receive, send
        self._headers = Headers(scope=scope)
        self._begun = False  # the client was sent a status
        self._gone = False  # the client went away
        self._reader = AnswerReader(endpoint)
        self._streamed = self._whole = False
        self.record = RequestRecord(str(uuid4()), endpoint.path)

    async def run(self) -> None:
        """Answer, and stop as soon as the client goes away."""
        began = time.monotonic()
        try:
            await self._work()
        finally:
            self.record.seconds = round(time.monotonic() - began, 6)
            self._office.metrics.ended(self.record)
            self._office.log.write(self.record)

    async def _work(self) -> None:
        """The answer, or the error in its place."""
        try:
            raw = await self._read()
            if raw is None:
                self.record.outcome = "gone"
                return
            answer = asyncio.ensure_future(self._answer(raw))
            watch = asyncio.ensure_future(self._watch())
            try:
                await asyncio.wait((answer, watch), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._gone = not answer.done()
                for task in (answer, watch):
                    task.cancel()
                await asyncio.gather(answer, watch, return_exceptions=True)
            if not answer.cancelled():
                answer.result()
                return
            self.record.error = "client_gone"
            if self.record.outcome == "refused":
                self.record.outcome = "gone"
        except RefusalError as error:
            await self._refuse(error)
        except InputError as error:
            await self._refuse(refused(error))
        except OSError:
            await self._refuse(RefusalError(503, "the gateway cannot write its state", "state_unwritable"))
        except (ConformanceError, UserCodeError) as error:  # a rule sees numbers alone: its words hold no text
            _TOLD.error("%s", error)
            await self._refuse(RefusalError(500, "a rule of the gateway's operator failed", "rule_failed"))
        except Exception as error:  # its words may hold the request's text
            self.record.error = f"internal_error: {type(error).__name__}"
            await self._refuse(RefusalError(500, "the gateway failed; this is an error of its own", "internal_error"))

    async def _read(self) -> bytes | None:
        """The body; None if the client goes away meanwhile."""
        most = self._office.settings.largest_body
        told = self._headers.get("content-length", "0")
        if not told.isdecimal() or int(told[:20]) > most:
            raise RefusalError(413, f"the body is larger than {most} bytes", "body_too_large")
        if self._headers.get("content-encoding", "identity") != "identity":
            raise RefusalError(415, "the body is compressed; send it as it is", "unsupported_encoding")
        found = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            found += message.get("body", b"")
            if len(found) > most:
                raise RefusalError(413, f"the body is larger than {most} bytes", "body_too_large")
            if not message.get("more_body", False):
                return bytes(found)

    async def _watch(self) -> None:
        """Wait until the client goes away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _answer(self, raw: bytes) -> None:
        office, record = self._office, self.record
        tenant = office.keys.tenant(self._headers.get("authorization", ""))
        if tenant is None:
            raise RefusalError(401, "the key is none of a tenant of this gateway", "invalid_api_key")
        record.tenant = tenant
        long = len(raw) > _IN_THREAD
        body = await asyncio.to_thread(read_body, raw, self._endpoint) if long else read_body(raw, self._endpoint)
        record.stream, record.model = body.stream, body.model[:100]
        ask = await office.thresholds.ask(record.id, tenant, body, self._headers, office.line.desk)
        record.kind, record.threshold = ask.kind, round(office.line.desk.threshold(ask), 3)
        dialect = await office.upstream.dialect()
        began = time.perf_counter()
        decision = office.line.ask(ask)
        office.metrics.decided(time.perf_counter() - began)
        outcome = await office.line.outcome(ask, decision, body.choices)
        if not decision.funded:
            record.waited = round(time.perf_counter() - began, 6)
        try:  # nothing is awaited between the grant and here
            self._note(outcome)
            if outcome.status == UNFUNDED:
                raise self._not_funded(ask, outcome.decision)
            if outcome.decision.funded:
                each = max(outcome.decision.tokens // body.choices, 1)
                content = body.granted(each, office.settings.reserve, dialect)
                self._reader = AnswerReader(self._endpoint, drop_usage=not body.counts_usage)
            else:
                content = body.for_model(outcome.model)
            reply = await self._forward(body, content)
        except RefusalError as error:
            self._whole &= error.code not in ("upstream_unreachable", "redirect")  # then nothing was generated
            raise
        finally:
            self._settle(outcome)
        if reply is not None:
            await self._begin(reply.status, reply.headers)
            await self._pass_on(reply.content, more=False)

    async def _forward(self, body: Body, content: bytes) -> _Reply | None:
        """Let the upstream answer; a stream is passed on at once, another answer comes back."""
        office = self._office
        headers = to_upstream(self._scope["headers"], office.keys.open, office.settings.upstream_key)
        headers.append((b"content-type", b"application/json"))
        self._whole = True  # from now on tokens may be used that nobody tells of
        query = self._scope.get("query_string", b"")
        async with office.upstream.exchange("POST", body.endpoint.path, query, headers, content) as reply:
            failed = reply.status_code >= 400
            if failed:
                self._whole = False
                office.metrics.upstream_error(f"status_{reply.status_code // 100}xx")
                self.record.error = "upstream_status"
            kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "text/event-stream" and not failed:
                await self._stream(reply)
                return None
            return await self._whole_reply(reply, failed)

    async def _stream(self, reply: httpx.Response) -> None:
        """Pass events on as they come."""
        plain = _is_plain(reply)
        self._streamed = plain
        await self._begin(reply.status_code, to_client(reply.headers.raw))
        async for piece in reply.aiter_raw():
            await self._pass_on(self._reader.feed(piece) if plain else piece)
        if plain:
            await self._pass_on(self._reader.end())
            if not (self._reader.finished or self._reader.failed):
                raise RefusalError(502, "the upstream's stream ended before its answer did", "upstream_broken")
        await self._pass_on(b"", more=False)

    async def _whole_reply(self, reply: httpx.Response, failed: bool) -> _Reply:
        """Read an answer that is no stream."""
        content = bytearray()
        async for piece in reply.aiter_raw():
            content += piece
            if len(content) > LARGEST_REPLY:
                raise RefusalError(502, "the upstream's answer is too large", "upstream_too_large")
        whole = bytes(content)
        if _is_plain(reply) and not self._reader.read_reply(whole) and not failed:
            raise RefusalError(502, "the upstream's answer is no JSON", "upstream_torn")
        length = (b"content-length", str(len(whole)).encode())
        return _Reply(reply.status_code, [*to_client(reply.headers.raw), length], whole)

    def _note(self, outcome: Outcome) -> None:
        record, decision = self.record, outcome.decision
        record.outcome, record.granted = outcome.status, decision.tokens
        record.price, record.threshold = decision.price, round(decision.threshold, 3)

    def _not_funded(self, ask: Ask, decision: Decision) -> RefusalError:
        line = self._office.line
        if not line.desk.could_fund(ask):  # 400: clients try again what is answered with 429
            told = f"the request has a threshold of {decision.threshold:.0f} tokens, and no window has as many"
            return RefusalError(400, told, "never_funded")
        now = line.clock()
        seconds, left = line.desk.next_window(now), line.desk.standing(now)[ask.tenant].left
        begins = "after more requests" if seconds is None else f"in {seconds:.0f} s"
        if left <= decision.threshold:
            why = f"{max(left, 0):.0f} tokens are left of this window, and the request has a threshold of"
        else:
            why = "at the present price the budget funds no request with a threshold of"
        told = f"{why} {decision.threshold:.0f} tokens; the next window begins {begins}"
        return RefusalError(429, told, "not_funded", seconds)

    def _settle(self, outcome: Outcome) -> None:
        """Once per grant: charge what is known, and give back the rest."""
        if not outcome.decision.funded:
            return
        charge = self._reader.charge(outcome.decision.tokens, self._streamed, self._whole and not self._gone)
        record, line = self.record, self._office.line
        record.used, record.charged, record.cut = charge.used, charge.how, charge.cut
        try:
            settled = line.desk.settle(outcome.decision.id, charge.used, line.clock(), charge.cut, _learned(charge))
        except OSError:  # the journal cannot be written: the grant stays outstanding, and the answer is passed on
            record.error = "state_unwritable"
            return
        record.returned, record.expired, record.over = settled.returned, settled.expired, settled.over

    async def _begin(self, status: int, headers: list[Header]) -> None:
        self._begun, self.record.status = True, status
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self._own_headers()]})

    async def _pass_on(self, content: bytes, more: bool = True) -> None:
        if content or not more:
            await self._send({"type": "http.response.body", "body": content, "more_body": more})

    async def _refuse(self, error: RefusalError) -> None:
        """The error, as an answer or at the end of a stream."""
        self.record.error = self.record.error or error.code
        if error.code.startswith("upstream") or error.code == "redirect":
            self._office.metrics.upstream_error(error.code)
        if self._begun:
            await self._pass_on(error.event, more=False)
            return
        await self._begin(error.status, error.headers)
        await self._pass_on(error.body, more=False)

    def _own_headers(self) -> list[Header]:
        """What the request got; nothing but its id before that is known."""
        record = self.record
        told = {"id": record.id}
        if record.outcome != "refused":
            told |= {"price": f"{record.price:.6g}", "granted": str(record.granted), "status": record.outcome}
        return [(f"x-walras-{name}".encode(), value.encode()) for name, value in told.items()]


def _is_plain(reply: httpx.Response) -> bool:
    """Whether the bytes can be read as they are: an upstream may compress although it was asked not to."""
    return bool(reply.headers.get("content-encoding", "identity").lower() == "identity")


def _learned(charge: Charge) -> bool:
    """A charge of nothing teaches nothing."""
    return charge.learn and charge.used > 0

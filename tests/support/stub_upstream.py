"""A server of OpenAI's API that generates nothing: it answers with so many tokens, and fails as it is told.

It needs the standard library alone. `python stub_upstream.py PORT` serves until it is killed; in tests,
`StubUpstream` runs it in a thread. A request's `model` says how it is answered, in words joined by `+`:

- a number: tokens that the answer would have; it has no more than the request allows, and ends with `length` then;
- `echo`: an answer that is no stream repeats the last message, a token a word;
- `no-usage`: no usage is told; `always-usage`: streams tell it unasked, as `transformers serve` does;
- `error`: status 500; `hang`: no answer; `die`: the connection breaks in the middle; `torn`: JSON that breaks off;
- `short`: the stream ends without an error before the answer does; `slow`: 50 ms between tokens;
- `redirect`: to another place; `gzip`: compressed, though nobody asked; `crlf`: events end as HTTP's lines do.
"""

import asyncio
import gzip
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any, final
from urllib.parse import urlsplit

LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens", "n_predict")


@final
@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    target: str
    headers: dict[str, str]
    body: Any


@final
@dataclass
class Stub:
    """The server.

    Attributes:
        owner: of its model, by which a dialect is recognised.
        places: further paths that answer with JSON.
        seen: the requests that came, if `keep`.
        broken: requests whose client went away before their answer ended.
    """

    owner: str = "stub"
    places: dict[str, Any] = field(default_factory=dict)
    keep: bool = True
    seen: list[Seen] = field(default_factory=list)
    broken: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        try:
            while (request := await self._read(reader)) is not None:
                if self.keep:
                    self.seen.append(request)
                if not await self._answer(request, writer):
                    break
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Seen | None:
        head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
        if not head:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Seen(method, target, headers, json.loads(body) if body else None)

    async def _answer(self, request: Seen, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays."""
        path = urlsplit(request.target).path
        if path.endswith("/models"):
            _send(writer, 200, {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": self.owner}]})
            return True
        if request.method != "POST":
            _send(writer, 200 if path in self.places else 404, self.places.get(path, {"detail": "Not Found"}))
            return True
        words = set(str(request.body.get("model", "")).split("+"))
        if "error" in words:
            _send(writer, 500, {"error": {"message": "out of memory", "type": "server_error"}})
            return True
        if "redirect" in words:
            writer.write(
                b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
            )
            return True
        if "hang" in words:
            await asyncio.sleep(3600)
        said = request.body["messages"][-1]["content"].split() if "echo" in words else None
        wanted = len(said) if said else next((int(word) for word in words if word.isdigit()), 10)
        limit = min([request.body[name] for name in LIMITS if request.body.get(name)], default=10**9)
        tokens, reason = min(wanted, limit), "length" if wanted > limit else "stop"
        if request.body.get("stream"):
            return await self._stream(request, path, words, tokens, reason, writer)
        n = request.body.get("n") or 1
        usage = None if "no-usage" in words else _usage(path, tokens * n)
        content = json.dumps(_whole(path, tokens, reason, usage, n, said)).encode()
        if "slow" in words:
            await asyncio.sleep(0.05 * tokens)
        extra = b""
        if "gzip" in words:
            content, extra = gzip.compress(content), b"content-encoding: gzip\r\n"
        length = len(content) + (100 if "die" in words else 0)
        content = content[: len(content) // 2] if "torn" in words or "die" in words else content
        length = len(content) if "torn" in words else length
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-upstream: stub\r\n" + extra)
        writer.write(f"content-length: {length}\r\n\r\n".encode() + content)
        await writer.drain()
        return "die" not in words

    async def _stream(
        self, request: Seen, path: str, words: set[str], tokens: int, reason: str, writer: asyncio.StreamWriter
    ) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n")
        writer.write(b"transfer-encoding: chunked\r\nx-upstream: stub\r\n\r\n")
        asked = bool((request.body.get("stream_options") or {}).get("include_usage")) or "always-usage" in words
        usage = _usage(path, tokens) if asked and "no-usage" not in words else None
        end = "\r\n\r\n" if "crlf" in words else "\n\n"
        try:
            for number, event in enumerate(_events(path, tokens, reason, usage, "always-usage" in words)):
                if number > tokens // 2 and words & {"die", "short", "torn"}:
                    if "torn" in words:
                        _chunk(writer, event[: len(event) // 2].encode())
                        await writer.drain()
                    if "short" in words:
                        writer.write(b"0\r\n\r\n")
                    return False
                _chunk(writer, (event + end).encode())
                await writer.drain()
                if "slow" in words:
                    await asyncio.sleep(0.05)
        except ConnectionError:
            self.broken += 1
            raise
        writer.write(b"0\r\n\r\n")
        return True


def _send(writer: asyncio.StreamWriter, status: int, content: Any) -> None:
    data = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _usage(path: str, tokens: int) -> dict[str, Any]:
    if path.endswith("/responses"):
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        return {"input_tokens": 5, "output_tokens": tokens, "total_tokens": 5 + tokens, **details}
    return {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}


def _whole(
    path: str, tokens: int, reason: str, usage: dict[str, Any] | None, n: int = 1, words: list[str] | None = None
) -> dict[str, Any]:
    text = "w " * tokens if words is None else " ".join(words[:tokens])
    told = {} if usage is None else {"usage": usage}
    if path.endswith("/responses"):
        part = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        cut = reason == "length"
        return {
            "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [message],
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None, **told,
        }  # fmt: skip
    if path.endswith("/chat/completions"):
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}}
        kind = "chat.completion"
    else:
        said, kind = {"text": text, "logprobs": None}, "text_completion"
    choices = [{"index": i, "finish_reason": reason, **said} for i in range(n)]
    return {"id": "cmpl-1", "object": kind, "created": 1, "model": "m", "choices": choices, **told}


def _events(path: str, tokens: int, reason: str, usage: dict[str, Any] | None, in_last: bool) -> list[str]:
    """The events of a stream, one per token; usage in the last that tells anything, or after it."""
    if path.endswith("/responses"):
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
        deltas = [
            {"type": "response.output_text.delta", "sequence_number": i, "delta": "w ", **place} for i in range(tokens)
        ]
        whole = _whole(path, tokens, reason, _usage(path, tokens) if usage is None else usage)
        last = "response.incomplete" if reason == "length" else "response.completed"
        events = [*deltas, {"type": last, "sequence_number": tokens, "response": whole}]
        return [f"event: {event['type']}\ndata: {json.dumps(event)}" for event in events]
    chat = path.endswith("/chat/completions")
    base = {
        "id": "cmpl-1",
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": 1,
        "model": "m",
    }

    def piece(text: str, reason: str | None) -> dict[str, Any]:
        said = {"delta": {"content": text} if text else {}} if chat else {"text": text, "logprobs": None}
        return {**base, "choices": [{"index": 0, "finish_reason": reason, **said}]}

    last_piece = piece("", reason)
    pieces = [piece("w ", None) for _ in range(tokens)]
    if usage is not None and in_last:
        last_piece["usage"] = usage
    after: list[dict[str, Any]] = [{**base, "choices": [], "usage": usage}] if usage is not None and not in_last else []
    return [f"data: {json.dumps(event)}" for event in (*pieces, last_piece, *after)] + ["data: [DONE]"]


@final
class StubUpstream:
    """Runs a stub in a thread, on a port of this machine."""

    def __init__(self, stub: Stub | None = None, port: int = 0) -> None:
        self.stub, self._port = stub or Stub(), port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="stub-upstream", daemon=True)
        self._ready = threading.Event()

    def __enter__(self) -> "StubUpstream":
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    @property
    def url(self) -> str:
        """Address of its API."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def last(self) -> Seen:
        """The request to generate that came last."""
        return next(seen for seen in reversed(self.stub.seen) if seen.method == "POST")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self.stub.serve, "127.0.0.1", self._port)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()


if __name__ == "__main__":
    with StubUpstream(Stub(keep=False), int(sys.argv[1])) as stub_upstream:
        print(stub_upstream.url, flush=True)
        while True:
            time.sleep(3600)

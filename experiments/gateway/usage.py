"""What an answer used, read on the side while its bytes are passed on."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from walras.experiments.gateway.bodies import RESPONSES, Endpoint
from walras.files.plain_data import parse_json
from walras.market.queries.limits import MOST_TOKENS

LONGEST_EVENT = 2**24
"""Bytes of an event that are held back; a longer one is passed on in pieces, and not read."""
_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_FINAL = ("response.completed", "response.incomplete", "response.failed")


@final
@dataclass(frozen=True)
class Charge:
    """What a request is charged with: tokens, how that is known, and whether its answer was cut off.

    Attributes:
        used: tokens.
        how: `usage` (the upstream said it), `counted` (pieces of a stream, about a token each), `whole` (nothing is
            known, so all of its grant) or `none` (the upstream generated nothing that is known of).
        cut: the answer ended because its tokens did.
        learn: the tokens tell what such requests need.
    """

    used: int
    how: str
    cut: bool = False
    learn: bool = False


@final
class AnswerReader:
    """Adds up what is known of one answer: from a whole reply, or from the events of a stream.

    Args:
        endpoint: that the request was sent to.
        drop_usage: the stream's usage was asked for by us: the event that tells nothing else is left out again.
    """

    def __init__(self, endpoint: Endpoint, drop_usage: bool = False) -> None:
        self._endpoint, self._drop = endpoint, drop_usage
        self._waiting = b""
        self.used: int | None = None
        self.pieces = 0  # of a stream, that hold something generated
        self.cut = False
        self.finished = False  # the answer's end was told
        self.failed = False  # an error was told in its place

    def read_reply(self, content: bytes) -> bool:
        """Look at a whole reply; whether it is JSON."""
        try:
            reply = parse_json(content.decode("utf-8"))
        except ValueError:  # UnicodeDecodeError is one
            return False
        if isinstance(reply, Mapping):
            self._look(reply)
        return True

    def feed(self, piece: bytes) -> bytes:
        """Take bytes of a stream; what is to be passed on of it and of what waited: whole events, unchanged."""
        self._waiting += piece
        passed, start = [], 0
        for found in _END.finditer(self._waiting):
            event = self._waiting[start : found.end()]
            start = found.end()
            if not self._event(event):
                passed.append(event)
        self._waiting = self._waiting[start:]
        if len(self._waiting) > LONGEST_EVENT:
            passed.append(self._waiting)
            self._waiting = b""
        return b"".join(passed)

    def end(self) -> bytes:
        """The stream has ended as it should: what is left to be passed on."""
        left, self._waiting = self._waiting, b""
        return b"" if self._event(left) else left

    def charge(self, granted: int, streamed: bool, whole: bool) -> Charge:
        """What the request is charged with.

        Args:
            granted: tokens.
            streamed: the answer was a stream.
            whole: of an answer of which nothing is known, all of its grant is charged.
        """
        if self.used is not None:
            return Charge(self.used, "usage", self.cut, learn=self.finished and not self.failed)
        if streamed:
            return Charge(self.pieces, "counted", self.cut, learn=self.finished and not self.failed)
        return Charge(granted, "whole") if whole else Charge(0, "none")

    def _event(self, event: bytes) -> bool:
        """Look at an event; whether it is to be left out."""
        data = b"\n".join(_data(event))
        if not data:
            return False
        if data.strip() == b"[DONE]":
            self.finished = True
            return False
        try:
            content = parse_json(data.decode("utf-8"))
        except ValueError:
            return False
        if not isinstance(content, Mapping):
            return False
        kind = content.get("type")
        if "error" in content or kind == "error":
            self.failed = True
        if self._endpoint is RESPONSES:
            if isinstance(kind, str) and kind.endswith(".delta"):
                self.pieces += 1
            response = content.get("response")
            if kind in _FINAL and isinstance(response, Mapping):
                self._look(response)
            return False
        choices = content.get("choices")
        self.pieces += sum(_generated(choice) for choice in choices) if isinstance(choices, list) else 0
        self._look(content)
        return self._drop and choices == [] and isinstance(content.get("usage"), Mapping)

    def _look(self, content: Mapping[str, Any]) -> None:
        """Usage, and how it ended."""
        usage = content.get("usage")
        if isinstance(usage, Mapping):
            used = usage.get(self._endpoint.counted)
            if isinstance(used, int) and not isinstance(used, bool) and 0 <= used <= MOST_TOKENS:
                self.used = used
        if self._endpoint is RESPONSES:
            details, status = content.get("incomplete_details"), content.get("status")
            self.cut |= isinstance(details, Mapping) and details.get("reason") == "max_output_tokens"
            self.finished |= status in ("completed", "incomplete")
            self.failed |= status in ("failed", "cancelled")
            return
        choices = content.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            reason = choice.get("finish_reason") if isinstance(choice, Mapping) else None
            self.cut |= reason == "length"
            self.finished |= isinstance(reason, str)


def _data(event: bytes) -> Iterator[bytes]:
    """The lines of data of an event."""
    for line in event.splitlines():
        if line.startswith(b"data:"):
            yield line[5:].removeprefix(b" ")


def _generated(choice: Any) -> bool:
    """Whether a choice of an event holds something generated: text, reasoning, a call of a tool, a refusal."""
    if not isinstance(choice, Mapping):
        return False
    delta = choice.get("delta")
    held = [value for key, value in delta.items() if key != "role"] if isinstance(delta, Mapping) else []
    return any([choice.get("text"), *held])

"""Requests of OpenAI's API: what they may use, whom they are for, and where their grant goes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.gateway.dialects import DIALECTS, Dialect
from walras.experiments.gateway.refusals import bad
from walras.files.plain_data import parse_json
from walras.market.queries.limits import MOST_TOKENS

MOST_CHOICES = 1024
"""Answers to one request."""


@final
@dataclass(frozen=True)
class Endpoint:
    """One path of the API.

    Attributes:
        path: below `/v1`.
        limits: fields that limit its tokens; the first is set where a request has none of them.
        counted: field of `usage` with the tokens of the answer.
    """

    path: str
    limits: tuple[str, ...]
    counted: str = "completion_tokens"


CHAT = Endpoint("/chat/completions", ("max_completion_tokens", "max_tokens"))
COMPLETIONS = Endpoint("/completions", ("max_tokens", "max_completion_tokens"))
RESPONSES = Endpoint("/responses", ("max_output_tokens",), "output_tokens")
ENDPOINTS = (CHAT, COMPLETIONS, RESPONSES)
_ALIASES = tuple({alias for dialect in DIALECTS.values() for alias in dialect.aliases})


@final
@dataclass(frozen=True)
class Body:
    """The content of a request.

    Attributes:
        endpoint: that it is sent to.
        content: as it was sent.
        cap: the most tokens per answer that it allows; None: it sets no limit.
        choices: answers that it asks for, over all of its prompts.
        stream: it wants its answer as events.
    """

    endpoint: Endpoint
    content: Mapping[str, Any]
    cap: int | None
    choices: int
    stream: bool

    @property
    def model(self) -> str:
        """Name of the model, or ""."""
        model = self.content.get("model")
        return model if isinstance(model, str) else ""

    @property
    def counts_usage(self) -> bool:
        """Whether the client wants a stream's usage itself, or the API always tells it."""
        options = self.content.get("stream_options")
        asked = isinstance(options, Mapping) and options.get("include_usage") is True
        return asked or self.endpoint is RESPONSES or not self.stream

    def texts(self) -> list[str]:
        """What is asked: the last message of the user, or the prompts; none where it is no text."""
        found = self.content.get({CHAT: "messages", COMPLETIONS: "prompt", RESPONSES: "input"}[self.endpoint])
        if isinstance(found, str):
            return [found]
        if not isinstance(found, list):
            return []
        if self.endpoint is COMPLETIONS:
            return [text for text in found if isinstance(text, str)]
        users = [m for m in found if isinstance(m, Mapping) and m.get("role") == "user"]
        text = "\n".join(_parts(users[-1].get("content"))) if users else ""
        return [text] if text else []

    def granted(self, tokens: int, reserve: int, dialect: Dialect) -> bytes:
        """The request with so many tokens per answer, of which `reserve` are kept from the thinking."""
        content = dict(self.content)
        own = [field for field in (*self.endpoint.limits, *_ALIASES) if content.get(field) is not None]
        for field in own or self.endpoint.limits[:1]:
            content[field] = tokens
        if reserve:
            dialect.think(content, max(tokens - reserve, 0))
        if not self.counts_usage:
            options = content.get("stream_options")
            content["stream_options"] = {**(options if isinstance(options, Mapping) else {}), "include_usage": True}
        return encoded(content)

    def for_model(self, model: str) -> bytes:
        """The request with another model, and nothing else changed."""
        return encoded({**self.content, "model": model})


def encoded(content: Mapping[str, Any]) -> bytes:
    """The bytes that are sent."""
    return json.dumps(content, allow_nan=False).encode()


def read_body(raw: bytes, endpoint: Endpoint) -> Body:
    """The content of a request.

    Raises:
        RefusalError: no JSON, or limits that are no sound numbers.
    """
    try:
        content = parse_json(raw.decode("utf-8"))
        if isinstance(content, dict):
            encoded(content)  # infinity and NaN are no JSON
    except UnicodeDecodeError as error:
        raise bad(f"the body is no UTF-8: byte {error.start + 1} of {len(raw)}") from error
    except InputError as error:
        raise bad(f"the body cannot be worked with: {error}") from error
    except (ValueError, RecursionError) as error:  # its message may hold the text
        raise bad("the body is no JSON") from error
    if not isinstance(content, dict):
        raise bad("the body is no JSON object")
    stream = content.get("stream")
    if not (stream is None or isinstance(stream, bool)):
        raise bad(f"stream is {shown(stream)}; valid: true or false")
    caps = [_whole(content, field, MOST_TOKENS) for field in (*endpoint.limits, *_ALIASES) if _set(content, field)]
    return Body(endpoint, content, min(caps, default=None), _choices(content, endpoint), bool(stream))


def _choices(content: Mapping[str, Any], endpoint: Endpoint) -> int:
    """Answers per prompt (the candidates of `best_of` among them), times prompts."""
    if endpoint is RESPONSES:
        return 1
    each = max([_whole(content, field, MOST_CHOICES) for field in ("n", "best_of") if _set(content, field)], default=1)
    prompt = content.get("prompt") if endpoint is COMPLETIONS else None
    several = isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
    choices = each * (len(prompt) if isinstance(prompt, list) and several else 1)
    if choices > MOST_CHOICES:
        raise bad(f"the request asks for {choices} answers; valid: up to {MOST_CHOICES}")
    return choices


def _set(content: Mapping[str, Any], field: str) -> bool:
    return content.get(field) is not None


def _whole(content: Mapping[str, Any], field: str, most: int) -> int:
    value = content[field]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise bad(f"{field} is {shown(value)}; it must be a whole number from 1 to {most}")
    return value


def _parts(content: Any) -> Iterator[str]:
    """The texts of a message, without its pictures."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            text = part.get("text") if isinstance(part, Mapping) else None
            if isinstance(text, str):
                yield text

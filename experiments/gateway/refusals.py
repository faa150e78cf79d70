"""Errors as clients of OpenAI's API know them, and the headers that a request and its answer carry."""

import json
from collections.abc import Iterable, Mapping
from math import ceil
from typing import final

from walras.errors import InputError
from walras.escaping import shown
from walras.market.queries.limits import LEAST_WEIGHT, MOST_TOKENS, MOST_WEIGHT

Header = tuple[bytes, bytes]
OURS = b"x-walras-"
THRESHOLD, CLASS, WEIGHT = "x-walras-threshold", "x-walras-class", "x-walras-weight"
_HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"trailer", b"trailers", b"transfer-encoding", b"upgrade",
}  # fmt: skip
"""Headers of one connection (RFC 9110, section 7.6.1): no proxy passes them on."""
_REQUEST = {b"host", b"content-length", b"accept-encoding", b"expect", b"content-type", b"content-encoding"}
_KEYS = {b"authorization", b"api-key", b"x-api-key"}


@final
class RefusalError(Exception):
    """A request that is answered with an error, in OpenAI's shape.

    Args:
        status: of HTTP.
        message: what is wrong, in a sentence; never text of the request beyond the bad value, never a key.
        code: a word that programs look at.
        retry: seconds after which it may be tried again; None: not told.
    """

    def __init__(self, status: int, message: str, code: str, retry: float | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.retry = status, message, code, retry

    @property
    def body(self) -> bytes:
        """The content."""
        if self.status in (401, 429):
            kind = {401: "authentication_error", 429: "rate_limit_error"}[self.status]
        else:
            own = "upstream_error" if self.status in (502, 504) else "server_error"
            kind = "invalid_request_error" if self.status < 500 else own
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()

    @property
    def event(self) -> bytes:
        """The content as an event of a stream that has begun."""
        return b"data: " + self.body + b"\n\n"

    @property
    def headers(self) -> list[Header]:
        """Of the answer."""
        found = [(b"content-type", b"application/json"), (b"content-length", str(len(self.body)).encode())]
        if self.retry is not None:
            found.append((b"retry-after", str(max(ceil(self.retry), 1)).encode()))
        return found


def to_upstream(headers: Iterable[Header], keep_key: bool, upstream_key: str) -> list[Header]:
    """A request's headers without those of the connection, ours, and keys that are not the upstream's.

    The upstream is asked not to compress its answer, so that its bytes can be read and passed on as they are.
    """
    given = list(headers)
    dropped = _HOP | _REQUEST | _named(given) | (set() if keep_key and not upstream_key else _KEYS)
    found = [(k, v) for k, v in given if k.lower() not in dropped and not k.lower().startswith(OURS)]
    if upstream_key:
        found.append((b"authorization", b"Bearer " + upstream_key.encode()))
    return [*found, (b"accept-encoding", b"identity")]


def to_client(headers: Iterable[Header]) -> list[Header]:
    """The upstream's headers without those of the connection, the length, and any that look like ours."""
    given = list(headers)
    dropped = _HOP | _named(given) | {b"content-length"}
    return [(k.lower(), v) for k, v in given if k.lower() not in dropped and not k.lower().startswith(OURS)]


def _named(headers: Iterable[Header]) -> set[bytes]:
    """Headers that `Connection` names as its own."""
    return {part.strip().lower() for k, v in headers if k.lower() == b"connection" for part in v.split(b",")}


def told_threshold(headers: Mapping[str, str]) -> float | None:
    """Tokens that a request says it needs, if it does.

    Raises:
        RefusalError: no such number.
    """
    return _number(headers, THRESHOLD, 1.0, MOST_TOKENS)


def told_weight(headers: Mapping[str, str]) -> float | None:
    """The weight that a request gives itself, if it does.

    Raises:
        RefusalError: no such number.
    """
    return _number(headers, WEIGHT, LEAST_WEIGHT, MOST_WEIGHT)


def _number(headers: Mapping[str, str], name: str, least: float, most: float) -> float | None:
    if name not in headers:
        return None
    try:
        number = float(headers[name])
    except ValueError:
        number = -1.0
    if not least <= number <= most:
        raise bad(f"header {name} is {shown(headers[name])}; it must be a number from {least:g} to {most:g}")
    return number


def bad(message: str) -> RefusalError:
    """A request that its sender can mend."""
    return RefusalError(400, message, "invalid_request")


def refused(error: InputError) -> RefusalError:
    """An error of ours as one of the request's."""
    return bad(str(error))

"""A line of JSON per request, without its text and without any key."""

import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from walras.errors import InputError
from walras.files.appending import AppendedLines
from walras.files.plain_data import write_json


@final
@dataclass
class RequestRecord:
    """What is known of one request, and told when it is over.

    Attributes:
        id: given by the gateway.
        path: of the API.
        tenant: who pays; "" of a request that was refused before that was known.
        kind: class of request.
        model: that was asked for, up to 100 characters.
        stream: whether the answer was a stream.
        outcome: `funded`, `queued`, `floor`, `downgraded`, `unfunded`, `refused` (bad input, or no such key) or `gone`
            (the client went away before it got an answer).
        status: of HTTP; 0 if the client got none.
        error: a word for what went wrong; "" if nothing did.
        threshold: tokens that it was reckoned to need, the reserve among them.
        price: per token.
        granted: tokens.
        used: tokens that it was charged with.
        charged: how these are known: `usage`, `counted`, `whole` or `none`.
        cut: its answer ended because its tokens did.
        returned: tokens given back to the window.
        expired: tokens given back too late.
        over: tokens beyond the grant.
        waited: seconds in the queue.
        seconds: from its first byte to its last.
    """

    id: str
    path: str
    tenant: str = ""
    kind: str = ""
    model: str = ""
    stream: bool = False
    outcome: str = "refused"
    status: int = 0
    error: str = ""
    threshold: float = 0.0
    price: float = 0.0
    granted: int = 0
    used: int = 0
    charged: str = ""
    cut: bool = False
    returned: int = 0
    expired: int = 0
    over: int = 0
    waited: float = 0.0
    seconds: float = 0.0


@final
class RequestLog:
    """Writes records to a file, which goes on where it was, or to standard error; what cannot be written is counted.

    Args:
        place: path of the file; "-" for standard error; "" for none.

    Raises:
        InputError: a file that cannot be written.
    """

    def __init__(self, place: str) -> None:
        self._stderr = place == "-"
        self._file: AppendedLines | None = None
        self.lost = 0  # lines
        if place and not self._stderr:
            try:
                self._file = AppendedLines(Path(place), anew=False)
            except OSError as error:
                raise InputError(f"cannot write log {place!r}: {error.strerror}") from error

    def write(self, record: RequestRecord) -> None:
        """Write one."""
        if self._file is None and not self._stderr:
            return
        line = write_json({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **asdict(record)}, None)
        try:
            if self._file is not None:
                self._file.write(line)
            else:
                sys.stderr.write(line)
        except (OSError, ValueError):  # a full disk, or a closed standard error, stops no request
            self.lost += 1

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

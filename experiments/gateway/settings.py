"""What an operator sets up: where the model is served, what is to be shared, and by which rules."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import final
from urllib.parse import urlsplit

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.queries.typical import GUESS
from walras.market.queries.limits import amount

HOST, PORT = "127.0.0.1", 8600
LARGEST_BODY = 2**24
"""Bytes of a request's body, unless the operator says otherwise."""


@final
@dataclass(frozen=True)
class Settings:
    """A gateway as its operator wants it.

    Attributes:
        upstream: address of the model's server, with `/v1`; a path that is left out is that.
        budget: tokens per window.
        per: seconds of a window.
        window: requests of a window, which then has no length in time; None: windows are of time.
        policy: `ONLINE_POLICIES` entry by which tokens are granted.
        sharing: `MECHANISMS` entry by which tenants share the budget.
        headroom: tokens above its threshold at which more no longer helps a request; adaptive if None.
        reserve: tokens of each grant that are kept for the answer, beside the thinking.
        unfunded: `UNFUNDED_RULES` entry: what a request gets that is granted nothing.
        dialect: `DIALECTS` entry; found out from the upstream if "".
        guess: threshold of a request of which nothing is known.
        typical: tokens that a request is taken to get, as long as nothing is known of how many come; twice guess and
            reserve if None.
        classes: file of the classes of requests.
        tenants: file of the tenants and the digests of their keys; without one, everybody is one tenant.
        predictor: folder of a predictor of thresholds.
        client_weights: a request may set its own weight.
        state: folder in which the gateway remembers; in memory if None.
        log: file of a line per request; "-" for standard error; none if "".
        largest_body: bytes of a request's body.
        upstream_timeout: seconds that the upstream may be silent.
        upstream_key: sent to the upstream in place of the client's; shown nowhere.

    Raises:
        InputError: a value that cannot be worked with.
    """

    upstream: str
    budget: float
    per: float = 60.0
    policy: str = "clear"
    sharing: str = "CompetitiveEquilibrium"
    headroom: float | None = None
    reserve: int = 0
    unfunded: str = "reject"
    dialect: str = ""
    guess: float = GUESS
    typical: float | None = None
    classes: Path | None = None
    tenants: Path | None = None
    predictor: Path | None = None
    client_weights: bool = False
    state: Path | None = None
    log: str = ""
    largest_body: int = LARGEST_BODY
    upstream_timeout: float = 600.0
    upstream_key: str = field(default="", repr=False)
    window: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "upstream", upstream_address(self.upstream))
        amount(self.budget, "--budget", 1.0)
        amount(self.per, "--per", 1e-3, 1e9)
        if self.window is not None:
            amount(self.window, "--window", 1)
        amount(self.reserve, "--reserve", 0, self.budget)
        amount(self.guess, "--guess", 1.0)
        amount(1.0 if self.typical is None else self.typical, "--typical", 1.0)
        amount(self.largest_body, "--largest-body", 1024, 2**30)
        amount(self.upstream_timeout, "--upstream-timeout", 1e-3, 1e6)
        if not (self.upstream_key.isascii() and (self.upstream_key or "x").isprintable()):
            raise InputError("the upstream's key has characters that no header can carry")


def upstream_address(text: str) -> str:
    """The address without a `/` at its end, with `/v1` where it names no path.

    Raises:
        InputError: no address of a server of models; one that holds a password.
    """
    valid = "valid: an address such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, fine = urlsplit(""), False
    if parts.username or parts.password:  # not shown
        raise InputError("--upstream holds a name or a password; give a key by --upstream-key-env instead")
    if not fine or parts.query or parts.fragment or not text.isprintable() or " " in text:
        raise InputError(f"--upstream is {shown(text)}; {valid}")
    return text.rstrip("/") + ("" if parts.path.strip("/") else "/v1")

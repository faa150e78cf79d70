"""What a gateway trades and how, what a request asks for, and what was decided about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import final

from walras.errors import InputError
from walras.experiments.gateway.deciding.tenants import Tenant
from walras.experiments.queries.typical import GUESS, typical_tokens
from walras.market.queries.online import OnlinePolicy
from walras.mechanisms import Mechanism

ALONE = Tenant("all")
"""The only tenant, where nobody named any."""


@final
@dataclass(frozen=True)
class Terms:
    """What is traded, and how.

    Attributes:
        budget: tokens per window, of all tenants.
        seconds: of a window.
        policy: by which each tenant's market grants.
        tenants: who shares the budget.
        sharing: the mechanism by which they do.
        headroom: tokens above its threshold at which more no longer helps a query; half of an equal share if None.
        typical: tokens that a request is taken to get, as long as nothing is known of how many come.
        requests: of a window, funded or not, in place of seconds; there is one tenant then.

    Raises:
        InputError: windows of requests that several tenants would have to share.
    """

    budget: float
    seconds: float
    policy: OnlinePolicy
    tenants: Sequence[Tenant]
    sharing: Mechanism
    headroom: float | None = None
    typical: float = typical_tokens(GUESS)
    requests: int | None = None

    def __post_init__(self) -> None:
        if self.requests is not None and len(self.tenants) != 1:
            raise InputError("--window is for one tenant: the windows of several would end at different requests")


@final
@dataclass(frozen=True)
class Ask:
    """A request that wants tokens.

    Attributes:
        id: of its own.
        guess: tokens that it is thought to need, before anything is learned of its class.
        kind: class of request that it is learned with.
        tenant: who pays.
        weight: what a good answer is worth.
        cap: the most it may use.
        exact: the guess is the client's own word, and not corrected by what its class used.
    """

    id: str
    guess: float
    kind: str = ""
    tenant: str = ALONE.name
    weight: float = 1.0
    cap: float = inf
    exact: bool = False


@final
@dataclass(frozen=True)
class Decision:
    """What a request got: tokens (0: it is not funded), the price it met, and the threshold it was reckoned with."""

    id: str
    tokens: int
    price: float
    threshold: float

    @property
    def funded(self) -> bool:
        """Whether it got any."""
        return self.tokens > 0

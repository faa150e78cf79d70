"""What came of a query, and of a grant."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Grant:
    """What one query got: whole tokens, its status (funded, abandoned or bad), its surplus, and the price it met."""

    id: str
    max_tokens: int
    status: str
    surplus: float
    price: float


@final
@dataclass(frozen=True)
class Settlement:
    """What came of a grant, in tokens: `returned` of those not used to its window, or `expired`, since that is over.

    `over`: used beyond the grant, and charged to the present window.
    """

    id: str
    returned: int
    expired: int
    over: int

"""Asks a policy, whose words may be a user's own, and lets nothing pass that a market cannot work with."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

from walras.errors import ConformanceError
from walras.escaping import shown
from walras.market.naming import naming
from walras.market.queries.limits import real
from walras.market.queries.online.policy import OnlinePolicy, Seen
from walras.mechanisms.bids.surge import SurgeBids


def wanted(policy: OnlinePolicy, bids: SurgeBids, seen: Seen, queries: int) -> list[float]:
    """Tokens [n] that a policy says so many queries want.

    Raises:
        ConformanceError: it says no such thing, or leaves a price that is none.
        UserCodeError: a policy of the user's own fails.
    """
    with _sound(policy, seen):
        told: Any = policy.wanted(bids, seen)
        if not isinstance(told, list) or len(told) != queries or not all(real(tokens) >= 0 for tokens in told):
            raise ConformanceError(
                f"it wants {shown(told)} tokens; valid: a list of {queries} numbers of at least 0, one a query"
            )
    found: list[float] = told
    return found


def move(policy: OnlinePolicy, seen: Seen, tokens: float) -> None:
    """Tell a policy what was asked for beyond what the window had for that time, or fewer (below 0).

    Raises:
        ConformanceError: the price that it moves to is none.
        UserCodeError: a policy of the user's own fails.
    """
    with _sound(policy, seen):
        policy.moved(seen, tokens)


@contextmanager
def _sound(policy: OnlinePolicy, seen: Seen) -> Iterator[None]:
    """Errors are told with the policy's name; a price that is none stays nowhere: the next query finds it anew."""
    with naming(f"policy {type(policy).__name__}", policy):
        window, left = seen.window, seen.left
        yield
        if (seen.window, seen.left) != (window, left):
            seen.window, seen.left = window, left
            raise ConformanceError("it changes the window, or what is left of it; only grants and what comes back do")
        price = seen.price
        if price is not None and not 0 <= real(price) < inf:
            seen.price = None
            raise ConformanceError(f"its price is {shown(price)}; valid: a number of at least 0, or None")

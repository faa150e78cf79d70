"""How many requests a market expects in a window of time, as long as nothing is known of how many come."""

from walras.market.queries.limits import amount
from walras.market.queries.online import TimeWindows

GUESS = 1024.0
"""Tokens that a request is thought to need, where nobody says it."""


def typical_tokens(need: float) -> float:
    """Tokens that a request is taken to get, where requests need so many: each as much again above its need.

    Tokens are not taken to be scarce: at an equal share of just what it needs, the second of two requests that come at
    once would find none.
    """
    return 2 * need


def expecting_windows(seconds: float, budget: float, typical: float) -> TimeWindows:
    """Windows of time that have seen nothing yet.

    Args:
        seconds: of a window.
        budget: tokens of a window.
        typical: tokens that a request is taken to get.

    Raises:
        InputError: a number that is none.
    """
    amount(budget, "budget", 1.0)
    amount(typical, "typical tokens", 1.0)
    return TimeWindows(amount(seconds, "seconds of a window", 1e-3, 1e9), max(budget / typical, 1.0))

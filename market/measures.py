"""What a market achieved, computed with true values."""

from walras.market.ledger import Ledger


def welfare(ledger: Ledger) -> float:
    """Sum of the true values of what is funded."""
    return float((ledger.value * ledger.quantity).sum())

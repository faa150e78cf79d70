"""What becomes of a request that the market does not fund."""

from dataclasses import dataclass
from math import inf
from typing import final

from walras.errors import InputError
from walras.escaping import shown
from walras.market.queries.limits import MOST_TOKENS, real

_VALID = "reject, queue:SECONDS or floor=TOKENS"


@final
@dataclass(frozen=True)
class Unfunded:
    """A rule for requests that are not funded: turned away, unless they may wait or get a few tokens all the same.

    Attributes:
        seconds: for which a request waits; it asks again whenever a window begins.
        floor: tokens that it gets at once, beside the budget.
    """

    seconds: float = 0.0
    floor: int = 0

    @staticmethod
    def read(text: str) -> "Unfunded":
        """`reject`, `queue:SECONDS` or `floor=TOKENS`.

        Raises:
            InputError: another text, or a number that is none or not above 0.
        """
        name, _, value = text.partition("=" if "=" in text else ":")
        if text == "reject":
            return Unfunded()
        try:
            number = real(float(value))
        except ValueError:
            number = 0.0
        if name == "queue" and 0 < number < inf:
            return Unfunded(seconds=number)
        if name == "floor" and 1 <= number <= MOST_TOKENS and number.is_integer():
            return Unfunded(floor=int(number))
        raise InputError(f"--unfunded is {shown(text)}; valid: {_VALID}, with a number above 0, whole for tokens")

    def __str__(self) -> str:
        if self.seconds:
            return f"queue:{self.seconds:g}"
        return f"floor={self.floor}" if self.floor else "reject"

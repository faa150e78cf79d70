"""The interface of everything that says how much of a tax is asked for by now."""

from abc import ABC, abstractmethod
from math import isfinite
from typing import TypeAlias, final

from walras.errors import InputError
from walras.escaping import shown
from walras.market.naming import defined_at, naming
from walras.registry import Registry

Memory: TypeAlias = tuple[float, ...]
"""What a rise remembers from step to step; () before the first one."""


class Rise(ABC):
    """How a tax comes in: which share of its price is asked for as training goes on.

    Concrete ones are final frozen dataclasses, whose fields are settings. What they learn on the way goes in and comes
    out as `memory`, numbers that a checkpoint keeps. `at` is how much of the priced training is over, and `cost` the
    expected share of the dense model's compute, both from 0 to 1.
    """

    @abstractmethod
    def share(self, at: float, memory: Memory) -> float:
        """The share of the price that is asked for now, from 0 to 1."""

    def after(self, at: float, cost: float, memory: Memory) -> Memory:
        """The memory of the next step, given what this one cost; () unless a subclass remembers something."""
        del at, cost, memory
        return ()

    @final
    def asked(self, at: float, memory: Memory) -> float:
        """The same as `share`, checked.

        Raises:
            InputError: no number from 0 to 1.
            UserCodeError: a rise of the user's own raised an error.
        """
        with naming(f"rise {type(self).__name__}", self):
            found = self.share(at, memory)
        if not (_is_number(found) and 0 <= found <= 1):
            raise InputError(
                f"rise {type(self).__name__}{defined_at(self)} asks for {shown(found)} of the price at {at:g} of the "
                "priced training; it must be a share from 0 to 1"
            )
        return float(found)

    @final
    def remembered(self, at: float, cost: float, memory: Memory) -> Memory:
        """The same as `after`, checked.

        Raises:
            InputError: what is to be remembered is no tuple of numbers, which a checkpoint could keep.
            UserCodeError: a rise of the user's own raised an error.
        """
        with naming(f"rise {type(self).__name__}", self):
            found = self.after(at, cost, memory)
        if not (isinstance(found, tuple) and all(map(_is_number, found))):
            raise InputError(
                f"rise {type(self).__name__}{defined_at(self)} remembers {shown(found)}; it must be a tuple of finite "
                "numbers, which checkpoints keep"
            )
        return tuple(map(float, found))


RISES: Registry[Rise] = Registry("rise", Rise)


def check_positive(rise: str, name: str, value: float, most: float = float("inf")) -> None:
    """Refuse a setting of a rise that is no number above 0, or is above `most`.

    Raises:
        InputError: as said.
    """
    if not _is_number(value) or not (0 < value <= most and value < float("inf")):
        least = "above 0" if most == float("inf") else f"above 0 and at most {most:g}"
        raise InputError(f"{name} of rise {rise} is {shown(value)}; it must be a number {least}")


def _is_number(found: object) -> bool:
    return isinstance(found, (int, float)) and not isinstance(found, bool) and isfinite(found)

"""What varies in a design: a setting with a range of numbers, or with a list of values."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, final

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.settings.fields import number

DIGITS = 9
"""Digits of a real number of a design: the last ones of a logarithm differ between machines, and cells would too."""
_FORM = "write LOW..HIGH, such as 0.3..0.9, or LOW..HIGH:log"


class Factor(ABC):
    """A setting of a design; a number from 0 to 1 chooses its value."""

    name: str

    @property
    @abstractmethod
    def varies(self) -> bool:
        """Whether it has several values."""

    @property
    @abstractmethod
    def ordered(self) -> bool:
        """Whether more and less mean something: not of three names."""

    @abstractmethod
    def place(self, unit: float) -> int | float:
        """Where a number from 0 to 1 falls, equal lengths having equal chances: the value, or its number in a list."""

    @abstractmethod
    def value(self, place: int | float) -> Any:
        """The value at a place."""

    @abstractmethod
    def levels(self, count: int | None) -> tuple[Any, ...]:
        """Its values in a full grid: a list as it is, a range at so many levels.

        Raises:
            InputError: a range without a number of levels.
        """

    @abstractmethod
    def __str__(self) -> str:
        """As it is written behind `--vary NAME=`."""


@final
@dataclass(frozen=True)
class Range(Factor):
    """All numbers from `low` to `high`, both included; on a logarithmic scale, or whole, where that is said."""

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def varies(self) -> bool:
        """Always."""
        return True

    @property
    def ordered(self) -> bool:
        """Always."""
        return True

    def place(self, unit: float) -> int | float:
        """The number itself; each whole number has the same chance."""
        if self.whole:
            return min(int(self._between(unit, self.low, self.high + 1)), int(self.high))
        return self._kept(self._between(unit, self.low, self.high))

    def value(self, place: int | float) -> int | float:
        """As it is."""
        return place

    def levels(self, count: int | None) -> tuple[int | float, ...]:
        """Evenly spaced on its scale, from end to end; whole ones rounded, each once."""
        if count is None:
            raise InputError(
                f"{self.name} is a range, {self}, and design grid runs values; say how many: --design grid:n=5, or "
                "take another design: --design sobol:n=64"
            )
        return tuple(dict.fromkeys(self.at(i / (count - 1)) for i in range(count)))

    def at(self, unit: float) -> int | float:
        """The number at a share of the way from end to end on its scale; whole ones rounded."""
        found = self._between(unit, self.low, self.high)
        return round(found) if self.whole else self._kept(found)

    def _between(self, unit: float, low: float, high: float) -> float:
        if self.log:
            return math.exp(math.log(low) + unit * (math.log(high) - math.log(low)))
        return low + unit * (high - low)

    def _kept(self, value: float) -> float:
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{':log' if self.log else ''}"


@final
@dataclass(frozen=True)
class Choice(Factor):
    """One of some values: names, objects, or numbers."""

    name: str
    values: tuple[Any, ...]

    @property
    def varies(self) -> bool:
        """Where there are several."""
        return len(self.values) > 1

    @property
    def ordered(self) -> bool:
        """Two values, or numbers."""
        return len(self.values) < 3 or all(_is_number(value) for value in self.values)

    def place(self, unit: float) -> int:
        """The number of a value; each has the same chance."""
        return min(int(unit * len(self.values)), len(self.values) - 1)

    def value(self, place: int | float) -> Any:
        """The value of that number."""
        return self.values[int(place)]

    def levels(self, count: int | None) -> tuple[Any, ...]:
        """All of them."""
        del count
        return self.values

    def __str__(self) -> str:
        return ",".join(map(str, self.values))


def read_factor(name: str, given: Any, tuples: bool, number_type: Callable[[], type]) -> Factor:
    """A range from its text `LOW..HIGH`, or from a tuple of two numbers; else a list of values.

    Args:
        name: of the setting.
        given: a text, or values.
        tuples: whether a tuple of two numbers is a range; else it is two values.
        number_type: tells the type of the setting's numbers, or refuses a setting that has none.

    Raises:
        InputError: neither a range nor values; a range that is empty, endless, backwards, or not of the type.
    """
    if tuples and isinstance(given, tuple) and len(given) == 2 and all(map(_is_number, given)):
        return _range(name, float(given[0]), float(given[1]), False, number_type())
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Sequence):
        raise InputError(f"axis {name} is {shown(given)}; it must be a list of values, or a range: {_FORM}")
    ranges = [text for text in texts if isinstance(text, str) and is_range(text)]
    if not ranges:
        if isinstance(given, str):
            raise InputError(f"axis {name} is {shown(given)}; it must be a list of values, or a range: {_FORM}")
        if not texts:
            raise InputError(f"axis {name} has no value; give it at least one")
        return Choice(name, tuple(texts))
    if len(texts) > 1:
        raise InputError(f"axis {name} has a range, {ranges[0]}, beside other values; give one range, or values")
    text, marked, scale = ranges[0].partition(":")
    if marked and scale.strip() != "log":
        raise InputError(f"range {ranges[0]!r} of {name} ends with {scale!r}; {_FORM}")
    low, _, high = text.partition("..")
    return _range(name, number(low), number(high), bool(marked), number_type())


def is_range(text: str) -> bool:
    """Whether a text is meant as a range: dots between two texts of which one is a number."""
    low, dots, high = text.partition(":")[0].partition("..")
    return bool(dots) and any(isinstance(number(end), float) for end in (low, high))


def _range(name: str, low: Any, high: Any, log: bool, kind: type) -> Range:
    told = f"range {low}..{high}{':log' if log else ''} of {name}"
    for end in (low, high):
        if not isinstance(end, float) or not math.isfinite(end):
            raise InputError(f"{told} has no number at one of its ends: {end}; {_FORM}")
    if low >= high:
        raise InputError(f"{told} is {'empty' if low == high else 'backwards'}; {_FORM}, the lower number first")
    if log and low <= 0:
        raise InputError(f"{told} is logarithmic and begins at {low:g}; it must begin above 0")
    whole = kind is int
    if whole and not (low.is_integer() and high.is_integer()):
        raise InputError(f"{told} has an end that is no whole number; {name} takes whole numbers")
    return Range(name, low, high, log, whole)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)

"""The interface of a design: which combinations of settings are run, and what may be said of them afterwards."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError
from walras.experiments.designs.factors import Factor

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Index:
    """How much one setting matters for an output, by some measure, with a 95 % interval; without one it is None."""

    factor: int  # number of the setting
    measure: str
    estimate: float
    low: float | None
    high: float | None


class Design(ABC):
    """Which combinations of settings are run."""

    name: ClassVar[str]

    @abstractmethod
    def size(self, factors: Sequence[Factor]) -> int:
        """How many combinations there are, before any is made."""


@final
@dataclass(frozen=True)
class FullGrid(Design):
    """All combinations of the values; a range is run at n evenly spaced levels."""

    n: int | None = None
    name: ClassVar[str] = "grid"

    def __post_init__(self) -> None:
        if self.n is not None and self.n < 2:
            raise InputError(f"n is {self.n}; design grid runs a range at a whole number of levels, at least 2")

    def size(self, factors: Sequence[Factor]) -> int:
        """The product of the numbers of values."""
        return math.prod(len(factor.levels(self.n)) for factor in factors)


class SampledDesign(Design):
    """Points in the space of the settings. They follow from the design alone: the same design has the same points.

    Rows come in blocks that stand or fall together, such as a trajectory: where one row has no result, its block is
    left out of the indices.
    """

    few: ClassVar[int] = 0
    """Blocks below which a caution is told with the indices."""

    @abstractmethod
    def points(self, factors: int) -> Floats:
        """Rows of numbers from 0 to 1 [rows, factors]."""

    @abstractmethod
    def block(self, factors: int) -> int:
        """Rows of a block."""

    @abstractmethod
    def indices(self, points: Floats, places: Floats, output: Floats, ordered: Sequence[bool]) -> list[Index]:
        """What the settings do to an output that is not constant.

        Args:
            points: of whole blocks, at least two, as `points` made them [rows, factors].
            places: values of the settings there, or their numbers in lists [rows, factors].
            output: what was measured there [rows], finite.
            ordered: of each setting, whether more and less mean something.
        """


def check_count(design: str, name: str, value: int, least: int) -> None:
    """Refuse a number of points that is too small.

    Raises:
        InputError: as said.
    """
    if value < least:
        raise InputError(f"{name} is {value}; design {design} takes a whole number of at least {least}")


def check_power(design: str, value: int) -> None:
    """Refuse a number of points of Sobol's sequence that is no power of two, without which it is not balanced.

    Raises:
        InputError: as said; the powers on both sides are named.
    """
    check_count(design, "n", value, 2)
    below = 2 ** (value.bit_length() - 1)
    if below != value:
        raise InputError(
            f"n is {value}; design {design} takes a power of two, of which the nearest are {below} and {2 * below} "
            "(halton and latin take any number)"
        )


def check_seed(seed: int) -> None:
    """Refuse a seed that is none.

    Raises:
        InputError: as said.
    """
    if not 0 <= seed < 2**31:
        raise InputError(f"seed of a design is {seed}; it must be a whole number from 0 to {2**31 - 1:,}")

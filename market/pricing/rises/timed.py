"""Rises by the clock: which share of the price is asked for depends on how much of training is over, and on no more."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from walras.market.pricing.rises.rise import Memory, Rise, check_positive


@final
@dataclass(frozen=True)
class Constant(Rise):
    """The whole price is asked for from the first step on."""

    name: ClassVar[str] = "constant"

    def share(self, at: float, memory: Memory) -> float:
        """1."""
        del at, memory
        return 1.0


@dataclass(frozen=True)
class Timed(Rise):
    """Rises from 0 to the whole price in the first part, `until`, of the priced training, and stays there.

    With x = min(at / until, 1), a subclass says what share `course(x)` is asked for; course(0) is 0 and course(1) 1.
    """

    name: ClassVar[str]

    until: float = 0.5

    def __post_init__(self) -> None:
        check_positive(self.name, "until", self.until, 1.0)

    @abstractmethod
    def course(self, gone: float) -> float:
        """The share by how much of the rise is over, both from 0 to 1."""

    @final
    def share(self, at: float, memory: Memory) -> float:
        """The course as far as it is over."""
        del memory
        return self.course(min(at / self.until, 1.0))


@final
@dataclass(frozen=True)
class Linear(Timed):
    """The price rises in equal steps until half of the priced training is over."""

    name: ClassVar[str] = "linear"

    def course(self, gone: float) -> float:
        """x."""
        return gone


@final
@dataclass(frozen=True)
class Quadratic(Timed):
    """The price rises with the square of time, slowly at first, until half of the priced training is over."""

    name: ClassVar[str] = "quadratic"

    def course(self, gone: float) -> float:
        """x^2."""
        return gone**2


@final
@dataclass(frozen=True)
class Cubic(Timed):
    """The price rises fast at first and ever more slowly, by the cubic schedule of gradual pruning.

    Zhu and Gupta 2017 (arXiv 1710.01878, Eq. 1), who raise sparsity so: most is taken while there is most to spare.
    """

    name: ClassVar[str] = "cubic"

    def course(self, gone: float) -> float:
        """1 - (1 - x)^3."""
        return 1 - (1 - gone) ** 3


@final
@dataclass(frozen=True)
class Cosine(Timed):
    """The price rises along half a cosine, slowly at both ends, until half of the priced training is over.

    Loshchilov and Hutter 2017 (arXiv 1608.03983, Eq. 5) let a learning rate fall so.
    """

    name: ClassVar[str] = "cosine"

    def course(self, gone: float) -> float:
        """(1 - cos(pi x)) / 2."""
        return (1 - math.cos(math.pi * gone)) / 2

"""Designs that spread points evenly over the space of the settings, after `scipy.stats.qmc`.

What they say of a setting is its rank correlation with an output: whether the output rises or falls along it.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from scipy.stats import norm, qmc, spearmanr

from walras.experiments.designs.design import Floats, Index, SampledDesign, check_count, check_power, check_seed
from walras.experiments.designs.factors import Factor

FEWEST = 4  # points of a correlation that has an interval


class SpaceFilling(SampledDesign):
    """n points; each is a block of its own."""

    n: int
    seed: int
    few: ClassVar[int] = 20

    def size(self, factors: Sequence[Factor]) -> int:
        """n, however many settings there are."""
        del factors
        return self.n

    def block(self, factors: int) -> int:
        """One point."""
        del factors
        return 1

    def points(self, factors: int) -> Floats:
        """n points [n, factors]."""
        return np.asarray(self.sequence(factors).random(self.n), dtype=np.float64)

    @abstractmethod
    def sequence(self, factors: int) -> qmc.QMCEngine:
        """What gives the points."""

    def indices(self, points: Floats, places: Floats, output: Floats, ordered: Sequence[bool]) -> list[Index]:
        """Spearman's rank correlation of every setting with an order, with Bonett and Wright's interval (2000).

        A setting that a small design happened to give one value has none.
        """
        del points
        found = []
        for j, column in enumerate(places.T):
            if ordered[j] and np.ptp(column) > 0:
                r = float(spearmanr(column, output).statistic)
                found.append(Index(j, "rank correlation", r, *_interval(r, len(output))))
        return found


def _interval(r: float, count: int) -> tuple[float, float] | tuple[None, None]:
    """95 % interval of a rank correlation of so many points; None of too few, and of ranks that agree in all of them.

    The interval of Bonett and Wright would have no width at 1 and -1, however few points say so.
    """
    if count < FEWEST or abs(r) > 1 - 1e-9:
        return None, None
    middle = math.atanh(r)
    half = float(norm.ppf(0.975)) * math.sqrt((1 + r * r / 2) / (count - 3))
    return math.tanh(middle - half), math.tanh(middle + half)


@final
@dataclass(frozen=True)
class Sobol(SpaceFilling):
    """Sobol's scrambled sequence: n points, a power of two; the points of n are the first ones of 2n."""

    n: int = 64
    seed: int = 0
    name: ClassVar[str] = "sobol"
    source: ClassVar[str] = "Owen 1998, doi 10.1006/jcom.1998.0487"

    def __post_init__(self) -> None:
        check_power(self.name, self.n)
        check_seed(self.seed)

    def sequence(self, factors: int) -> qmc.QMCEngine:
        """Scrambled by the seed."""
        return qmc.Sobol(factors, rng=np.random.default_rng(self.seed))


@final
@dataclass(frozen=True)
class Halton(SpaceFilling):
    """Halton's scrambled sequence: n points, any number; the points of n are the first ones of n + 1."""

    n: int = 64
    seed: int = 0
    name: ClassVar[str] = "halton"
    source: ClassVar[str] = "Owen 2017, arXiv 1706.02808"

    def __post_init__(self) -> None:
        check_count(self.name, "n", self.n, 2)
        check_seed(self.seed)

    def sequence(self, factors: int) -> qmc.QMCEngine:
        """Scrambled by the seed."""
        return qmc.Halton(factors, rng=np.random.default_rng(self.seed))


@final
@dataclass(frozen=True)
class Latin(SpaceFilling):
    """A Latin hypercube: each setting takes one value in each of n equal parts of its range."""

    n: int = 64
    seed: int = 0
    name: ClassVar[str] = "latin"
    source: ClassVar[str] = "McKay, Beckman and Conover 1979, doi 10.2307/1268522"

    def __post_init__(self) -> None:
        check_count(self.name, "n", self.n, 2)
        check_seed(self.seed)

    def sequence(self, factors: int) -> qmc.QMCEngine:
        """Drawn by the seed."""
        return qmc.LatinHypercube(factors, rng=np.random.default_rng(self.seed))

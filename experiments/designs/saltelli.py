"""Sobol's indices: which share of an output's variance a setting explains, alone and with all its interactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from scipy.stats import t

from walras.experiments.designs.design import Floats, Index, SampledDesign, check_power, check_seed
from walras.experiments.designs.factors import Factor
from walras.experiments.designs.salib import problem, salib

RESAMPLES = 400  # of the bootstrap


@final
@dataclass(frozen=True)
class Saltelli(SampledDesign):
    """Sobol's points crossed for first and total order indices: n base points, each run at settings + 2 places.

    S1 is the share of the variance that a setting explains alone, ST the share that would be left without knowing it.
    """

    n: int = 64
    seed: int = 0
    name: ClassVar[str] = "saltelli"
    few: ClassVar[int] = 64
    source: ClassVar[str] = "Saltelli et al. 2010, doi 10.1016/j.cpc.2009.09.018"

    def __post_init__(self) -> None:
        check_power(self.name, self.n)
        check_seed(self.seed)

    def size(self, factors: Sequence[Factor]) -> int:
        """n base points, at settings + 2 places each."""
        return self.n * (len(factors) + 2)

    def block(self, factors: int) -> int:
        """A base point: itself, each setting exchanged alone, and all of them."""
        return factors + 2

    def points(self, factors: int) -> Floats:
        """Blocks one after the other [n * (factors + 2), factors]."""
        sample = salib("sample.sobol", self.name).sample
        return np.asarray(sample(problem(factors), self.n, calc_second_order=False, seed=self.seed), dtype=np.float64)

    def indices(self, points: Floats, places: Floats, output: Floats, ordered: Sequence[bool]) -> list[Index]:
        """S1 and ST. Intervals are those of base points drawn again, as wide as Student's for so few of them."""
        del places, ordered
        factors = points.shape[1]
        analyze, blocks = salib("analyze.sobol", self.name).analyze, len(output) // self.block(factors)
        found = analyze(
            problem(factors), output, calc_second_order=False, num_resamples=RESAMPLES, keep_resamples=True,
            seed=self.seed + 1,  # it takes 0 for no seed
        )  # fmt: skip
        wide, told = float(t.ppf(0.975, blocks - 1)), []
        for j in range(factors):
            for measure in ("S1", "ST"):
                estimate, again = float(found[measure][j]), np.asarray(found[f"{measure}_conf_all"])[:, j]
                half = wide * float(np.std(again[np.isfinite(again)], ddof=1))
                told.append(Index(j, measure, estimate, estimate - half, estimate + half))
        return told

"""Morris' elementary effects: a cheap screening of many settings, by steps along one of them at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
from scipy.stats import chi2, t

from walras.errors import InputError
from walras.experiments.designs.design import Floats, Index, SampledDesign, check_count, check_seed
from walras.experiments.designs.factors import Choice, Factor
from walras.experiments.designs.salib import problem, salib
from walras.experiments.grids.statistics import Interval


@final
@dataclass(frozen=True)
class Morris(SampledDesign):
    """Trajectories of steps along one setting at a time: n trajectories of settings + 1 places on a grid of levels.

    An elementary effect is the change of the output per whole range of a setting. mu* is the mean of its size, mu its
    mean, and sigma its standard deviation: large where the setting interacts with others, or acts along no line.
    """

    n: int = 10
    levels: int = 4
    seed: int = 0
    name: ClassVar[str] = "morris"
    few: ClassVar[int] = 10
    source: ClassVar[str] = "Morris 1991, doi 10.1080/00401706.1991.10484804; Campolongo et al. 2007"

    def __post_init__(self) -> None:
        check_count(self.name, "n", self.n, 2)
        check_seed(self.seed)
        if self.levels < 2 or self.levels % 2:
            raise InputError(f"levels is {self.levels}; design morris takes an even number of at least 2")

    def size(self, factors: Sequence[Factor]) -> int:
        """n trajectories of settings + 1 places.

        Raises:
            InputError: a list of more values than there are levels, some of which would never be run.
        """
        for factor in factors:
            if isinstance(factor, Choice) and len(factor.values) > self.levels:
                raise InputError(
                    f"{factor.name} has {len(factor.values)} values, and design morris {self.levels} levels; write "
                    f"morris:levels={len(factor.values) + len(factor.values) % 2}"
                )
        return self.n * (len(factors) + 1)

    def block(self, factors: int) -> int:
        """A trajectory."""
        return factors + 1

    def points(self, factors: int) -> Floats:
        """Trajectories one after the other [n * (factors + 1), factors]."""
        sample = salib("sample.morris", self.name).sample
        return np.asarray(sample(problem(factors), self.n, num_levels=self.levels, seed=self.seed), dtype=np.float64)

    def indices(self, points: Floats, places: Floats, output: Floats, ordered: Sequence[bool]) -> list[Index]:
        """mu*, and of settings with an order mu and sigma; Student's intervals over trajectories.

        That of sigma takes three trajectories: as wide as for a normal distribution, and as the jackknife says.
        """
        del places
        found = []
        for j, own in enumerate(elementary_effects(points, output).T):
            size = _mean(j, "mu*", np.abs(own))
            found.append(replace(size, low=max(size.low or 0.0, 0.0)))
            if ordered[j]:
                found += [_mean(j, "mu", own), Index(j, "sigma", float(own.std(ddof=1)), *_of_sigma(own))]
        return found


def elementary_effects(points: Floats, output: Floats) -> Floats:
    """Change of the output per unit of each setting [trajectories, factors], from trajectories of factors + 1 rows."""
    factors = points.shape[1]
    x, y = points.reshape(-1, factors + 1, factors), output.reshape(-1, factors + 1)
    steps, rises = np.diff(x, axis=1), np.diff(y, axis=1)
    moved = np.abs(steps).argmax(axis=2)  # [trajectories, steps]
    size = np.take_along_axis(steps, moved[..., None], axis=2)[..., 0]
    found = np.empty_like(rises)
    np.put_along_axis(found, moved, rises / size, axis=1)
    return found


def _mean(factor: int, measure: str, sample: Floats) -> Index:
    found = Interval.from_sample(sample)
    assert found is not None  # there are two trajectories at least
    return Index(factor, measure, found.mean, found.low, found.high)


def _of_sigma(effects: Floats) -> tuple[float | None, float | None]:
    """95 % interval of a standard deviation that need not be of a normal distribution."""
    count, whole = len(effects), float(effects.std(ddof=1))
    if count < 3:
        return None, None
    if whole == 0:
        return 0.0, 0.0
    low, high = (whole * math.sqrt((count - 1) / float(chi2.ppf(p, count - 1))) for p in (0.975, 0.025))
    left_out = np.array([np.delete(effects, i).std(ddof=1) for i in range(count)])
    if (left_out == 0).any():  # one trajectory alone makes all the difference
        return 0.0, high
    spread = math.sqrt((count - 1) / count * float(((np.log(left_out) - np.log(left_out).mean()) ** 2).sum()))
    half = float(t.ppf(0.975, count - 1)) * spread
    return min(low, whole * math.exp(-half)), max(high, whole * math.exp(half))

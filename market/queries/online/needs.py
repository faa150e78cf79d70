"""What queries of one class need, learned from what they used: a posterior that knows of answers that were cut off."""

from dataclasses import dataclass
from math import exp, isfinite, log, pi, sqrt
from typing import final

from scipy.special import log_ndtr, stdtrit

from walras.errors import InputError

_FAR = 50.0  # no need is further from its guess, as a logarithm


@final
@dataclass(frozen=True)
class Needs:
    """Posterior of ln(need / guess), taken to be normal with unknown mean and variance (normal-inverse-gamma).

    mean | variance ~ N(mean, variance / weight), variance ~ InverseGamma(shape, scale) (Murphy 2007, "Conjugate
    Bayesian analysis of the Gaussian distribution", section 3.3). An answer that was cut off needed more than it used:
    it counts with the first two moments of the predictive normal beyond that point (one step of expectation
    maximisation), so that grants that are too small are not taken for needs that are small.

    Attributes:
        mean: of ln(need / guess); 0 where guesses are right.
        weight: observations that the mean is worth.
        shape: half of the observations that the variance is worth, and more than 1.
        scale: shape - 1 times the variance that is expected.
    """

    mean: float = 0.0
    weight: float = 4.0
    shape: float = 3.0
    scale: float = 0.5

    def __post_init__(self) -> None:
        fine = all(isfinite(x) for x in (self.mean, self.weight, self.shape, self.scale))
        if not (fine and self.weight > 0 and self.shape > 1 and self.scale > 0):
            raise InputError(f"{self} is no posterior; valid: finite, weight and scale above 0, shape above 1")

    @property
    def spread(self) -> float:
        """Standard deviation of ln(need / guess) that is expected."""
        return sqrt(self.scale / (self.shape - 1))

    def threshold(self, guess: float, quantile: float = 0.5) -> float:
        """Tokens that a query with a guess needs at most, with a chance of `quantile` (predictive Student's t)."""
        wide = sqrt(self.scale * (self.weight + 1) / (self.shape * self.weight))
        return guess * exp(min(self.mean + float(stdtrit(2 * self.shape, quantile)) * wide, _FAR))

    def seen(self, used: float, guess: float, cut: bool = False) -> "Needs":
        """The posterior after an answer that took so many tokens, or, where it was `cut` off, would have taken more."""
        if not (used > 0 and guess > 0):
            return self
        point = min(max(log(used) - log(guess), -_FAR), _FAR)
        first, second = _moments(point, self.mean, self.spread) if cut else (point, 0.0)
        weight = self.weight + 1
        away = (first - self.mean) ** 2 * self.weight / weight
        return Needs(
            self.mean + (first - self.mean) / weight, weight, self.shape + 0.5, self.scale + (away + second) / 2
        )

    def forgetting(self, most: float) -> "Needs":
        """The same, worth no more than so many observations, so that what changes is learned again."""
        if self.weight <= most:
            return self
        share = most / self.weight
        shape = 1 + (self.shape - 1) * share
        return Needs(self.mean, most, shape, self.scale * share)


def _moments(point: float, mean: float, spread: float) -> tuple[float, float]:
    """Mean and variance of a normal variable, given that it lies beyond a point."""
    at = min((point - mean) / spread, 30.0)
    hazard = exp(-at * at / 2 - log(2 * pi) / 2 - float(log_ndtr(-at)))
    return max(mean + spread * hazard, point), max(spread**2 * (1 + at * hazard - hazard**2), 0.0)

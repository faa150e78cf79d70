"""The interface of every predictor, and how good one is on problems that it has not seen."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from walras.errors import InputError

Column = NDArray[np.float64]
PREDICTORS: dict[str, type["Predictor"]] = {}
_BINS = 5


@final
@dataclass(frozen=True, eq=False)
class Prediction:
    """For n queries: tokens [n] that an answer needs if there is one, and the chance [n] that there is one."""

    threshold: Column
    chance: Column


class Predictor(ABC):
    """What queries need, from their texts. State is in named tensors and a few settings: saved without pickle.

    Predictors regress log(1 + threshold) on the problems that were solved, and whether one is solved on all: an
    insolvent problem (threshold inf) says nothing of lengths. The chance weighs the query's bid. No threshold above
    `cap` is predicted.
    """

    name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        PREDICTORS[cls.name] = cls

    @classmethod
    @abstractmethod
    def fit(cls, texts: Sequence[str], threshold: Column, cap: float, **settings: Any) -> "Predictor":
        """A predictor trained on texts and thresholds [n] (no NaN)."""

    @abstractmethod
    def predict(self, texts: Sequence[str]) -> Prediction:
        """Thresholds and chances of n texts."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and settings from which `restore` makes the same predictor."""

    @classmethod
    @abstractmethod
    def restore(cls, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> "Predictor":
        """The predictor of a saved state."""


def targets(threshold: Column, cap: float) -> tuple[Column, NDArray[np.bool_]]:
    """log(1 + threshold) of the problems that are solved, and which [n] these are.

    Raises:
        InputError: fewer than 10 solved problems, a NaN among the thresholds, or no positive cap.
    """
    if not 0 < cap < np.inf:
        raise InputError(f"cap is {cap} tokens; it must be a number above 0")
    solved = np.isfinite(threshold)
    if solved.sum() < 10 or np.isnan(threshold).any():
        raise InputError(f"{solved.sum()} solved problems of {len(threshold)}; valid: 10 or more, none of them NaN")
    return np.log1p(np.minimum(threshold[solved], cap)), solved


def prediction(logarithm: Column, chance: Column, cap: float) -> Prediction:
    """From predicted logarithms [n] and chances [n], both kept within what is possible."""
    tokens = np.expm1(np.clip(logarithm, np.log1p(1.0), np.log1p(cap)))
    return Prediction(tokens, np.clip(chance, 0.01, 1.0))


@final
@dataclass(frozen=True)
class Fit:
    """How predictions compare with what turned out.

    r2 and spearman on log thresholds of the solved problems; calibration: for each fifth of these, by prediction, the
    median predicted and the median true tokens; covered: share of solved problems that needed no more than predicted.
    brier: mean squared error of the chance, and brier_constant that of the share of solved problems itself.
    """

    problems: int
    solved: int
    r2: float
    spearman: float
    covered: float
    brier: float
    brier_constant: float
    calibration: list[tuple[float, float]]


def evaluate(predicted: Prediction, threshold: Column) -> Fit:
    """Compare predictions with thresholds [n] of problems that were not trained on; NaN are left out."""
    known, solved = ~np.isnan(threshold), np.isfinite(threshold)
    x, y = np.log1p(predicted.threshold[solved]), np.log1p(threshold[solved])
    truth = solved[known].astype(np.float64)
    brier = float(((predicted.chance[known] - truth) ** 2).mean()), float(truth.var())
    if len(y) < 2 or np.ptp(y) == 0:
        return Fit(int(known.sum()), len(y), np.nan, np.nan, np.nan, *brier, [])
    order = np.argsort(x, kind="stable")
    bins = [part for part in np.array_split(order, _BINS) if len(part)]
    calibration = [(float(np.expm1(np.median(x[b]))), float(np.expm1(np.median(y[b])))) for b in bins]
    r2 = float(1 - ((y - x) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    rank = float(spearmanr(x, y).statistic) if np.ptp(x) > 0 else 0.0
    return Fit(int(known.sum()), len(y), r2, rank, float((y <= x).mean()), *brier, calibration)

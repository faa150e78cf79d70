"""How good predictions are on problems that the predictor has not seen."""

from dataclasses import dataclass
from typing import final

import numpy as np

from walras.experiments.queries.predictors.predictor import Column, Prediction

_BINS = 5


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
    from scipy.stats import spearmanr  # here: predicting does not need scipy, which takes as long to load as torch

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

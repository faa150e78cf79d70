"""A batch of reasoning queries as columns, and the bids that they make for tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import e
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from walras.errors import InputError, UnknownNameError
from walras.market.queries.limits import LEAST_HEADROOM, LEAST_WEIGHT, MOST_TOKENS, MOST_WEIGHT, amount
from walras.mechanisms import GammaBids, QuadraticSurgeBids, SurgeBids, TriangularBids
from walras.mechanisms.bids.threshold_bids import ThresholdBids

Column = NDArray[np.float64]

# Shapes of utility above the threshold, by the name that users give.
SHAPES: Mapping[str, type[ThresholdBids]] = {
    "surge": SurgeBids, "quadratic": QuadraticSurgeBids, "triangular": TriangularBids, "gamma": GammaBids,
}  # fmt: skip
KAPPA = 0.5  # of adaptive headroom; our choice, papers name no rule
# What is valid in a column; beside it, a headroom may be NaN, a cap inf, and a threshold whatever makes it bad or inf.
_LIMITS = {
    "threshold": (-np.inf, MOST_TOKENS), "weight": (LEAST_WEIGHT, MOST_WEIGHT),
    "headroom": (LEAST_HEADROOM, MOST_TOKENS), "cap": (0.0, MOST_TOKENS),
}  # fmt: skip
_BESIDE = {"threshold": (np.nan, np.inf), "weight": (), "headroom": (np.nan,), "cap": (np.inf,)}


@final
@dataclass(frozen=True, eq=False)
class Queries:
    """n queries. Only the threshold must be given.

    threshold [n]: tokens below which an answer is worth nothing, those that it is written with included; inf for a
    query that nothing helps, NaN or a number below 0 for one whose threshold is not known: such queries are bad, and
    get nothing. weight [n]: what a right answer is worth, 1 by default; headroom [n]: tokens above the threshold at
    which more no longer helps (1 / beta), NaN for whatever the allocator chooses; cap [n]: the most tokens that can be
    used (context length). All up to 2^53, weights from 1e-12 to 1e12.
    """

    threshold: Column
    weight: Column | None = None
    headroom: Column | None = None
    cap: Column | None = None

    def __post_init__(self) -> None:
        threshold = _column("threshold", self.threshold)
        if threshold.ndim != 1:
            raise InputError(f"thresholds have shape {[*threshold.shape]}; valid: one number per query, [n]")
        for name, (least, most) in _LIMITS.items():
            given = getattr(self, name)
            if given is None:
                continue
            column = _column(name, given)
            bad = ~((column >= least) & (column <= most))
            for value in _BESIDE[name] if bad.any() else ():
                bad &= ~np.isnan(column) if np.isnan(value) else column != value
            if column.shape != threshold.shape or bad.any():
                held = f"; query {bad.argmax()} has {column.flat[bad.argmax()]}" if bad.any() else ""
                ends = f"up to {most:g}" if least == -np.inf else f"from {least:g} to {most:g}"
                raise InputError(f"{name} must be {len(threshold)} numbers {ends}, one per query{held}")
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.threshold)

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Queries [n] without a threshold that can be worked with."""
        return ~(self.threshold >= 0)

    @property
    def solvent(self) -> NDArray[np.bool_]:
        """Queries [n] that some number of tokens within their cap helps."""
        limit = np.inf if self.cap is None else self.cap
        return (self.threshold >= 0) & (self.threshold < limit)

    def bids(self, budget: float, headroom: float | None = None, shape: str = "surge") -> ThresholdBids:
        """What the queries bid; weights are divided by the largest, so that scaling all of them changes nothing.

        Args:
            budget: tokens, on which adaptive headroom depends.
            headroom: 1 / beta, tokens, for queries without their own; adaptive where it is not given.
            shape: of `SHAPES`.
        """
        if shape not in SHAPES:
            raise UnknownNameError("utility", shape, SHAPES)
        common = self.adaptive_headroom(budget) if headroom is None else amount(headroom, "headroom", LEAST_HEADROOM)
        width = np.array([common]) if self.headroom is None else np.where(self.headroom > 0, self.headroom, common)
        weight = np.ones(1) if self.weight is None else self.weight / self.scale
        if width.size == weight.size == 1 or ((width == width[:1]).all() and (weight == weight[:1]).all()):
            width, weight = width[:1], weight[:1]  # one number stands for all
        columns: dict[str, Any] = {
            "threshold": np.where(self.solvent, self.threshold, np.inf),
            "alpha": e * weight / width, "beta": 1 / width, "cap": np.full(1, np.inf) if self.cap is None else self.cap,
        }  # fmt: skip
        if len(self) == 0:
            columns = {name: np.zeros(0) for name in columns}
        return SHAPES[shape](**{name: torch.from_numpy(np.asarray(column)) for name, column in columns.items()})

    @property
    def scale(self) -> float:
        """The largest weight: money of one unit in `bids`."""
        return 1.0 if self.weight is None or len(self) == 0 else float(self.weight.max())

    def adaptive_headroom(self, budget: float) -> float:
        """Half of an equal share of the budget; where all can be funded, what that leaves to each, if more.

        "Adaptive beta" is only named in what is known of "The Shadow Price of Reasoning"; the rule is ours.
        """
        n = max(int(self.solvent.sum()), 1)
        left = (budget - self.threshold[self.solvent].sum()) / n
        share = max(KAPPA * budget / n, left)
        return min(max(float(share), LEAST_HEADROOM), float(MOST_TOKENS)) if 0 < share < np.inf else 1.0


def _column(name: str, given: Any) -> Column:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(f"{name} holds what is no number: {error}") from error

"""Attention rules at a budget. A new one is one class, and one entry in `BUDGETED_RULES`; or a user's FILE.py:Class."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from walras.experiments.observing.budgeted_rule import BUDGETED_RULES as BUDGETED_RULES
from walras.experiments.observing.budgeted_rule import BudgetedRule, Fit
from walras.models.attention import Entmax, Literal, NullKey, Sparsemax, Threshold, TopKeys
from walras.models.attention.budget import price_for_mass, price_for_support, temperature_for_support

_KEYS = (32.0, 16.0, 8.0, 4.0, 2.0)
_MEAN = "keys per query, on average"
NO_MORE_KEYS = "changed nothing: no query of the split has more than {} keys to look at"


@final
@dataclass(frozen=True)
class TopKeysRule(BudgetedRule):
    """Keeps the k keys with the highest scores, and renormalises their weights."""

    name: ClassVar[str] = "top-k"
    unit: ClassVar[str] = "keys per query"
    budgets: ClassVar[tuple[float, ...]] = _KEYS
    whole: ClassVar[bool] = True
    sought: ClassVar[bool] = False

    def fit(self, budget: float, scores: Tensor) -> Fit:
        """The budget is k."""
        del scores
        return Fit(TopKeys(int(budget)))

    def idle(self, slack: bool, most_keys: int) -> str:
        """There are no more keys."""
        del slack
        return NO_MORE_KEYS.format(most_keys)


@final
@dataclass(frozen=True)
class SparsemaxRule(BudgetedRule):
    """Sparsemax at the temperature that keeps as many keys."""

    name: ClassVar[str] = "sparsemax"
    unit: ClassVar[str] = _MEAN
    budgets: ClassVar[tuple[float, ...]] = _KEYS

    def fit(self, budget: float, scores: Tensor) -> Fit:
        """The lowest temperature."""
        met = temperature_for_support(scores, budget)
        return Fit(Sparsemax(met.setting.item()), met.inactive)


@final
@dataclass(frozen=True)
class EntmaxRule(BudgetedRule):
    """Entmax at the temperature that keeps as many keys."""

    name: ClassVar[str] = "entmax"
    unit: ClassVar[str] = _MEAN
    budgets: ClassVar[tuple[float, ...]] = _KEYS

    alpha: float = 1.5

    def fit(self, budget: float, scores: Tensor) -> Fit:
        """The lowest temperature."""
        met = temperature_for_support(scores, budget, self.alpha)
        return Fit(Entmax(self.alpha, met.setting.item()), met.inactive)


@final
@dataclass(frozen=True)
class ThresholdRule(BudgetedRule):
    """Takes a tax from softmax's weights that leaves as many keys, and renormalises what is left."""

    name: ClassVar[str] = "threshold"
    unit: ClassVar[str] = _MEAN
    budgets: ClassVar[tuple[float, ...]] = _KEYS

    def fit(self, budget: float, scores: Tensor) -> Fit:
        """The highest price."""
        met = price_for_support(scores, budget)
        return Fit(Threshold(met.setting.item()), met.inactive)


@final
@dataclass(frozen=True)
class NullKeyRule(BudgetedRule):
    """Adds an outside option that leaves real keys a share of attention."""

    name: ClassVar[str] = "null-key"
    unit: ClassVar[str] = "share of attention"
    budgets: ClassVar[tuple[float, ...]] = (0.9, 0.7, 0.5, 0.3)
    least: ClassVar[float] = 0.0
    most: ClassVar[float] = 1.0
    above: ClassVar[bool] = True
    counts_keys: ClassVar[bool] = False

    def fit(self, budget: float, scores: Tensor) -> Fit:
        """The price of the null key."""
        met = price_for_mass(scores, budget)
        return Fit(NullKey(met.setting.item()), met.inactive)

    def idle(self, slack: bool, most_keys: int) -> str:
        """Real keys may have everything."""
        if slack:
            return "changed nothing: real keys may have all of attention, so that the null key gets none"
        return super().idle(slack, most_keys)


@final
@dataclass(frozen=True)
class LiteralRule(BudgetedRule):
    """Takes paper 1's tax from every score, which changes nothing."""

    name: ClassVar[str] = "literal"
    unit: ClassVar[str] = "price"
    budgets: ClassVar[tuple[float, ...]] = (0.5, 2.0)
    least: ClassVar[float] = 0.0
    counts_keys: ClassVar[bool] = False
    sought: ClassVar[bool] = False

    def fit(self, budget: float, scores: Tensor) -> Fit:
        """The budget is the price."""
        del scores
        return Fit(Literal(budget))

    def idle(self, slack: bool, most_keys: int) -> str:
        """It cancels."""
        del slack, most_keys
        return "changed nothing: the same price is taken from every score, and cancels in softmax"


for _rule in (TopKeysRule, SparsemaxRule, EntmaxRule, ThresholdRule, NullKeyRule, LiteralRule):
    BUDGETED_RULES.add(_rule)

"""The interface of attention rules that a sweep ranges over: which rule of a network it is at a budget."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor

from walras.errors import InputError
from walras.models.attention import AttentionRule
from walras.registry import Registry


class Fit(NamedTuple):
    """A rule at a budget; `slack` where the budget is as much as there is, or more, and the rule knows it."""

    rule: AttentionRule
    slack: bool = False


class BudgetedRule(ABC):
    """An attention rule whose budget can be swept.

    Concrete ones are final frozen dataclasses, whose fields are their parameters.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    """Of the budget."""

    budgets: ClassVar[tuple[float, ...]]
    """Those that are swept where none are given."""

    least: ClassVar[float] = 1.0
    most: ClassVar[float] = math.inf
    above: ClassVar[bool] = False
    """Whether the least budget itself is out of range."""

    whole: ClassVar[bool] = False
    """Whether a budget must be a whole number."""

    counts_keys: ClassVar[bool] = True
    """Whether it counts keys, so that as many drawn at random, or as many tokens, can be set beside it."""

    sought: ClassVar[bool] = True
    """Whether the rule's setting is sought on scores of the network; else the budget itself is the setting."""

    @abstractmethod
    def fit(self, budget: float, scores: Tensor) -> Fit:
        """The rule that meets a budget as a mean over rows of scores [rows, keys], -inf where a key is closed.

        `scores` is empty where the setting is not sought.
        """

    def idle(self, slack: bool, most_keys: int) -> str:
        """Why a budget took nothing away, in words that follow on its name.

        Args:
            slack: as `fit` said.
            most_keys: that a query of the evaluation split has.
        """
        del most_keys
        if slack:
            return (
                "has an inactive budget: where its setting was sought, queries have no more keys than that on average"
            )
        return "changed nothing: no weight of the split moved"

    def check(self, budget: float) -> None:
        """Refuse a budget out of range, NaN among them.

        Raises:
            InputError: as said.
        """
        low = budget > self.least if self.above else budget >= self.least
        if not (low and budget <= self.most and math.isfinite(budget)) or (self.whole and budget != int(budget)):
            kind = "a whole number" if self.whole else "a number"
            limits = f"{'above' if self.above else 'of at least'} {self.least:g}"
            limits += f" and at most {self.most:g}" if self.most < math.inf else ""
            raise InputError(f"budget is {budget:g}; for {self.name} it must be {kind} {limits} ({self.unit})")


BUDGETED_RULES: Registry[BudgetedRule] = Registry("attention rule", BudgetedRule, texts=("name", "unit"))

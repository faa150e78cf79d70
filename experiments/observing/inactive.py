"""Budgets that take nothing away, and why."""

from collections.abc import Iterable

from walras.experiments.observing.attention_rules import NO_MORE_KEYS
from walras.experiments.observing.budgeted_rule import BudgetedRule
from walras.experiments.observing.evaluation import ELIMINATION, NONE
from walras.experiments.observing.sweep import Observation


def is_inactive(o: Observation) -> bool:
    """Whether the budget was as much as there was, or more, where its setting was sought; or nothing changed after all.

    Rules that meet a number of keys move weights also where they keep every key.
    """
    return o.slack or o.changed == 0


def warnings(found: Iterable[Observation], rule: BudgetedRule) -> list[str]:
    """One sentence per setting that took nothing away; controls aside."""
    return [
        f"{o.rule} at {o.budget:g} ({o.constrain}) {_why(o, rule)}"
        for o in found
        if o.control == NONE and is_inactive(o)
    ]


def _why(o: Observation, rule: BudgetedRule) -> str:
    if o.rule == ELIMINATION:
        return NO_MORE_KEYS.format(o.tally.most_keys)
    return rule.idle(o.slack, o.tally.most_keys)

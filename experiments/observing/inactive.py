"""Budgets that take nothing away, and why."""

from collections.abc import Iterable

from walras.experiments.observing.sweep import ELIMINATION, NONE, Observation


def is_inactive(o: Observation) -> bool:
    """Whether the budget was as much as there was, or more, where its setting was sought; or nothing changed after all.

    Rules that meet a number of keys move weights also where they keep every key.
    """
    return o.slack or o.changed == 0


def warnings(found: Iterable[Observation]) -> list[str]:
    """Settings in which nothing was scarce, a sentence each; controls have their row alone."""
    return [
        f"{o.rule} at {o.budget:g} ({o.constrain}) {_why(o)}" for o in found if o.control == NONE and is_inactive(o)
    ]


def _why(o: Observation) -> str:
    if o.rule == "literal":
        return "changed nothing: the same price is taken from every score, and cancels in softmax"
    if o.rule == "null-key" and o.slack:
        return "changed nothing: real keys may have all of attention, so that the null key gets none"
    if o.slack:
        return "has an inactive budget: where its setting was sought, queries have no more keys than that on average"
    if o.rule in ("top-k", ELIMINATION):
        return f"changed nothing: no query of the split has more than {o.tally.most_keys} keys to look at"
    return "changed nothing: no weight of the split moved"

"""How agents bid, from the text of a setting: one strategy, or several with their shares of the agents."""

from walras.agents import STRATEGIES, Mixture, Strategy
from walras.errors import InputError
from walras.experiments.plugins import build, find_class


def find_strategy(text: str) -> Strategy:
    """`truthful`, FILE.py:Class, or a mixed population such as `truthful=0.8,shading=0.2`.

    Raises:
        InputError: shares that are no numbers, or do not add up to 1.
        UnknownNameError: a name that is in no list.
    """
    if "=" not in text:
        return _made(text)
    parts, shares = [], []
    for part in text.split(","):
        name, _, share = part.strip().rpartition("=")
        try:
            shares.append(float(share))
        except ValueError:
            raise InputError(
                f"strategy {part.strip()!r} of {text!r} names no share; a mixture reads truthful=0.8,shading=0.2"
            ) from None
        parts.append(_made(name))
    return Mixture(tuple(parts), tuple(shares))


def check_strategy(strategy: Strategy, rounds: int) -> None:
    """Refuse a learner that has nothing to learn from.

    Raises:
        InputError: it learns from what rounds bring, and there is one.
    """
    if strategy.learns and rounds < 2:
        raise InputError(
            f"strategy {strategy.name} learns from what rounds bring, and there is {rounds} round; give it --rounds 2 "
            "or more"
        )


def _made(name: str) -> Strategy:
    made: Strategy = build("strategy", find_class("strategy", name, STRATEGIES, Strategy))
    return made

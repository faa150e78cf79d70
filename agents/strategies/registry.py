"""Strategies by name, and mixed populations as texts."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, final

from walras.agents.strategies.best_response import BestResponse
from walras.agents.strategies.budget_limited import BudgetLimited
from walras.agents.strategies.exp3 import EXP3
from walras.agents.strategies.hedge import Hedge
from walras.agents.strategies.mixture import Mixture
from walras.agents.strategies.regret_matching import RegretMatching
from walras.agents.strategies.shading import Shading
from walras.agents.strategies.strategy import Strategy
from walras.agents.strategies.truthful import Truthful
from walras.agents.strategies.zero_intelligence import ZeroIntelligence
from walras.errors import InputError, UnknownNameError
from walras.parameters import split_spec, typed_value
from walras.registry import Registry, normalised

_NUMBER = r"\d*\.?\d+(?:[eE][+-]?\d+)?|\d+\."
_SIMPLE = re.compile(rf"\s*(?:[^:=,+]+|[^=,+]*\.py(?::\w+)?)\s*=\s*(?:{_NUMBER})\s*")  # NAME=SHARE without parameters
_EXAMPLE = "--strategy truthful=0.8,shading=0.2 --vary strategy.shading=0..1"
_JOINT = re.compile(rf"(?<==)(\s*(?:{_NUMBER})\s*)\+")  # the + behind a share, not that of a number such as 1e+3


def mixture_parts(text: str) -> list[tuple[str, float]]:
    """Strategies and their shares of the agents in the text of a mixed population; none in any other text.

    Parts are joined by `+`, and each ends with `=` and its share: `truthful=0.8+hedge:rate=.1=0.2`. Where no part has
    parameters a comma may stand for the `+`: `truthful=0.8,shading=0.2`.

    Raises:
        InputError: a part without a share.
    """
    parts = _JOINT.sub(r"\1\n", text).split("\n")
    if len(parts) == 1:
        parts = text.split(",")
        if not ("=" in text and ":" not in text) and not _SIMPLE.fullmatch(parts[0]):
            return []
    found = []
    for part in parts:
        spec, _, share = part.strip().rpartition("=")
        if not spec or not re.fullmatch(_NUMBER, share.strip()):
            raise InputError(
                f"strategy {part.strip()!r} of {text!r} names no share; a mixture reads truthful=0.8,shading=0.2, or "
                "with parameters truthful=0.8+shading:factor=0.5=0.2"
            )
        found.append((spec.strip(), float(share)))
    return found


@final
class StrategyRegistry(Registry[Strategy]):
    """Strategies by name; the text of a mixed population makes a `Mixture`, and a `Mixture` has a text."""

    def __init__(self) -> None:
        super().__init__("strategy", Strategy, texts=("name",), read=self._mixture)

    def spelled(self, given: Any) -> Any:
        """As for every registry; a mixture, or its text, as its parts with their shares, joined by `+`."""
        if isinstance(given, Mixture):
            parts: list[tuple[Any, float]] = list(zip(given.parts, given.shares, strict=True))
        else:
            parts = list(mixture_parts(given)) if isinstance(given, str) else []
        if not parts:
            return super().spelled(given)
        return "+".join(f"{super(StrategyRegistry, self).spelled(part)}={share!r}" for part, share in parts)

    def varied(self, given: Any, values: Mapping[str, Any]) -> Any:
        """As for every registry; of a mixture, with another share of a part, named by its strategy.

        The share of the last part may be called `share` as well. The other parts keep their proportions.

        Raises:
            UnknownNameError: a mixture has no such part.
            InputError: a share that is none; two shares of one mixture, which would not say what the others get.
        """
        parts = self._parts(given)
        if not parts:
            for key in values:
                self._check_single(given, key)
            return super().varied(given, values)
        if len(parts) == 1:
            raise InputError(f"strategy {given} is the only one; a share varies where there are others: {_EXAMPLE}")
        if len(values) > 1:
            raise InputError(f"strategy {given} varies in {' and '.join(values)}; vary the share of one part of it")
        ((key, value),) = values.items()
        place, share = _place(parts, key), typed_value(f"strategy.{key}", value, float)
        if not 0 <= share <= 1:
            raise InputError(f"strategy.{key} is {share}; it must be a share from 0 to 1")
        rest = sum(own for i, (_, own) in enumerate(parts) if i != place)
        scaled = [
            share if i == place else (1 - share) * (own / rest if rest else 1 / (len(parts) - 1))
            for i, (_, own) in enumerate(parts)
        ]
        return self.spelled("+".join(f"{spec}={own!r}" for (spec, _), own in zip(parts, scaled, strict=True)))

    def parameter(self, given: Any, key: str) -> tuple[Any, Any]:
        """As for every registry; of a mixture, the share of a part."""
        parts = self._parts(given)
        if not parts:
            self._check_single(given, key)
            return super().parameter(given, key)
        return parts[_place(parts, key)][1], float

    def _check_single(self, given: Any, key: str) -> None:
        """Refuse a share of what is no mixture."""
        name, _ = self._named(self.spelled(given))
        own = {normalised(one) for one in self._taken(name)}
        if normalised(key) not in own and (normalised(key) == "share" or key in self):
            raise InputError(f"strategy {name} has no {key}; shares are those of several strategies: {_EXAMPLE}")

    def _parts(self, given: Any) -> list[tuple[str, float]]:
        """Strategies and shares of a mixture, or of its text; none of anything else."""
        text = self.spelled(given)
        return mixture_parts(text) if isinstance(text, str) else []

    def _mixture(self, text: str) -> Mixture | None:
        """The population that a text describes; None where it names a single strategy."""
        parts = mixture_parts(text)
        if not parts:
            return None
        return Mixture(tuple(self.make(spec) for spec, _ in parts), tuple(share for _, share in parts))


def _place(parts: Sequence[tuple[str, float]], key: str) -> int:
    """The number of the part of a mixture that a key names."""
    names = [split_spec(spec)[0] for spec, _ in parts]
    found = [i for i, name in enumerate(names) if normalised(name) == normalised(key)]
    if not found and normalised(key) == "share":
        return len(parts) - 1
    if len(found) != 1:
        raise UnknownNameError("part of the mixture of strategies", key, [*names, "share"])
    return found[0]


STRATEGIES = StrategyRegistry()
for _rule in (Truthful, Shading, ZeroIntelligence, BudgetLimited, BestResponse, Hedge, EXP3, RegretMatching):
    STRATEGIES.add(_rule)

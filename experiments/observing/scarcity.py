"""What can be made scarce, in which unit, and in which layers. Names and numbers only, so that help answers at once."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from walras.errors import InputError, UnknownNameError


@final
@dataclass(frozen=True)
class Scarce:
    """The budget of an attention rule.

    Attributes:
        about: what the rule does with it.
        unit: of the budget.
        budgets: those that are swept where none are given.
        least, most: its limits; `above` says that the least itself is out.
        whole: it must be a whole number.
        counts_keys: it counts keys, so that as many drawn by lot, or as many tokens, can be set beside it.
    """

    about: str
    unit: str
    budgets: tuple[float, ...]
    least: float = 1.0
    most: float = math.inf
    above: bool = False
    whole: bool = False
    counts_keys: bool = True

    def check(self, rule: str, budget: float) -> None:
        """Refuse a budget out of range, NaN among them."""
        low = budget > self.least if self.above else budget >= self.least
        if not (low and budget <= self.most and math.isfinite(budget)) or (self.whole and budget != int(budget)):
            kind = "a whole number" if self.whole else "a number"
            limits = f"{'above' if self.above else 'of at least'} {self.least:g}"
            limits += f" and at most {self.most:g}" if self.most < math.inf else ""
            raise InputError(f"budget is {budget:g}; for {rule} it must be {kind} {limits} ({self.unit})")


_KEYS = (32.0, 16.0, 8.0, 4.0, 2.0)
_MEAN = "keys a query, on average"

SCARCE: dict[str, Scarce] = {
    "top-k": Scarce("The k keys with the highest scores, renormalised", "keys a query", _KEYS, whole=True),
    "sparsemax": Scarce("Sparsemax, at the temperature that keeps as many keys", _MEAN, _KEYS),
    "entmax": Scarce("1.5-entmax, at the temperature that keeps as many keys", _MEAN, _KEYS),
    "threshold": Scarce("A tax on softmax's weights that leaves as many keys, renormalised", _MEAN, _KEYS),
    "null-key": Scarce(
        "An outside option that leaves real keys a share of attention",
        "share of attention",
        (0.9, 0.7, 0.5, 0.3),
        0.0,
        1.0,
        above=True,
        counts_keys=False,
    ),
    "literal": Scarce(
        "Paper 1's tax on every score, which changes nothing", "price", (0.5, 2.0), 0.0, counts_keys=False
    ),
}

CONTROLS: Mapping[str, str] = {
    "random-k": "as many keys, drawn by lot",
    "random-weights": "the same model, untrained",
}

PATTERNS: Mapping[str, Callable[[int], range]] = {
    "all": lambda layers: range(layers),
    "first-half": lambda layers: range((layers + 1) // 2),
    "second-half": lambda layers: range((layers + 1) // 2, layers),
    "every-second": lambda layers: range(0, layers, 2),
}


def check_pattern(pattern: str) -> None:
    """Refuse what is neither the name of a pattern nor a list of layers.

    Raises:
        UnknownNameError, InputError: as said.
    """
    if pattern not in PATTERNS:
        _listed(pattern)


def constrained_layers(pattern: str, layers: int) -> tuple[int, ...]:
    """Numbers of the layers, counted from 0, that a pattern constrains in a model of so many.

    In `first-half` and `every-second` the others come behind constrained ones, and can answer to them; in
    `second-half` they come before, and cannot: a check of the measurement.

    Raises:
        InputError: a layer that the model has not, or no layer at all.
    """
    found = tuple(PATTERNS[pattern](layers)) if pattern in PATTERNS else _listed(pattern)
    if any(layer >= layers for layer in found):
        raise InputError(f"constrain is {pattern!r}; the model's layers are 0 to {layers - 1}")
    if not found:
        raise InputError(f"constrain is {pattern!r}; of {layers} layer(s) that is none")
    return found


def _listed(pattern: str) -> tuple[int, ...]:
    parts = [part.strip() for part in pattern.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise UnknownNameError("layers to constrain", pattern, PATTERNS, "Or a list of layers: 0,2,4.")
    if len(set(map(int, parts))) < len(parts):
        raise InputError(f"constrain is {pattern!r}, which names a layer twice")
    return tuple(sorted(map(int, parts)))

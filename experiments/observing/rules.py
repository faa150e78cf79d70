"""Attention rules at a budget: where the budget is no setting of the rule, the setting is sought that meets it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from walras.experiments.tasks.base import on_device
from walras.models.attention import (
    AttentionRule,
    Entmax,
    Literal,
    NullKey,
    RandomKeys,
    Sparsemax,
    Threshold,
    TopKeys,
    attention_market,
)
from walras.models.attention.budget import Budget, price_for_mass, price_for_support, temperature_for_support
from walras.models.attention.token_elimination import real_queries
from walras.models.objective import Batch

ALPHA = 1.5  # of entmax
PASSES = 3  # a rule changes the scores of the layers above, so its setting is sought anew on those
ROWS = 4096  # of scores that are kept a layer and batch

FIXED: Mapping[str, Callable[[float], AttentionRule]] = {
    "top-k": lambda budget: TopKeys(int(budget)),
    "literal": Literal,
}
FITTED: Mapping[str, tuple[Callable[[Tensor, float], Budget], Callable[[float], AttentionRule]]] = {
    "sparsemax": (temperature_for_support, Sparsemax),
    "entmax": (lambda scores, k: temperature_for_support(scores, k, ALPHA), lambda t: Entmax(ALPHA, t)),
    "threshold": (price_for_support, Threshold),
    "null-key": (price_for_mass, NullKey),
}

Rules = list[AttentionRule | None]  # one a layer


@final
@dataclass(frozen=True)
class Ruled:
    """Rules at a budget, one a layer; `slack` where that is as much as there is, or more, and the rule knows it."""

    rules: Rules
    slack: bool = False


def placed(rule: AttentionRule, constrained: Sequence[int], layers: int) -> Rules:
    """The rule in the constrained layers, softmax in the others."""
    return [rule if layer in constrained else None for layer in range(layers)]


def lottery(k: int, seed: int, constrained: Sequence[int], layers: int) -> Rules:
    """Keys drawn by lot in the constrained layers, in each by a draw of its own."""
    return [RandomKeys(k, seed * layers + layer) if layer in constrained else None for layer in range(layers)]


@torch.no_grad()
def ruled(
    name: str, budget: float, model: nn.Module, batches: Sequence[Batch], constrained: Sequence[int], layers: int
) -> Ruled:
    """The rule of that name at a budget, one setting for all constrained layers.

    A setting that must be sought meets the budget as the mean over the queries of `batches`, in all heads and
    constrained layers, on scores that the model computes under the rule itself.
    """
    if name in FIXED:
        return Ruled(placed(FIXED[name](budget), constrained, layers))
    seek, rule = FITTED[name]
    found = Ruled([None] * layers)
    for _ in range(PASSES):
        met = seek(_scores(model, batches, found.rules, constrained), budget)
        found = Ruled(placed(rule(met.setting.item()), constrained, layers), met.inactive)
    return found


def _scores(model: nn.Module, batches: Sequence[Batch], rules: Rules, constrained: Sequence[int]) -> Tensor:
    """Scores [rows, keys] of queries in constrained layers, at most `ROWS` a layer and batch, evenly spaced."""
    found: list[Tensor] = []

    def watch(layer: int, scores: Tensor, weights: Tensor) -> None:
        del weights
        if layer in constrained:
            rows = scores[real_queries(scores)[:, None].expand(scores.shape[:-1])]
            found.append(rows[:: -(-len(rows) // ROWS)].cpu())

    with attention_market(model, rules, watch):
        for batch in batches:
            model(**{name: x for name, x in on_device(batch, model).items() if name != "labels"})
    most = max(rows.shape[-1] for rows in found)
    return torch.cat([nn.functional.pad(rows, (0, most - rows.shape[-1]), value=-torch.inf) for rows in found])

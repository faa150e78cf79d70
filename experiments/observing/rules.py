"""Attention rules at a budget, one per layer: where the budget is no setting of the rule, that setting is sought."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from walras.experiments.observing.budgeted_rule import BudgetedRule, Fit
from walras.experiments.tasks.base import on_device
from walras.models.attention import AttentionRule, RandomKeys, attention_market
from walras.models.attention.token_elimination import real_queries
from walras.models.objective import Batch, inputs_of
from walras.user_code import user_code

PASSES = 3  # a rule changes the scores of the layers above, so its setting is sought anew on those
ROWS = 4096  # of scores that are kept per layer and batch

Rules = list[AttentionRule | None]  # one per layer


@final
@dataclass(frozen=True)
class BudgetRules:
    """Rules at a budget, one per layer; `slack` where that is as much as there is, or more, and the rule knows it."""

    rules: Rules
    slack: bool = False


def rules_per_layer(rule: AttentionRule, constrained: Sequence[int], layers: int) -> Rules:
    """The rule in the constrained layers, softmax in the others."""
    return [rule if layer in constrained else None for layer in range(layers)]


def random_key_rules(k: int, seed: int, constrained: Sequence[int], layers: int) -> Rules:
    """Keys drawn at random in the constrained layers, each with a draw of its own."""
    return [RandomKeys(k, seed * layers + layer) if layer in constrained else None for layer in range(layers)]


@torch.no_grad()
def rules_at_budget(
    rule: BudgetedRule,
    budget: float,
    model: nn.Module,
    batches: Sequence[Batch],
    constrained: Sequence[int],
    layers: int,
) -> BudgetRules:
    """A rule at a budget, with one setting for all constrained layers.

    A setting that must be sought meets the budget as the mean over the queries of `batches`, in all heads and
    constrained layers, on scores that the model computes under the rule itself.

    Raises:
        UserCodeError: a rule of the user's own raised an error.
    """
    if not rule.sought:
        return _placed(_fit(rule, budget, torch.zeros(0, 0)), constrained, layers)
    found = BudgetRules([None] * layers)
    for _ in range(PASSES):
        scores = _scores(model, batches, found.rules, constrained)
        found = _placed(_fit(rule, budget, scores), constrained, layers)
    return found


def _fit(rule: BudgetedRule, budget: float, scores: Tensor) -> Fit:
    with user_code(f"attention rule {type(rule).__name__}"):
        return rule.fit(budget, scores)


def _placed(fit: Fit, constrained: Sequence[int], layers: int) -> BudgetRules:
    return BudgetRules(rules_per_layer(fit.rule, constrained, layers), fit.slack)


def _scores(model: nn.Module, batches: Sequence[Batch], rules: Rules, constrained: Sequence[int]) -> Tensor:
    """Scores [rows, keys] of queries in constrained layers, at most `ROWS` per layer and batch, evenly spaced."""
    found: list[Tensor] = []

    def watch(layer: int, scores: Tensor, weights: Tensor) -> None:
        del weights
        if layer in constrained:
            rows = scores[real_queries(scores)[:, None].expand(scores.shape[:-1])]
            found.append(rows[:: -(-len(rows) // ROWS)].cpu())

    with attention_market(model, rules, watch):
        for batch in batches:
            model(**inputs_of(on_device(batch, model)))
    most = max(rows.shape[-1] for rows in found)
    return torch.cat([nn.functional.pad(rows, (0, most - rows.shape[-1]), value=-torch.inf) for rows in found])

"""Weights of a few heads on a few sentences, dense and under the rule, to look at."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.experiments.observing.rules import Rules
from walras.experiments.tasks import Task
from walras.experiments.tasks.base import on_device
from walras.models.attention import attention_market
from walras.models.objective import Batch, inputs_of

SENTENCES, HEADS, TOKENS = 2, 3, 16
AMONG = 64  # training sentences from which they are taken


@final
@dataclass(frozen=True, eq=False)
class ExampleHead:
    """One head on one sentence: weights [queries, keys] without and with scarcity."""

    tokens: tuple[str, ...]
    layer: int
    head: int
    dense: NDArray[np.float64]
    sparse: NDArray[np.float64]


@torch.no_grad()
def examples(model: nn.Module, tokenizer: Any, task: Task, rules: Rules, layer: int, length: int) -> list[ExampleHead]:
    """A few heads of a layer, evenly spaced, on training sentences that are long enough, cut short."""
    found = []
    pool = task.prepared(tokenizer, length).pool()[:AMONG]
    sentences = (_inputs(task.batch(tokenizer, [example], length)) for example in pool)
    for inputs in sorted(sentences, key=lambda batch: -batch["input_ids"].shape[1])[:SENTENCES]:
        tokens = tuple(tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist()))
        unconstrained: Rules = [None] * len(rules)
        dense, sparse = (_weights(model, inputs, given, layer) for given in (unconstrained, rules))
        for head in sorted({round(i) for i in np.linspace(0, len(dense) - 1, HEADS)}):
            found.append(ExampleHead(tokens, layer, head, dense[head], sparse[head]))
    return found


def _inputs(batch: Batch) -> Batch:
    """The first sequence of a batch, without padding, at most so many tokens of it."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    kept = min(int(mask[0].sum()), TOKENS)
    return {name: x[:1, :kept] for name, x in batch.items() if x.shape == ids.shape}


def _weights(model: nn.Module, inputs: Batch, rules: Rules, layer: int) -> NDArray[np.float64]:
    """Weights [heads, queries, keys] of a layer on one sentence."""
    seen: dict[int, Tensor] = {}
    with attention_market(model, rules, lambda i, scores, weights: seen.update({i: weights[0]})):
        model(**inputs_of(on_device(inputs, model)))
    found: NDArray[np.float64] = seen[layer].double().cpu().numpy()
    return found

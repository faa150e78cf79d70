"""What every peer is given, what it hands back, and how its ratios are turned into a budget of MACs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from walras.models.architectures import layer_paths
from walras.models.objective import Batch, Objective

TOLERANCE = 0.01  # of the budget
STEPS = 14  # bisections of a ratio: to 1 / 16,384


@final
@dataclass(frozen=True)
class Case:
    """A dense model in evaluation mode on the CPU, and calibration batches with the loss on them."""

    source: str  # folder or hub id of the model
    model: nn.Module
    objective: Objective
    batches: Sequence[Batch]
    length: int  # tokens of the sequence for which MACs are counted


class Peer(ABC):
    """Somebody else's pruner of heads and FFN neurons."""

    name: ClassVar[str]

    @abstractmethod
    def missing(self) -> str:
        """What has to be installed before it runs; empty where it is there."""

    @abstractmethod
    def smaller(self, case: Case, macs: float) -> nn.Module:
        """A physically smaller model of about `macs` multiply-accumulates; the dense one stays what it is."""


def counted_macs(model: nn.Module, length: int) -> float:
    """Multiply-accumulates of the layers for one sequence of `length` tokens, as torch counts them as they run.

    Eager attention is switched on for the count, since fused kernels hide their products. Embeddings and pooler
    lie outside, as in `walras.models.macs`.
    """
    config: Any = model.config
    before = config._attn_implementation
    config._attn_implementation = "eager"
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(input_ids=torch.ones(1, length, dtype=torch.long), attention_mask=torch.ones(1, length))
    finally:
        config._attn_implementation = before
    counts = counter.get_flop_counts()
    return sum(sum(counts[f"{type(model).__name__}.{path}"].values()) for path in layer_paths(model)) / 2


def ratios(macs: Callable[[float, float], float], wanted: float) -> tuple[float, float]:
    """Ratios of heads and of FFN neurons to remove, alike where possible, that leave `wanted` MACs.

    Heads go one at a time, or one in every layer at a time, so that MACs jump: where one ratio for both misses by
    more than 1 %, heads stay at the better side of the jump and FFN neurons make up for the rest.

    Args:
        macs: what is left after removing these shares of heads and FFN neurons; never grows with either.
        wanted: to be left.

    Returns:
        The nearest ratios, whether or not within 1 %; the caller states what was reached.
    """
    both = _bisected(lambda ratio: macs(ratio, ratio), wanted)
    if abs(macs(both, both) - wanted) <= TOLERANCE * wanted:
        return both, both
    return both, _bisected(lambda ratio: macs(both, ratio), wanted)


def _bisected(macs: Callable[[float], float], wanted: float) -> float:
    """The ratio between 0 and 1 that comes nearest, among those tried; a tenth of the tolerance is near enough."""
    low, high, best = 0.0, 1.0, (float("inf"), 0.0)
    for _ in range(STEPS):
        ratio = (low + high) / 2
        left = macs(ratio)
        best = min(best, (abs(left - wanted), ratio))
        if best[0] <= 0.1 * TOLERANCE * wanted:
            break
        low, high = (ratio, high) if left > wanted else (low, ratio)
    return best[1]

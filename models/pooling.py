"""One embedding a text from a transformer without a head."""

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.objective import Batch, inputs_of


def mean_pooled(model: nn.Module, batch: Batch) -> Tensor:
    """Mean of the last hidden states over the tokens that are not padding, scaled to length 1: [rows, d]."""
    outputs = model(**inputs_of(batch))
    hidden: Tensor | None = getattr(outputs, "last_hidden_state", None)
    if hidden is None:
        raise InputError(f"{type(model).__name__} gives no last_hidden_state; this task needs a model without a head")
    return pooled(hidden, batch.get("attention_mask"))


def pooled(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of hidden states [rows, tokens, d] where `mask` [rows, tokens] is not 0, scaled to length 1: [rows, d]."""
    if mask is None:
        return torch.nn.functional.normalize(hidden.mean(1), dim=-1)
    kept = mask.unsqueeze(-1).to(hidden)
    return torch.nn.functional.normalize((hidden * kept).sum(1) / kept.sum(1).clamp(min=1), dim=-1)

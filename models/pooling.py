"""States of an encoder, and one embedding a text or picture of them."""

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import layers_of, transformer
from walras.models.objective import Batch, inputs_of
from walras.models.repair.hooks import Stop, take_from


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


def states(model: nn.Module, batch: Batch) -> Tensor:
    """Last hidden states [rows, tokens, d] of a network's encoder, whatever head or decoder is on it."""
    outputs = transformer(model).base_model(**inputs_of(batch))
    encoder: Tensor | None = getattr(outputs, "encoder_last_hidden_state", None)
    hidden: Tensor = outputs.last_hidden_state if encoder is None else encoder
    return hidden


@torch.no_grad()
def tokens_inside(model: nn.Module, batch: Batch) -> int:
    """Tokens [rows, tokens, d] of a sample of a batch where it enters the lowest layer."""
    found: list[int] = []
    handle = take_from(layers_of(model)[0].module, lambda hidden: found.append(hidden.shape[1]), before=True, stop=True)
    try:
        model(**inputs_of(batch))
    except Stop:
        pass
    finally:
        handle.remove()
    return found[0]


def embedded(model: nn.Module, batch: Batch, pool: str) -> Tensor:
    """Embeddings of length 1, [rows, d]: of the first token (`first`), or the mean of all real ones (`mean`)."""
    hidden = states(model, batch)
    if pool == "first":
        return torch.nn.functional.normalize(hidden[:, 0], dim=-1)
    return pooled(hidden, batch.get("attention_mask"))

"""How far a network's predictions are from those of the dense network that it came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.objective import Batch, Objective, over_tokens
from walras.models.pooling import pooled
from walras.models.repair.streams import inputs

SCALE = 20.0
"""Logits of a network of embeddings are its cosines times this, as sentence-transformers trains them."""


@final
@dataclass(frozen=True, eq=False)
class Distillation(Objective):
    """T^2 KL(dense || now) of the predictions at temperature T (Hinton et al. 2015, arXiv 1503.02531).

    Predictions are the softmax of the outputs' `logits` / T; of a language model's the mean over the tokens that
    are not padding. One output (a regression) has no softmax: it stands for a Gaussian of variance 1, whose divergence
    is half the squared difference.

    A network without logits predicts which text of the batch a text is most like: its logits are the cosines of
    the mean-pooled embeddings, times 20, to the batch's other texts (the in-batch softmax of van den Oord et
    al. 2018, arXiv 1807.03748). These others stand still, so that rows do not touch each other.

    `from_dense` runs the dense network once, on one batch, and must be called where no gates are attached to it.
    """

    target: Tensor  # the dense network's log-probabilities, or its only output
    rows: int = 1
    temperature: float = 2.0
    unit: ClassVar[str] = "nats"
    replays: ClassVar[bool] = True

    @staticmethod
    @torch.no_grad()
    def from_dense(dense: nn.Module, batch: Batch, rows: int = 1, temperature: float = 2.0) -> "Distillation":
        """The objective that has its minimum 0 at what `dense` predicts of `batch`.

        Raises:
            InputError: outputs with neither `logits` nor `last_hidden_state`; a temperature that is not above 0.
        """
        return Distillation.from_outputs(dense(**inputs(dense, batch)), batch.get("attention_mask"), rows, temperature)

    @staticmethod
    @torch.no_grad()
    def from_outputs(outputs: Any, mask: Tensor | None, rows: int = 1, temperature: float = 2.0) -> "Distillation":
        """The same from what a dense network returned; `mask` [rows, tokens] says which tokens are real.

        Raises:
            InputError: as `from_dense`.
        """
        if not 0 < temperature < float("inf"):
            raise InputError(f"temperature is {temperature!r}; it must be a number above 0")
        return Distillation(_predictions(outputs, mask, temperature), rows, temperature)

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over the rows of the batch that `from_dense` was given."""
        del generator
        return self.of(model(**inputs(model, batch)), batch.get("attention_mask"))

    def of(self, outputs: Any, mask: Tensor | None) -> Tensor:
        """The same for what a network returned."""
        now = _predictions(outputs, mask, self.temperature)
        if now.shape != self.target.shape:
            raise InputError(
                f"predictions of shape {tuple(now.shape)} on a batch whose target has {tuple(self.target.shape)}"
            )
        if now.shape[-1] == 1:
            apart = (now - self.target).square().sum(-1) / 2
        else:
            gone = self.target == -torch.inf  # a text's likeness to itself
            difference = (self.target - now).masked_fill(gone, 0.0)
            apart = self.temperature**2 * (self.target.exp() * difference).sum(-1)
        if mask is None or apart.ndim != 2:
            return apart.flatten(1).mean(-1).mean() if apart.ndim > 1 else apart.mean()
        return over_tokens(apart, mask)


def _predictions(outputs: Any, mask: Tensor | None, temperature: float) -> Tensor:
    """Log-probabilities [rows, classes], [rows, tokens, words] or [rows, rows], or an only output [rows, 1]."""
    logits = _found(outputs, "logits")
    if logits is not None:
        logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        return logits if logits.shape[-1] == 1 else (logits / temperature).log_softmax(-1)
    hidden = _found(outputs, "last_hidden_state")
    if hidden is None:
        name = type(outputs).__name__
        raise InputError(
            f"outputs of type {name} have neither logits nor last_hidden_state; there is nothing to distil"
        )
    embedding = pooled(hidden, mask)
    cosine = SCALE * (embedding @ embedding.detach().T) / temperature
    own = torch.eye(len(cosine), dtype=torch.bool, device=cosine.device)
    if len(cosine) == 1:
        return cosine * 0  # nothing to be told from: no divergence
    return cosine.masked_fill(own, -torch.inf).log_softmax(-1)


def _found(outputs: Any, name: str) -> Tensor | None:
    """A field of a model's outputs."""
    field = outputs.get(name) if isinstance(outputs, Mapping) else getattr(outputs, name, None)
    return field if isinstance(field, Tensor) else None

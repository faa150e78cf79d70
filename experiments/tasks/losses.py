"""What is to be kept of a model's outputs when its units leave."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.experiments.tasks.base import on_device
from walras.models.objective import Batch, Objective, inputs_of, over_tokens, squared_distance
from walras.models.pooling import embedded, mean_pooled, states


@final
@dataclass(frozen=True)
class Similarities(Objective):
    """Squared error of a pair's cosine similarity, rows 2i and 2i + 1 being pair i, against its graded score."""

    rows: int = 2
    unit: ClassVar[str] = "squared error of the cosine"
    replays: ClassVar[bool] = True

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over pairs of (cosine - label)^2, labels being scores divided by the best one."""
        del generator
        batch = on_device(batch, model)
        embedding = mean_pooled(model, batch)
        cosine = (embedding[::2] * embedding[1::2]).sum(-1)
        return (cosine - batch["labels"]).square().mean()


@final
@dataclass(frozen=True)
class OwnSimilarities(Objective):
    """Label-free: movement of a pair's cosine similarity, rows 2i and 2i + 1 being pair i."""

    rows: int = 2
    unit: ClassVar[str] = "squared change of the cosine"
    trains: ClassVar[bool] = False

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over pairs; see `squared_distance`."""
        embedding = mean_pooled(model, on_device(batch, model))
        cosine = (embedding[::2] * embedding[1::2]).sum(-1, keepdim=True)
        return squared_distance(cosine, generator)


@final
@dataclass(frozen=True)
class Embeddings(Objective):
    """Label-free: movement of a text's cosine similarities to all texts of its batch, the others standing still."""

    rows: int = 1
    unit: ClassVar[str] = "squared change of the cosines"
    trains: ClassVar[bool] = False

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over texts; see `squared_distance`."""
        embedding = mean_pooled(model, on_device(batch, model))
        return squared_distance(embedding @ embedding.detach().T, generator)


@final
@dataclass(frozen=True)
class PictureEmbeddings(Objective):
    """Label-free: as `Embeddings`, of pictures, whose embedding is the first token or the mean of all."""

    pool: str = "first"
    rows: int = 1
    unit: ClassVar[str] = "squared change of the cosines"
    trains: ClassVar[bool] = False

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over pictures; see `squared_distance`."""
        embedding = embedded(model, on_device(batch, model), self.pool)
        return squared_distance(embedding @ embedding.detach().T, generator)


@final
@dataclass(frozen=True)
class States(Objective):
    """Label-free: movement of an encoder's states, each scaled to length 1; the mean over a sample's real tokens."""

    rows: int = 1
    by_position: bool = True
    unit: ClassVar[str] = "squared change of the states"
    trains: ClassVar[bool] = False

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over samples; see `squared_distance`."""
        batch = on_device(batch, model)
        hidden = nn.functional.normalize(states(model, batch), dim=-1)
        mask = batch.get("attention_mask", torch.ones(hidden.shape[:2], device=hidden.device)).to(hidden)
        weight = (mask / mask.sum(-1, keepdim=True).clamp(min=1)).sqrt()
        return squared_distance((hidden * weight.unsqueeze(-1)).flatten(1), generator)


@final
@dataclass(frozen=True)
class OwnPredictions(Objective):
    """Label-free: cross-entropy against a class or next token drawn from the model's own prediction.

    The squared gradient is in expectation the Fisher information of the predictive distribution (Amari 1998).
    """

    rows: int = 1
    by_position: bool = False
    unit: ClassVar[str] = "nats"
    trains: ClassVar[bool] = False

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over rows of the mean over the row's tokens.

        Raises:
            InputError: predictions that are not finite.
        """
        batch = on_device(batch, model)
        logits: Tensor = model(**inputs_of(batch)).logits.float()
        mask = batch.get("attention_mask") if logits.ndim == 3 else None
        chance = logits.detach().softmax(-1).flatten(0, -2).cpu()
        if not chance.isfinite().all():
            raise InputError(f"{type(model).__name__} predicts what is not finite; look at its weights and inputs")
        target = torch.multinomial(chance, 1, generator=generator).to(logits.device).view(logits.shape[:-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, -2), target.flatten(), reduction="none")
        loss = loss.view(target.shape)
        return loss.mean() if mask is None else over_tokens(loss, mask)


@final
@dataclass(frozen=True)
class NextTokens(Objective):
    """Cross-entropy of the text's own next tokens, for decoders."""

    rows: int = 1
    by_position: bool = True
    unit: ClassVar[str] = "nats a token"
    replays: ClassVar[bool] = True

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over rows of the mean over the row's tokens."""
        del generator
        batch = on_device(batch, model)
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].float()
        target, mask = batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        return over_tokens(loss.view(target.shape), mask)


@final
@dataclass(frozen=True)
class Labels(Objective):
    """Cross-entropy against the task's classes; `order` holds the model's number of each class of the task."""

    order: tuple[int, ...]
    rows: int = 1
    unit: ClassVar[str] = "nats"
    replays: ClassVar[bool] = True

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over rows."""
        del generator
        batch = on_device(batch, model)
        logits: Tensor = model(**inputs_of(batch)).logits
        return nn.functional.cross_entropy(logits.float()[:, list(self.order)], batch["labels"])


@final
@dataclass(frozen=True)
class Values(Objective):
    """Squared error of a head's one output against the row's number."""

    rows: int = 1
    unit: ClassVar[str] = "squared error"
    replays: ClassVar[bool] = True

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over rows, in the square of the label's unit."""
        del generator
        batch = on_device(batch, model)
        logits: Tensor = model(**inputs_of(batch)).logits
        return (logits[:, 0].float() - batch["labels"]).square().mean()


@final
@dataclass(frozen=True)
class OwnValues(Objective):
    """Label-free: movement of a head's one output."""

    rows: int = 1
    unit: ClassVar[str] = "squared change of the output"
    trains: ClassVar[bool] = False

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over rows; see `squared_distance`."""
        batch = on_device(batch, model)
        logits: Tensor = model(**inputs_of(batch)).logits
        return squared_distance(logits.float(), generator)

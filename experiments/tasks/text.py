"""The user's own text, without labels: how well does the smaller model repeat the dense one?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.experiments.tasks.base import Reference, Task, by_length, embed, on_device, tokenized
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.data.text_file import read_lines
from walras.experiments.tasks.losses import Embeddings, NextTokens
from walras.models.loading import Head, is_causal
from walras.models.objective import Batch, Objective

HELD_OUT = 500  # texts at most with which agreement is measured


@final
@dataclass(frozen=True)
class Text(Task):
    """Texts of which half, chosen at random, value the units, and the others (at most 500) measure the agreement.

    Encoders are compared by the cosine of mean-pooled embeddings to the dense model's, decoders by the share of
    next tokens on which the most likely one is the same. Dense scores 1.
    """

    name: str
    calibrating: Sequence[str]
    held_out: Sequence[str]
    metric: str = "agreement with dense"
    head: ClassVar[Head] = "auto"

    def pool(self) -> Sequence[Example]:
        """The texts that are not held out."""
        return [Example(text) for text in self.calibrating]

    @property
    def measured_rows(self) -> int | None:
        """Those that are not calibrated on."""
        return len(self.held_out)

    def parts(self, train: Sequence[Example], held_out: Sequence[Example]) -> "Text":
        """As the interface says."""
        return replace(self, calibrating=[e.first for e in train], held_out=[e.first for e in held_out])

    def first(self, rows: int) -> "Text":
        """As the interface says."""
        return replace(self, held_out=self.held_out[:rows])

    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """The text's next tokens for decoders, the movement of the embeddings for encoders."""
        del label_free  # there are no labels
        return NextTokens() if is_causal(model) else Embeddings()

    def batch(self, tokenizer: Any, examples: Sequence[Example], length: int) -> Batch:
        """One row a text."""
        return tokenized(tokenizer, [e.first for e in examples], None, length)

    def reference(self, model: nn.Module, tokenizer: Any, *, batch_size: int, length: int) -> Reference:
        """The dense model's embeddings [texts, d] or next tokens [tokens]."""
        return self._outputs(model, tokenizer, batch_size, length)

    def evaluate(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> float:
        """Mean cosine, or share of equal next tokens."""
        if reference is None:
            raise InputError("task text is evaluated against the dense model: call `reference` on it first")
        outputs = self._outputs(model, tokenizer, batch_size, length)
        agreement = (outputs == reference).double() if is_causal(model) else (outputs * reference).sum(-1)
        return float(agreement.mean())

    def _outputs(self, model: nn.Module, tokenizer: Any, batch_size: int, length: int) -> Tensor:
        if not is_causal(model):
            return embed(model, tokenizer, self.held_out, batch_size=batch_size, length=length)
        return _next_tokens(model, tokenizer, self.held_out, batch_size, length)


@torch.no_grad()
def _next_tokens(model: nn.Module, tokenizer: Any, texts: Sequence[str], batch_size: int, length: int) -> Tensor:
    """Most likely next token at every position of every text [tokens]."""
    found = []
    for positions in by_length(texts, batch_size):
        batch = on_device(tokenized(tokenizer, [texts[i] for i in positions], None, length), model)
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        found.append(logits.argmax(-1)[batch["attention_mask"].bool()].cpu())
    return torch.cat(found)


def text(data: str | None = None) -> Text:
    """Any text file, one passage a line: label-free, by agreement with the dense model."""
    if data is None:
        raise InputError("task text needs --data FILE: a text file with one passage a line")
    return from_texts(read_lines(data))


def from_texts(texts: Sequence[str]) -> Text:
    """A task of texts that are at hand."""
    if len(texts) < 2:
        raise InputError(f"{len(texts)} text(s); at least two are needed: some value the units, others are held out")
    order = np.random.default_rng(0).permutation(len(texts))
    held_out = order[: min(HELD_OUT, len(texts) // 2)]
    calibrating = order[len(held_out) :]
    return Text("text", [texts[i] for i in calibrating], [texts[i] for i in held_out])

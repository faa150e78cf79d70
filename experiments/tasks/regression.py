"""Numbers to be predicted by a head with one output, on a checkpoint that was fine-tuned for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from torch import nn

from walras.errors import InputError
from walras.experiments.tasks.base import Reference, Task, by_length, on_device, tokenized
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.losses import OwnValues, Values
from walras.models.loading import Head
from walras.models.objective import Batch, Objective, inputs_of


@final
@dataclass(frozen=True)
class Regression(Task):
    """Sentences or pairs with a number; calibrated on one part of the rows, evaluated on the other."""

    name: str
    train: Sequence[Example]
    dev: Sequence[Example]
    metric: str = "spearman"
    head: ClassVar[Head] = "classification"

    def pool(self) -> Sequence[Example]:
        """The rows that calibrate."""
        return self.train

    def labels(self) -> Sequence[str]:
        """One output."""
        return ("value",)

    @property
    def measured_rows(self) -> int | None:
        """Those that are not calibrated on."""
        return len(self.dev)

    def parts(self, train: Sequence[Example], held_out: Sequence[Example]) -> "Regression":
        """As the interface says."""
        return replace(self, train=train, dev=held_out)

    def first(self, rows: int) -> "Regression":
        """As the interface says.

        Raises:
            InputError: all of them have the same number.
        """
        if len({e.label for e in self.dev[:rows]}) < 2:
            raise InputError(f"the first {rows} rows of {self.name} have one label; nothing can be ranked")
        return replace(self, dev=self.dev[:rows])

    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """Squared error of the output, or without labels its movement."""
        check_one_output(model)
        return OwnValues() if label_free else Values()

    def batch(self, tokenizer: Any, examples: Sequence[Example], length: int) -> Batch:
        """One row an example; both sentences of a pair in it."""
        second = None if examples[0].second is None else [str(e.second) for e in examples]
        tensors = tokenized(tokenizer, [e.first for e in examples], second, length)
        return {**tensors, "labels": torch.tensor([float(e.label or 0) for e in examples])}

    def evaluate(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> float:
        """Spearman's rank correlation of outputs and labels; 0 where all outputs are the same."""
        return self.scores(model, tokenizer, reference, batch_size=batch_size, length=length)[self.metric]

    @torch.no_grad()
    def scores(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> dict[str, float]:
        """Spearman's and Pearson's correlation."""
        del reference
        check_one_output(model)
        predicted = np.zeros(len(self.dev))
        for positions in by_length([e.first + str(e.second or "") for e in self.dev], batch_size):
            batch = on_device(self.batch(tokenizer, [self.dev[i] for i in positions], length), model)
            logits = model(**inputs_of(batch)).logits
            predicted[positions] = logits[:, 0].float().cpu().numpy()
        if not np.isfinite(predicted).all():
            raise InputError("the model's outputs are not finite numbers")
        if np.ptp(predicted) == 0:
            return {"spearman": 0.0, "pearson": 0.0}
        label = [float(e.label or 0) for e in self.dev]
        return {
            "spearman": float(spearmanr(predicted, label).statistic),
            "pearson": float(pearsonr(predicted, label).statistic),
        }


def check_one_output(model: nn.Module) -> None:
    """Refuse a model that does not answer with one number.

    Raises:
        InputError: as said.
    """
    config: Any = model.config
    if config.num_labels != 1:
        raise InputError(
            f"the model has {config.num_labels} outputs and the labels are numbers; it needs a head with one "
            "(num_labels=1): fine-tune one, or say kind=classes"
        )

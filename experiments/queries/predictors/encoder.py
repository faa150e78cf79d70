"""A small encoder, fine-tuned to predict thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.queries.predictors.predictor import (
    Column,
    FittedPredictor,
    Prediction,
    Predictor,
    Tell,
    check_tensors,
    prediction,
    targets,
)
from walras.files.record import Record
from walras.market.queries.limits import MOST_TOKENS

_BATCH, _LENGTH = 16, 256
_LOGARITHM = 64.0  # more than that of any number of tokens


@final
@dataclass(frozen=True)
class Encoder(Predictor):
    """A small transformer is fine-tuned: a linear map of its mean-pooled embedding gives tokens and chances.

    The map has two outputs, a logarithm of tokens and the logit of the chance, trained together: Huber's loss on
    log(1 + threshold) of solved problems, cross-entropy on whether a problem is solved. AdamW, 10 % linear warm-up,
    then linear decay to 0. `model` is a folder or hub id; all-MiniLM-L6-v2 where none is given.
    """

    model: str | None = None
    epochs: int = 3
    rate: float = 5e-5
    seed: int = 0
    device: str = "auto"
    name: ClassVar[str] = "encoder"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"epochs is {self.epochs}; it must be a number of passes, 1 or more")
        if not 0 < self.rate < float("inf"):
            raise InputError(f"rate is {self.rate}; it must be a number above 0")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {shown(self.seed)}; it must be a whole number from 0 to {2**63 - 1}")

    def fit(
        self, texts: Sequence[str], threshold: Column, cap: float, tell: Tell = lambda done, steps: None
    ) -> "FittedEncoder":
        """Train for `epochs` at `rate` from `model`; batches are drawn with `seed`."""
        from walras.models.loading import DEFAULT_MODEL  # here: a ridge needs no transformer

        logarithm, solved = targets(threshold, cap)
        fitted = FittedEncoder(self.model or DEFAULT_MODEL, cap, self.device)
        fitted.mean, fitted.scale = float(logarithm.mean()), float(logarithm.std()) or 1.0
        goals = np.full((len(texts), 2), np.nan)
        goals[solved, 0], goals[:, 1] = (logarithm - fitted.mean) / fitted.scale, solved
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            fitted.head.reset_parameters()
            self._train(fitted, texts, goals, tell)
        return fitted

    def _train(self, fitted: "FittedEncoder", texts: Sequence[str], goals: Column, tell: Tell) -> None:
        parameters = [*fitted.body.parameters(), *fitted.head.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=self.rate, weight_decay=0.01)
        random, steps = np.random.default_rng(self.seed), self.epochs * -(-len(texts) // _BATCH)
        warm = max(steps // 10, 1)
        plan = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / warm, (steps - s) / steps))
        fitted.body.train()
        done = 0
        for _ in range(self.epochs):
            order = random.permutation(len(texts))
            for start in range(0, len(texts), _BATCH):
                chosen = order[start : start + _BATCH]
                goal = torch.tensor(goals[chosen], dtype=torch.float32, device=fitted.head.weight.device)
                loss = _loss(fitted.forward([texts[i] for i in chosen]), goal)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                plan.step()
                done += 1
                tell(done, steps)
        fitted.body.eval()

    @staticmethod
    def restore(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> "FittedEncoder":
        """As the interface says."""
        told = Record(settings, "settings")
        mean, scale = told.number("mean", -_LOGARITHM, _LOGARITHM), told.number("scale", 1e-12, _LOGARITHM)
        fitted = FittedEncoder(told.text("model"), told.number("cap", 1.0, MOST_TOKENS))
        fitted.mean, fitted.scale = mean, scale
        check_tensors(tensors, {name: tensor.shape for name, tensor in fitted.state()[0].items()})
        for part, module in (("body.", fitted.body), ("head.", fitted.head)):
            module.load_state_dict({k[len(part) :]: v for k, v in tensors.items() if k.startswith(part)})
        return fitted


@final
class FittedEncoder(FittedPredictor):
    """An encoder with its two outputs. The state holds its weights; configuration and tokenizer come from `model`."""

    name: ClassVar[str] = Encoder.name

    def __init__(self, model: str, cap: float, device: str = "auto") -> None:
        from walras.models.loading import load

        self.model_name, self.cap = model, float(cap)
        self.body, self.tokenizer = load(model, device=device)
        width = int(self.body.config.hidden_size)  # type: ignore[arg-type, union-attr]  # a module's attributes are untyped
        self.head = nn.Linear(width, 2).to(next(self.body.parameters()).device)
        self.mean, self.scale = 0.0, 1.0

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Scaled logarithm and logit [n, 2]."""
        from walras.models.pooling import mean_pooled

        batch = self.tokenizer(list(texts), truncation=True, max_length=_LENGTH, padding=True, return_tensors="pt")
        device = self.head.weight.device
        both: Tensor = self.head(mean_pooled(self.body, {k: v.to(device) for k, v in batch.items()}))
        return both

    @torch.no_grad()
    def predict(self, texts: Sequence[str]) -> Prediction:
        """As the interface says."""
        parts = [self.forward(texts[i : i + _BATCH]).double().cpu() for i in range(0, len(texts), _BATCH)]
        length, logit = (torch.cat(parts) if parts else torch.zeros(0, 2)).unbind(-1)
        return prediction(length.numpy() * self.scale + self.mean, logit.sigmoid().numpy(), self.cap)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As the interface says."""
        tensors = {f"body.{k}": v.detach().cpu().contiguous() for k, v in self.body.state_dict().items()}
        tensors |= {f"head.{k}": v.detach().cpu() for k, v in self.head.state_dict().items()}
        return tensors, {"model": self.model_name, "cap": self.cap, "mean": self.mean, "scale": self.scale}


def _loss(answers: Tensor, goal: Tensor) -> Tensor:
    """The two losses of `Encoder`, of answers and goals [n, 2]."""
    length, logit = answers.unbind(-1)
    solved = goal[:, 1] > 0
    loss = nn.functional.binary_cross_entropy_with_logits(logit, goal[:, 1])
    return loss + nn.functional.huber_loss(length[solved], goal[solved, 0]) if solved.any() else loss

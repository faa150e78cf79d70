"""A small encoder, fine-tuned to predict thresholds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from walras.experiments.queries.predictors.predictor import Column, Prediction, Predictor, prediction, targets
from walras.models.loading import DEFAULT_MODEL, load
from walras.models.pooling import mean_pooled

_BATCH, _LENGTH = 16, 256
Tell = Callable[[int, int], object]


@final
class Encoder(Predictor):
    """A linear map of an encoder's mean-pooled embedding to a logarithm of tokens and to the logit of the chance.

    Both are trained together: Huber's loss on log(1 + threshold) of solved problems, cross-entropy on whether solved.

    AdamW, 10 % linear warm-up, then linear decay to 0. The saved state holds the encoder's weights; its configuration
    and tokenizer come from `model` again.
    """

    name: ClassVar[str] = "encoder"

    def __init__(self, model: str, cap: float, device: str = "auto") -> None:
        self.model_name, self.cap = model, float(cap)
        self.body, self.tokenizer = load(model, device=device)
        width = int(self.body.config.hidden_size)  # type: ignore[arg-type, union-attr]  # a module's attributes are untyped
        self.head = nn.Linear(width, 2).to(next(self.body.parameters()).device)
        self.mean, self.scale = 0.0, 1.0

    @classmethod
    def fit(cls, texts: Sequence[str], threshold: Column, cap: float, **settings: Any) -> "Encoder":
        """Train for `epochs` (3) at `rate` (5e-5) from `model` with a `seed` (0); `tell` hears of every step."""
        logarithm, solved = targets(threshold, cap)
        seed, epochs, rate = int(settings.get("seed", 0)), int(settings.get("epochs", 3)), settings.get("rate", 5e-5)
        tell: Tell = settings.get("tell", lambda step, steps: None)
        found = cls(settings.get("model", DEFAULT_MODEL), cap, settings.get("device", "auto"))
        found.mean, found.scale = float(logarithm.mean()), float(logarithm.std()) or 1.0
        goals = np.full((len(texts), 2), np.nan)
        goals[solved, 0], goals[:, 1] = (logarithm - found.mean) / found.scale, solved
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            found.head.reset_parameters()
            found._train(texts, goals, epochs, float(rate), seed, tell)
        return found

    def _train(
        self,
        texts: Sequence[str],
        goals: Column,
        epochs: int,
        rate: float,
        seed: int,
        tell: Callable[[int, int], object],
    ) -> None:
        parameters = [*self.body.parameters(), *self.head.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
        random, steps = np.random.default_rng(seed), epochs * -(-len(texts) // _BATCH)
        warm = max(steps // 10, 1)
        plan = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / warm, (steps - s) / steps))
        self.body.train()
        done = 0
        for _ in range(epochs):
            order = random.permutation(len(texts))
            for start in range(0, len(texts), _BATCH):
                chosen = order[start : start + _BATCH]
                goal = torch.tensor(goals[chosen], dtype=torch.float32, device=self.head.weight.device)
                length, logit = self._forward([texts[i] for i in chosen]).unbind(-1)
                solved = goal[:, 1] > 0
                loss = nn.functional.binary_cross_entropy_with_logits(logit, goal[:, 1])
                if solved.any():
                    loss = loss + nn.functional.huber_loss(length[solved], goal[solved, 0])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                plan.step()
                done += 1
                tell(done, steps)
        self.body.eval()

    def _forward(self, texts: Sequence[str]) -> Tensor:
        batch = self.tokenizer(list(texts), truncation=True, max_length=_LENGTH, padding=True, return_tensors="pt")
        device = self.head.weight.device
        found: Tensor = self.head(mean_pooled(self.body, {k: v.to(device) for k, v in batch.items()}))
        return found

    @torch.no_grad()
    def predict(self, texts: Sequence[str]) -> Prediction:
        """As the interface says."""
        parts = [self._forward(texts[i : i + _BATCH]).double().cpu() for i in range(0, len(texts), _BATCH)]
        length, logit = (torch.cat(parts) if parts else torch.zeros(0, 2)).unbind(-1)
        return prediction(length.numpy() * self.scale + self.mean, logit.sigmoid().numpy(), self.cap)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As the interface says."""
        tensors = {f"body.{k}": v.detach().cpu().contiguous() for k, v in self.body.state_dict().items()}
        tensors |= {f"head.{k}": v.detach().cpu() for k, v in self.head.state_dict().items()}
        return tensors, {"model": self.model_name, "cap": self.cap, "mean": self.mean, "scale": self.scale}

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> "Encoder":
        """As the interface says."""
        found = cls(str(settings["model"]), float(settings["cap"]))
        found.mean, found.scale = float(settings["mean"]), float(settings["scale"])
        found.body.load_state_dict({k[5:]: v for k, v in tensors.items() if k.startswith("body.")})
        found.head.load_state_dict({k[5:]: v for k, v in tensors.items() if k.startswith("head.")})
        return found

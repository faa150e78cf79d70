"""The training loop: a price in the loss, units settled on the way, checkpoints from which it goes on bit by bit."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor, nn

from walras.agents import Calibration, Valuation
from walras.errors import TrainingError
from walras.experiments.training.checkpoint import (
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.economy import Economy, Step
from walras.experiments.training.moments import Moments
from walras.experiments.training.rows import Batches
from walras.market.pricing import Cleared
from walras.models import Inventory, compact, gated
from walras.models.distillation import Distillation
from walras.models.objective import Batch, Objective
from walras.models.repair.repair import ModelPair, Repair
from walras.models.resources.activation_cost import ActivationCost
from walras.models.units.folding import fold

if TYPE_CHECKING:
    from accelerate import Accelerator

Judge = Callable[[nn.Module], float]
CLIP = 1.0  # norm of the weights' gradient at most
LANDING = 0.3  # of the priced training, in which gates come to rest: prices fall on a target that no longer moves


@final
@dataclass
class TrainerState:
    """How far training has come; what a checkpoint holds beside tensors."""

    step: int = 0
    settled: bool = False
    best: float = -np.inf
    without_gain: int = 0
    log: list[dict[str, float]] = field(default_factory=list)  # a row a step
    judged: list[dict[str, float]] = field(default_factory=list)  # a row an evaluation on held-out rows


@final
@dataclass
class Trainer:
    """Trains `model` in place until units settle, then the smaller copy that is left of it.

    `economy` is None where no price is paid; `activations` prices activations instead of gates. With a `valuation`
    and a pricing of the kind, a market clears on `calibration` now and then. `repair` follows whenever units have left.
    """

    accelerator: "Accelerator"
    config: TrainConfig
    model: nn.Module
    units: Inventory
    objective: Objective
    batches: Batches
    judge: Judge
    economy: Economy | None = None
    activations: ActivationCost | None = None
    teacher: nn.Module | None = None
    valuation: Valuation | None = None
    calibration: Calibration | None = None
    repair: Repair | None = None
    folder: Path | None = None
    tell: Callable[[int, str], None] = lambda step, text: None
    now: TrainerState = field(default_factory=TrainerState)
    keep: Tensor | None = None

    def __post_init__(self) -> None:
        self.steps = self.config.epochs * self.batches.epoch
        priced = self.economy is not None
        self.settles = max(round(self.config.priced * self.steps), 1) if priced else 0
        self.every = max(self.batches.epoch // 2, 1)
        self.best: dict[str, Tensor] = {}
        self._equip()

    def fit(self) -> nn.Module:
        """Train to the end, or until there is no gain any more; the network with the best weights comes back.

        Raises:
            TrainingError: a loss that is not finite; the last good checkpoint stays.
        """
        while self.now.step < self.steps and self.now.without_gain < self.config.patience:
            if self.economy is not None and not self.now.settled and self.now.step >= self.settles:
                self._settle()
            self._step()
            self.now.step += 1
            final = self.now.step == self.steps
            if (self.economy is None or self.now.settled) and (final or self.now.step % self.every == 0):
                self._judge()
            if final:
                self.save()
        if self.economy is not None and not self.now.settled:
            self._settle()
            self._judge()
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(self.best[name])
        return self.model.eval()

    def _equip(self) -> None:
        """A fresh optimizer for the weights and gates that are there now; the rate follows the step."""
        no_decay = [p for p in self.model.parameters() if p.ndim < 2]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.model.parameters() if p.ndim >= 2], "weight_decay": self.config.decay},
            {"params": no_decay, "weight_decay": 0.0},
        ]
        for group in groups:
            group |= {"peak": self.config.rate, "falls": True}
        if self.economy is not None and not self.now.settled:
            gates = list(self.economy.gates.parameters())
            groups.append(
                {"params": gates, "weight_decay": 0.0, "peak": self.config.travel / self.settles, "falls": False}
            )
        groups = [group for group in groups if group["params"]]
        self.accelerator.free_memory()  # it would hold the former optimizer, and the weights before units were cut out
        self.optimizer = self.accelerator.prepare(torch.optim.AdamW(groups, lr=self.config.rate, fused=True))
        self.trained = [p for group in groups for p in group["params"]]

    def _step(self) -> None:
        started = time.perf_counter()
        step, economy = self.now.step, None if self.now.settled else self.economy
        seed = (self.config.seed * 1_000_003 + step) % 2**63
        generator = torch.Generator().manual_seed(seed)  # the same gates in every process
        torch.manual_seed(seed * 64 + self.accelerator.process_index)  # dropout
        at = min(step / self.settles, 1.0) if self.settles else 0.0
        if economy is not None:
            self._clear(economy, at, torch.Generator().manual_seed(seed))
        self.model.train()
        batch = {k: v.to(self.accelerator.device) for k, v in self.batches.at(step).items()}
        priced = None if economy is None or self.activations is not None else economy.step(at)
        gates: AbstractContextManager[object] = nullcontext()
        if economy is not None and priced is not None:
            gates = gated(self.model, self.units, economy.gates.sample(priced.logits, generator))
        with gates, self.accelerator.autocast():
            with self.activations.measured(self.model) if self.activations else nullcontext() as measured:
                loss = self.objective(self.model, batch, generator)
            total = loss + self._distilled(batch, generator)
            cost = priced.cost if priced is not None else measured(batch) if measured is not None else None
            if economy is not None and cost is not None:
                total = total + economy.pricing.penalty(cost, at)
            if not torch.isfinite(total.detach()):
                raise TrainingError(self._lost(f"the loss is {float(total.detach())}"))
            if step and step % self.config.save_every == 0:
                self.save()  # of weights whose loss is known to be finite
            self.accelerator.backward(total)
        self._average()
        self.accelerator.clip_grad_norm_(self.model.parameters(), CLIP)
        slope = self._slope(priced)
        self._rate(step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        row = {"step": float(step), "loss": float(loss.detach()), "seconds": time.perf_counter() - started}
        if economy is not None and cost is not None:
            spent = float(cost.detach())
            economy.pricing = economy.pricing.after(spent, at, slope)
            row |= {"cost": spent, "price": economy.pricing.price}
        self.now.log.append(row)
        share = f", {row['cost']:.1%} used at price {row['price']:.3g}" if "cost" in row else ""
        self.tell(step + 1, f"Step {step + 1}: loss {row['loss']:.3g}{share}")

    def _slope(self, priced: Step | None) -> float | None:
        """Slope of the loss in the supply, the mean of all processes', where the pricing has one and it is a number."""
        if priced is None or priced.left.grad is None:
            return None
        scaler = self.accelerator.scaler
        mean: Tensor = self.accelerator.reduce(priced.left.grad.detach().clone(), reduction="mean")
        slope = float(mean) / (1.0 if scaler is None else scaler.get_scale())
        return slope if np.isfinite(slope) else None  # mixed precision skips a step that overflows

    def _lost(self, what: str) -> str:
        last = sorted((self.folder / "checkpoint").glob("step-*")) if self.folder else []
        left = f"the last good checkpoint is {last[-1]}" if last else "no checkpoint had been written"
        return f"{what} at step {self.now.step} of {self.steps}; {left}. Try a smaller --rate"

    def _distilled(self, batch: Batch, generator: torch.Generator) -> Tensor | float:
        """The weighted divergence from the dense network's predictions, where that is wanted."""
        if self.teacher is None:
            return 0.0
        dense = Distillation.of(self.teacher, batch, self.objective.rows)
        return self.config.distil * dense(self.model, batch, generator)

    def _average(self) -> None:
        """The mean of all processes' gradients; one message. What has none in one process has none in any."""
        if self.accelerator.num_processes == 1:
            return
        own = [p.grad for p in self.trained if p.grad is not None]
        joined = self.accelerator.reduce(torch.cat([g.flatten() for g in own]), reduction="mean")
        for gradient, part in zip(own, joined.split([g.numel() for g in own]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def _rate(self, step: int) -> None:
        """Up linearly in the warm-up, then down to 0; gates keep theirs until the last part of the priced training."""
        warm = max(round(self.config.warmup * self.steps), 1)
        weights = min((step + 1) / warm, (self.steps - step) / max(self.steps - warm, 1), 1.0)
        own = max(round(self.config.warmup * self.settles), 1)
        gates = min((step + 1) / own, (1 - step / max(self.settles, 1)) / LANDING, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * (weights if group["falls"] else gates)

    def _clear(self, economy: Economy, at: float, generator: torch.Generator) -> None:
        """The rounds of the market that are due: values of those that are still there, a clearing; losers leave."""
        if not isinstance(economy.pricing, Cleared):
            return
        assert self.valuation is not None
        assert self.calibration is not None
        while economy.pricing.due(at):
            open_ = (economy.gates.fixed != 0).to(economy.gates.logits)
            economy.clear(self.valuation(self.calibration, open_, generator))
            self._mend(economy.gates.fixed != 0)

    def _settle(self) -> None:
        """Cut units out that do not stay, with the gates of the others in their weights."""
        assert self.economy is not None
        self._clear(self.economy, 1.0, torch.Generator().manual_seed(self.config.seed))
        if self.activations is None:
            self.keep, gates = self.economy.settle(self.config.budget)
            moments = Moments.kept(self.optimizer, self.model, self.units, self.keep, gates)
            fold(self.model, self.units, gates)
            if bool(((self.economy.gates.fixed != 0) & ~self.keep).any()):  # else those who left have been made good
                self._mend(self.keep)
        else:
            self.keep = torch.ones(len(self.units), dtype=torch.bool)
            moments = Moments.kept(self.optimizer, self.model, self.units, self.keep, torch.ones(len(self.units)))
        self._shrink()
        moments.give(self.optimizer, self.model)

    def _mend(self, keep: Tensor) -> None:
        """Re-fit what those that stay write to what the dense network wrote, where that is wanted."""
        if self.repair is not None and self.calibration is not None and not bool(keep.all()):
            self.model.eval()
            dense, batches = self.calibration.dense, self.calibration.batches
            with ModelPair.of(self.model, dense, self.units, batches) as twins:
                self.repair(twins, keep.cpu().numpy())

    def _shrink(self) -> None:
        assert self.keep is not None
        self.model = compact(self.model, self.units, self.keep.cpu())
        self.now.settled = True
        self._equip()

    def _judge(self) -> None:
        """Evaluate on held-out rows, and keep the weights where they are the best so far."""
        self.model.eval()
        if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
            raise TrainingError(self._lost("a weight is no number"))
        value = self.judge(self.model)
        value = -np.inf if np.isnan(value) else value  # a correlation with labels that are all alike
        self.now.judged.append({"step": float(self.now.step), "value": value})
        self.now.without_gain += 1
        if value > self.now.best or not self.best:
            self.now.best, self.now.without_gain = value, 0
            self.best = {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def save(self) -> None:
        """Write a checkpoint, where there is a folder; one process does."""
        if self.folder is None or not self.accelerator.is_main_process:
            return
        tensors: dict[str, Mapping[str, Tensor]] = {
            "model": dict(self.model.named_parameters()),
            "best": self.best,
            "optimizer": optimizer_tensors(self.optimizer),
            "economy": {} if self.economy is None else dict(self.economy.gates.state_dict()),
            "keep": {} if self.keep is None else {"keep": self.keep},
        }
        pricing = None if self.economy is None else self.economy.pricing.state()
        scaler = None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict()
        state = {"now": vars(self.now), "pricing": pricing, "scaler": scaler}
        save_checkpoint(self.folder / "checkpoint", self.now.step, tensors, state)

    @torch.no_grad()
    def resume(self) -> bool:
        """Go back to the newest checkpoint; False where there is none."""
        found = None if self.folder is None else read_checkpoint(self.folder / "checkpoint")
        if found is None:
            return False
        groups, state = found
        self.now = TrainerState(**state["now"])
        if self.economy is not None:
            self.economy.gates.load_state_dict(groups["economy"])
            self.economy.pricing = self.economy.pricing.restored(state["pricing"])
        if groups["keep"]:
            self.keep = groups["keep"]["keep"]
            self._shrink()
        for name, parameter in self.model.named_parameters():
            parameter.copy_(groups["model"][name])
        self.best = {k: v.to(self.accelerator.device) for k, v in groups["best"].items()}
        restore_optimizer(self.optimizer, groups["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return True

"""The training loop: a price in the loss, units settled on the way, checkpoints from which it resumes bit by bit."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor, nn

from walras.agents import Calibration, Valuation
from walras.errors import TrainingError
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop.rates import weights_factor
from walras.experiments.training.loop.rows import Batches
from walras.experiments.training.loop.state import TrainerState, save
from walras.experiments.training.price.economy import Economy, Step
from walras.experiments.training.price.gate_rates import gates_factor
from walras.experiments.training.price.moments import Moments
from walras.market.pricing import Cleared
from walras.models import Inventory, compact, gated
from walras.models.distillation import Distillation
from walras.models.objective import Batch, Objective
from walras.models.repair.repair import ModelPair, Repair
from walras.models.resources.activation_cost import ActivationCost
from walras.models.units.weights import fold

if TYPE_CHECKING:
    from accelerate import Accelerator

EvalFn = Callable[[nn.Module], float]
CLIP = 1.0  # norm of the weights' gradient at most


@final
@dataclass
class Trainer:
    """Trains `model` in place until units settle, then the smaller copy that is left of it.

    Attributes:
        accelerator: processes, device and precision.
        config: settings.
        model: the network.
        units: its units.
        objective: the task's loss.
        batches: training rows by step.
        eval_fn: the figure, more being better, by which the best weights are chosen.
        economy: gates and their price; None where no price is paid.
        activations: what is priced instead of gates, where activations are.
        teacher: the dense network, whose predictions are distilled.
        valuation: of the market that clears now and then, where the pricing is one that clears.
        calibration: on which units are valued.
        repair: follows whenever units have left.
        folder: of the run, for checkpoints.
        tell: is told of every step.
        state: how far training has come.
        keep: units that stay, bool [n], once they have settled.
    """

    accelerator: "Accelerator"
    config: TrainConfig
    model: nn.Module
    units: Inventory
    objective: Objective
    batches: Batches
    eval_fn: EvalFn
    economy: Economy | None = None
    activations: ActivationCost | None = None
    teacher: nn.Module | None = None
    valuation: Valuation | None = None
    calibration: Calibration | None = None
    repair: Repair | None = None
    folder: Path | None = None
    tell: Callable[[int, str], None] = lambda step, text: None
    state: TrainerState = field(default_factory=TrainerState)
    keep: Tensor | None = None

    def __post_init__(self) -> None:
        self.steps = self.config.optimiser.epochs * self.batches.epoch
        priced = self.economy is not None
        self.settles = max(round(self.config.economy.priced * self.steps), 1) if priced else 0
        self.every = max(self.batches.epoch // 2, 1)
        self.best: dict[str, Tensor] = {}
        self._equip()

    def fit(self) -> nn.Module:
        """Train to the end, or until there is no gain any more; the network with the best weights comes back.

        Raises:
            TrainingError: a loss that is not finite; the last good checkpoint stays.
        """
        while self.state.step < self.steps and self.state.without_gain < self.config.rows.patience:
            if self.economy is not None and not self.state.settled and self.state.step >= self.settles:
                self._settle()
            self._step()
            self.state.step += 1
            final = self.state.step == self.steps
            if (self.economy is None or self.state.settled) and (final or self.state.step % self.every == 0):
                self._evaluate()
            if final:
                save(self)
        if self.economy is not None and not self.state.settled:
            self._settle()
            self._evaluate()
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(self.best[name])
        return self.model.eval()

    def _equip(self) -> None:
        """A fresh optimizer for the weights and gates that are there now; the rate follows the step."""
        groups = [group for group in self._groups() if group["params"]]
        self.accelerator.free_memory()  # it would hold the former optimizer, and the weights before units were cut out
        self.optimizer = self.accelerator.prepare(torch.optim.AdamW(groups, lr=self.config.optimiser.rate, fused=True))
        self.trained = [p for group in groups for p in group["params"]]

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters in groups: with weight decay, without, and gates, whose rate stands but for its two ends."""
        own, every = self.config.optimiser, [*self.model.parameters()]
        decayed, others = [p for p in every if p.ndim >= 2], [p for p in every if p.ndim < 2]
        groups = [
            {"params": decayed, "weight_decay": own.decay, "peak": own.rate, "falls": True},
            {"params": others, "weight_decay": 0.0, "peak": own.rate, "falls": True},
        ]
        if self.economy is not None and not self.state.settled:
            gates, peak = list(self.economy.gates.parameters()), self.config.economy.gate_logit_range / self.settles
            groups.append({"params": gates, "weight_decay": 0.0, "peak": peak, "falls": False})
        return groups

    def _step(self) -> None:
        started = time.perf_counter()
        step, economy = self.state.step, None if self.state.settled else self.economy
        seed = (self.config.seed * 1_000_003 + step) % 2**63
        generator = torch.Generator().manual_seed(seed)  # the same gates in every process
        torch.manual_seed(seed * 64 + self.accelerator.process_index)  # dropout
        at = min(step / self.settles, 1.0) if self.settles else 0.0
        if economy is not None:
            self._clear(economy, at, torch.Generator().manual_seed(seed))
        priced = None if economy is None or self.activations is not None else economy.step(at)
        loss, cost = self._backward(economy, priced, at, generator)
        self._average()
        self.accelerator.clip_grad_norm_(self.model.parameters(), CLIP)
        slope = self._slope(priced)
        self._set_rates(step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        row = {"step": float(step), "loss": loss, "seconds": time.perf_counter() - started}
        if economy is not None and cost is not None:
            economy.pricing = economy.pricing.after(cost, at, slope)
            row |= {"cost": cost, "price": economy.pricing.price}
        self.state.log.append(row)
        share = f", {row['cost']:.1%} used at price {row['price']:.3g}" if "cost" in row else ""
        self.tell(step + 1, f"Step {step + 1}: loss {row['loss']:.3g}{share}")

    def _backward(
        self, economy: Economy | None, priced: Step | None, at: float, generator: torch.Generator
    ) -> tuple[float, float | None]:
        """Gradients of the loss and its price on the step's batch; the task's loss and, where priced, the cost.

        Raises:
            TrainingError: a loss that is not finite.
        """
        self.model.train()
        step = self.state.step
        batch = {k: v.to(self.accelerator.device) for k, v in self.batches.at(step).items()}
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
            if step and step % self.config.rows.save_every == 0:
                save(self)  # of weights whose loss is known to be finite
            self.accelerator.backward(total)
        return float(loss.detach()), None if cost is None else float(cost.detach())

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
        return f"{what} at step {self.state.step} of {self.steps}; {left}. Try a smaller --rate"

    def _distilled(self, batch: Batch, generator: torch.Generator) -> Tensor | float:
        """The weighted divergence from the dense network's predictions, where that is wanted."""
        if self.teacher is None:
            return 0.0
        dense = Distillation.from_dense(self.teacher, batch, self.objective.rows)
        return self.config.optimiser.distil * dense(self.model, batch, generator)

    def _average(self) -> None:
        """The mean of all processes' gradients; one message. What has none in one process has none in any."""
        if self.accelerator.num_processes == 1:
            return
        own = [p.grad for p in self.trained if p.grad is not None]
        joined = self.accelerator.reduce(torch.cat([g.flatten() for g in own]), reduction="mean")
        for gradient, part in zip(own, joined.split([g.numel() for g in own]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def _set_rates(self, step: int) -> None:
        """The rate of every group of parameters in a step."""
        warmup = self.config.optimiser.warmup
        weights = weights_factor(step, self.steps, warmup)
        gates = gates_factor(step, self.settles, warmup)
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
            self._repair_weights(economy.gates.fixed != 0)

    def _settle(self) -> None:
        """Cut units out that do not stay, with the gates of the others in their weights."""
        assert self.economy is not None
        self._clear(self.economy, 1.0, torch.Generator().manual_seed(self.config.seed))
        if self.activations is None:
            self.keep, gates = self.economy.settle(self.config.budget)
            moments = Moments.kept(self.optimizer, self.model, self.units, self.keep, gates)
            fold(self.model, self.units, gates)
            if bool(((self.economy.gates.fixed != 0) & ~self.keep).any()):  # else those who left have been made good
                self._repair_weights(self.keep)
        else:
            self.keep = torch.ones(len(self.units), dtype=torch.bool)
            moments = Moments.kept(self.optimizer, self.model, self.units, self.keep, torch.ones(len(self.units)))
        self.shrink()
        moments.give(self.optimizer, self.model)

    def _repair_weights(self, keep: Tensor) -> None:
        """Re-fit what those that stay write to what the dense network wrote, where that is wanted."""
        if self.repair is not None and self.calibration is not None and not bool(keep.all()):
            self.model.eval()
            dense, batches = self.calibration.dense, self.calibration.batches
            with ModelPair.from_models(self.model, dense, self.units, batches) as pair:
                self.repair(pair, keep.cpu().numpy())

    def shrink(self) -> None:
        """Go on with the smaller copy that is left of the network, and a fresh optimizer."""
        assert self.keep is not None
        self.model = compact(self.model, self.units, self.keep.cpu())
        self.state.settled = True
        self._equip()

    def _evaluate(self) -> None:
        """Evaluate on held-out rows, and keep the weights where they are the best so far."""
        self.model.eval()
        if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
            raise TrainingError(self._lost("a weight is no number"))
        value = self.eval_fn(self.model)
        value = -np.inf if np.isnan(value) else value  # a correlation with labels that are all alike
        self.state.evaluations.append({"step": float(self.state.step), "value": value})
        self.state.without_gain += 1
        if value > self.state.best or not self.best:
            self.state.best, self.state.without_gain = value, 0
            self.best = {name: p.detach().clone() for name, p in self.model.named_parameters()}

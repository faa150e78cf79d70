"""Training of a mixture of experts under a routing rule, which goes on from its last checkpoint."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError
from walras.experiments.benchmarks.experts.checkpoint import (
    newest_checkpoint,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from walras.experiments.benchmarks.kept_rows import write_rows
from walras.experiments.progress import Progress
from walras.models.routing import ROUTING_RULES, Allotment, Load, Routers, routing_market

if TYPE_CHECKING:
    from walras.experiments.benchmarks.experts.small_mixture import Start

RATE, WARMUP, DECAY, CLIP, SAVE = 1e-3, 0.05, 0.1, 1.0, 25
"""AdamW's peak rate, warm-up and weight decay; the norm to which gradients are clipped; steps between checkpoints."""


@final
@dataclass(frozen=True)
class Plan:
    """How to train: under which rule, with how much of the auxiliary loss of Switch Transformers, for how long."""

    folder: Path
    rule: str
    auxiliary: float
    steps: int
    batch: int = 8  # blocks of a step
    seed: int = 0

    @property
    def told(self) -> dict[str, Any]:
        """What a checkpoint must agree on."""
        return {name: value for name, value in vars(self).items() if name != "folder"}


def train_mixture(start: "Start", plan: Plan, progress: Progress) -> Any:
    """The trained network; rows of all steps are in `training.jsonl`.

    Raises:
        InputError: a checkpoint of another plan; a loss that is no number.
    """
    model = start.network().train()
    model.config.output_router_logits = plan.auxiliary > 0
    model.config.router_aux_loss_coef = model.router_aux_loss_coef = plan.auxiliary
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, betas=(0.9, 0.95))
    rows, learned = _restored(model, optimizer, plan)
    rules = _rules(plan.rule, learned, sum(layer.mlp is not None for layer in model.model.layers))
    step = progress.add_task(f"Training, {plan.rule}", total=plan.steps)
    progress.update(step, completed=len(rows))
    loads: dict[int, tuple[Load, Tensor | None]] = {}
    with routing_market(model, rules, lambda layer, _, found: loads.update({layer: _counted(found)})) as routers:
        for now in range(len(rows), plan.steps):
            begun = time.perf_counter()
            optimizer.param_groups[0]["lr"] = _rate(now, plan.steps)
            ids = batch_of(start.blocks, plan.batch, plan.seed, now)
            found = model(input_ids=ids, labels=ids)
            if not torch.isfinite(found.loss):
                raise InputError(f"the loss of step {now} under {plan.rule} is {float(found.loss)}")
            optimizer.zero_grad()
            found.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            routers.learn()
            balance = float(found.aux_loss.detach()) if plan.auxiliary else 0.0
            loss = float(found.loss.detach()) - plan.auxiliary * balance
            rows.append({"step": now, "loss": loss, "seconds": time.perf_counter() - begun, **_told(loads)})
            if (now + 1) % SAVE == 0 or now + 1 == plan.steps:
                _save(model, optimizer, routers, rows, plan)
                progress.update(step, completed=now + 1, description=f"{plan.rule}, step {now + 1}: loss {loss:.3f}")
    model.config.output_router_logits = False
    return model.eval()


def batch_of(blocks: Tensor, batch: int, seed: int, step: int) -> Tensor:
    """The blocks of a step, [batch, length]: an order that the seed fixes, anew in every epoch."""
    each = len(blocks) // batch
    epoch, place = divmod(step, each)
    order = np.random.default_rng([seed, epoch]).permutation(len(blocks))
    return blocks[torch.from_numpy(order[place * batch : (place + 1) * batch])]


def rules_of(plan_rule: str, folder: Path, layers: int) -> list[Any]:
    """The rules at the end of a training: with what they had learned."""
    place = newest_checkpoint(folder / "checkpoint")
    if place is None:
        raise InputError(f"{str(folder)!r} holds no checkpoint of a mixture")
    return _rules(plan_rule, read_checkpoint(place)[0].get("learned", {}), layers)


def _rules(name: str, learned: Mapping[str, Tensor], layers: int) -> list[Any]:
    """A rule for each mixture, with what it has learned so far."""
    found = [ROUTING_RULES.make(name) for _ in range(layers)]
    return [rule.knowing(learned[str(i)]) if str(i) in learned else rule for i, rule in enumerate(found)]


def _rate(step: int, steps: int) -> float:
    """Up linearly in the warm-up, then down linearly to 0."""
    warm = max(round(WARMUP * steps), 1)
    return RATE * min((step + 1) / warm, (steps - step) / max(steps - warm, 1), 1.0)


def _counted(allotment: Allotment) -> tuple[Load, Tensor | None]:
    load = Load()
    load.add(allotment)
    return load, allotment.price


def _told(loads: Mapping[int, tuple[Load, Tensor | None]]) -> dict[str, Any]:
    """Loads of a step, means over layers, and the prices of every layer's experts."""
    counts = [load for load, _ in loads.values()]
    prices = {
        str(layer): [round(p, 5) for p in price.tolist()] for layer, (_, price) in loads.items() if price is not None
    }
    return {
        "violation": _mean([load.violation for load in counts]), "dropped": _mean([load.dropped for load in counts]),
        "without": _mean([load.unserved for load in counts]), "prices": prices,
    }  # fmt: skip


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _restored(model: Any, optimizer: Any, plan: Plan) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Rows so far, and what rules have learned; network and optimiser are brought to where they were."""
    place = newest_checkpoint(plan.folder / "checkpoint")
    if place is None:
        return [], {}
    tensors, state = read_checkpoint(place)
    if state["plan"] != plan.told:
        raise InputError(f"{str(place)!r} was trained with {state['plan']}, not {plan.told}; choose another folder")
    model.load_state_dict(tensors["model"])
    restore_optimizer(optimizer, tensors["optimizer"])
    return list(state["rows"]), tensors.get("learned", {})


def _save(model: Any, optimizer: Any, routers: Routers, rows: list[dict[str, Any]], plan: Plan) -> None:
    learned = {str(i): rule.learned for i, rule in enumerate(routers.rules) if rule.learned is not None}
    tensors = {"model": dict(model.state_dict()), "optimizer": optimizer_tensors(optimizer), "learned": learned}
    save_checkpoint(plan.folder / "checkpoint", len(rows), tensors, {"plan": plan.told, "rows": rows})
    write_rows(plan.folder / "training.jsonl", rows)

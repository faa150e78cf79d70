"""What a training run came to: the figures of `result.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
from torch import Tensor

from walras.experiments.outcome import Metric, Timing
from walras.experiments.pipeline import parameters, size
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.stage import TrainStage
from walras.experiments.unit_costs import UnitCosts
from walras.market.pricing import Cleared
from walras.models import inventory, macs
from walras.models.units.inventory import members

if TYPE_CHECKING:
    from walras.experiments.training.loop.fit import Trained
    from walras.experiments.training.start import Start


@final
@dataclass(frozen=True)
class TrainSummary:
    """The figures of a training run, as `result.json` has them: quality, what was bought, and then the economics."""

    metric: Metric
    scores: Mapping[str, float]  # all of the task's metrics, of the smaller network
    dense_scores: Mapping[str, float]
    untrained_scores: Mapping[str, float] | None  # of what a recipe left, before it was trained
    held_out: float | None  # the metric on held-out rows, of the weights that were chosen; None: no number
    used: float  # share of the dense network's MACs
    budget: float
    macs: float  # of the layers, for one sequence of `length` tokens
    dense_macs: float
    parameters: int  # of the whole network
    dense_parameters: int
    bytes: int  # that its parameters take
    dense_bytes: int
    kept: Mapping[str, int]  # units by kind
    units: int  # that traded
    length: int
    price: float | None  # at the end, in units of the loss for the dense network's whole MACs; None: no price was paid
    expected: float | None  # share of MACs that the gates were expected to use when units settled
    rounds: int  # of the market that cleared during training or before it
    recipe: str | None
    pricing: str
    cost: str
    taxed: str
    mechanism: str
    valuation: str
    task: str
    model: str
    seed: int
    epochs: int
    steps: int
    seconds: float  # of all steps
    protocol: Mapping[str, Any] = field(default_factory=dict)  # how the metric is measured
    members: Mapping[str, int] = field(default_factory=dict)  # by kind: query heads kept, where units are groups
    latency_ms: Mapping[str, Timing] = field(default_factory=dict)  # by sequences of a batch

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def summarised(
    config: TrainConfig, trained: "Trained", stage: TrainStage, costs: UnitCosts, keep: Tensor, start: "Start"
) -> TrainSummary:
    """The figures, all but latency.

    Args:
        config: settings.
        trained: what training came to.
        stage: the network before it.
        costs: of its units.
        keep: units that stay [n].
        start: what training began with.
    """
    small, task, kept = trained.model, stage.task, keep.numpy()
    scores, length, sign = stage.data.scores(small), stage.subject.length, 1 if task.higher_is_better else -1
    return TrainSummary(
        metric=Metric(task.metric, stage.scores[task.metric], scores[task.metric], task.higher_is_better),
        scores=scores, dense_scores=stage.scores, untrained_scores=start.scores if config.recipe else None,
        held_out=sign * trained.held_out if np.isfinite(trained.held_out) else None,
        used=costs.macs.used(kept) / costs.macs.dense, budget=config.budget,
        macs=macs(small, inventory(small, block=config.market.block), length).dense, dense_macs=costs.macs.dense,
        parameters=parameters(small), dense_parameters=parameters(stage.subject.model),
        bytes=size(small), dense_bytes=size(stage.subject.model),
        kept=costs.units.counts(kept), members=members(stage.subject.model, costs.units, kept),
        units=len(costs.units), length=length,
        price=_price(trained),
        expected=_expected(config, trained), rounds=start.rounds or _rounds(trained),
        recipe=config.recipe_name, pricing=config.economy.pricing_text, cost=config.economy.cost,
        taxed=config.economy.taxed, mechanism=start.mechanism, valuation=start.valuation,
        task=task.name, model=config.subject.model, seed=config.seed,
        epochs=config.optimiser.epochs, steps=len(trained.steps),
        seconds=round(float(trained.steps["seconds"].sum()), 2), protocol=stage.data.protocol(),
    )  # fmt: skip


def _price(trained: "Trained") -> float | None:
    """The price at the end: of units, or of activations."""
    if trained.price is not None:
        return trained.price.pricing.paid(1.0)
    return float(trained.steps["price"].dropna().iloc[-1]) if "price" in trained.steps else None


def _expected(config: TrainConfig, trained: "Trained") -> float | None:
    """What the gates of the last priced step were expected to use."""
    if config.economy.cost != "macs" or "cost" not in trained.steps:
        return None
    return float(trained.steps["cost"].dropna().iloc[-1])


def _rounds(trained: "Trained") -> int:
    """Rounds of a market that clears, or the one in which units settle."""
    pricing = None if trained.price is None else trained.price.pricing
    return pricing.played if isinstance(pricing, Cleared) else 1

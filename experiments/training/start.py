"""Where training begins: the dense network, or what a recipe left of it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from walras.experiments.pipeline import run_plan
from walras.experiments.subjects.subject import Subject
from walras.experiments.training.stage import TrainPlan, TrainStage
from walras.experiments.unit_costs import UnitCosts


@final
@dataclass(frozen=True)
class Start:
    """The network that training begins with, and how it came about."""

    model: nn.Module
    keep: Tensor  # units that are there, bool [n]
    scores: Mapping[str, float]  # before it is trained, on the evaluation split
    mechanism: str  # of the recipe, or else of the settings
    valuation: str
    rounds: int = 0  # that were played before training


def starting_network(plan: TrainPlan, stage: TrainStage, learning: Subject, costs: UnitCosts) -> Start:
    """A copy of the dense network or, by the recipe of the settings, of a part of it.

    Args:
        plan: settings with names resolved.
        stage: the dense network.
        learning: the same, with the rows that are trained on.
        costs: of its units.
    """
    names = plan.market.names()
    own = str(names["mechanism"]), str(names["valuation"])
    if plan.config.recipe is None:
        return Start(
            copy.deepcopy(stage.subject.model), torch.ones(len(costs.units), dtype=torch.bool), stage.scores, *own
        )
    found = run_plan(plan.market, learning)
    small = found.compact()
    return Start(small, found.kept, stage.data.scores(small), *own, rounds=found.summary.rounds)

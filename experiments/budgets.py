"""Budgets in one or several resources: which they are, what they come to, and whether any set of units meets them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np
import torch
from torch import nn

from walras.errors import InputError, RequirementError
from walras.experiments.config import RunConfig
from walras.market import ComputeMarket
from walras.market.scope import GLOBAL
from walras.mechanisms import MECHANISMS, IndivisibleBids, Mechanism
from walras.mechanisms.traits import CHAINED, SEVERAL_RESOURCES
from walras.models import Inventory
from walras.models.resources.latency import latency
from walras.models.resources.parameters import parameters
from walras.models.resources.resource import Usage

UNIT = IndivisibleBids(torch.ones(1))
"""What units bid, for asking a rule whether it takes such bids."""


@final
@dataclass(frozen=True)
class Budgets:
    """Resources and the shares of the dense model's that may be used at the end; the first one leads the reports."""

    resources: tuple[Usage, ...]
    shares: tuple[float, ...]

    @staticmethod
    def of(
        model: nn.Module, units: Inventory, macs: Usage, config: RunConfig,
        tell: Callable[[str], object] = lambda text: None,
    ) -> "Budgets":  # fmt: skip
        """Count, or measure, the resources that the settings name.

        Raises:
            InputError: budgets that no unit can meet, or a latency table that does not fit.
        """
        made: dict[str, Callable[[], Usage]] = {
            "macs": lambda: macs,
            "parameters": lambda: parameters(model, units),
            "latency": lambda: latency(
                model, units, config.latency_batch, config.length, config.latency_table, tell
            ),
        }  # fmt: skip
        shares = config.shares
        found = Budgets(tuple(made[name]() for name in shares), tuple(shares.values()))
        found.check()
        return found

    def check(self) -> None:
        """Refuse budgets with which not a single unit can be bought."""
        units = self.resources[0].inventory
        alone = np.zeros(len(units), dtype=np.int64)  # ranks of units that are the first of their sub-layer
        fits = np.ones(len(units), dtype=bool)
        for resource, share in zip(self.resources, self.shares, strict=True):
            name, cost = _of(resource, self.resources), resource.marginal(alone) / resource.dense
            stays = resource.fixed / resource.dense
            cheapest = int(cost.argmin())
            if stays > 0 and share < stays + cost[cheapest]:
                raise InputError(
                    f"budget {name}{share:g} is {share * resource.dense:.4g} {resource.unit} of {resource.dense:.4g}; "
                    f"without any unit the model takes {resource.fixed:.4g}, and the cheapest unit, "
                    f"{units.name(cheapest)}, {cost[cheapest] * resource.dense:.3g} more"
                )
            if share < stays + cost[cheapest]:
                raise InputError(
                    f"budget {name}{share:g} is smaller than the cheapest unit: {units.name(cheapest)} costs "
                    f"{cost[cheapest]:.3g} of the dense model's {_noun(resource)}"
                )
            fits &= cost <= share - stays
        if not fits.any():
            given = ", ".join(f"{r.name}={s:g}" for r, s in zip(self.resources, self.shares, strict=True))
            raise InputError(f"no unit fits the budgets {given} together")

    def figures(self, market: ComputeMarket, keep: Any) -> dict[str, dict[str, Any]]:
        """Of every resource: its budget and use as shares, the price of the dense model's, and absolute amounts.

        A budget binds where its resource has a price: with more of it another unit would be kept.
        """
        last, clearing = market.rounds[-1], market.clearing
        prices = None if clearing is None else market.supply.prices(clearing.price)
        found = {}
        for k, (resource, share) in enumerate(zip(self.resources, self.shares, strict=True)):
            used = last.used if k == 0 else last.figures[f"{resource.name}_used"]
            price = 0.0 if prices is None else prices[k]
            found[resource.name] = {
                "budget": share, "used": used, "price": price, "binds": price > 0,
                "absolute": resource.used(keep), "dense": resource.dense, "unit": resource.unit,
            }  # fmt: skip
        return found


def check_path(path: Sequence[float], config: RunConfig) -> None:
    """Refuse budgets that rise where nobody may come back for them.

    Raises:
        InputError: some budget is larger than the one before.
    """
    rises = [(before, now) for before, now in pairwise(path) if now > before]
    if rises and not config.reentry:
        raise InputError(
            f"schedule {config.schedule} raises the budget from {rises[0][0]:.3g} to {rises[0][1]:.3g}, and units that "
            "lost theirs stay out; use it with --reentry"
        )


def check_rule(rule: Mechanism, config: RunConfig) -> None:
    """Refuse a rule that cannot clear the budgets.

    Raises:
        RequirementError: it does not take bids of whole units, sells one resource where there are several, or clears
            no chains where units of a sub-layer do not add equal amounts.
    """
    rule.require(UNIT)
    names = " and ".join(config.shares)
    local = config.scope != GLOBAL
    if (len(config.shares) > 1 or local) and SEVERAL_RESOURCES not in rule.guarantees:
        several = [n for n, known in MECHANISMS.items() if SEVERAL_RESOURCES in known.guarantees and known().fits(UNIT)]
        what = f"a market for every {config.scope}" if local else f"budgets in {names}"
        raise RequirementError(
            f"{type(rule).__name__} cannot clear {what}: it sells one resource. Rules for several: {', '.join(several)}"
        )
    if "latency" in config.shares and CHAINED not in rule.clears:
        chained = [name for name, known in MECHANISMS.items() if CHAINED in known.clears]
        raise RequirementError(
            f"{type(rule).__name__} cannot clear budgets in {names}: it sells a resource of which every unit uses a "
            f"fixed amount. Rules for {names}: {', '.join(chained)}"
        )


def binding(budgets: Mapping[str, Mapping[str, Any]]) -> str:
    """In words, which budgets bind and how much of each is used."""
    parts = [
        f"{name} {'binds' if b['binds'] else 'does not bind'} ({b['used']:.3f} of {b['budget']:g}, "
        f"{b['absolute']:,.4g} {b['unit']})"
        for name, b in budgets.items()
    ]
    return "; ".join(parts)


def _of(resource: Usage, resources: Sequence[Usage]) -> str:
    """How a budget is called: by its resource, unless that is MACs alone."""
    return "" if len(resources) == 1 and resource.name == "macs" else f"{resource.name}="


def _noun(resource: Usage) -> str:
    return "compute" if resource.name == "macs" else resource.name

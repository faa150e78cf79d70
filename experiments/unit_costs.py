"""What a network's units cost: every resource with a budget, counted or measured, and whether any unit fits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from walras.errors import InputError
from walras.experiments.outcome import BudgetUse
from walras.experiments.plan import Plan
from walras.experiments.spec import MACS
from walras.experiments.subjects.subject import Subject
from walras.market import ComputeMarket
from walras.models import Inventory, inventory
from walras.models.resources import RESOURCES, Workload
from walras.models.resources.resource import Usage


@final
@dataclass(frozen=True)
class UnitCosts:
    """The units of a network, and the resources with a budget; the first one leads the reports.

    Attributes:
        units: what trades.
        resources: counted or measured on the dense network, in the order of the budgets.
        shares: what may be used of each, as a share of the dense network's amount.
        macs: multiply-accumulates, whether they have a budget or not.
    """

    units: Inventory
    resources: tuple[Usage, ...]
    shares: tuple[float, ...]
    macs: Usage

    @staticmethod
    def measure(subject: Subject, plan: Plan, tell: Callable[[str], object] = lambda text: None) -> "UnitCosts":
        """Count the units of a network and what they use; latency is measured here, once, and said so to `tell`.

        Raises:
            InputError: no units, budgets that no unit can meet, a latency table that does not fit.
        """
        market = plan.spec.market
        units = inventory(subject.model, plan.kinds, market.block)
        if len(units) == 0:
            raise InputError(f"{type(subject.model).__name__} has no units to trade")
        work = Workload(market.latency_batch, subject.length)
        known = [RESOURCES.make(name, table=market.latency_table) for name in market.budget]
        made = [resource.measure(subject.model, units, work, tell) for resource in known]
        counted = [usage for usage in made if usage.name == MACS]
        macs = counted[0] if counted else RESOURCES.make(MACS).measure(subject.model, units, work, tell)
        found = UnitCosts(units, tuple(made), tuple(market.budget.values()), macs)
        found.check()
        return found

    def check(self) -> None:
        """Refuse budgets with which not a single unit can be bought.

        Raises:
            InputError: naming the cheapest unit.
        """
        alone = np.zeros(len(self.units), dtype=np.int64)  # ranks of units that are the first of their sub-layer
        fits = np.ones(len(self.units), dtype=bool)
        for resource, share in zip(self.resources, self.shares, strict=True):
            name, cost = _called(resource, self.resources), resource.marginal(alone) / resource.dense
            stays = resource.fixed / resource.dense
            cheapest = int(cost.argmin())
            if stays > 0 and share < stays + cost[cheapest]:
                raise InputError(
                    f"budget {name}{share:g} is {share * resource.dense:.4g} {resource.unit} of {resource.dense:.4g}; "
                    f"without any unit the model takes {resource.fixed:.4g}, and the cheapest unit, "
                    f"{self.units.name(cheapest)}, {cost[cheapest] * resource.dense:.3g} more"
                )
            if share < stays + cost[cheapest]:
                raise InputError(
                    f"budget {name}{share:g} is smaller than the cheapest unit: {self.units.name(cheapest)} costs "
                    f"{cost[cheapest]:.3g} of the dense model's {_noun(resource)}"
                )
            fits &= cost <= share - stays
        if not fits.any():
            given = ", ".join(f"{r.name}={s:g}" for r, s in zip(self.resources, self.shares, strict=True))
            raise InputError(f"no unit fits the budgets {given} together")

    def used(self, market: ComputeMarket, keep: Any) -> dict[str, BudgetUse]:
        """Every budget at the end of a market in which the units `keep`, bool [n], stay."""
        last, clearing = market.rounds[-1], market.clearing
        prices = None if clearing is None else market.supply.prices(clearing.price)
        found = {}
        for k, (resource, share) in enumerate(zip(self.resources, self.shares, strict=True)):
            used = last.used if k == 0 else last.figures[f"{resource.name}_used"]
            price = 0.0 if prices is None else prices[k]
            found[resource.name] = BudgetUse(
                share, used, price, price > 0, resource.used(keep), resource.dense, resource.unit
            )
        return found


def _called(resource: Usage, resources: tuple[Usage, ...]) -> str:
    """What a budget is called: by its resource, unless that is MACs alone."""
    return "" if len(resources) == 1 and resource.name == "macs" else f"{resource.name}="


def _noun(resource: Usage) -> str:
    return "compute" if resource.name == "macs" else resource.name

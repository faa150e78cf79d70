"""Settings of a run with every name resolved: all that can be wrong without a network is found wrong here."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import torch

from walras.agents import STRATEGIES, VALUATIONS, Strategy, Valuation
from walras.errors import InputError, RequirementError
from walras.experiments.shocks import PlannedShock, find_shocks
from walras.experiments.spec import RunSpec
from walras.market import PHASES, SCHEDULES, SCOPES, Phase, Schedule, Scope
from walras.market.schedule import check_budget
from walras.mechanisms import MECHANISMS, IndivisibleBids, Mechanism
from walras.mechanisms.traits import CHAINED, SEVERAL_RESOURCES
from walras.models.repair import REPAIRS, Repair
from walras.models.resources import RESOURCES
from walras.models.units import UNIT_KINDS, UnitKind

NONE = "none"
UNIT = IndivisibleBids(torch.ones(1))
"""What units bid, for asking a rule whether it takes such bids."""


@final
@dataclass(frozen=True)
class Plan:
    """The objects that the settings of a run name."""

    spec: RunSpec
    mechanism: Mechanism
    valuation: Valuation
    strategy: Strategy
    schedule: Schedule
    scope: Scope
    repair: Repair | None
    phases: tuple[Phase, ...]
    kinds: tuple[UnitKind, ...] | None  # None: the finest that the network has
    shocks: Sequence[PlannedShock]

    @staticmethod
    def from_spec(spec: RunSpec) -> "Plan":
        """Resolve all names, and check that what they name fits together.

        Raises:
            InputError: whatever is wrong with the settings.
        """
        market = spec.market
        plan = Plan(
            spec,
            MECHANISMS.make(market.mechanism),
            VALUATIONS.make(market.valuation),
            STRATEGIES.make(market.strategy),
            SCHEDULES.make(market.schedule),
            SCOPES.make(market.scope),
            None if market.repair == NONE else REPAIRS.make(market.repair),
            tuple(PHASES.make(phase) for phase in market.phases),
            tuple(UNIT_KINDS.make(kind, neurons=market.block) for kind in market.units) or None,
            find_shocks(market.shock, market.rounds),
        )
        plan._check_paths()
        plan._check_rule()
        plan._check_learning()
        return plan

    @property
    def paths(self) -> list[list[float]]:
        """The supply of every round, one list per resource, the leading one first."""
        return [self.schedule.path(share, self.spec.market.rounds) for share in self.spec.market.budget.values()]

    def names(self) -> dict[str, Any]:
        """What was named, as `result.json` keeps it."""
        market = self.spec.market
        return {
            "mechanism": MECHANISMS.spelled(market.mechanism),
            "valuation": VALUATIONS.spelled(market.valuation),
            "strategy": STRATEGIES.spelled(market.strategy),
            "recipe": self.spec.recipe,
            "seed": self.spec.seed,
        }

    def _check_paths(self) -> None:
        """Refuse budgets that rise where nobody may come back for them."""
        for share in self.spec.market.budget.values():
            check_budget(share)
        for path in self.paths:
            rises = [(before, now) for before, now in pairwise(path) if now > before]
            if rises and not self.spec.market.reentry:
                (before, now), name = rises[0], SCHEDULES.spelled(self.spec.market.schedule)
                raise InputError(
                    f"schedule {name} raises the budget from {before:.3g} to {now:.3g}, and units that lost theirs "
                    "stay out; use it with --reentry"
                )

    def _check_rule(self) -> None:
        """Refuse a rule that cannot clear the budgets: bids of whole units, several resources, chains of units."""
        unit = UNIT
        self.mechanism.require(unit)
        resources = {name: RESOURCES.make(name) for name in self.spec.market.budget}
        called, name = " and ".join(resources), type(self.mechanism).__name__
        if (len(resources) > 1 or self.scope.local) and SEVERAL_RESOURCES not in self.mechanism.guarantees:
            several = [
                n for n, rule in MECHANISMS.items() if SEVERAL_RESOURCES in rule.guarantees and rule().fits(unit)
            ]
            what = f"a market per {self.scope.name}" if self.scope.local else f"budgets in {called}"
            raise RequirementError(
                f"{name} cannot clear {what}: it sells one resource. Rules for several: {', '.join(several)}"
            )
        if any(not resource.additive for resource in resources.values()) and CHAINED not in self.mechanism.clears:
            rules = [n for n, rule in MECHANISMS.items() if CHAINED in rule.clears]
            raise RequirementError(
                f"{name} cannot clear budgets in {called}: it sells a resource of which every unit uses a fixed "
                f"amount. Rules for {called}: {', '.join(rules)}"
            )

    def _check_learning(self) -> None:
        """Refuse a learner that has nothing to learn from."""
        rounds = self.spec.market.rounds
        if self.strategy.learns and rounds < 2:
            raise InputError(
                f"strategy {self.strategy.name} learns from what rounds bring, and there is {rounds} round; give it "
                "--rounds 2 or more"
            )

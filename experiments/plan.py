"""Settings of a run with every name resolved: all that can be wrong without a network is found wrong here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import torch

from walras.agents import STRATEGIES, VALUATIONS, Calibration, Strategy, UnitAgent, Valuation
from walras.errors import InputError, RequirementError
from walras.experiments.shocks import PlannedShock, find_shocks
from walras.experiments.spec import RunSpec
from walras.market import (
    PHASES,
    SCHEDULES,
    SCOPES,
    ComputeMarket,
    Phase,
    Probes,
    RepairWeights,
    Schedule,
    Scope,
    Shock,
    Turn,
)
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
class Extras:
    """What belongs to no settings: agents' classes by kind, shocks, hooks by event, whether to time and to report."""

    agents: Mapping[str, type[UnitAgent]] | None = None
    shocks: Sequence[Shock] = ()
    hooks: Mapping[str, Callable[[ComputeMarket, Turn], object]] | None = None
    measure_latency: bool = False
    report: bool = True

    def __post_init__(self) -> None:
        if self.hooks is not None and not isinstance(self.hooks, Mapping):
            raise InputError(
                f"hooks is {self.hooks!r}; it must map events to functions of the market and the turn, such as "
                "{'settled': tell}"
            )
        shocks: Any = self.shocks
        if isinstance(shocks, str) or not isinstance(shocks, Sequence):
            raise InputError(f"shocks is {shocks!r}; it must be a list of shocks, such as [Disable(2, 'L0.H1')]")


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

    def keywords(self, extras: Extras, calibrated: Callable[[str], Calibration]) -> dict[str, Any]:
        """What a `ComputeMarket` is told of the rules of its trade, whatever is traded there.

        Args:
            extras: agents and shocks of the user's own.
            calibrated: makes the calibration of a task, for a shock that changes it.
        """
        market, (path, *more) = self.spec.market, self.paths
        phases = [*self.phases, *([Probes(market.probes)] if market.probes else [])]
        phases += [] if self.repair is None else [RepairWeights(self.repair)]
        return {
            "valuation": self.valuation, "mechanism": self.mechanism, "budgets": path, "extra_budgets": more,
            "strategy": self.strategy, "seed": self.spec.seed, "agents": extras.agents, "reentry": market.reentry,
            "endowment": market.endowment, "scope": self.scope, "phases": phases,
            "shocks": [*(planned.shock(calibrated) for planned in self.shocks), *extras.shocks],
        }  # fmt: skip

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

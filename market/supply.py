"""What is for sale: one or several resources of a network, in shares of what the dense network uses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walras.errors import InputError, RequirementError
from walras.market.ledger import Column
from walras.market.naming import naming
from walras.market.scope import Global, Scope
from walras.mechanisms import MECHANISMS, Mechanism
from walras.mechanisms.traits import CHAINED
from walras.models import Site
from walras.models.resources.resource import Usage, ranks

Mask = NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class Offer:
    """What a rule is given in one round: the cost [n, K] of each unit, the supply [K], and the order of service."""

    cost: Tensor
    supply: Tensor
    before: Tensor | None  # [bidders], the bidder that must be served before each, or -1; None where the order is free


@final
@dataclass(frozen=True, eq=False)
class Supply:
    """Resources [K] of one network. The first one leads: the ledger's column `cost` is the use of it.

    The leading one is sold in the M markets of a `scope`, each of which gets the same share of what its units use in
    the dense network: a cost column each, in which units of other markets cost nothing. Mechanisms see M + K - 1
    resources therefore.
    """

    resources: tuple[Usage, ...]
    scope: Scope = field(default_factory=Global)

    def __post_init__(self) -> None:
        leading, named = self.resources[0], len(self._names)
        if named != len(leading.inventory):
            raise InputError(f"scope {self.scope.name} named {named} markets for {len(leading.inventory)} units")
        if self.scope.local and not leading.additive:
            raise InputError(
                f"{leading.name} cannot be sold in local markets, as scope {self.scope.name} has them: what a unit "
                "uses of it depends on which others stay; valid: scope global"
            )

    @cached_property
    def markets(self) -> tuple[str, ...]:
        """Names of the M markets, in the order of their first units."""
        return tuple(dict.fromkeys(self._names))

    @cached_property
    def trades(self) -> Column:
        """1 where a unit trades in a market, [n, M]."""
        trades: Column = (np.array(self._names)[:, None] == np.array(self.markets)).astype(np.float64)
        return trades

    @cached_property
    def weights(self) -> Column:
        """Share [M] of every market in what the dense network uses of the leading resource."""
        use = self._leading(np.zeros(len(self.trades), dtype=np.int64)).sum(0)
        weights: Column = use / use.sum() if len(use) > 1 else np.ones(1)
        return weights

    @property
    def chained(self) -> bool:
        """Whether what a unit adds depends on how many of its sub-layer there are."""
        return bool(self.stepped)

    @cached_property
    def stepped(self) -> tuple[Site, ...]:
        """The sub-layers in which what a unit adds of some resource depends on how many of them there are."""
        return tuple({site.units.start: site for resource in self.resources for site in resource.stepped}.values())

    def require(self, rule: Mechanism) -> None:
        """Refuse a rule that cannot sell these resources.

        Raises:
            RequirementError: what a unit adds depends on who else of its sub-layer is served, and the rule clears no
                such chains of bids.
        """
        if self.chained and CHAINED not in rule.clears:
            resource = next(resource for resource in self.resources if not resource.additive)
            rules = ", ".join(name for name, known in MECHANISMS.items() if CHAINED in known.clears)
            raise RequirementError(
                f"{type(rule).__name__} cannot clear a budget in {resource.name} of this network: what a unit of kind "
                f"{resource.stepped[0].kind.name!r} adds depends on how many of its sub-layer are kept. Rules for "
                f"that: {rules}; of bytes and parameters most units use an amount of their own"
            )

    def costs(self, rank: NDArray[np.int64]) -> Column:
        """Shares [n, K] that units add at their ranks."""
        return np.stack([resource.marginal(rank) / resource.dense for resource in self.resources], -1)

    def used(self, quantity: Column) -> tuple[float, ...]:
        """Shares [K] that the funded units, and what stays without any, use."""
        return tuple(
            float(resource.own / resource.dense @ quantity) + resource.fixed / resource.dense
            if resource.additive
            else resource.used(quantity > 0) / resource.dense
            for resource in self.resources
        )

    def offer(self, budgets: Sequence[float], report: Column, bids: Mask, settled: Column) -> Offer:
        """What a round has to sell.

        In sub-layers of which a resource is not additive, the bidders `bids` [n] are ranked by `report` [n], and each
        costs what it adds at its rank, if all before it are served.

        Args:
            budgets: shares [K] that may be used in all.
            settled: quantities [n] of units that do not bid any more but stay; 0 for all others.
        """
        inventory = self.resources[0].inventory
        rank = np.zeros(len(bids), dtype=np.int64)  # any
        if self.chained:
            rank = ranks(inventory, np.where(bids, -report, np.inf))
        fixed = self.resources[0].fixed / self.resources[0].dense if len(self.markets) > 1 else 0.0
        offered = [*((budgets[0] - fixed) * self.weights), *budgets[1:]]  # one market has the fixed part among its use
        left = [max(float(b - u), 0.0) for b, u in zip(offered, self._settled(settled), strict=True)]
        supply = torch.tensor(left, dtype=torch.float64)
        cost = torch.from_numpy(np.concatenate([self._leading(rank), self.costs(rank)[:, 1:]], -1))
        return Offer(cost, supply, torch.from_numpy(_before(self.stepped, rank, bids)) if self.chained else None)

    def own(self, cost: Tensor) -> Column:
        """What each unit uses [n] of the leading resource, from the costs [n, M + K - 1] of an offer."""
        own: Column = cost[:, : len(self.markets)].sum(-1).numpy()
        return own

    def prices(self, price: Tensor) -> tuple[float, ...]:
        """Prices of the K resources from those of an offer: of the leading one what the dense network would pay."""
        m = len(self.markets)
        return (float(price[:m].double().numpy() @ self.weights), *map(float, price[m:]))

    def residuals(self, residual: Tensor) -> tuple[float, ...]:
        """Excess demand for the K resources from that of an offer."""
        m = len(self.markets)
        return (float(residual[:m].sum()), *map(float, residual[m:]))

    def _settled(self, quantity: Column) -> list[float]:
        """What funded units use of every column of an offer."""
        leading, *others = self.used(quantity)
        if len(self.markets) > 1:  # and the leading resource additive therefore
            any_rank = np.zeros(len(quantity), dtype=np.int64)
            return [*map(float, quantity @ self._leading(any_rank)), *others]
        return [leading, *others]

    @cached_property
    def _names(self) -> list[str]:
        with naming(f"scope {self.scope.name}", self.scope):
            return [str(name) for name in self.scope.markets(self.resources[0].inventory)]

    def _leading(self, rank: NDArray[np.int64]) -> Column:
        """Shares [n, M] of the leading resource that units add at their ranks, each in its own market."""
        leading = self.resources[0]
        columns: Column = (leading.marginal(rank) / leading.dense)[:, None] * self.trades
        return columns


def _before(sites: Sequence[Site], rank: NDArray[np.int64], bids: Mask) -> NDArray[np.int64]:
    """For every bidder of the sub-layers `sites` the place, among the bidders, of the one with the next lower rank.

    It is -1 for the first of a sub-layer, and for those of other sub-layers.
    """
    place = np.cumsum(bids) - 1
    before = np.full(len(rank), -1)
    for site in sites:
        order = site.units.start + np.argsort(rank[site.units])
        before[order[1:]] = place[order[:-1]]
    return before[bids]

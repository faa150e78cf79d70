"""The floor: units of a transformer trade compute in rounds, as a Mesa model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import final

import mesa
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from walras.agents import AGENTS, BidderInfo, Calibration, Outcome, Strategy, Truthful, UnitAgent, Valuation
from walras.errors import InputError, UnknownNameError
from walras.market.economics import Economics, Regrets, deviation_gain, economics
from walras.market.ledger import Column, Ledger
from walras.market.measures import welfare
from walras.market.phases.swap_refinement import rearrange
from walras.market.schedule import Session, check_budget, sessions
from walras.market.scope import GLOBAL
from walras.market.shocks import Shock
from walras.market.supply import Offer, Shares, Supply
from walras.mechanisms import Clearing, IndivisibleBids, Mechanism, charge
from walras.models.repair.repair import ModelPair, Repair
from walras.models.resources.resource import Resource, ranks


@final
@dataclass(frozen=True)
class Round:
    """What a round came to. Money is in the valuation's unit, compute in shares of the dense model's."""

    round: int  # counted from 1
    budget: float
    used: float
    price: float  # of the dense model's whole compute, at the prices of all markets
    welfare: float  # sum of values of the funded units
    revenue: float  # sum of payments
    surplus: float  # welfare less revenue
    heads: int  # funded
    ffn: int
    left: int  # funded before, not now
    entered: int  # funded now, not before
    status: str
    residual: float  # excess demand at the price
    shock: str = ""  # what struck before it


class ComputeMarket(mesa.Model):
    """Heads and FFN blocks bid for compute; `step()` is one round.

    1. The valuation says what each unit is worth under the present gates.
    2. The strategy, or an agent's own `bid()`, turns values into reports. Strategies that learn have first been told
       what the units that they won, or not, are worth now: the network's answer to the last round.
    3. The mechanism clears the reports against this round's budget, and sees nothing else.
    4. The outcome becomes the gates; the ledger books income and payments; the trace gets a row an agent.
    5. What is left of the network is repaired. Agents whose wealth is below 0 leave for good.

    The network itself is not held here, only weakly by the calibration: a Mesa model is never freed in Mesa 3.3.

    Args:
        calibration: network, loss and data with which units are valued.
        valuation: what a unit is worth.
        mechanism: the rule of the market.
        budgets: supply of each round, as shares of the dense model's compute. Steps beyond repeat the last.
        strategy: how agents bid.
        seed: of everything random.
        agents: agent classes by kind of unit, for kinds that do not take the standard ones.
        reentry: whether a unit that lost its funding may bid again.
        sublayers: whether a budget is cleared in one session for each sub-layer, from the bottom to the top, of which
            only that sub-layer's outcome is final; values are taken anew, and the sub-layer is repaired, in between.
        rearranged: whether units of a sub-layer swap places afterwards, as many staying, as Kwon et al. 2022 do.
        repair: what becomes of the weights of the calibration's network, which must be a copy of the dense one.
        resources: what the budgets are shares of, for others than the calibration's cost: the first is that of
            `budgets`. Where units of a sub-layer do not add equal amounts they are ranked by what they bid.
        further: supplies of each round of the second, third, ... resource.
        record: called after every round with the market, e.g. `TraceWriter(folder)`.
        endowment: money of each agent at the start.
        shocks: what happens before some of the rounds: units break, the task changes.
        scope: how far the market for the leading resource reaches: `global`, or local ones without a common supply,
            a `layer`, `sublayer` or `kind` each.
        probes: agents, drawn anew every round, for whom reports are sought that would have earned them more; none
            where a unit's use depends on who else is served, and so on every report.
    """

    def __init__(
        self,
        calibration: Calibration,
        valuation: Valuation,
        mechanism: Mechanism,
        budgets: Sequence[float],
        *,
        strategy: Strategy | None = None,
        seed: int = 0,
        agents: Mapping[str, type[UnitAgent]] | None = None,
        reentry: bool = False,
        sublayers: bool = False,
        rearranged: bool = False,
        repair: Repair | None = None,
        resources: Sequence[Resource] = (),
        further: Sequence[Sequence[float]] = (),
        record: Callable[["ComputeMarket"], None] | None = None,
        endowment: float = 0.0,
        shocks: Sequence[Shock] = (),
        scope: str = GLOBAL,
        probes: int = 0,
    ) -> None:
        super().__init__(rng=seed)
        paths = [[check_budget(budget) for budget in path] for path in (budgets, *further)]
        if any(len(path) != len(budgets) for path in paths) or len(further) != max(len(resources), 1) - 1:
            raise InputError(
                f"{len(further)} further paths of {[len(path) for path in further]} budgets; each further resource of "
                f"{[resource.name for resource in resources]} needs one of {len(budgets)}"
            )
        self.sessions = sessions(paths[0], calibration.inventory.sites if sublayers else (), paths[1:])
        if not self.sessions:
            raise InputError("budgets is empty; a market needs the supply of at least one round")
        if repair is not None and calibration.model is calibration.dense:
            raise InputError("a network that is to be repaired must be a copy of the dense one")
        self.rearranged, self.repair = rearranged, repair
        self._twins: ModelPair | None = None  # while sub-layers are repaired one after the other
        self.calibration, self.valuation, self.mechanism = calibration, valuation, mechanism
        self.seed, self.reentry = seed, reentry
        self.record, self.shocks, self.probes = record, tuple(shocks), probes
        inventory = calibration.inventory
        self.strategy = (strategy if strategy is not None else Truthful()).begun(len(inventory), self.rng)
        self.supply = Supply(tuple(resources) or (Shares(calibration.cost, inventory),), scope)
        if sublayers and scope != GLOBAL:
            raise InputError(f"scope is {scope}, and sub-layers trade one after the other; choose one of the two")
        self.further: list[dict[str, float]] = []  # a row a round: budget, use, price of further resources
        self.ledger = Ledger(
            inventory,
            self.supply.costs(ranks(inventory, np.zeros(len(inventory))))[:, 0],
            self.strategy.names(len(inventory)),
            endowment,
        )
        self.may_bid = np.ones(len(inventory), dtype=bool)
        self.rounds: list[Round] = []
        self.economics: list[Economics] = []  # a row a round
        self.regrets = Regrets.of(len(inventory))
        self.clearing: Clearing | None = None
        for kind, cls in _agent_classes(agents or {}).items():
            rows = np.flatnonzero(inventory.kind == kind)
            cls.create_agents(self, len(rows), rows.tolist())
        self._own_bidders = [a for a in self.agents if type(a).bid is not UnitAgent.bid]
        for agent in self._own_bidders:
            self.ledger.strategy[agent.row] = type(agent).__name__
        figures = [("rounds", f.name) for f in fields(Round)] + [("economics", f.name) for f in fields(Economics)]
        self.datacollector = mesa.DataCollector({name: partial(_last, rows, name) for rows, name in figures})

    @property
    def round(self) -> int:
        """Rounds played."""
        return len(self.rounds)

    @property
    def gates(self) -> Tensor:
        """The gates [n] that the last clearing left, on the network's device; all ones at first."""
        device = next(self.calibration.model.parameters()).device
        return torch.tensor(self.ledger.quantity, device=device, dtype=torch.get_default_dtype())

    @property
    def frame(self) -> pd.DataFrame:
        """A row a round: columns of `Round`, of `Economics` and, of further resources, `latency_budget` and so on."""
        rows = zip(self.rounds, self.economics, self.further, strict=True)
        return pd.DataFrame([asdict(r) | asdict(e) | more for r, e, more in rows])

    def step(self) -> None:
        """Play one round. After an error it may be called again."""
        try:
            session = self.sessions[min(self.round, len(self.sessions) - 1)]
            for shock in self._striking():
                shock.strike(self)
                self._twins = None  # the data may be others
            value = self.value(session)
            self.learn(value)
            self.ledger.open(value)
            self.trade(session)
            self.mend(session)
            if self.record is not None:
                self.record(self)
        except BaseException:
            # Mesa 3.5 and later never again call a step that failed, and say nothing: call it without Mesa from now on.
            self.step = partial(type(self).step, self)  # type: ignore[method-assign]  # of this market alone
            raise

    def value(self, session: Session | None = None) -> Column:
        """Values [n] of all units under the present gates; random draws depend on the seed and the round only.

        Units of the layers below a sub-layer that trades keep the value at which they did.
        """
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.round)
        name, calibration = type(self.valuation).__name__, self.calibration
        settled = np.zeros(len(self.ledger), dtype=bool)
        if session is not None and session.site is not None:
            calibration, settled = calibration.above(session.site.layer), self.ledger.layer < session.site.layer
        value = torch.as_tensor(self.valuation(calibration, self.gates, generator)).detach().cpu().double().numpy()
        if value.shape != (len(self.ledger),):
            raise InputError(f"{name} returned values of shape {value.shape} for {len(self.ledger)} units")
        if not np.isfinite(value).all():
            bad = int(np.flatnonzero(~np.isfinite(value))[0])
            raise InputError(f"{name} values {self.ledger.name[bad]} at {value[bad]}; values must be finite numbers")
        return np.where(settled, self.ledger.value, value)

    def _striking(self) -> list[Shock]:
        """Shocks that strike before the coming round."""
        return [shock for shock in self.shocks if shock.at == self.round + 1]

    def learn(self, value: Column) -> None:
        """Tell strategies what the last round brought, given what units are worth [n] now that it has been cleared.

        Once: a step that failed afterwards may be called again.
        """
        if self.regrets.rounds == self.round:
            return
        books, pays_bid = self.ledger, self.mechanism.pays_bid
        outcome = Outcome(value, books.report, books.quantity, books.price, books.payment, pays_bid)
        self.strategy, self.regrets = self.strategy.after(outcome, self.rng), self.regrets.after(outcome)

    def trade(self, session: Session) -> None:
        """Bids, clearing, settlement and trace of one round; the values are in the ledger."""
        ledger, before = self.ledger, self.ledger.quantity
        units = self.calibration.inventory.kind.size
        first, last = (0, units) if session.site is None else (session.site.units.start, session.site.units.stop)
        place = np.arange(units)
        trading = (place >= first) & (place < last)
        may_bid = self.may_bid & (place >= first)  # who lies below has settled
        settled = np.where(place < first, before, 0.0)
        report = np.where(may_bid, self.report(session.budget - self.supply.used(settled)[0]), 0.0)
        bidders = np.flatnonzero(may_bid)  # who has left makes no bid at all
        offer = self.supply.offer(session.budgets, report, may_bid, settled)
        bids = IndivisibleBids(torch.from_numpy(report[bidders]), offer.before)
        cost, supply = offer.cost, offer.supply
        if self.supply.chained:
            ledger.cost = self.supply.own(cost)
        clearing = self.mechanism(bids, supply, cost[bidders])
        gain = self._probed(report, offer, bidders)
        self.mechanism = self.mechanism.after(bids, supply, cost[bidders], clearing)
        quantity, payment = np.zeros(units), np.zeros(units)
        quantity[bidders], payment[bidders] = clearing.quantity.numpy(), clearing.payment.numpy()
        price = charge(cost, clearing.price).numpy()
        quantity, payment = np.where(trading, quantity, before), np.where(trading, payment, 0.0)
        if self.rearranged:
            quantity = self.rearrange(quantity > 0)
            payment = np.where(quantity > 0, np.minimum(price, report), 0.0) * trading
        ledger.settle(report, quantity, price, payment, trading)
        self.clearing = replace(  # of all agents, those that have left included
            clearing, quantity=torch.from_numpy(quantity), payment=torch.from_numpy(payment)
        )
        if not self.reentry:
            self.may_bid &= (quantity > 0) | ~trading
        self.may_bid &= ledger.wealth >= 0  # the bankrupt leave
        funded, was = quantity > 0, before > 0
        # A sum may exceed the budget by rounding; before the last sub-layer has traded it does so by more.
        used = [
            min(use, budget) if last == units else use
            for use, budget in zip(self.supply.used(quantity), session.budgets, strict=True)
        ]
        prices, residuals = self.supply.prices(clearing.price), self.supply.residuals(clearing.residual)
        self.rounds.append(
            Round(
                round=self.round + 1,
                budget=session.budget,
                used=used[0],
                price=prices[0],
                welfare=welfare(ledger),
                revenue=float(payment.sum()),
                surplus=float(ledger.surplus.sum()),
                heads=int(funded[ledger.kind == "head"].sum()),
                ffn=int(funded[ledger.kind == "ffn"].sum()),
                left=int((was & ~funded).sum()),
                entered=int((funded & ~was).sum()),
                status=clearing.word,
                residual=residuals[0],
                shock="; ".join(shock.told for shock in self._striking()),
            )
        )
        for_sale = max(session.budget - self.supply.used(settled)[0], 0.0)
        path = [r.price for r in self.rounds]
        self.economics.append(economics(ledger, may_bid, for_sale, path, self.regrets, gain))
        self.further.append(
            {
                f"{resource.name}_{what}": float(column[k])
                for k, resource in enumerate(self.supply.resources[1:], 1)
                for what, column in (
                    ("budget", session.budgets), ("used", used), ("price", prices), ("residual", residuals),
                )
            }
            | self._local(clearing)
        )  # fmt: skip
        self.datacollector.collect(self)

    def _probed(self, report: Column, offer: Offer, bidders: NDArray[np.int64]) -> float:
        """The largest gain from another report among the agents that are probed; NaN where none is."""
        if min(self.probes, len(bidders)) == 0 or offer.before is not None:
            return float("nan")
        drawn = np.random.default_rng([self.seed, self.round]).permutation(len(bidders))[: self.probes]
        value, cost = self.ledger.value[bidders], offer.cost[bidders]
        return float(deviation_gain(self.mechanism, value, report[bidders], offer.supply, cost, drawn).max())

    def _local(self, clearing: Clearing) -> dict[str, float]:
        """Prices of local markets, by name; none where there is one market."""
        names = self.supply.markets
        return {f"price_{name}": float(clearing.price[m]) for m, name in enumerate(names)} if len(names) > 1 else {}

    def rearrange(self, keep: NDArray[np.bool_]) -> Column:
        """Quantities [n] after swaps within sub-layers, by the gradients of the network as it is without gates."""
        generator = torch.Generator().manual_seed(self.seed)
        gates = torch.ones_like(self.gates)
        gradients = torch.cat(list(self.calibration.sample_gradients(gates, generator)))
        return rearrange(gradients, self.calibration.inventory, keep).astype(np.float64)

    def mend(self, session: Session) -> None:
        """Repair what has been thinned."""
        if self.repair is None:
            return
        calibration, sites = self.calibration, self.calibration.inventory.sites
        if self._twins is None:
            self._twins = ModelPair.of(calibration.model, calibration.dense, calibration.inventory, calibration.batches)
        self.repair(self._twins, self.ledger.quantity > 0, None if session.site is None else (session.site,))
        if session.site in (None, sites[-1]):
            self._twins.close()
            self._twins = None

    def report(self, budget: float) -> Column:
        """Reports [n]: the strategy's for all agents at once, then those of agents that bid for themselves."""
        ledger = self.ledger
        known = BidderInfo(  # of copies: the books are not the strategy's to write
            value=ledger.value.copy(),
            cost=ledger.cost.copy(),
            wealth=ledger.wealth,
            quantity=ledger.quantity.copy(),
            price=ledger.price.copy(),
            supply=budget,
        )
        report = np.array(self.strategy.bid(known, self.rng), dtype=np.float64)
        if report.shape != (len(ledger),):
            raise InputError(
                f"strategy {self.strategy.name!r} returned reports of shape {report.shape} for {len(ledger)} units"
            )
        for agent in self._own_bidders:
            report[agent.row] = _number(agent)
        if not np.isfinite(report).all():
            bad = int(np.flatnonzero(~np.isfinite(report))[0])
            raise InputError(f"{ledger.name[bad]} ({ledger.strategy[bad]}) bids {report[bad]}; bids must be finite")
        return report


def _agent_classes(own: Mapping[str, type[UnitAgent]]) -> dict[str, type[UnitAgent]]:
    """The agent class of every kind of unit."""
    for kind, cls in own.items():
        if kind not in AGENTS:
            raise UnknownNameError("kind of unit", kind, AGENTS)
        if not (isinstance(cls, type) and issubclass(cls, UnitAgent)):
            raise InputError(f"agents[{kind!r}] is {cls!r}; it must be a class derived from UnitAgent")
    return {**AGENTS, **own}


def _number(agent: UnitAgent) -> float:
    """What an agent bids for itself."""
    bid = agent.bid()
    try:
        return float(bid)
    except (TypeError, ValueError) as error:
        raise InputError(f"{agent.name} ({type(agent).__name__}) bids {bid!r}; bids must be numbers") from error


def _last(rows: str, name: str, market: ComputeMarket) -> float | int | str:
    """A figure of the last round, for the data collector."""
    figure: float | int | str = getattr(getattr(market, rows)[-1], name)
    return figure

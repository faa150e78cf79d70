"""A market for compute: units of a transformer trade it in rounds, as a Mesa model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import mesa
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from walras.agents import AGENTS, Strategy, TradedUnits, Truthful, UnitAgent, Valuation, agent_class
from walras.errors import InputError, UnknownNameError
from walras.market.collecting import collector
from walras.market.economics import ECONOMICS, Economics, Regrets
from walras.market.hooks import PLAY, PLAYED, Hooks
from walras.market.ledger import Ledger
from walras.market.naming import naming
from walras.market.phases import DEFAULT_PHASES, PHASES, Phase, Turn, in_order
from walras.market.phases.bid import begun
from walras.market.phases.turn_check import check_turn
from walras.market.round import Round, more_columns
from walras.market.schedule import check_budget
from walras.market.scope import GLOBAL, SCOPES, Scope
from walras.market.session import Session
from walras.market.shocks import Shock
from walras.market.supply import Supply
from walras.mechanisms import Clearing, Mechanism
from walras.models.resources.resource import Usage, ranks

if TYPE_CHECKING:
    from walras.market.hooks import Hook


class ComputeMarket(mesa.Model):
    """Units of a network bid for compute; `step()` is one round, a list of phases:

    1. `open`: shocks strike; it is settled which units trade.
    2. `value`: the valuation says what each unit is worth under the present gates.
    3. `bid`: the strategy, or an agent's own `bid()`, turns values into reports. Strategies that learn have first been
       told what the units that they won, or not, are worth now: the network's answer to the last round.
    4. `clear`: the mechanism clears the reports against this round's budget, and sees nothing else.
    5. `settle`: the outcome becomes the gates; the ledger books income and payments. Agents whose wealth is below 0
       leave for good.

    Extra phases go between them or behind them, or take the place of one; `on` adds hooks before and after each.

    The network itself is not held here, only weakly by the calibration: a Mesa model is never freed in Mesa 3.3.

    Args:
        calibration: network, loss and data with which units are valued; or units whose values are given.
        valuation: what a unit is worth.
        mechanism: the rule of the market.
        budgets: of each round, as shares of the dense network's compute. There are as many rounds as budgets.
        strategy: how agents bid.
        seed: of everything random; 0 where neither it nor `rng` is given.
        agents: agent classes by kind of unit, for kinds that do not take the standard ones.
        reentry: whether a unit that lost its funding may bid again.
        resources: what the budgets are shares of, for others than the calibration's cost: the first is that of
            `budgets`. Where units of a sub-layer do not add equal amounts they are ranked by what they bid.
        extra_budgets: budgets of each round of the second, third, ... resource.
        endowment: money of each agent at the start.
        shocks: what happens before some of the rounds: units break, the task changes.
        scope: how far the market for the leading resource reaches, by name or as an object: `global`, or local ones
            without a common supply, one per `layer`, `sublayer` or `kind`.
        phases: extra phases of a round, by name or as objects, such as `Probes(agents=8)`, `SublayerSessions()`,
            `SwapRefinement()` and `RepairWeights(repair)`.
        rng: a seed, or a random generator that one is drawn from, as Mesa's own tools hand it on.

    Attributes:
        phases: of a round, in the order in which they run.
        sessions: one per round, played or not; some phases play several per budget.
        rounds, economics: the figures of the rounds that have been played, one entry per round.
        ledger: what is known of every unit, and everybody's money.
        may_bid: bool [n], units that have not left.
        own_bidders: agents that bid for themselves.
        learners: agents that are told what every round brought them.
        supply: the resources, and the markets in which they are sold.
        clearing: outcome of the last round, for all units; None before the first.
        memory: what phases keep from round to round, by their names.
        tell: is told, by phases that take long, what they do and which share of it is done; by default nobody.
        running: whether a round is left to play; a hook or a phase that sets it to False ends the market early.
    """

    def __init__(
        self,
        calibration: TradedUnits,
        valuation: Valuation,
        mechanism: Mechanism,
        budgets: Sequence[float],
        *,
        strategy: Strategy | None = None,
        seed: int | None = None,
        agents: Mapping[str, type[UnitAgent]] | None = None,
        reentry: bool = False,
        resources: Sequence[Usage] = (),
        extra_budgets: Sequence[Sequence[float]] = (),
        endowment: float = 0.0,
        shocks: Sequence[Shock] = (),
        scope: Scope | str = GLOBAL,
        phases: Sequence[Phase | str] = (),
        rng: Any = None,
    ) -> None:
        super().__init__(rng=(seed := seed_from(seed, rng)))
        self.sessions = _sessions(budgets, extra_budgets, resources)
        self.calibration, self.valuation, self.mechanism = calibration, valuation, mechanism
        self.seed, self.reentry, self.shocks = seed, reentry, tuple(shocks)
        inventory, units = calibration.inventory, len(calibration.inventory)
        self.strategy = begun(strategy if strategy is not None else Truthful(), units, self.rng)
        self.supply = Supply(tuple(resources) or (_compute(calibration),), SCOPES.make(scope))
        self.supply.require(mechanism)
        cost = self.supply.costs(ranks(inventory, np.zeros(units)))[:, 0]
        self.ledger = Ledger(inventory, cost, self.strategy.names(units), endowment)
        self.may_bid, self.regrets = np.ones(units, dtype=bool), Regrets.before_trading(units)
        self.rounds, self.economics = list[Round](), list[Economics]()
        self.clearing: Clearing | None = None
        self.memory: dict[str, Any] = {}
        self.tell: Callable[[str, float], object] = lambda what, share: None
        with _let_go_on_error(self):
            self.own_bidders, self.learners = _create_agents(self, agents or {})
            self.datacollector = collector(inventory.kinds)
            self.phases = in_order(DEFAULT_PHASES, [PHASES.make(phase) for phase in phases])
            self._hooks = Hooks(self.phases)
            _prepare(self)

    @property
    def round(self) -> int:
        """Rounds played."""
        return len(self.rounds)

    @property
    def gates(self) -> Tensor:
        """The gates [n] that the last clearing left, on the network's device; all ones at first."""
        device = self.calibration.device
        return torch.tensor(self.ledger.quantity, device=device, dtype=torch.get_default_dtype())

    @property
    def frame(self) -> pd.DataFrame:
        """One row per round: columns of `Round`, of `Economics`, and figures such as `latency_budget`."""
        rows = zip(self.rounds, self.economics, strict=True)
        return pd.DataFrame([played.row | asdict(found) | dict(played.figures) for played, found in rows])

    @property
    def _columns(self) -> set[str]:
        """Columns of `frame` before any phase has added figures of its own."""
        return {*Round.columns(self.calibration.inventory.kinds), *ECONOMICS, *more_columns(self.supply)}

    def on(self, event: str, hook: "Hook") -> Callable[[], None]:
        """Call `hook(market, turn)` at an event of every round; the function that is returned removes the hook.

        Events are the names of the phases, before each (`clear`) and after it (`cleared`), and `play` and `played`,
        before and after a whole round.

        Raises:
            UnknownNameError: no such event.
            InputError: a hook that cannot be called.
        """
        return self._hooks.add(event, hook)

    def remaining(self) -> Iterator[Session]:
        """The sessions that are still to be played, one per call of `step`; it ends early if `running` becomes False.

        `for _ in market.remaining(): market.step()` plays the whole market.
        """
        for session in self.sessions[self.round :]:
            if not self.running:
                return
            yield session

    def step(self) -> None:
        """Play one round; nothing where all have been played. After an error it may be called again."""
        try:
            if self.round < len(self.sessions):
                self._play()
            else:
                self.running = False  # also where the last round was settled and something raised behind it
        except BaseException:
            # Mesa 3.5 and later never again call a step that failed, and say nothing: call it without Mesa from now on.
            self.step = partial(type(self).step, self)  # type: ignore[method-assign]  # of this market alone
            raise

    def release(self) -> None:
        """Remove all agents, so that the market can be freed: Mesa 3.3 keeps every model that ever had an agent."""
        self.remove_all_agents()
        getattr(mesa.Agent, "_ids", {}).pop(self, None)

    def _play(self) -> None:
        """All phases of the next round, and their hooks."""
        turn = Turn.from_market(self)
        self._hooks.call(PLAY, self, turn)
        for phase in self.phases:
            self._hooks.call(phase.name, self, turn)
            with naming(f"phase {type(phase).__name__}", phase):
                found = phase.run(self, turn)
            turn = check_turn(phase, turn, found, self.ledger.name.tolist(), self._columns)
            self._hooks.call(phase.done, self, turn)
        if self.round >= len(self.sessions):
            self.running = False
        self._hooks.call(PLAYED, self, turn)


def seed_from(seed: int | None, rng: Any) -> int:
    """The seed of a market from what Mesa hands on: a seed, or a generator, or what numpy makes a generator of."""
    if seed is not None and rng is not None:
        raise InputError(f"seed is {seed!r} beside rng {rng!r}; give one of the two")
    given = seed if rng is None else rng
    if given is None:
        return 0
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool) and given >= 0:
        return int(given)
    if isinstance(given, (np.random.Generator, np.random.BitGenerator, np.random.SeedSequence)):
        return int(np.random.default_rng(given).integers(2**31))
    raise InputError(f"seed is {given!r}; it must be a whole number of at least 0")


@contextmanager
def _let_go_on_error(market: ComputeMarket) -> Iterator[None]:
    """A market that cannot be made is not kept by Mesa."""
    try:
        yield
    except BaseException:
        market.release()
        raise


def _compute(calibration: TradedUnits) -> Usage:
    """The resource of which the calibration's cost is."""
    return Usage.additive_use("compute", "share", calibration.inventory, calibration.cost)


def _sessions(
    budgets: Sequence[float], extra_budgets: Sequence[Sequence[float]], resources: Sequence[Usage]
) -> list[Session]:
    """One session per round, budgets checked."""
    paths = [[check_budget(budget) for budget in path] for path in (budgets, *extra_budgets)]
    if any(len(path) != len(budgets) for path in paths) or len(extra_budgets) != max(len(resources), 1) - 1:
        raise InputError(
            f"extra_budgets has {len(extra_budgets)} paths of {[len(path) for path in extra_budgets]} budgets; each "
            f"resource but the first of {[resource.name for resource in resources]} needs one of {len(budgets)}"
        )
    if not paths[0]:
        raise InputError("budgets is empty; a market needs the budget of at least one round")
    return [Session(leading, None, tuple(extra)) for leading, *extra in zip(*paths, strict=True)]


def _create_agents(
    market: ComputeMarket, own: Mapping[str, type[UnitAgent]]
) -> tuple[list[UnitAgent], list[UnitAgent]]:
    """Create an agent for every unit; those that bid for themselves, and those that learn, are returned."""
    ledger, kinds = market.ledger, market.calibration.inventory.kinds
    if not isinstance(own, Mapping):
        raise InputError(f"agents is {own!r}; it must map kinds of unit to classes, such as {{'head': MyAgent}}")
    for kind, cls in own.items():
        if kind not in {*AGENTS, *kinds}:
            raise UnknownNameError("kind of unit", kind, {*AGENTS, *kinds})
        if not (isinstance(cls, type) and issubclass(cls, UnitAgent)):
            raise InputError(f"agents[{kind!r}] is {cls!r}; it must be a class derived from UnitAgent")
    for kind in kinds:
        cls = own.get(kind, agent_class(kind))
        rows = np.flatnonzero(ledger.kind == kind)
        with naming(f"agent {cls.__name__}", cls):
            cls.create_agents(market, len(rows), rows.tolist())
    bidders = [agent for agent in market.agents if type(agent).bid is not UnitAgent.bid]
    for agent in bidders:
        ledger.strategy[agent.row] = type(agent).__name__
    return bidders, [agent for agent in market.agents if type(agent).after is not UnitAgent.after]


def _prepare(market: ComputeMarket) -> None:
    """Let shocks and phases check the market before its first round, and set it up."""
    for shock in market.shocks:
        if not isinstance(shock, Shock):
            raise InputError(f"shocks holds {shock!r}; it must be a Shock")
        with naming(f"shock {type(shock).__name__}", shock):
            shock.prepare(market)
    for phase in market.phases:
        with naming(f"phase {type(phase).__name__}", phase):
            phase.prepare(market)
    for shock in market.shocks:
        if shock.at > len(market.sessions):
            raise InputError(
                f"shock {type(shock).__name__} strikes before round {shock.at}; there are {len(market.sessions)} rounds"
            )

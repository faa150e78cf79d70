"""How well a round went, as an economist would ask; true values are used, which no mechanism sees."""

from dataclasses import dataclass, fields
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from walras.agents.strategies.strategy import RoundOutcome, multiples
from walras.market.ledger import Column, Ledger
from walras.mechanisms import IndivisibleBids, Mechanism, ShadowPrice
from walras.mechanisms.inequality import gini

FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 2.0)
"""Reports, as multiples of an agent's value, among which profitable deviations and regrets are sought."""


@final
@dataclass(frozen=True)
class Economics:
    """The economist's figures of a round, beside `Round`; money is in the valuation's unit."""

    bound: float  # no allocation within the supply can be worth more
    efficiency: float  # welfare / bound: at least so much of the best there is
    duality_gap: float  # the bound at this round's own price, less the welfare: 0 where they support each other
    gini_wealth: float
    gini_compute: float  # over all units, those without any included
    volatility: float  # standard deviation of the changes of ln price so far; NaN before there are two
    regret: float  # mean over agents and rounds: what the best fixed report would have earned more; NaN in the first
    deviation_gain: float  # the largest gain from misreporting among the agents sampled; NaN where none was


ECONOMICS = tuple(f.name for f in fields(Economics))
"""Its columns in the table of rounds."""


def economics(
    ledger: Ledger, bids: NDArray[np.bool_], supply: float, prices: list[float], regrets: "Regrets", gain: float
) -> Economics:
    """The figures of a round that a ledger has just booked.

    The bound is the Lagrangian dual at the price that clears the true values in one market, which is within one unit's
    value of the best; `duality_gap` is the same at the price that was in fact posted, the last one.

    Args:
        ledger: with the round booked.
        bids: bool [n], the units that bid.
        supply: of the leading resource, for these units.
        prices: of the leading resource in every round so far.
        regrets: of all agents before this round.
        gain: the largest gain from misreporting that was found.
    """
    value, cost = ledger.value[bids], ledger.cost[bids]
    exact = ShadowPrice()(IndivisibleBids(torch.from_numpy(value)), supply, torch.from_numpy(cost))
    achieved = float(value @ ledger.quantity[bids])
    bound = _dual(value, cost, supply, float(exact.price))
    poorest = min(float(ledger.wealth.min(initial=0.0)), 0.0)  # debts: the Gini coefficient knows none
    return Economics(
        bound=bound,
        efficiency=achieved / bound if bound > 0 else 1.0,
        duality_gap=_dual(value, cost, supply, prices[-1]) - achieved,
        gini_wealth=_gini(ledger.wealth - poorest),
        gini_compute=_gini(ledger.cost * ledger.quantity),
        volatility=volatility(prices),
        regret=float(regrets.mean.mean()) if regrets.rounds else float("nan"),
        deviation_gain=gain,
    )


def volatility(prices: list[float]) -> float:
    """Standard deviation of ln p_t - ln p_{t-1} over rounds with prices above 0; NaN of fewer than three."""
    changes = np.diff(np.log([price for price in prices if price > 0]))
    return float(changes.std()) if len(changes) > 1 else float("nan")


@final
@dataclass(frozen=True, eq=False)
class Regrets:
    """External regret: what every agent earned [n], and would have by each fixed factor [n, k], over the rounds so far.

    Counted at the prices as they were (`RoundOutcome.forgone`).
    """

    earned: Column
    forgone: Column
    rounds: int = 0

    @staticmethod
    def before_trading(agents: int) -> "Regrets":
        """Of so many agents before the first round."""
        return Regrets(np.zeros(agents), np.zeros((agents, len(FACTORS)), order="F"))

    def after(self, outcome: RoundOutcome) -> "Regrets":
        """One round later."""
        forgone = outcome.forgone(multiples(outcome.value, FACTORS))
        return Regrets(self.earned + outcome.reward, self.forgone + forgone, self.rounds + 1)

    @property
    def mean(self) -> Column:
        """Regret per round of every agent [n]; 0 before the first."""
        regret: Column = (self.forgone.max(-1) - self.earned) / max(self.rounds, 1)
        return regret


def deviation_gain(
    mechanism: Mechanism,
    value: Column,
    report: Column,
    supply: Any,
    cost: Any,
    agents: NDArray[np.int64] | None = None,
    factors: tuple[float, ...] = FACTORS,
) -> Column:
    """The most that each of the `agents` [k] could gain by a unilateral deviation: all others [n] report what they do.

    Every factor times the agent's value is cleared by the rule itself: k * factors markets in one batch. What it gains
    is compared with what its present report earns. At least 0; a search, so that it may be more.
    """
    chosen = np.arange(len(value)) if agents is None else agents
    tried = np.repeat(report[None], len(chosen) * len(factors), 0)
    row, who = np.arange(len(tried)), np.repeat(chosen, len(factors))
    tried[row, who] = multiples(value[chosen], factors).ravel()
    now = mechanism(IndivisibleBids(torch.from_numpy(report)), supply, cost).detached()
    rows = torch.as_tensor(supply, dtype=torch.float64).reshape(-1).expand(len(tried), -1)
    lied = mechanism(IndivisibleBids(torch.from_numpy(tried)), rows, cost).detached()
    earned = (value * now.quantity.numpy() - now.payment.numpy())[chosen]
    other = value[who] * lied.quantity.numpy()[row, who] - lied.payment.numpy()[row, who]
    gain: Column = np.maximum(other.reshape(len(chosen), len(factors)).max(-1) - earned, 0.0)
    return gain


def _dual(value: Column, cost: Column, supply: float, price: float) -> float:
    """price * supply + the surplus that all would have at the price: above every welfare within the supply."""
    return price * supply + float(np.maximum(value - price * cost, 0.0).sum())


def _gini(amount: Column) -> float:
    return float(gini(torch.from_numpy(np.ascontiguousarray(amount))))

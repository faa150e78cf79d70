"""The market of `many_agents` written as an object an agent: what arrays are compared with."""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import final

import torch

from walras.agents import Calibration, QuadraticSurrogate
from walras.market.economics import FACTORS
from walras.mechanisms import Clearing, IndivisibleBids, ShadowPrice

CHOICES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)  # of Hedge


@final
class Agent:
    """One unit: what it knows, decides, owns and has learnt."""

    __slots__ = (
        "cost", "earned", "forgone", "kind", "payment", "price", "quantity", "report", "score", "value", "wealth",
    )  # fmt: skip

    def __init__(self, cost: float, kind: str) -> None:
        self.cost, self.kind = cost, kind
        self.value = self.report = self.price = self.payment = self.wealth = self.earned = 0.0
        self.quantity = 1.0
        self.score = [0.0] * len(CHOICES)
        self.forgone = [0.0] * len(FACTORS)

    def bid(self, draw: random.Random) -> float:
        """By the agent's strategy."""
        if self.kind == "truthful":
            return self.value
        if self.kind == "shading":
            return 0.8 * self.value
        if self.kind == "zero-intelligence":
            return draw.random() * self.value
        best = max(self.score)
        weights = [math.exp(0.3 * (score - best)) for score in self.score]
        return draw.choices(CHOICES, weights)[0] * self.value

    def learn(self, value: float) -> None:
        """What the last round earned, and would have by other reports, now that the unit turns out to be worth this."""
        price = self.price
        self.earned += value * self.quantity - self.payment
        for k, factor in enumerate(FACTORS):
            if factor * value >= price:
                self.forgone[k] += value - price
        if self.kind == "hedge" and value > 0:
            share = min(max((value - price) / value, -1.0), 1.0)
            for k, factor in enumerate(CHOICES):
                if factor * value >= price:
                    self.score[k] += share

    def settle(self, quantity: float, price: float) -> None:
        """Sell the service, pay the price."""
        self.quantity, self.price = quantity, price * self.cost
        self.payment = min(self.price, self.report) * quantity
        self.wealth += self.value * quantity - self.payment


@final
class OneByOneMarket:
    """Truthful, shading, zero-intelligence and Hedge agents under `ShadowPrice`, in Python loops.

    Values come from the surrogate and prices from the rule itself, as in `ComputeMarket` with re-entry; all else, down
    to the figures of a round, is done agent by agent.
    """

    def __init__(self, calibration: Calibration, budget: float, kinds: Sequence[str], seed: int = 0) -> None:
        self.calibration, self.budget, self.draw = calibration, budget, random.Random(seed)
        self.agents = [Agent(cost, kind) for cost, kind in zip(calibration.cost.tolist(), kinds, strict=True)]
        self.cost = torch.tensor([agent.cost for agent in self.agents], dtype=torch.float64)
        self.rounds: list[dict[str, float]] = []
        self._hooks: dict[str, Callable[[], object]] = {}

    def on(self, event: str, hook: Callable[[], object]) -> None:
        """Call a hook before agents decide (`bid`) or after they have reported (`reported`)."""
        self._hooks[event] = hook

    def step(self) -> None:
        """One round."""
        value = self.value()
        self._hooks.get("bid", int)()
        self.learn(value)
        for agent, worth in zip(self.agents, value, strict=True):
            agent.value = worth
        self.report()
        self._hooks.get("reported", int)()
        found = self.clear(agent.report for agent in self.agents)
        price = float(found.price)
        for agent, quantity in zip(self.agents, found.quantity.tolist(), strict=True):
            agent.settle(quantity, price)
        self.rounds.append(self.figures(price))

    def value(self) -> list[float]:
        """What units are worth under the present gates."""
        gates = torch.tensor([agent.quantity for agent in self.agents])
        worth: list[float] = QuadraticSurrogate()(self.calibration, gates, torch.Generator()).double().tolist()
        return worth

    def learn(self, value: Sequence[float]) -> None:
        """Tell every agent what the last round brought."""
        if self.rounds:
            for agent, worth in zip(self.agents, value, strict=True):
                agent.learn(worth)

    def report(self) -> None:
        """A call of `bid()` an agent."""
        for agent in self.agents:
            agent.report = agent.bid(self.draw)

    def clear(self, reports: Iterable[float]) -> Clearing:
        """By the rule."""
        return ShadowPrice()(IndivisibleBids(torch.tensor([*reports], dtype=torch.float64)), self.budget, self.cost)

    def figures(self, price: float) -> dict[str, float]:
        """What `Round` and `Economics` say of a round."""
        agents, played = self.agents, len(self.rounds)
        exact = float(self.clear(agent.value for agent in agents).price)
        welfare = sum(agent.value * agent.quantity for agent in agents)
        bound = self.dual(exact)
        poorest = min(0.0, min(agent.wealth for agent in agents))
        return {
            "used": sum(agent.cost * agent.quantity for agent in agents),
            "price": price,
            "welfare": welfare,
            "revenue": sum(agent.payment for agent in agents),
            "bound": bound,
            "efficiency": welfare / bound if bound > 0 else 1.0,
            "duality_gap": self.dual(price) - welfare,
            "gini_wealth": gini(agents, lambda agent: agent.wealth - poorest),
            "gini_compute": gini(agents, lambda agent: agent.cost * agent.quantity),
            "regret": sum(max(agent.forgone) - agent.earned for agent in agents) / max(played, 1) / len(agents),
        }

    def dual(self, price: float) -> float:
        """The Lagrangian bound on welfare at a price."""
        return price * self.budget + sum(max(agent.value - price * agent.cost, 0.0) for agent in self.agents)


def gini(agents: Sequence[Agent], amount: Callable[[Agent], float]) -> float:
    """Normalised Gini coefficient."""
    rising, n = sorted(amount(agent) for agent in agents), len(agents)
    whole = sum(rising)
    return sum((2 * i - n + 1) * x for i, x in enumerate(rising)) / ((n - 1) * whole) if whole > 0 else 0.0

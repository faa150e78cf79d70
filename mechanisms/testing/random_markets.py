"""Random markets of every population, on which rules are tested."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from walras.mechanisms.bids.budgeted import Budgeted
from walras.mechanisms.bids.entropic import EntropicBids
from walras.mechanisms.bids.indivisible import IndivisibleBids
from walras.mechanisms.bids.interface import Bids
from walras.mechanisms.bids.logistic import LogisticBids
from walras.mechanisms.bids.menu import MenuBids
from walras.mechanisms.bids.quadratic import QuadraticBids
from walras.mechanisms.bids.tsallis import TsallisBids
from walras.mechanisms.clearing import Clearing
from walras.mechanisms.mechanism import Mechanism
from walras.mechanisms.traits import SEVERAL_RESOURCES

# Makes a population from scores [..., n]; the second argument multiplies every utility.
Population = Callable[[Tensor, float], Bids]
POPULATIONS: dict[str, Population] = {
    "indivisible": lambda score, money: IndivisibleBids(score * money),
    "entropic": lambda score, money: EntropicBids(score * money, temperature=money),
    "quadratic": lambda score, money: QuadraticBids(score * money, temperature=money),
    "tsallis": lambda score, money: TsallisBids(score * money, temperature=money),
    "logistic": lambda score, money: LogisticBids(score * money, temperature=money),
    "menus": lambda score, money: MenuBids(
        torch.tensor([0.5, 1.0, 2.0]), money * torch.stack([0.2 * score, score, 1.3 * score], -1)
    ),
    "indivisible with budgets": lambda score, money: Budgeted(
        IndivisibleBids(score * money), torch.tensor(0.6 * money)
    ),
    "quadratic with budgets": lambda score, money: Budgeted(QuadraticBids(score * money, money), 0.05 * score * money),
}
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Rounding that two outcomes may differ by, of amounts around 1."""


@final
@dataclass(frozen=True)
class Market:
    """One random market; `population` and `scores` [..., n] make its bids."""

    name: str
    population: Population
    scores: Tensor
    supply: Tensor
    cost: Tensor

    def clear(self, mechanism: Mechanism, money: float = 1.0) -> Clearing:
        """Run the rule on this market with all utilities multiplied by `money`."""
        return mechanism(self.bids(money), self.supply, self.cost)

    def bids(self, money: float = 1.0) -> Bids:
        """The population of this market."""
        return self.population(self.scores, money)

    def close(self, given: Tensor, expected: Tensor) -> bool:
        """Whether two outcomes agree up to the rounding of their dtype."""
        tolerance = TOLERANCE[self.scores.dtype]
        return torch.allclose(given, expected, rtol=tolerance, atol=tolerance)


def markets(mechanism: Mechanism, seed: int, instances: int) -> Iterator[Market]:
    """Random markets of every population that the mechanism accepts, in both precisions, some with ties."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    shapes = ((1,), (2,), (7,), (40,), (3, 5), (2, 3, 11))
    for name, population in POPULATIONS.items():
        if not mechanism.fits(population(torch.ones(1), 1.0)):
            continue
        for i in range(instances):
            shape = shapes[i % len(shapes)]
            scores, cost = random(*shape) + 0.05, random(shape[-1], 1) + 0.05
            if i % 4 == 3:  # ties
                scores, cost = (scores * 4).ceil() / 4, torch.ones_like(cost)
            supply = cost.sum(0) * (0.0, 0.05, 0.3, 0.5, 0.9, 1.5)[int(random(1) * 6)]
            dtype = (torch.float64, torch.float32)[i // len(shapes) % 2]
            title = f"{name} {[*shape]} {dtype} #{i}"
            yield Market(title, population, scores.to(dtype), supply.to(dtype), cost.to(dtype))
    if SEVERAL_RESOURCES in mechanism.guarantees and mechanism.price_floor > -torch.inf:
        for name, population in POPULATIONS.items():
            if not mechanism.fits(population(torch.ones(1), 1.0)):
                continue
            for i in range(instances if name == "indivisible" else instances // 4):
                shape = shapes[i % len(shapes)]
                scores, cost = random(*shape) + 0.05, random(shape[-1], 2) + 0.05
                supply = cost.sum(0) * (random(2) * 1.2 if i % 5 else 0.0)
                dtype = (torch.float64, torch.float32)[i // len(shapes) % 2]
                title = f"{name} {[*shape]} of two resources {dtype} #{i}"
                yield Market(title, population, scores.to(dtype), supply.to(dtype), cost.to(dtype))

"""What every rule must keep, as a suite that anybody can run on a rule or a population of their own.

Always held to: never more than the supply, no NaN, batched equals looped, the same in float32 and float64. Where a
mechanism's `guarantees` name a property, it is held to that too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, final

import torch
from torch import Tensor

from walras.errors import RequirementError, WalrasError
from walras.mechanisms import traits
from walras.mechanisms.bids import Bids
from walras.mechanisms.clearing import Clearing
from walras.mechanisms.entropic import EntropicBids
from walras.mechanisms.indivisible import IndivisibleBids
from walras.mechanisms.logistic import LogisticBids
from walras.mechanisms.mechanism import Mechanism, charge
from walras.mechanisms.quadratic import QuadraticBids
from walras.mechanisms.tsallis import TsallisBids

# Makes a population from scores [..., n]; the second argument multiplies every utility.
Population = Callable[[Tensor, float], Bids]
POPULATIONS: dict[str, Population] = {
    "indivisible": lambda score, money: IndivisibleBids(score * money),
    "entropic": lambda score, money: EntropicBids(score * money, temperature=money),
    "quadratic": lambda score, money: QuadraticBids(score * money, temperature=money),
    "tsallis": lambda score, money: TsallisBids(score * money, temperature=money),
    "logistic": lambda score, money: LogisticBids(score * money, temperature=money),
}
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


@final
@dataclass(frozen=True)
class Check:
    """One line of the report: what was checked, whether it held, and the first instance where it did not."""

    name: str
    passed: bool
    instances: int
    detail: str = ""


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

    def close(self, found: Tensor, expected: Tensor) -> bool:
        """Whether two outcomes agree up to the rounding of their dtype."""
        tolerance = _TOLERANCE[self.scores.dtype]
        return torch.allclose(found, expected, rtol=tolerance, atol=tolerance)


def markets(mechanism: Mechanism, seed: int, instances: int) -> Iterator[Market]:
    """Random markets of every population that the mechanism accepts, in both precisions, some with ties."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    shapes = ((1,), (2,), (7,), (40,), (3, 5), (2, 3, 11))
    for name, population in POPULATIONS.items():
        if not mechanism.requires <= population(torch.ones(1), 1.0).traits:
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
    if traits.SEVERAL_RESOURCES in mechanism.guarantees and mechanism.price_floor > -torch.inf:
        for i in range(instances):
            shape = shapes[i % len(shapes)]
            scores, cost = random(*shape) + 0.05, random(shape[-1], 2) + 0.05
            supply = cost.sum(0) * (random(2) * 1.2 if i % 5 else 0.0)
            dtype = (torch.float64, torch.float32)[i // len(shapes) % 2]
            title = f"indivisible {[*shape]} of two resources {dtype} #{i}"
            yield Market(title, POPULATIONS["indivisible"], scores.to(dtype), supply.to(dtype), cost.to(dtype))


def feasible(mechanism: Mechanism, market: Market) -> str:
    """Calling the mechanism checks shapes, NaN, negative quantities and the supply."""
    market.clear(mechanism)
    return ""


def batched(mechanism: Mechanism, market: Market) -> str:
    """A batch of markets must clear as each would on its own."""
    together, scores = market.clear(mechanism), market.scores
    for row in product(*map(range, scores.shape[:-1])):
        alone = replace(market, scores=scores[row]).clear(mechanism)
        for part in ("quantity", "price", "payment"):
            found, expected = getattr(together, part)[row], getattr(alone, part)
            if not market.close(found, expected):
                return f"{part} of row {row} is {found.tolist()} in the batch and {expected.tolist()} alone"
    return ""


def precise(mechanism: Mechanism, market: Market) -> str:
    """The answer has the precision of the bids, and a price that float64 confirms."""
    clearing = market.clear(mechanism)
    if clearing.price.dtype != market.scores.dtype or clearing.quantity.dtype != market.scores.dtype:
        return f"{market.scores.dtype} bids gave a {clearing.price.dtype} price, {clearing.quantity.dtype} quantities"
    wide = replace(market, scores=market.scores.double(), cost=market.cost.double(), supply=market.supply.double())
    expected = wide.clear(mechanism).price
    if torch.allclose(clearing.price.double(), expected, rtol=1e-3, atol=1e-4) or (market.supply == 0).any():
        return ""  # without supply no price is too high
    return f"price {clearing.price.tolist()} in {market.scores.dtype}, {expected.tolist()} in float64"


def above_floor(mechanism: Mechanism, market: Market) -> str:
    """No price below the mechanism's floor."""
    price = market.clear(mechanism).price
    if (price >= torch.tensor(mechanism.price_floor, dtype=price.dtype)).all():
        return ""
    return f"price {price.min().item()}, floor {mechanism.price_floor}"


def rational(mechanism: Mechanism, market: Market) -> str:
    """No agent pays more than the reported utility of what it gets."""
    clearing = market.clear(mechanism)
    loss = (clearing.payment - market.bids().utility(clearing.quantity)).max().item()
    return "" if loss <= _TOLERANCE[market.scores.dtype] else f"an agent loses {loss}"


def permutation(mechanism: Mechanism, market: Market) -> str:
    """Where no two agents tie, their order does not matter."""
    per_cost = market.scores.unsqueeze(-1) / market.cost
    if (per_cost.sort(-2).values.diff(dim=-2) == 0).any():
        return ""
    order = torch.randperm(market.scores.shape[-1], generator=torch.Generator().manual_seed(0))
    plain = market.clear(mechanism)
    mixed = replace(market, scores=market.scores[..., order], cost=market.cost[order]).clear(mechanism)
    if market.close(mixed.quantity, plain.quantity[..., order]) and market.close(mixed.price, plain.price):
        return ""
    return f"price {plain.price.tolist()}, of the same agents in another order {mixed.price.tolist()}"


def scaling(mechanism: Mechanism, market: Market) -> str:
    """All money counted in a unit four times smaller: same quantities, prices and payments times four."""
    plain, scaled = market.clear(mechanism), market.clear(rescaled(mechanism, 4.0), money=4.0)
    for part, factor in (("quantity", 1.0), ("price", 4.0), ("payment", 4.0)):
        if not market.close(getattr(scaled, part), getattr(plain, part) * factor):
            return f"{part} {getattr(plain, part).tolist()} became {getattr(scaled, part).tolist()}"
    return ""


def monotone(mechanism: Mechanism, market: Market) -> str:
    """As the supply of one resource grows, welfare does not fall and no price rises.

    Of several, a price may rise as all supplies grow: by the one that then binds.
    """
    if market.supply.shape[-1] > 1:
        return ""
    slack = _TOLERANCE[market.scores.dtype]
    welfare = price = None
    for share in (0.1, 0.3, 0.5, 0.7, 1.0, 1.3):
        supply = (market.cost.sum(0) * share).to(market.scores.dtype)
        clearing = replace(market, supply=supply).clear(mechanism)
        now = market.bids().utility(clearing.quantity).sum(-1)
        if welfare is not None and (now < welfare - slack).any():
            return f"welfare fell from {welfare.tolist()} to {now.tolist()} at supply {supply.tolist()}"
        if price is not None and (clearing.price > price + slack * price.abs().clamp(min=1)).any():
            return f"price rose from {price.tolist()} to {clearing.price.tolist()} at supply {supply.tolist()}"
        welfare, price = now, clearing.price
    return ""


def several(mechanism: Mechanism, market: Market) -> str:
    """Two resources: one that nobody needs in full is free, and who would gain most at the prices is served.

    Left over may be what two units use: the relaxation has at most two fractional ones.
    """
    if market.supply.shape[-1] == 1:
        return ""
    clearing = market.clear(mechanism)
    left = -clearing.residual - 2 * market.cost.double().max(-2).values
    wasted = (clearing.price > mechanism.price_floor + _TOLERANCE[market.scores.dtype]) & (left > 0)
    if wasted.any():
        return f"price {clearing.price.tolist()} where {(-clearing.residual).tolist()} is left over"
    gain = torch.where(clearing.quantity > 0, 0.0, market.scores - charge(market.cost, clearing.price))
    if gain.max() <= 10 * _TOLERANCE[market.scores.dtype]:
        return ""
    return f"at price {clearing.price.tolist()} somebody who is not served would gain {gain.max().item()}"


CheckFunction = Callable[[Mechanism, Market], str]
ALWAYS: dict[str, CheckFunction] = {
    "never over supply, no NaN": feasible,
    "batched equals looped": batched,
    "float32 and float64": precise,
}
NAMED: dict[str, CheckFunction] = {
    traits.PRICE_FLOOR: above_floor,
    traits.INDIVIDUALLY_RATIONAL: rational,
    traits.PERMUTATION_INVARIANT: permutation,
    traits.SCALE_INVARIANT: scaling,
    traits.SUPPLY_MONOTONE: monotone,
    traits.SEVERAL_RESOURCES: several,
}


def rescaled(mechanism: Mechanism, factor: float) -> Mechanism:
    """The mechanism with its money-valued fields (`money(...)`) multiplied."""
    rule: Any = mechanism  # a dataclass, as every concrete mechanism is
    names = [f.name for f in fields(rule) if f.metadata.get("money")]
    amounts: dict[str, Any] = {n: getattr(mechanism, n) for n in names}
    changes = {n: amount * factor for n, amount in amounts.items() if amount is not None}
    scaled: Mechanism = replace(rule, **changes)
    return scaled


def check_mechanism(
    mechanism: Mechanism, seed: int = 0, instances: int = 24, tell: Callable[[str], object] = lambda name: None
) -> list[Check]:
    """Run the suite on a mechanism; a failed check tells the first market on which it failed, and how.

    `tell` is called with the name of every check before it begins.

    The report ends with the first check where the mechanism does not keep that one: nothing else can be said of it.
    """
    unknown = mechanism.guarantees - set(NAMED)
    if unknown:
        raise RequirementError(f"unknown guarantee {sorted(unknown)[0]!r}; known: {', '.join(sorted(NAMED))}")
    sample = list(markets(mechanism, seed, instances))
    if not sample:
        raise RequirementError(f"no population has the traits {sorted(mechanism.requires)} that the rule requires")
    wanted = ALWAYS | {name: check for name, check in NAMED.items() if name in mechanism.guarantees}
    report: list[Check] = []
    for name, check in wanted.items():
        tell(name)
        report.append(_run(name, check, mechanism, sample))
        if check is feasible and not report[-1].passed:
            break
    return report


def _run(name: str, check: CheckFunction, mechanism: Mechanism, sample: list[Market]) -> Check:
    for done, market in enumerate(sample, 1):
        try:
            problem = check(mechanism, market)
        except WalrasError as error:
            problem = str(error)
        except Exception as error:  # a user's rule may fail in any way: that is what is reported
            problem = f"{type(error).__name__}: {error}"
        if problem:
            return Check(name, False, done, f"{market.name}: {problem}")
    return Check(name, True, len(sample))

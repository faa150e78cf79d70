"""Every rule with every kind of bids: what fits keeps all that the rule guarantees, what does not is refused by name.

Markets come from Hypothesis, and with each one of the checks that the rule is held to: 2 per pair, and 500 with
HYPOTHESIS_PROFILE=nightly. What it has found once stands below.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from walras.errors import RequirementError
from walras.mechanisms import (
    MECHANISMS,
    Bids,
    Clearing,
    GammaBids,
    Mechanism,
    QuadraticSurgeBids,
    ShadowPrice,
    SurgeBids,
    TriangularBids,
)
from walras.mechanisms.testing.invariance import permutation
from walras.mechanisms.testing.properties import ALWAYS, NAMED, CheckFunction
from walras.mechanisms.testing.random_markets import POPULATIONS, Market, Population
from walras.mechanisms.testing.soundness import precise
from walras.mechanisms.traits import INDIVISIBLE, SEVERAL_RESOURCES

QUERIES: dict[str, Population] = {  # thresholds fall as scores rise
    "surge": lambda score, money: SurgeBids(1 / (score + 0.5), money, 2.0),
    "surges of their own": lambda score, money: SurgeBids(1 / (score + 0.5), score * money, 1 + score),
    "triangular": lambda score, money: TriangularBids(1 / (score + 0.5), money, 2.0),
    "quadratic surge": lambda score, money: QuadraticSurgeBids(1 / (score + 0.5), money, 2.0),
    "gamma": lambda score, money: GammaBids(1 / (score + 0.5), money, 2.0, cap=4.0),
}
BIDDERS = POPULATIONS | QUERIES
PAIRS = [*product(MECHANISMS.values(), BIDDERS)]
FIT = [(rule, name) for rule, name in PAIRS if rule().fits(BIDDERS[name](torch.ones(1), 1.0))]
APART = [pair for pair in PAIRS if pair not in FIT]

PROFILE = settings.get_current_profile_name()
EXAMPLES = settings.get_profile("nightly").max_examples if PROFILE == "nightly" else 2

# Round numbers make ties and exact fits, which random floats never do.
SCORES = st.one_of(st.sampled_from([0.25, 0.5, 1.0, 2.0]), st.floats(0.05, 3))
COSTS = st.one_of(st.sampled_from([0.25, 0.5, 1.0]), st.floats(0.05, 2))
SHARES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.25]), st.floats(0.01, 1.25))


@st.composite
def drawn(draw: Any) -> Market:
    """One or two markets of up to eight agents, without their population."""
    n, rows = draw(st.integers(1, 8)), draw(st.integers(1, 2))
    dtype = draw(st.sampled_from([torch.float64, torch.float32]))

    def tensor(numbers: Any, *shape: int) -> Tensor:
        size = torch.Size(shape).numel()
        return torch.tensor(draw(st.lists(numbers, min_size=size, max_size=size)), dtype=dtype).reshape(shape)

    scores, cost = tensor(SCORES, rows, n), tensor(COSTS, n, 1)
    supply = cost.sum(0) * draw(SHARES)
    return Market("drawn", POPULATIONS["indivisible"], scores if rows > 1 else scores[0], supply, cost)


def of(market: Market, population: str) -> Market:
    return Market(population, BIDDERS[population], market.scores, market.supply, market.cost)


def checks(rule: type[Mechanism]) -> dict[str, CheckFunction]:
    """What a rule is held to on markets of one resource."""
    return ALWAYS | {name: check for name, check in NAMED.items() if name in rule.guarantees - {SEVERAL_RESOURCES}}


@pytest.mark.spread
@pytest.mark.parametrize(("rule", "population"), FIT)
@settings(max_examples=EXAMPLES)
@given(market=drawn(), data=st.data())
def test_a_pair_that_fits_keeps_what_the_rule_guarantees(
    rule: type[Mechanism], population: str, market: Market, data: st.DataObject
) -> None:
    named = checks(rule)
    name = data.draw(st.sampled_from([*named]), label="check")
    assert named[name](rule(), of(market, population)) == ""


@pytest.mark.parametrize(("rule", "population"), APART)
def test_a_pair_that_does_not_fit_is_refused_by_name(rule: type[Mechanism], population: str) -> None:
    with pytest.raises(RequirementError, match=rf"^{rule.__name__} (requires|refuses) bids"):
        rule()(BIDDERS[population](torch.ones(3), 1.0), 1.0)


def test_a_supply_that_is_just_enough_but_for_rounding() -> None:
    """Found: in float32 all fits and compute is free; in float64 the last unit is left out and sets a price."""
    cost = torch.tensor([0.25, 0.25, 0.5, 0.1002]).unsqueeze(-1)
    market = Market("found", POPULATIONS["indivisible"], torch.full((4,), 0.25), cost.sum(0), cost)
    assert market.supply.double().item() < cost.double().sum().item()
    assert precise(ShadowPrice(), market) == ""
    assert precise(ShadowPrice(), replace(market, supply=cost.sum(0) * 0.9)) == ""


def test_budgets_make_ties_of_different_scores() -> None:
    """Found: of two agents whose budget is the same amount a unit of cost, the first is served: order matters."""
    cost = torch.tensor([0.5, 0.25, 0.5, 0.5, 0.25, 1.0], dtype=torch.float64).unsqueeze(-1)
    scores, supply = torch.tensor([2.0, 0.25, 0.25, 1.5, 0.5, 0.25]).double(), torch.tensor([0.75]).double()
    market = of(Market("found", POPULATIONS["indivisible"], scores, supply, cost), "indivisible with budgets")
    assert permutation(ShadowPrice(), market) == ""


@dataclass(frozen=True)
class Coarse(Mechanism):
    """Prices rounded to halves where the bids are in float32."""

    requires: ClassVar[frozenset[str]] = frozenset({INDIVISIBLE})

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        found = ShadowPrice().clear(bids, supply, cost)
        return replace(found, price=(found.price * 2).round() / 2) if cost.dtype == torch.float32 else found


def test_a_price_that_rounding_does_not_explain_is_still_a_fault() -> None:
    cost = torch.tensor([0.25, 0.25, 0.5, 0.1301]).unsqueeze(-1)
    market = Market("coarse", POPULATIONS["indivisible"], torch.tensor([0.2, 0.3, 0.33, 0.4]), cost.sum(0) * 0.6, cost)
    assert "in float64" in precise(Coarse(), market)

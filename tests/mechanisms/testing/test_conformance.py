"""The suite passes every rule of the package, and each check catches the fault it is meant for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from walras.errors import RequirementError
from walras.mechanisms import (
    MECHANISMS,
    VCG,
    Bids,
    Clearing,
    EntropicBids,
    IndivisibleBids,
    LogisticBids,
    Mechanism,
    PostedPrice,
    QuadraticBids,
    ShadowPrice,
    TsallisBids,
    UniformPriceAuction,
    charge,
)
from walras.mechanisms.testing.bids_conformance import check_bids
from walras.mechanisms.testing.conformance import check_mechanism
from walras.mechanisms.testing.properties import ALWAYS, NAMED
from walras.mechanisms.traits import (
    BUDGETED,
    EFFICIENT,
    INDIVISIBLE,
    PROPERTIES,
    SEPARABLE,
    SEVERAL_RESOURCES,
    SUPPLY_MONOTONE,
    TRUTHFUL,
    WITHIN_BUDGETS,
)


@pytest.mark.spread
@pytest.mark.parametrize("instances", [2, pytest.param(24, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("rule", MECHANISMS.values())
def test_every_rule_passes(rule: type[Mechanism], instances: int) -> None:
    report = check_mechanism(rule(), instances=instances)
    assert [c for c in report if not c.passed] == []
    assert [c.name for c in report] == [*ALWAYS, *(name for name in NAMED if name in rule.guarantees)]
    assert all(c.instances >= instances for c in report)


@pytest.mark.parametrize("rule", [ShadowPrice(0.7), UniformPriceAuction(0.7), PostedPrice(price=0.7)], ids=str)
def test_every_rule_passes_at_a_price_that_binds(rule: Mechanism) -> None:
    assert [c for c in check_mechanism(rule, seed=1, instances=2) if not c.passed] == []


def test_each_property_has_a_check() -> None:
    assert set(NAMED) == PROPERTIES


@pytest.mark.nightly
def test_without_a_floor_all_but_monotone_welfare_holds() -> None:
    report = check_mechanism(ShadowPrice(price_floor=-torch.inf), instances=3)
    assert {c.name for c in report if not c.passed} == {SUPPLY_MONOTONE}


@dataclass(frozen=True)
class Wrong(Mechanism):
    """A sound rule whose answer is spoilt."""

    spoil: Callable[[Clearing, Bids, Tensor, Tensor], Clearing]
    price_floor: float = 0.0
    requires: ClassVar[frozenset[str]] = frozenset({INDIVISIBLE, SEPARABLE})  # these clear fastest
    guarantees: ClassVar[frozenset[str]] = PROPERTIES - {SEVERAL_RESOURCES, TRUTHFUL, EFFICIENT, WITHIN_BUDGETS}

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        return self.spoil(ShadowPrice()(bids, supply, cost), bids, supply, cost)


def too_much(clearing: Clearing, *_: Any) -> Clearing:
    return replace(clearing, quantity=clearing.quantity * 1.01)


def not_a_number(clearing: Clearing, *_: Any) -> Clearing:
    return replace(clearing, payment=clearing.payment / clearing.payment)


def raises(clearing: Clearing, *_: Any) -> Clearing:
    return replace(clearing, quantity=clearing.quantity @ clearing.price)


def first_gets_nothing(clearing: Clearing, *_: Any) -> Clearing:
    others = torch.arange(clearing.quantity.shape[-1]) > 0
    return replace(clearing, quantity=clearing.quantity * others, payment=clearing.payment * others)


def overcharges(clearing: Clearing, bids: Bids, *_: Any) -> Clearing:
    return replace(clearing, payment=bids.utility(clearing.quantity).abs() * 1.01)


def mixes_rows(clearing: Clearing, *_: Any) -> Clearing:
    return replace(clearing, price=clearing.price.mean().expand_as(clearing.price))


def always_double(clearing: Clearing, *_: Any) -> Clearing:
    return replace(clearing, price=clearing.price.double())


def a_fee_of_a_tenth(clearing: Clearing, *_: Any) -> Clearing:
    return replace(clearing, price=clearing.price + 0.1)


def floods(clearing: Clearing, _: Bids, supply: Tensor, cost: Tensor) -> Clearing:
    """Hands out nothing when there is plenty."""
    scarce = supply < 0.6 * cost.sum(-2)
    return replace(clearing, quantity=clearing.quantity * scarce, payment=clearing.payment * scarce)


def price_is_welfare(clearing: Clearing, bids: Bids, *_: Any) -> Clearing:
    return replace(clearing, price=bids.utility(clearing.quantity).sum(-1, keepdim=True))


FAULTS: dict[str, list[Any]] = {
    "never over supply, no NaN": [too_much, not_a_number, raises],
    "batched equals looped": [mixes_rows],
    "float32 and float64": [always_double],
    "individually rational": [overcharges],
    "invariant to permutation": [first_gets_nothing],
    "invariant to scaling": [a_fee_of_a_tenth],
    "monotone in supply": [floods, price_is_welfare],
}


QUICK = ("never over supply, no NaN", "individually rational")
CASES = [(name, fault) for name in FAULTS for fault in FAULTS[name]]


@pytest.mark.parametrize(
    ("meant", "fault"),
    [pytest.param(*case, marks=[] if case[0] in QUICK else [pytest.mark.nightly]) for case in CASES],
)
def test_each_fault_fails_the_check_meant_for_it_and_no_other(meant: str, fault: Any) -> None:
    failed = {c.name: c.detail for c in check_mechanism(Wrong(fault), instances=12) if not c.passed}
    assert list(failed) == [meant]
    assert "#" in failed[meant]  # the market on which it failed


def pays_its_bid(clearing: Clearing, bids: Bids, *_: Any) -> Clearing:
    return replace(clearing, payment=bids.utility(clearing.quantity))


@pytest.mark.parametrize(
    ("meant", "fault"), [(TRUTHFUL, pays_its_bid), (EFFICIENT, first_gets_nothing), (WITHIN_BUDGETS, overcharges)]
)
def test_faults_of_incentives_welfare_and_budgets_are_caught(meant: str, fault: Any) -> None:
    """Of a rule that is efficient and truthful where bids have no budgets, and within them where they do."""

    @dataclass(frozen=True)
    class Pivot(Wrong):
        guarantees: ClassVar[frozenset[str]] = frozenset({meant})

        def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
            rule = ShadowPrice() if BUDGETED in bids.traits else VCG()
            return self.spoil(rule(bids, supply, cost), bids, supply, cost)

    def failed(spoil: Any) -> list[str]:
        return [c.name for c in check_mechanism(Pivot(spoil), instances=3) if not c.passed]

    assert failed(fault) == [meant]
    if meant == WITHIN_BUDGETS:
        assert failed(lambda clearing, *_: clearing) == []


def free_for_nobody(clearing: Clearing, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
    """Prices at which the last resource costs something wherever it is."""
    return replace(clearing, price=clearing.price + torch.tensor([0.0, 0.1]).to(clearing.price))


def leaves_the_best_out(clearing: Clearing, bids: Bids, *_: Any) -> Clearing:
    worst = bids.reservation_price() < bids.reservation_price().max(-1, keepdim=True).values
    return replace(clearing, quantity=clearing.quantity * worst, payment=clearing.payment * worst)


@pytest.mark.nightly
@pytest.mark.parametrize("fault", [free_for_nobody, pytest.param(leaves_the_best_out, marks=pytest.mark.nightly)])
def test_faults_of_a_market_of_several_resources_are_caught(fault: Any) -> None:
    @dataclass(frozen=True)
    class Several(Wrong):
        guarantees: ClassVar[frozenset[str]] = frozenset({SEVERAL_RESOURCES})

        def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
            sound = ShadowPrice()(bids, supply, cost)
            return sound if supply.shape[-1] == 1 else self.spoil(sound, bids, supply, cost)

    assert [c.name for c in check_mechanism(Several(fault), instances=12) if not c.passed] == [SEVERAL_RESOURCES]


def test_a_price_below_the_floor_is_caught() -> None:
    failed = [c for c in check_mechanism(Wrong(lambda c, *_: c, price_floor=10.0), instances=6) if not c.passed]
    assert [c.name for c in failed] == ["never over supply, no NaN"]  # calling the rule refuses it already
    assert "below its price floor 10.0" in failed[0].detail


def test_nothing_is_checked_that_a_rule_does_not_name_but_the_basics() -> None:
    @dataclass(frozen=True)
    class Modest(Wrong):
        guarantees: ClassVar[frozenset[str]] = frozenset()

    assert [c.name for c in check_mechanism(Modest(overcharges), instances=3)] == list(ALWAYS)
    assert all(c.passed for c in check_mechanism(Modest(overcharges), instances=3))


def test_unknown_words_are_refused() -> None:
    @dataclass(frozen=True)
    class Boastful(Wrong):
        guarantees: ClassVar[frozenset[str]] = frozenset({"fair"})

    @dataclass(frozen=True)
    class Choosy(Wrong):
        requires: ClassVar[frozenset[str]] = frozenset({"polite"})

    with pytest.raises(RequirementError, match=r"'fair'; known: .*monotone"):
        check_mechanism(Boastful(overcharges))
    with pytest.raises(RequirementError, match=r"\['polite'\]"):
        check_mechanism(Choosy(overcharges))


def test_a_rule_of_the_users_own_in_a_few_lines_passes() -> None:
    @dataclass(frozen=True)
    class EqualShares(Mechanism):
        """Everyone may buy up to an equal share, free of charge."""

        def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
            free = charge(cost, torch.zeros_like(supply))
            wanted = bids.demand(free)
            share = supply / cost.sum(-2).clamp(min=1e-9)
            quantity = torch.minimum(wanted, share.expand_as(wanted) * (share >= 1 - 1e-9))
            return Clearing(quantity, torch.zeros_like(supply))

    assert [c for c in check_mechanism(EqualShares(), instances=6) if not c.passed] == []


GOOD: dict[str, Bids] = {
    "indivisible": IndivisibleBids(torch.tensor([0.5, 1.0, 2.0, -1.0, -torch.inf])),
    "indivisible batch": IndivisibleBids(torch.tensor([[0.5, 1.0], [3.0, -torch.inf]])),
    "entropic": EntropicBids(torch.tensor([0.5, 1.0, 2.0, -1.0, -torch.inf])),
    "entropic, cool": EntropicBids(torch.tensor([[0.5, 1.0]]), temperature=0.5),
    "quadratic": QuadraticBids(torch.tensor([0.5, 1.0, 2.0, -1.0, -torch.inf])),
    "quadratic, hot": QuadraticBids(torch.tensor([[0.5, 1.0]]), temperature=3.0),
    "tsallis": TsallisBids(torch.tensor([0.5, 1.0, 2.0, -1.0, -torch.inf])),
    "tsallis, hot": TsallisBids(torch.tensor([[0.5, 1.0]]), temperature=3.0, alpha=1.25),
    "logistic": LogisticBids(torch.tensor([0.5, 1.0, 2.0, -1.0, -torch.inf])),
    "logistic, cool": LogisticBids(torch.tensor([[0.5, 1.0]]), temperature=0.25),
    "tsallis, beyond quadratic": TsallisBids(torch.tensor([0.5, 1.0, 2.0]), temperature=0.5, alpha=3.0),
}


@pytest.mark.spread
@pytest.mark.parametrize("name", GOOD)
def test_bids_answer_prices_with_what_is_best_for_them(name: str) -> None:
    assert [c for c in check_bids(GOOD[name]) if not c.passed] == []


@dataclass(frozen=True)
class Spoilt:
    """Quadratic bids with one method or trait replaced."""

    spoilt_traits: frozenset[str] | None = None
    spoilt_demand: Callable[[Tensor, Tensor], Tensor] | None = None
    reserve: float = 0.0
    true: QuadraticBids = QuadraticBids(torch.tensor([0.5, 1.0, 2.0]))  # noqa: RUF009

    @property
    def traits(self) -> frozenset[str]:
        return self.true.traits if self.spoilt_traits is None else self.spoilt_traits

    def demand(self, price: Tensor, stay: Tensor | None = None) -> Tensor:
        right = self.true.demand(price, stay)
        return right if self.spoilt_demand is None else self.spoilt_demand(right, price)

    def utility(self, quantity: Tensor) -> Tensor:
        return self.true.utility(quantity)

    def reservation_price(self) -> Tensor:
        return self.true.reservation_price() + self.reserve


BAD = {
    "traits are known": Spoilt(spoilt_traits=frozenset({"concave", "tidy"})),
    "demand maximises utility less price": Spoilt(spoilt_demand=lambda right, _: right / 2),
    "buys at its reservation price, not above": Spoilt(reserve=0.25),
    "an infinite price excludes": Spoilt(spoilt_demand=lambda right, p: torch.where(p < torch.inf, right, 0.1)),
}


@pytest.mark.parametrize("meant", BAD)
def test_each_fault_of_bids_is_caught_by_the_check_meant_for_it(meant: str) -> None:
    assert [c.name for c in check_bids(BAD[meant]) if not c.passed] == [meant]


def test_demand_that_rises_with_the_price_is_caught() -> None:
    rising = Spoilt(spoilt_demand=lambda right, p: torch.where(p < torch.inf, right + p / 10, 0.0))
    assert "demand falls with the price" in [c.name for c in check_bids(rising) if not c.passed]

"""Small markets worked out by hand."""

from dataclasses import dataclass, replace

import pytest
import torch

from walras.mechanisms import (
    EntropicBids,
    IndivisibleBids,
    KwonSearch,
    LogisticBids,
    Mechanism,
    PostedPrice,
    QuadraticBids,
    ShadowPrice,
    TsallisBids,
    UniformPriceAuction,
)

INF = torch.inf


@dataclass(frozen=True)
class Case:
    values: list[float]
    costs: list[float]
    supply: float
    floor: float
    quantity: list[int]
    price: float
    status: str


# Values per cost are named where they are not plain.
AUCTIONS = {
    # 6/2=3, 4/4=1, 5/1=5, 2/1=2: order 2, 0, 3, 1; costs 1+2+1=4 fit 4.5, the next at 4 does not.
    "unequal costs": Case([6, 4, 5, 2], [2, 4, 1, 1], 4.5, 0, [1, 0, 1, 1], 1, "cleared"),
    "exact fit": Case([6, 4, 5, 2], [2, 4, 1, 1], 3, 0, [1, 0, 1, 0], 2, "cleared"),
    "ties go by position": Case([1, 2, 1, 1], [1, 1, 1, 1], 2, 0, [1, 1, 0, 0], 1, "rationed"),
    "all tie": Case([3, 3, 3], [1, 1, 1], 2, 0, [1, 1, 0], 3, "rationed"),
    "no supply": Case([1, 2], [1, 1], 0, 0, [0, 0], 2, "infeasible"),
    "too little for the best": Case([1, 2], [1, 3], 0.5, 0, [0, 0], 1, "infeasible"),
    "slack": Case([1, 2], [1, 1], 5, 0, [1, 1], 0, "slack"),
    "slack to the last unit": Case([1, 2], [1, 1], 2, 0, [1, 1], 0, "slack"),
    "reserve price": Case([1, 2, 3], [1, 1, 1], 5, 1.5, [0, 1, 1], 1.5, "slack"),
    "reserve price met exactly": Case([1, 2, 3], [1, 1, 1], 5, 2, [0, 1, 1], 2, "slack"),
    "reserve below the loser": Case([1, 2, 3], [1, 1, 1], 1, 0.5, [0, 0, 1], 2, "cleared"),
    "reserve above the loser": Case([1, 2, 3], [1, 1, 1], 1, 2.5, [0, 0, 1], 2.5, "slack"),
    "reserve above all": Case([1, 2], [1, 1], 5, 7, [0, 0], 7, "slack"),
    # A free agent wants in at any price if it is worth anything; a free nuisance stays out.
    "free agents": Case([1, 2, 0, -1], [0, 1, 0, 0], 1, 0, [1, 1, 1, 0], 0, "slack"),
    "free agents without supply": Case([1, 2, 3], [0, 1, 1], 0, 0, [1, 0, 0], 3, "cleared"),
    "only free agents, no floor": Case([1, 2], [0, 0], 1, -INF, [1, 1], 0, "slack"),
    "negative values stay out": Case([-1, 2, -3], [1, 1, 1], 3, 0, [0, 1, 0], 0, "slack"),
    "worth nothing": Case([0, 2], [1, 1], 3, 0, [1, 1], 0, "slack"),
    "negative values, no floor": Case([-1, -2, -3], [1, 1, 1], 2, -INF, [1, 1, 0], -3, "cleared"),
    "negative values, negative floor": Case([-1, -2, -3], [1, 1, 1], 3, -2.5, [1, 1, 0], -2.5, "slack"),
    "all sold, no floor": Case([4, 2], [1, 1], 3, -INF, [1, 1], 2, "slack"),
    "excluded by -inf": Case([1, -INF, 3], [1, 1, 1], 3, -INF, [1, 0, 1], 1, "slack"),
    "nobody": Case([], [], 3, 0, [], 0, "slack"),
    "nobody, above a floor": Case([], [], 3, 0.5, [], 0.5, "slack"),
    "nobody, negative floor": Case([], [], 3, -0.5, [], -0.5, "slack"),
    "nobody, no floor": Case([], [], 3, -INF, [], 0, "slack"),
    "alone": Case([2], [3], 3, 0, [1], 0, "slack"),
    "alone and too big": Case([3], [3], 2, 0, [0], 1, "infeasible"),
    "infinite supply": Case([1, 2, -1], [1, 1, 1], INF, 0, [1, 1, 0], 0, "slack"),
}
# In an auction nobody wins over a higher bid; the shadow price sells what that leaves to whoever still fits.
OVERTAKEN = {
    # The prefix stops at agent 0 (cost 2 after 1 used of 2.5): agent 3 fits, at 2 a unit.
    "one fits": (Case([6, 4, 5, 2], [2, 4, 1, 1], 2.5, 0, [0, 0, 1, 0], 3, "cleared"), [0, 0, 1, 1], "cleared"),
    "too little for the first": (Case([1, 9], [1, 3], 2, 0, [0, 0], 3, "infeasible"), [1, 0], "cleared"),
    "too little for all": (Case([3, 9], [3, 4], 2, 0, [0, 0], 2.25, "infeasible"), [0, 0], "infeasible"),
    # At 5, 4, 3, 2, 1 a unit: 1 (cost 3 into 2) is too big; 2 fits and leaves 1; 3 does not; 4 does.
    "one after another": (
        Case([5, 12, 3, 4, 1], [1, 3, 1, 2, 1], 3, 0, [1, 0, 0, 0, 0], 4, "cleared"), [1, 0, 1, 0, 1], "cleared"
    ),
    "above the floor": (Case([6, 18, 1], [1, 9, 1], 5, 0.5, [1, 0, 0], 2, "cleared"), [1, 0, 1], "cleared"),
    "at the floor": (Case([6, 18, 1], [1, 9, 1], 5, 1, [1, 0, 0], 2, "cleared"), [1, 0, 0], "cleared"),
    "below the floor": (Case([6, 18, 1], [1, 9, 1], 5, 1.5, [1, 0, 0], 2, "cleared"), [1, 0, 0], "cleared"),
    "worth nothing": (Case([6, 18, 0], [1, 9, 1], 5, 0, [1, 0, 0], 2, "cleared"), [1, 0, 0], "cleared"),
    "below zero, no floor": (Case([6, 9, -1], [1, 9, 1], 5, -INF, [1, 0, 0], 1, "cleared"), [1, 0, 0], "cleared"),
    "above zero, no floor": (Case([6, 9, 0.5], [1, 9, 1], 5, -INF, [1, 0, 0], 1, "cleared"), [1, 0, 1], "cleared"),
    "as good as one too big": (Case([4, 2], [4, 2], 3, 0, [0, 0], 1, "infeasible"), [0, 1], "rationed"),
}  # fmt: skip


@pytest.mark.parametrize("name", OVERTAKEN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_who_still_fits_by_hand(name: str, dtype: torch.dtype, device: torch.device) -> None:
    auction, quantity, status = OVERTAKEN[name]
    by_hand(auction, UniformPriceAuction, dtype, device)
    by_hand(replace(auction, quantity=quantity, status=status), ShadowPrice, dtype, device)


@pytest.mark.parametrize("name", AUCTIONS)
@pytest.mark.parametrize("rule", [ShadowPrice, UniformPriceAuction])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_indivisible_by_hand(
    name: str, rule: type[ShadowPrice] | type[UniformPriceAuction], dtype: torch.dtype, device: torch.device
) -> None:
    by_hand(AUCTIONS[name], rule, dtype, device)


def by_hand(
    case: Case, rule: type[ShadowPrice] | type[UniformPriceAuction], dtype: torch.dtype, device: torch.device
) -> None:
    bids = IndivisibleBids(torch.tensor(case.values, dtype=dtype, device=device))
    clearing = rule(price_floor=case.floor)(bids, case.supply, case.costs)
    assert clearing.quantity.tolist() == case.quantity
    assert clearing.price.item() == case.price
    assert clearing.word == case.status
    used = sum(c for c, q in zip(case.costs, case.quantity, strict=True) if q)
    assert clearing.residual.item() == used - case.supply
    paid = [min(case.price * c, v) if q else 0 for v, c, q in zip(case.values, case.costs, case.quantity, strict=True)]
    assert clearing.payment.tolist() == paid
    assert clearing.revenue.item() == sum(paid)
    assert clearing.quantity.device.type == device.type


def test_quadratic_by_hand() -> None:
    # Demand at p is (3-p) + 2 max(2-2p, 0): 7 - 5p = 2 at p = 1, where the second is just out.
    bids = QuadraticBids(torch.tensor([3.0, 2.0], dtype=torch.float64))
    clearing = ShadowPrice()(bids, 2.0, [1.0, 2.0])
    torch.testing.assert_close(clearing.quantity, torch.tensor([2.0, 0.0], dtype=torch.float64))
    # At supply 4.5: 7 - 5p = 4.5 at p = 1/2: quantities 5/2 and 1.
    clearing = ShadowPrice()(bids, 4.5, [1.0, 2.0])
    torch.testing.assert_close(clearing.quantity, torch.tensor([2.5, 1.0], dtype=torch.float64))
    torch.testing.assert_close(clearing.payment, torch.tensor([1.25, 1.0], dtype=torch.float64))
    assert clearing.price.item() == pytest.approx(0.5)
    assert clearing.word == "cleared"
    # At price 0 they want 3 + 2 * 2 = 7 units of the resource.
    slack = ShadowPrice()(bids, 8.0, [1.0, 2.0])
    assert slack.quantity.tolist() == [3.0, 2.0]
    assert (slack.price.item(), slack.residual.item(), slack.word) == (0.0, -1.0, "slack")
    # A floor of 1/2 binds there, too.
    floor = ShadowPrice(price_floor=0.5)(bids, 8.0, [1.0, 2.0])
    assert floor.quantity.tolist() == [2.5, 1.0]
    assert (floor.price.item(), floor.residual.item(), floor.word) == (0.5, -3.5, "slack")


def test_entropic_by_hand() -> None:
    # exp(z - p - 1) summed over z = ln 1, ln 3 is 4 exp(-p - 1): 1 at p = ln 4 - 1.
    bids = EntropicBids(torch.tensor([1.0, 3.0], dtype=torch.float64).log())
    clearing = ShadowPrice()(bids, 1.0)
    torch.testing.assert_close(clearing.quantity, torch.tensor([0.25, 0.75], dtype=torch.float64))
    assert clearing.price.item() == pytest.approx(torch.tensor(4.0).log().item() - 1)
    free = ShadowPrice()(bids, 1.0, [0.0, 1.0])  # the first pays nothing and takes what it likes, 1/e
    torch.testing.assert_close(free.quantity, torch.tensor([-1.0, 0.0], dtype=torch.float64).exp())
    assert free.price.item() == pytest.approx(torch.tensor(3.0).log().item() - 1)


def test_tsallis_by_hand() -> None:
    # Of alpha 1.5, the root of demand is (z - p) / 2 + 2 / 3: 0.6 and 0.8 for z = 0, 0.4 at p = 2 / 15.
    bids = TsallisBids(torch.tensor([0.0, 0.4], dtype=torch.float64))
    clearing = ShadowPrice()(bids, 1.0)
    torch.testing.assert_close(clearing.quantity, torch.tensor([0.36, 0.64], dtype=torch.float64))
    assert clearing.price.item() == pytest.approx(2 / 15)
    # z q + (q - q^1.5) / 0.75 at 0.36 and 0.64
    expected = torch.tensor([0.144 / 0.75, 0.256 + 0.128 / 0.75], dtype=torch.float64)
    torch.testing.assert_close(bids.utility(clearing.quantity), expected)


@pytest.mark.parametrize("kind", [EntropicBids, QuadraticBids, TsallisBids, LogisticBids])
@pytest.mark.parametrize("floor", [0.0, -INF])
def test_edges_of_divisible_markets(
    kind: type[EntropicBids] | type[QuadraticBids] | type[TsallisBids] | type[LogisticBids], floor: float
) -> None:
    rule = ShadowPrice(price_floor=floor)
    assert rule(kind(torch.empty(0)), 1.0).quantity.shape == (0,)
    nothing = rule(kind(torch.tensor([1.0, -2.0])), 0.0)
    assert nothing.quantity.tolist() == [0, 0]
    alone = rule(kind(torch.tensor([1.5])), 0.25)
    assert alone.quantity.item() == pytest.approx(0.25)
    free = rule(kind(torch.tensor([1.0, 0.5])), 2.0, [0.0, 0.0])
    at_zero = kind(torch.tensor([1.0, 0.5])).demand(torch.zeros(2))
    assert torch.equal(free.quantity, at_zero)
    assert free.price.item() == 0
    endless = rule(kind(torch.tensor([1.0, 0.5])), INF)
    assert bool(endless.quantity.isfinite().all())
    assert endless.word == "slack"


def test_posted_too_high_leaves_supply_unsold() -> None:
    bids = IndivisibleBids(torch.tensor([1.0, 2.0, 3.0]))
    clearing = PostedPrice(price=2.5)(bids, 2.0)
    assert clearing.quantity.tolist() == [0, 0, 1]
    assert clearing.payment.tolist() == [0, 0, 2.5]
    assert (clearing.price.item(), clearing.residual.item(), clearing.word) == (2.5, -1.0, "slack")


def test_posted_too_low_is_rationed_by_value_per_cost() -> None:
    bids = IndivisibleBids(torch.tensor([1.0, 8.0, 3.0]))
    clearing = PostedPrice(price=0.5)(bids, 3.0, [1.0, 4.0, 1.0])  # 1, 2, 3 a unit: agent 1 is next, and too big
    assert clearing.quantity.tolist() == [1, 0, 1]
    assert clearing.payment.tolist() == [0.5, 0, 0.5]
    assert (clearing.residual.item(), clearing.word) == (3.0, "rationed")  # 6 wanted, 3 there
    quadratic = PostedPrice(price=0.25)(QuadraticBids(torch.tensor([1.0, 2.0])), 1.0)
    torch.testing.assert_close(quadratic.quantity, torch.tensor([0.0, 1.0]), rtol=0, atol=1e-6)  # as at price 1
    torch.testing.assert_close(quadratic.payment, torch.tensor([0.0, 0.25]), rtol=0, atol=1e-6)
    assert (quadratic.residual.item(), quadratic.word) == (1.5, "rationed")


def test_posted_edges() -> None:
    bids = IndivisibleBids(torch.tensor([1.0, 2.0]))
    assert PostedPrice(price=0.5)(bids, 0.5).word == "infeasible"
    assert PostedPrice(price=5.0)(bids, 0.0).word == "slack"  # nobody wants any
    assert PostedPrice(price=1.0)(bids, 2.0).quantity.tolist() == [1, 1]  # a price met exactly buys
    assert PostedPrice(price=1.0)(IndivisibleBids(torch.empty(0)), 2.0).price.item() == 1
    endless = PostedPrice(price=1.5)(bids, INF)
    assert (endless.quantity.tolist(), endless.word) == ([0, 1], "slack")
    assert PostedPrice(price_floor=-INF)(bids, 1.0).price.item() == 0  # no floor, nothing learned yet


def test_posted_price_learns_what_would_have_cleared() -> None:
    bids, cost, supply = IndivisibleBids(torch.tensor([1.0, 2.0, 3.0])), torch.ones(3, 1), torch.tensor([2.0])
    first = PostedPrice()
    before = first(bids, supply, cost)
    assert (before.price.item(), before.residual.item(), before.word) == (0.0, 1.0, "rationed")
    second = first.after(bids, supply, cost, before)
    after = second(bids, supply, cost)
    assert isinstance(second, PostedPrice)
    assert second.posted == after.price.item() == 1.0
    assert after.quantity.tolist() == before.quantity.tolist() == [0, 1, 1]
    assert after.revenue.item() == 2.0
    richer = IndivisibleBids(torch.tensor([4.0, 5.0, 6.0]))
    third = second.after(richer, supply, cost, second(richer, supply, cost))
    assert isinstance(third, PostedPrice)
    assert third.posted == 4.0
    tax = PostedPrice(price=0.7)
    assert tax.after(bids, supply, cost, before) is tax


def test_rules_that_learn_nothing_stay_as_they_are() -> None:
    bids, cost, supply = IndivisibleBids(torch.tensor([1.0, 2.0])), torch.ones(2, 1), torch.tensor([1.0])
    for rule in (ShadowPrice(), UniformPriceAuction(), KwonSearch()):
        assert rule.after(bids, supply, cost, rule(bids, supply, cost)) is rule


@pytest.mark.parametrize("rule", [ShadowPrice(), UniformPriceAuction(), PostedPrice(), KwonSearch()])
def test_costs_rounded_to_float32_still_fit(rule: Mechanism) -> None:
    """36 of 72 equal shares are half of the supply, though in float32 they add up to a little more."""
    for n in range(2, 200, 2):
        clearing = rule(IndivisibleBids(torch.arange(1.0, n + 1)), 0.5, torch.full((n,), 1 / n))
        assert clearing.quantity.sum().item() == n // 2
        assert rule(IndivisibleBids(torch.ones(n)), 1.0, torch.full((n,), 1 / n)).quantity.sum().item() == n


def test_batches_take_their_own_supply_and_cost() -> None:
    bids = IndivisibleBids(torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    cost = torch.tensor([[[1.0], [1.0], [1.0]], [[1.0], [4.0], [1.0]]])
    for rule in (ShadowPrice(), UniformPriceAuction()):
        clearing = rule(bids, torch.tensor([[1.0], [2.0]]), cost)
        assert clearing.quantity.tolist() == [[0, 0, 1], [1, 0, 1]]
        assert clearing.price.tolist() == [[2.0], [0.5]]
        assert clearing.word == "cleared"

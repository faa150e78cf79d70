"""Several resources and chains, against the exact optimum of scipy's mixed-integer solver and by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from walras.errors import InputError, RequirementError
from walras.mechanisms import (
    Budgeted,
    Clearing,
    IndivisibleBids,
    KwonSearch,
    PostedPrice,
    ShadowPrice,
    Status,
    SurgeBids,
    UniformPriceAuction,
    charge,
)
from walras.mechanisms.bids.excluding import Excluding
from walras.mechanisms.solvers.chains import Chains
from walras.mechanisms.solvers.linear_program import Program
from walras.mechanisms.solvers.rounding import Rounding
from walras.mechanisms.traits import CHAINED, INDIVISIBLE

Column = NDArray[np.float64]


def optimum(value: Column, cost: Column, supply: Column, before: NDArray[np.int64] | None = None) -> float:
    """The most that any choice within the supplies, and allowed by the chains, is worth."""
    rows = [LinearConstraint(cost.T, ub=supply)]
    if before is not None and (before >= 0).any():
        after = np.flatnonzero(before >= 0)
        order = np.zeros((len(after), len(value)))
        order[np.arange(len(after)), after] = 1
        order[np.arange(len(after)), before[after]] = -1
        rows.append(LinearConstraint(order, ub=0))
    exact = milp(-value, integrality=np.ones(len(value), dtype=int), bounds=Bounds(0, 1), constraints=rows)
    assert exact.success
    return float(-exact.fun)


def clear(value: Column, cost: Column, supply: Column, before: Any = None) -> Clearing:
    chains = None if before is None else torch.tensor(before)
    return ShadowPrice()(IndivisibleBids(torch.tensor(value), chains), torch.tensor(supply), torch.tensor(cost))


def runs(program: Program, fraction: Column) -> list[float]:
    """Values of the runs of equal fractions, chain by chain."""
    found: dict[tuple[int, int], float] = {}
    for place, unit in enumerate(program.chains.order):
        if 1e-7 < fraction[unit] < 1 - 1e-7:
            key = int(program.chains.first[place]), round(fraction[unit] * 1e7)
            found[key] = found.get(key, 0.0) + program.value[unit]
    return [*found.values()]


@pytest.mark.parametrize("instance", range(100))
@pytest.mark.parametrize("resources", [1, 2, 3])
def test_within_as_many_agents_of_the_optimum_as_there_are_resources(instance: int, resources: int) -> None:
    random = np.random.default_rng((instance, resources))
    n = int(random.integers(1, 40))
    value, cost = random.gamma(1.0, size=n), random.uniform(0, 1.0, (n, resources))
    if instance % 3 == 0:  # as with heads and FFN blocks: few distinct costs
        cost = random.uniform(0.1, 1.0, (2, resources))[random.integers(0, 2, n)]
    supply = random.uniform(0, 1.1, resources) * cost.sum(0)
    program = Program(value, cost, supply, Chains(np.full(n, -1)), np.zeros(n, dtype=bool))
    fraction, multiplier = program.relaxed(np.zeros(n), np.ones(n))
    price = program.lowest_prices(fraction, multiplier)
    assert price @ cost.sum(0) <= multiplier @ cost.sum(0) * (1 + 1e-6)
    served = Rounding(program, price).best(fraction)
    best, achieved = optimum(value, cost, supply), float(value[served].sum())
    assert best - np.sort(value)[-resources:].sum() - 1e-9 <= achieved <= best + 1e-9
    assert (cost[served].sum(0) <= supply * (1 + 1e-12)).all()
    # Strong duality of the relaxation at these prices, and with it all of complementary slackness.
    for supporting in (price, multiplier):
        surplus = np.maximum(value - cost @ supporting, 0).sum()
        assert surplus + supporting @ supply == pytest.approx(value @ fraction, rel=1e-6, abs=1e-9)
    assert (price >= 0).all()
    if resources > 1:
        clearing = clear(value, cost, supply)
        assert clearing.quantity.numpy().astype(bool).tolist() == served.tolist()
        most = np.sort(cost, 0)[-resources:].sum(0)
        assert ((price <= 0) | (-clearing.residual.numpy() <= most + 1e-9)).all()
        charged = charge(torch.tensor(cost), clearing.price).numpy()
        assert clearing.payment.numpy() == pytest.approx(np.minimum(charged, value) * served)


@pytest.mark.parametrize("instance", range(60))
def test_one_resource_as_a_linear_program_has_the_price_of_the_search(instance: int) -> None:
    """The lowest supporting price is the value per cost of the first agent left out, which the ranking finds."""
    random = np.random.default_rng(instance)
    n = int(random.integers(1, 30))
    value, cost = random.gamma(1.0, size=n), random.uniform(0.1, 1.0, n)
    supply = (float(random.uniform(0, 1.1)) if instance % 2 else 0.0) * cost.sum()
    if instance % 4 == 1:  # used up exactly: multipliers are not unique
        supply = np.sort(cost)[: n // 2].sum()
        value[np.argsort(cost)[: n // 2]] += 100
    program = Program(value, cost[:, None], np.array([supply]), Chains(np.full(n, -1)), np.zeros(n, dtype=bool))
    fraction, multiplier = program.relaxed(np.zeros(n), np.ones(n))
    exact = ShadowPrice()(IndivisibleBids(torch.tensor(value)), supply, torch.tensor(cost))
    assert program.lowest_prices(fraction, multiplier) == pytest.approx(exact.price.numpy(), rel=1e-6)


def test_two_resources_by_hand() -> None:
    """q = (1, 1/2, 1/2): both later agents are indifferent where p + 2 r = 3 and 2 p + r = 3, so p = r = 1."""
    value, cost = np.array([5.0, 3.0, 3.0, 1.0]), np.array([[1, 1], [1, 2], [2, 1], [1, 1.0]])
    clearing = clear(value, cost, np.array([2.5, 2.5]))
    assert clearing.price.tolist() == pytest.approx([1, 1])
    assert clearing.quantity.tolist() == [1, 0, 0, 1]  # neither indifferent one fits; the last one does
    assert clearing.payment.tolist() == pytest.approx([2, 0, 0, 1])
    assert clearing.residual.tolist() == pytest.approx([-0.5, -0.5])
    assert clearing.status == Status.CLEARED


def test_a_resource_that_does_not_bind_is_free() -> None:
    clearing = clear(np.array([3.0, 2.0, 1.0]), np.array([[1, 1], [1, 1], [1, 1.0]]), np.array([2.0, 2.5]))
    assert clearing.quantity.tolist() == [1, 1, 0]
    assert clearing.price.tolist() == pytest.approx([1, 0])


def test_slack_infeasible_and_bids_that_may_not_trade() -> None:
    cost = np.array([[1, 1], [1, 1], [1, 1.0]])
    slack = clear(np.array([3.0, -np.inf, 1.0]), cost, np.array([9.0, np.inf]))
    assert (slack.quantity.tolist(), slack.price.tolist(), slack.word) == ([1, 0, 1], [0, 0], "slack")
    nothing = clear(np.array([3.0, 2.0, 1.0]), cost, np.array([0.5, 9.0]))
    assert (nothing.quantity.tolist(), nothing.word) == ([0, 0, 0], "infeasible")
    assert nothing.price.tolist() == [pytest.approx(3), 0]  # half of the first is served by the relaxation
    assert clear(np.array([0.0, -1.0, 1.0]), cost, np.array([9.0, 9.0])).quantity.tolist() == [1, 0, 1]


@pytest.mark.spread
@pytest.mark.parametrize("instance", range(100))
@pytest.mark.parametrize("resources", [1, 2])
def test_chains_with_steps_against_the_optimum(instance: int, resources: int) -> None:
    random = np.random.default_rng((instance, resources))
    value, cost, before = _stepped(random, resources, sublayers=int(random.integers(1, 7)), most=8)
    n, supply = len(value), random.uniform(0.05, 1.0, resources) * cost.sum(0)
    program = Program(value, cost, supply, Chains(before), np.zeros(n, dtype=bool))
    fraction, multiplier = program.relaxed(np.zeros(n), np.ones(n))
    price, split = program.lowest_prices(fraction, multiplier), runs(program, fraction)
    assert len(split) <= resources
    served = Rounding(program, price).best(fraction)
    best, achieved = optimum(value, cost, supply, before), float(value[served].sum())
    assert best - sum(split) - 1e-9 <= achieved <= best + 1e-9
    assert (cost[served].sum(0) <= supply * (1 + 1e-12)).all()
    assert served[before[served & (before >= 0)]].all()
    # Strong duality: at the prices every chain earns what its best length earns.
    order = program.chains.order
    gain = program.chains.sums((value - cost @ price)[order])
    surplus = sum(max(0.0, gain[program.chains.first == f].max()) for f in np.unique(program.chains.first))
    assert surplus + price @ supply == pytest.approx(value @ fraction, rel=1e-6)
    clearing = clear(value, cost, supply, before)
    assert clearing.quantity.numpy().astype(bool).tolist() == served.tolist()
    assert (clearing.payment <= clearing.quantity * torch.tensor(value) + 1e-12).all()


def _stepped(random: Any, resources: int, sublayers: int, most: int) -> tuple[Column, Column, NDArray[np.int64]]:
    """Units of sub-layers, most valuable first, in random order; the first pays a fixed cost, many pay nothing."""
    value: list[float] = []
    cost: list[list[float]] = []
    before: list[int] = []
    for _ in range(sublayers):
        count, start = int(random.integers(1, most)), len(value)
        value += sorted(random.gamma(1.0, size=count).tolist(), reverse=True)
        cost += (random.uniform(0.2, 1.0, (count, resources)) * (random.random((count, 1)) < 0.5)).tolist()
        cost[start] = random.uniform(1.0, 3.0, resources).tolist()
        before += [start + i - 1 if i else -1 for i in range(count)]
    place = random.permutation(len(value))
    inverse = np.argsort(place)
    shuffled = np.array([-1 if before[i] < 0 else inverse[before[i]] for i in place])
    return np.array(value)[place], np.array(cost)[place], shuffled


@pytest.mark.nightly
def test_chains_come_close_to_the_optimum_on_average() -> None:
    """As many units as a small network has; filling loses ten times as much, rounding down a hundred times."""
    lost = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        value, cost, before = _stepped(random, 2, sublayers=12, most=20)
        supply = random.uniform(0.3, 0.7, 2) * cost.sum(0)
        program = Program(value, cost, supply, Chains(before), np.zeros(len(value), dtype=bool))
        fraction, multiplier = program.relaxed(np.zeros(len(value)), np.ones(len(value)))
        rounding = Rounding(program, program.lowest_prices(fraction, multiplier))
        down = rounding.down(fraction)
        found = [rounding.worth(served) for served in (rounding.best(fraction), rounding.fill(down), down)]
        lost.append(1 - np.array(found) / optimum(value, cost, supply, before))
    best, filled, rounded = np.mean(lost, 0)
    assert best < 0.001 < 0.002 < filled < rounded / 5


def test_a_fixed_cost_by_hand() -> None:
    """Two sub-layers of two; the first unit of each pays 2, the second nothing: whole sub-layers trade."""
    value, before = np.array([3.0, 2.0, 2.5, 1.0]), [-1, 0, -1, 2]
    cost = np.array([[2.0], [0.0], [2.0], [0.0]])
    clearing = clear(value, cost, np.array([3.0]), before)
    assert clearing.quantity.tolist() == [1, 1, 0, 0]
    assert clearing.price.tolist() == pytest.approx([3.5 / 2])  # what the run left out is worth per cost
    assert clearing.payment.tolist() == pytest.approx([3, 0, 0, 0])
    assert clear(value, cost, np.array([4.0]), before).status == Status.SLACK


def test_a_chain_is_diving_better_than_rounded() -> None:
    """Rounding down serves the small sub-layer only; both corners of the large one are a long way apart."""
    value, before = np.array([1.0, 4.0, 4.0]), [-1, -1, 1]
    cost = np.array([[0.5], [4.0], [0.0]])
    clearing = clear(value, cost, np.array([4.0]), before)
    assert clearing.quantity.tolist() == [0, 1, 1]


def test_a_batch_clears_as_each_market_alone_and_scales_with_money() -> None:
    random = np.random.default_rng(0)
    value, cost = random.gamma(1.0, size=(3, 9)), random.uniform(0.1, 1, (9, 2))
    before = np.array([-1, 0, 1, -1, 3, 4, -1, -1, -1])
    supply = cost.sum(0) * 0.4
    together = clear(value, cost, supply, before)
    for row in range(3):
        alone = clear(value[row], cost, supply, before)
        for part in ("quantity", "price", "payment", "status", "residual"):
            assert torch.equal(getattr(together, part)[row], getattr(alone, part))
    small = clear(value * 2.0**-30, cost, supply, before)  # squared gradients are as small as that
    assert torch.equal(small.quantity, together.quantity)
    torch.testing.assert_close(small.price, together.price * 2.0**-30)


def test_other_rules_and_bids_are_refused_by_name() -> None:
    chained = IndivisibleBids(torch.ones(2), torch.tensor([-1, 0]))
    for rule in (UniformPriceAuction(), PostedPrice(price=0.1)):
        with pytest.raises(RequirementError, match=f"{type(rule).__name__} requires .*separable; .* chained"):
            rule(chained, 1.0)
        with pytest.raises(InputError, match="one resource"):
            rule(IndivisibleBids(torch.ones(2)), torch.ones(2), torch.ones(2, 2))
    with pytest.raises(
        RequirementError, match=r"ShadowPrice of 2 resources requires .*indivisible or concave; SurgeBids"
    ):
        ShadowPrice()(SurgeBids(torch.ones(2), 0.5, 0.5), torch.ones(2), torch.ones(2, 2))
    with pytest.raises(InputError, match="price_floor is -inf"):
        ShadowPrice(-torch.inf)(chained, 1.0)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ([-1, 2], r"before\[1\] is 2; it must be -1 or a unit from 0 to 1"),
        ([-2, 0], r"before\[0\] is -2"),
        ([1, 0], "cycle of which unit 0"),
        ([0, -1], "cycle of which unit 0"),
        ([-1, 0, 0], "unit 0 is before 2 others"),
        ([-1, 0, 1, 1], "unit 1 is before 2 others"),
    ],
)
def test_chains_are_checked(before: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        IndivisibleBids(torch.ones(len(before)), torch.tensor(before))


@pytest.mark.parametrize("before", [torch.tensor([-1.0, 0.0]), torch.tensor([-1]), torch.tensor(-1)])
def test_chains_are_whole_numbers_one_a_bid(before: Any) -> None:
    with pytest.raises(InputError, match=r"valid: whole numbers of shape \[2\]"):
        IndivisibleBids(torch.ones(2), before)


@pytest.mark.parametrize("wrap", ["money", "nobody out", "someone out"])
def test_chains_stay_chains_when_bids_are_wrapped(wrap: str) -> None:
    """Of three agents the second needs the first; two resources, of which each agent uses one unit."""
    plain = IndivisibleBids(torch.tensor([1.0, 5.0, 2.0]), torch.tensor([-1, 0, -1]))
    out = torch.tensor([wrap == "someone out", False, False])
    bids = Budgeted(plain, torch.tensor(9.0)) if wrap == "money" else Excluding(plain, out)
    for supply in (torch.tensor([1.0, 2.0]), torch.tensor([2.0, 2.0])):
        expected = [0.0, 0.0, 1.0] if supply[0] == 1 or out.any() else [1.0, 1.0, 0.0]
        assert ShadowPrice()(bids, supply, torch.ones(3, 2)).quantity.tolist() == expected
        alone = ShadowPrice()(bids, supply[0], torch.ones(3))
        assert alone.quantity.tolist() == expected
        assert KwonSearch()(bids, supply[0], torch.ones(3)).quantity[1] <= expected[0]


def test_bids_of_ones_own_say_how_they_are_chained() -> None:
    class Mine:
        traits = frozenset({CHAINED, INDIVISIBLE})
        value = torch.ones(2)

        def demand(self, price: torch.Tensor, stay: torch.Tensor | None = None) -> torch.Tensor:
            return (price <= self.value).float()

        def utility(self, quantity: torch.Tensor) -> torch.Tensor:
            return quantity

        def reservation_price(self) -> torch.Tensor:
            return self.value

    with pytest.raises(InputError, match="Mine are chained, and have no `before` that says who is served first"):
        ShadowPrice()(Mine(), [1.0, 1.0], torch.ones(2, 2))

"""Kwon's search as a rule: against the exact optimum, against brute force along chains, and by hand."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from walras.errors import InputError, RequirementError
from walras.mechanisms import Clearing, EntropicBids, IndivisibleBids, KwonSearch, ShadowPrice
from walras.mechanisms.solvers.kwon_chains import fit_of, kinds
from walras.mechanisms.solvers.kwon_latency import StepFit

INF = torch.inf
Column = NDArray[np.float64]


def optimum(value: Column, cost: Column, supply: float, before: Any = ()) -> float:
    """The most that any choice within the supply is worth, units of a chain in their order."""
    rows = [LinearConstraint(cost, ub=supply)]
    for unit, sooner in enumerate(before):
        if sooner >= 0:
            row = np.zeros(len(value))
            row[unit], row[sooner] = 1, -1
            rows.append(LinearConstraint(row, ub=0))
    exact = milp(-value, integrality=np.ones(len(value), dtype=int), bounds=Bounds(0, 1), constraints=rows)
    assert exact.success
    return float(-exact.fun)


def welfare(clearing: Clearing, value: Column) -> float:
    return float(clearing.quantity.numpy() @ value)


def clear(value: Any, supply: float, cost: Any, before: Any = None) -> Clearing:
    values, costs = (torch.as_tensor(column, dtype=torch.float64) for column in (value, cost))
    return KwonSearch()(IndivisibleBids(values, None if before is None else torch.as_tensor(before)), supply, costs)


def test_by_hand() -> None:
    """A head of 3 and blocks of 1: the head is worth less for its cost, and yet fills the supply best."""
    value, cost = [6.0, 2.5, 2.2, 1.0, 0.5], [3.0, 1.0, 1.0, 1.0, 1.0]
    four = clear(value, 4.0, cost)
    assert four.quantity.tolist() == [1, 1, 0, 0, 0]  # 8.5, against 6.2 of all blocks
    assert (four.price.item(), four.word, four.residual.item()) == (2.2, "rationed", 0)
    assert four.payment.tolist() == [6, 2.2, 0, 0, 0]  # 3 * 2.2 would be more than it is worth
    three = clear(value, 3.0, cost)
    assert three.quantity.tolist() == [1, 0, 0, 0, 0]
    assert three.price.item() == 2.5
    five = clear(value, 5.5, cost)
    assert five.quantity.tolist() == [1, 1, 1, 0, 0]
    assert (five.price.item(), five.word, five.residual.item()) == (1.0, "cleared", -0.5)
    assert clear(value, 0.5, cost).word == "infeasible"
    seven = clear(value, 7.0, cost)
    assert (seven.quantity.sum().item(), seven.price.item(), seven.word) == (5, 0.0, "slack")
    assert clear(value, INF, cost).word == "slack"


@pytest.mark.parametrize("instance", range(150))
def test_the_exact_optimum_of_up_to_three_classes(instance: int) -> None:
    random = np.random.default_rng(instance)
    n = int(random.integers(1, 40))
    sizes = random.uniform(0.1, 1.0, 3 if instance % 3 == 0 else 2)
    value, cost = random.gamma(1.0, size=n), random.choice(sizes, n)
    supply = float(random.uniform(0, 1.1) * cost.sum())
    found = clear(value, supply, cost)
    assert welfare(found, value) == pytest.approx(optimum(value, cost, supply), abs=1e-9)
    out = (found.quantity == 0).numpy()
    assert (value[out] <= found.price.item() * cost[out] * (1 + 1e-9)).all()  # nobody who is out would gain by buying
    left = supply - cost[~out].sum()
    assert not out.any() or cost[out].min() > left


@pytest.mark.parametrize("instance", range(60))
def test_many_classes_are_no_worse_than_the_order_of_value_per_cost(instance: int) -> None:
    random = np.random.default_rng(instance)
    n = int(random.integers(4, 30))
    value, cost = random.gamma(1.0, size=n), random.uniform(0.1, 1.0, n)
    if instance % 2:
        cost = random.choice([0.1, 0.25, 0.4, 1.0, 1.7], n)
    supply = float(random.uniform(0.1, 1) * cost.sum())
    found, best = clear(value, supply, cost), optimum(value, cost, supply)
    greedy = ShadowPrice()(IndivisibleBids(torch.tensor(value)), supply, torch.tensor(cost))
    assert best - value.max() - 1e-9 <= welfare(found, value) <= best + 1e-9
    assert welfare(found, value) >= welfare(greedy, value) - value.max()
    out = (found.quantity == 0).numpy()
    assert not out.any() or cost[out].min() > supply - cost[~out].sum()  # whoever still fits is in


def test_ties_free_units_and_units_that_may_not_trade() -> None:
    assert clear([1.0, 1.0, 1.0], 2.0, [2.0, 1.0, 1.0]).quantity.tolist() == [0, 1, 1]
    assert clear([2.0, 1.0, 1.0], 2.0, [2.0, 1.0, 1.0]).quantity.tolist() == [0, 1, 1]  # the fewest of the dearer
    assert clear([1.0, 1.0, 1.0], 2.0, [1.0, 1.0, 1.0]).quantity.tolist() == [1, 1, 0]
    some = clear([-INF, -1.0, 0.0, 0.5, 2.0], 0.0, [0.0, 0.0, 0.0, 0.0, 1.0])
    assert some.quantity.tolist() == [0, 0, 1, 1, 0]
    assert (some.price.item(), some.word) == (2.0, "cleared")


def chains(fits: list[StepFit], units: list[int], noise: Any = None) -> tuple[Column, NDArray[np.int64]]:
    """Cost of every unit at its place of a chain, and the unit before it."""
    cost: list[float] = []
    before: list[int] = []
    for fit, many in zip(fits, units, strict=True):
        times = np.array([fit(n) for n in range(many + 1)])
        if noise is not None:
            times[1:] = np.maximum.accumulate(times[1:] * noise.uniform(0.7, 1.3, many))
        before += [-1, *range(len(cost), len(cost) + many - 1)]
        cost += np.diff(times).tolist()
    return np.array(cost), np.array(before)


def falling(random: Any, units: list[int]) -> Column:
    return np.concatenate([np.sort(random.gamma(1.0, size=many))[::-1] for many in units])


def searched(value: Column, fits: list[StepFit], units: list[int], supply: float) -> float:
    """The most that prefixes are worth when sub-layers of a kind are dropped in the order of their best units."""
    ends = np.cumsum(units)
    worth = [np.append(0, np.cumsum(value[end - n : end])) for end, n in zip(ends, units, strict=True)]
    best = 0.0
    for counts in product(*(range(n + 1) for n in units)):
        if sum(fit(n) for fit, n in zip(fits, counts, strict=True)) > supply * (1 + 1e-12):
            continue
        for fit in set(fits):
            mine = [i for i in range(len(fits)) if fits[i] == fit]
            ranked = sorted(mine, key=lambda i: worth[i][min(units[i], fits[i].threshold)])
            kept = [counts[i] > 0 for i in ranked]
            if kept != sorted(kept):
                break
        else:
            best = max(best, sum(w[n] for w, n in zip(worth, counts, strict=True)))
    return best


@pytest.mark.parametrize("instance", range(60))
def test_chains_whose_fit_is_exact_against_brute_force(instance: int) -> None:
    random = np.random.default_rng(instance)
    depth, many = int(random.integers(1, 3)), int(random.integers(2, 5))
    head, ffn = (StepFit(int(random.integers(1, many + 1)), *random.uniform(0.1, 1, 2).tolist()) for _ in range(2))
    fits, units = [head, ffn] * depth, [many] * (2 * depth)
    cost, before = chains(fits, units)
    value = falling(random, units)
    supply = float(random.uniform(0, 1.05) * cost.sum())
    mixed = random.permutation(len(value))  # chains need not lie one after the other
    place = np.argsort(mixed)
    sooner = np.where(before[mixed] < 0, -1, place[before[mixed]])
    found = clear(value[mixed], supply, cost[mixed], sooner)
    best = searched(value, fits, units, supply)
    assert welfare(found, value[mixed]) == pytest.approx(best)
    assert best <= optimum(value, cost, supply, before) + 1e-9
    if depth == 1:
        assert best == pytest.approx(optimum(value, cost, supply, before))


def test_chains_by_hand() -> None:
    """Two attentions (1 ms, then 1 ms a head) and an FFN of 2 ms for any number of blocks."""
    value = [9.0, 2, 5, 1, 4, 3]
    cost, before = [1.0, 1, 1, 1, 2, 0], [-1, 0, -1, 2, -1, 4]
    four = clear(value, 4.0, cost, before)
    assert four.quantity.tolist() == [1, 0, 1, 0, 1, 1]
    assert (four.price.item(), four.word) == (2.0, "cleared")
    assert four.payment.tolist() == [2, 0, 2, 0, 4, 0]
    three = clear(value, 3.0, cost, before)
    assert three.quantity.tolist() == [1, 1, 1, 0, 0, 0]  # 16 as well with the FFN: the first that is found
    assert welfare(three, np.array(value)) == 16
    assert clear(value, 0.5, cost, before).word == "infeasible"
    assert clear(value, 6.0, cost, before).word == "slack"
    ended = clear([9.0, -INF, 5, 1, 4, 3], 4.0, cost, before)
    assert ended.quantity.tolist() == [1, 0, 1, 0, 1, 1]
    # The first attention costs 2 without its second head; with -inf in front nobody of it is served.
    assert clear([-INF, 2.0, 5, 1, 4, 3], 6.0, cost, before).quantity.tolist() == [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("instance", range(80))
def test_curves_that_no_fit_describes_never_cost_more_than_the_supply(instance: int) -> None:
    random = np.random.default_rng(instance)
    depth = int(random.integers(1, 5))
    head, ffn = StepFit(3, 1.0, 0.2), StepFit(2, 0.5, 0.4)
    units = random.integers(1, 9, 2 * depth).tolist()
    cost, before = chains([head, ffn] * depth, units, noise=random)
    value = falling(random, units)
    supply = float(random.uniform(0.1, 1.0) * cost.sum())
    found = clear(value, supply, cost, before)
    served = found.quantity.numpy() > 0
    assert cost[served].sum() <= supply * (1 + 1e-12)
    assert served[before[served & (before >= 0)]].all()
    assert welfare(found, value) <= optimum(value, cost, supply, before) + 1e-9
    assert served.any() or cost[before < 0].min() > 0.2 * supply
    everybody = clear(value, float(cost.sum()), cost, before)
    assert everybody.quantity.all()  # whatever the fit says of the whole network


def test_a_fit_that_is_too_optimistic_is_corrected() -> None:
    """Four sub-layers with one mean curve, two of which take longer: at the fits' word three would fit."""
    cost, before = chains([StepFit(1, t, 0.1) for t in (1.004, 1.004, 0.996, 0.996)], [3] * 4)
    value = np.array([9.0, 1, 1, 8, 1, 1, 3, 1, 1, 2, 1, 1])
    assert len(set(kinds([np.cumsum(cost[i : i + 3]) for i in range(0, 12, 3)]).tolist())) == 1
    found = clear(value, 3.0, cost, before)  # 1.004 + 1.004 + 0.996 > 3, by the fit exactly 3
    served = found.quantity.numpy() > 0
    assert cost[served].sum() <= 3.0
    assert welfare(found, value) == 9 + 1 + 1 + 8 + 1 + 1


def test_who_would_fit_makes_no_price() -> None:
    """One chain of true times 1, 1.1, 2 and, by the fit, 1.05, 1.05, 2."""
    cost, before = [1.0, 0.1, 0.9], [-1, 0, 1]
    nothing = clear([50.0, 1, 1], 1.02, cost, before)
    assert (nothing.quantity.sum().item(), nothing.word) == (0, "rationed")
    assert nothing.price.item() == pytest.approx(51 / 1.1)
    assert clear([50.0, 1, 1], 0.9, cost, before).word == "infeasible"
    two = clear([5.0, 4, 1], 1.2, cost, before)
    assert (two.quantity.tolist(), two.word) == ([1, 1, 0], "cleared")
    assert two.price.item() == pytest.approx(1 / 0.9)


def test_kinds_of_curves() -> None:
    head, ffn = np.array([1.0, 1.0, 1.5]), np.array([0.5, 1.0, 1.5, 2.0])
    found = kinds([head, ffn, head[:2], ffn[:1] * 1.005, head * 1.001]).tolist()
    assert found[0] == found[2] == found[4] != found[1] == found[3]
    assert set(kinds([head, head]).tolist()) == {0}
    four = kinds([head, ffn, head * 1.3, ffn * 1.1]).tolist()  # the nearest come together
    assert four[0] == four[2] != four[1] == four[3]
    assert fit_of([np.array([1.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0])]) == StepFit(2, 1.0, 1.0)
    assert kinds([np.zeros(2), np.zeros(3)]).tolist() == [0, 0]


def test_chains_of_one_are_separable() -> None:
    value, cost = [6.0, 2.5, 2.2, 1.0, 0.5], [3.0, 1.0, 1.0, 1.0, 1.0]
    for supply in (0.5, 3.0, 4.0, 5.5, 7.0):
        alone, chained = clear(value, supply, cost), clear(value, supply, cost, [-1] * 5)
        assert torch.equal(alone.quantity, chained.quantity)
        assert torch.equal(alone.price, chained.price)


def test_a_batch_of_chains_clears_as_each_alone() -> None:
    random = np.random.default_rng(0)
    cost, before = chains([StepFit(2, 1.0, 0.5), StepFit(1, 0.7, 0.1)], [4, 4])
    value = torch.tensor(np.stack([falling(random, [4, 4]) for _ in range(3)]))
    supply, costs, sooner = torch.tensor([[0.8], [1.5], [2.5]]), torch.tensor(cost), torch.tensor(before)
    together = KwonSearch()(IndivisibleBids(value, sooner), supply, costs)
    for row in range(3):
        alone = KwonSearch()(IndivisibleBids(value[row], sooner), supply[row], costs)
        for part in ("quantity", "price", "payment", "status", "residual"):
            assert torch.equal(getattr(together, part)[row], getattr(alone, part))
    small = KwonSearch()(IndivisibleBids(value * 2.0**-30, sooner), supply, costs)
    assert torch.equal(small.quantity, together.quantity)


def test_what_it_does_not_sell_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="KwonSearch sells one resource; the supply has 2"):
        KwonSearch()(IndivisibleBids(torch.ones(2)), torch.ones(2), torch.ones(2, 2))
    with pytest.raises(RequirementError, match="KwonSearch requires bids that are indivisible; EntropicBids are"):
        KwonSearch()(EntropicBids(torch.ones(2)), 1.0)

"""Bilateral trade: who meets, by hand; quotes against whole passes; nobody trades for the worse, nor beyond budgets."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.market.phases.levels.conftest import levels_of, usage
from walras.agents import Uniform
from walras.errors import InputError
from walras.market import BilateralTrade
from walras.market.phases.levels.level_search import mean_loss
from walras.market.phases.levels.trading import Quotes, Trading, meetings, moved, two_samples


def trading(floor: Any, levels: Any, place: Any, budget: float = 0.6) -> Trading:
    return Trading(floor.calibration, levels, place, budget * levels.dense, [0], [1])


def test_who_meets_by_hand() -> None:
    """1 sells to 0 for a gain of 3 - 0.2; 2 then has 3 left to sell to, and not the budget for it; 3 sells to 2."""
    quotes = Quotes(np.array([3.0, 1.0, 0.9, 0.5]), np.array([0.5, 0.2, 0.4, 0.3]))
    assert list(meetings(quotes, lambda seller, buyer: True)) == [(1, 0), (3, 2)]
    assert list(meetings(quotes, lambda seller, buyer: (seller, buyer) != (3, 2))) == [(1, 0), (2, 3)]
    assert list(meetings(quotes, lambda seller, buyer: False)) == []
    nobody = Quotes(np.array([0.1, 0.2]), np.array([0.2, 0.3]))
    assert list(meetings(nobody, lambda seller, buyer: True)) == []
    ends = Quotes(np.array([-np.inf, 0.2]), np.array([0.1, np.inf]))  # 0 has all units, 1 none
    assert list(meetings(ends, lambda seller, buyer: True)) == [(0, 1)]
    assert moved((2, 3, 4), 0, 2) == (1, 3, 5)


def test_quotes_are_those_of_whole_passes(copied: Any) -> None:
    levels, told = levels_of(copied), list[float]()
    choice = (1, 3, 2, 2)
    with levels.placing(copied.calibration.model) as place:
        floor = trading(copied, levels, place)
        state = floor.state(choice)
        quotes = floor.quotes(state, told.append)
        for i in range(4):
            for by, found in ((1, state.quoted - quotes.fall[i]), (-1, state.quoted + quotes.rise[i])):
                other = [*choice]
                other[i] += by
                if other[i] == len(levels.sublayers[i]):
                    assert found == np.inf
                    continue
                place(other)
                assert found == pytest.approx(mean_loss(copied.calibration, [0], divergence=True), rel=1e-4)
    assert told == [0.25, 0.5, 0.75, 1.0]
    assert quotes.fall[2] == -np.inf  # it has both heads


def test_what_the_budget_does_not_pay_for_never_meets(copied: Any) -> None:
    """A pair whose levels cost more than is left is passed over, however much it would gain."""
    levels = levels_of(copied)
    choice = (1, 3, 1, 2)
    large = Quotes(np.array([9.0, 8.0, 7.0, 6.0]), np.array([0.4, 0.3, 0.2, 0.1]))
    with levels.placing(copied.calibration.model) as place:
        exact = levels.cost(choice)
        for spare in (0.0, 10 * exact):
            floor = Trading(copied.calibration, levels, place, exact + spare, [0], [1])
            state = floor.state(choice)
            met = [(e.seller, e.buyer) for e, _ in floor.played(state, large)]
            if spare:
                assert met == [(3, 0), (2, 1)]  # neurons pay for heads, as far as there is more
            else:
                assert met
                assert all(levels.cost(moved(choice, *pair)) <= exact * (1 + 1e-9) for pair in met)
                assert (3, 0) not in met


@pytest.mark.parametrize("seed", range(3))
def test_nobody_trades_for_the_worse_or_beyond_the_budget(seed: int, copied: Any) -> None:
    before = {k: v.clone() for k, v in copied.model.state_dict().items()}
    market = copied.market(
        copied.rising(), budgets=(0.6,), seed=seed, resources=(usage(copied),),
        phases=[BilateralTrade(rounds=4, tokens=30, step=1e-6)],
    )  # fmt: skip
    market.step()
    assert all(torch.equal(v, before[k]) for k, v in copied.model.state_dict().items())
    assert market.rounds[-1].used <= 0.6
    exchanges = market.memory["search"]
    agreed = [e for e in exchanges if e.agreed]
    assert agreed
    assert all(e.fall > 0 and e.fresh_fall > 0 and e.seller != e.buyer for e in agreed)
    assert all(not e.fall > 0 or not e.fresh_fall > 0 for e in exchanges if not e.agreed)
    plain = copied.market(
        copied.rising(), budgets=(0.6,), seed=seed, resources=(usage(copied),), phases=[BilateralTrade(rounds=0)]
    )
    plain.step()
    counts = [
        [int((m.ledger.quantity[s.units] > 0).sum()) for s in copied.units.sites] for m in (plain, market)
    ]  # fmt: skip
    left = [*counts[0]]
    for e in agreed:
        left[e.seller] -= 1
        left[e.buyer] += 1
    assert left == counts[1]


def test_units_come_and_go_by_their_bids(copied: Any) -> None:
    """Those that are left of a sub-layer have the highest bids per compute of it."""
    market = copied.market(
        copied.rising(), budgets=(0.6,), resources=(usage(copied),), phases=[BilateralTrade(tokens=30, step=1e-6)]
    )
    market.step()
    for site in copied.units.sites:
        keep = market.ledger.quantity[site.units] > 0
        assert keep.tolist() == sorted(keep.tolist())  # value per compute rises with the place


def test_what_cannot_be_traded_is_told(copied: Any) -> None:
    with pytest.raises(InputError, match="nothing to trade: the budget pays for all units"):
        copied.market(Uniform(), budgets=(1.0,), resources=(usage(copied),), phases=[BilateralTrade()]).step()
    del copied.calibration.batches[1:]
    with pytest.raises(InputError, match="needs fresh tokens beside those of quotes, and there is one batch"):
        two_samples(copied.calibration, 10, np.random.default_rng(0))
    with pytest.raises(InputError, match="needs fresh tokens beside those of quotes, and there is one batch"):
        copied.market(Uniform(), budgets=(0.6,), resources=(usage(copied),), phases=[BilateralTrade()])  # no step yet
    for settings in ({"rounds": -1}, {"tokens": 0}, {"levels": 0}, {"step": 0.0}, {"step": 1.0}):
        with pytest.raises(InputError, match=f"{next(iter(settings))} is"):
            BilateralTrade(**settings)

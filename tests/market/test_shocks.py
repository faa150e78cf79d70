"""Units that break and tasks that change, in the middle of a market."""

from typing import Any

import numpy as np
import pytest

from walras.agents import Calibration, Fisher
from walras.errors import InputError, UnknownNameError
from walras.market import Disable, NewTask, budget_path
from walras.models.objective import GivenLoss

ROUNDS = 5


def play(market: Any, rounds: int = ROUNDS) -> Any:
    for _ in range(rounds):
        market.step()
    return market


def test_a_unit_that_breaks_is_out_and_another_takes_its_place(floor: Any) -> None:
    calm = play(floor.market(floor.rising(), budgets=[0.5] * ROUNDS, reentry=True))
    best = str(calm.ledger.name[-1])
    struck = floor.market(floor.rising(), budgets=[0.5] * ROUNDS, reentry=True, shocks=[Disable(3, (best,))])
    play(struck, 2)
    assert struck.ledger.quantity[-1] == 1
    play(struck, 3)
    assert struck.ledger.quantity[-1] == 0
    assert struck.ledger.report[-1] == 0
    assert struck.rounds[2].entered >= 1
    assert struck.rounds[2].used <= 0.5
    assert struck.frame["shock"].tolist() == ["", "", f"disabled {best}", "", ""]
    with pytest.raises(
        UnknownNameError, match=r"unknown unit 'L9\.H0'\. Did you mean 'L.\.H0'\? Known: L0\.F0, L0\.F1"
    ):
        floor.market(floor.rising(), shocks=[Disable(1, ("L9.H0",))])  # before the first round


def test_a_new_task_values_anew(floor: Any) -> None:
    old = floor.calibration
    loss = GivenLoss(lambda net, batch: net(**batch).last_hidden_state[:, 1].cos().mean())
    new = Calibration(floor.model, floor.units, loss, old.batches, old.cost)
    market = floor.market(Fisher(), budgets=[0.8] * 3, reentry=True, shocks=[NewTask(2, new, "cosine")])
    play(market, 1)
    before = market.ledger.value.copy()
    play(market, 1)
    assert not np.allclose(market.ledger.value, before)
    alone = play(floor.market(Fisher(), budgets=[0.8], reentry=True), 1)
    assert np.array_equal(before, alone.ledger.value)
    assert market.rounds[1].shock == "cosine begins"
    with pytest.raises(InputError, match="must be a calibration of the network that is traded on"):
        floor.market(Fisher(), shocks=[NewTask(1)])


def test_a_budget_that_comes_back_lets_units_come_back(floor: Any) -> None:
    market = play(floor.market(floor.rising(), budgets=budget_path(0.3, 7, "cycle"), reentry=True), 7)
    funded = [sum(r.funded.values()) for r in market.rounds]
    assert funded[0] == funded[4] == 14
    assert funded[2] == funded[6] < funded[1] < 14
    assert [r.entered for r in market.rounds][3:5] != [0, 0]


@pytest.mark.parametrize("at", [0, -1, 1.5, True])
def test_rounds_are_counted_from_one(at: Any) -> None:
    with pytest.raises(InputError, match="a shock strikes before round"):
        Disable(at, ("L0.H0",))

"""How a tax comes in: each rise by hand, and what all of them keep to."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError, UnknownNameError, UserCodeError
from walras.market.pricing import RISES, Rise, Tax
from walras.market.pricing.rises import ByTarget, Constant, Cosine, Cubic, EvenCost, Linear, Memory, Quadratic

TIMED = [Constant, Linear, Quadratic, Cubic, Cosine]
COSTS = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def shares(rise: Rise | str, costs: Sequence[float], last: float = 1.0) -> list[float]:
    """What is asked for in steps that cost this, evenly from 0 to `last` of the priced training."""
    tax, found = Tax(1.0, rise), []
    for step, cost in enumerate(costs):
        at = last * step / max(len(costs) - 1, 1)
        found.append(float(tax.penalty(torch.tensor(1.0, dtype=torch.float64), at)))
        assert tax.paid(at) == found[-1]
        tax = tax.after(cost, at)
    return found


@pytest.mark.parametrize(
    ("rise", "by_hand"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [0, 0.5, 1, 1, 1]),
        ("quadratic", [0, 0.25, 1, 1, 1]),
        ("cubic", [0, 0.875, 1, 1, 1]),
        ("cosine", [0, 0.5, 1, 1, 1]),
        ("linear:until=1", [0, 0.25, 0.5, 0.75, 1]),
        ("quadratic:until=1", [0, 1 / 16, 0.25, 9 / 16, 1]),
        ("cubic:until=1", [0, 37 / 64, 0.875, 63 / 64, 1]),
        ("cosine:until=1", [0, (1 - math.sqrt(0.5)) / 2, 0.5, (1 + math.sqrt(0.5)) / 2, 1]),
        ("cosine:until=0.25", [0, 1, 1, 1, 1]),
    ],
)
def test_by_the_clock(rise: str, by_hand: list[float]) -> None:
    """At 0, a quarter, a half, three quarters of the priced training and its end, whatever is used."""
    assert shares(rise, [0.9, 0.1, 0.8, 0.3, 0.5]) == pytest.approx(by_hand)


def test_by_target_by_hand() -> None:
    """At 0, 0.1, 0.2, 0.3: log f moves by 10 ((c - 0.5) 0.1 + 0.2 dc), from 0.1 on."""
    rise = ByTarget(budget=0.5, gain=10.0, damping=0.2, first=0.1)
    found = shares(rise, [0.9, 0.9, 0.7, 0.4], last=0.3)
    first = 10 * 0.4 * 0.1
    second = 10 * (0.2 * 0.1 - 0.2 * 0.2)
    assert found == pytest.approx([0.1, 0.1, 0.1 * math.exp(first), 0.1 * math.exp(first + second)])


def test_by_target_stays_between_its_first_share_and_the_whole_price() -> None:
    assert shares("by-target:budget=0.5", [1.0] * 50)[-1] == 1.0
    assert shares("by-target:budget=0.5,first=0.2", [0.1] * 50) == pytest.approx([0.2] * 50)
    assert shares("by-target:budget=0.5,first=0.2,gain=1e9", [1.0, 1.0, 1.0, 0.1])[-1] == 1.0
    held = shares("by-target:budget=0.5", [0.9, 0.8, 0.7, 0.6, *[0.5] * 20])
    assert held[5:] == pytest.approx([held[5]] * 19)  # at its target the price stands


@pytest.mark.parametrize("price", [3.0, 30.0])
def test_by_target_finds_the_price_at_which_demand_is_the_budget(price: float) -> None:
    """Demand follows 1 / (1 + paid) with a delay; it is 0.5 at a price of 1, whatever the tax."""
    tax, cost = Tax(price, ByTarget(0.5)), 1.0
    for step in range(400):
        paid = tax.paid(step / 400)
        tax = tax.after(cost, step / 400)
        cost += (1 / (1 + paid) - cost) / 20
    assert cost == pytest.approx(0.5, abs=0.02)
    assert tax.paid(1.0) == pytest.approx(1.0, abs=0.1)


def test_even_cost_is_linear_where_compute_answers_the_price_evenly() -> None:
    at = [step / 20 for step in range(21)]
    costs = [1 - 0.5 * min(2 * one, 1.0) for one in at]
    assert shares("even-cost", costs) == pytest.approx([min(2 * one, 1.0) for one in at])


def test_even_cost_by_hand() -> None:
    """Of 1, 0.9, 0.6, at 0, 0.1, 0.2 with u = 0.5: the second fifth of the price has moved three times the first."""
    rise = EvenCost(window=0.1, most=4.0)
    found = shares(rise, [1.0, 0.9, 0.6, 0.6], last=0.3)
    pace = ((1.0 - 0.6) / 0.4) / ((0.9 - 0.6) / 0.2)  # R / r
    assert found == pytest.approx([0, 0.2, 0.4, 1 - 0.6 * (0.2 / 0.3) ** pace])
    slower = shares(EvenCost(window=0.2, most=4.0), [1.0, 0.9, 0.6, 0.6], last=0.3)  # half of the way there
    assert slower[-1] == pytest.approx(1 - 0.6 * (0.2 / 0.3) ** math.sqrt(pace))


@pytest.mark.parametrize(
    ("first", "then", "pace"),
    [(0.9, 0.9, 1.5), (0.9, 0.95, 1.5), (0.99, 0.0, 1 / 1.5), (1.2, 1.1, 1 / 1.5), (1.0, 1.0, 1)],
)
def test_the_pace_of_even_cost_has_bounds(first: float, then: float, pace: float) -> None:
    """The second fifth of the price moves nothing, less than nothing, all, or what had grown; or nothing moves at all.

    Steps cost 1, `first` and `then`.
    """
    rise = EvenCost(window=0.1, most=1.5)
    memory: Memory = ()
    for at, cost in ((0.0, 1.0), (0.1, first), (0.2, then)):
        memory = rise.after(at, cost, memory)
    assert memory[-1] == pytest.approx(pace)


def test_even_cost_makes_compute_fall_more_evenly_than_a_linear_rise() -> None:
    """Demand that breaks down around a price of 0.2: the largest fall in a step is half of that under a linear rise."""

    def largest(rise: str) -> float:
        tax, costs = Tax(1.0, rise), [1.0]
        for step in range(200):
            paid = tax.paid(step / 200)
            tax = tax.after(costs[-1], step / 200)
            costs.append(1 - 0.2 * paid - 0.6 / (1 + math.exp(-(paid - 0.2) / 0.02)))
        assert costs[-1] == pytest.approx(0.2)
        return max(before - after for before, after in pairwise(costs[1:]))

    assert largest("even-cost") < 0.5 * largest("linear")


@pytest.mark.parametrize("kind", RISES.values(), ids=RISES)
@given(costs=COSTS)
def test_all_ask_for_a_share_of_the_price(kind: type[Rise], costs: list[float]) -> None:
    """From 0 to 1 whatever is used; all but the controller never fall, and end at the whole price."""
    found = shares(kind(), costs)
    assert all(0 <= share <= 1 for share in found)
    if kind is not ByTarget:
        assert found == sorted(found)
        assert len(costs) == 1 or found[-1] == 1.0
    if kind not in (Constant, ByTarget):
        assert found[0] == 0.0


@pytest.mark.parametrize("kind", RISES.values(), ids=RISES)
@given(costs=COSTS, stop=st.integers(0, 29))
def test_all_go_on_from_a_checkpoint(kind: type[Rise], costs: list[float], stop: int) -> None:
    """Memory goes through JSON, and what follows is the same bit by bit."""
    tax = fresh = Tax(0.3, kind())
    for step, cost in enumerate(costs):
        if step == stop:
            tax = fresh.restored(json.loads(json.dumps(tax.state())))
        fresh_paid = tax.after(cost, step / 30)
        assert fresh.restored(json.loads(json.dumps(fresh_paid.state()))) == fresh_paid
        tax = fresh_paid
    whole = fresh
    for step, cost in enumerate(costs):
        whole = whole.after(cost, step / 30)
    assert tax == whole


@pytest.mark.parametrize("kind", [ByTarget, EvenCost])
def test_twice_as_many_steps_of_the_same_course_ask_for_about_the_same(kind: type[Rise]) -> None:
    def course(steps: int) -> list[float]:
        return shares(kind(), [1 - 0.6 * (step / steps) ** 2 for step in range(steps + 1)])

    few, many = course(1000), course(2000)
    assert few == pytest.approx(many[::2], abs=0.05)


@pytest.mark.parametrize("name", RISES)
def test_all_are_found_by_any_spelling_and_written_back(name: str) -> None:
    made = RISES.make(name.upper().replace("-", "_"))
    assert RISES.spelled(made) == name
    assert Tax(0.1, name).rising == made
    (entry,) = (entry for entry in RISES.describe() if entry.name == name)
    assert entry.about.endswith(".")
    assert len(entry.about.split()) > 6


def test_parameters_are_kept() -> None:
    assert RISES.spelled(Cosine(0.25)) == "cosine:until=0.25"
    assert Tax(0.1, "by-target:budget=0.7").rising == ByTarget(0.7)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("linear:until=0", "until of rise linear is 0.0; it must be a number above 0 and at most 1"),
        ("cubic:until=1.5", "until of rise cubic is 1.5"),
        ("cosine:until=nan", "until of rise cosine is nan"),
        ("by-target:budget=0", "budget is 0.0"),
        ("by-target:gain=-1", "gain of rise by-target is -1.0; it must be a number above 0$"),
        ("by-target:damping=inf", "damping of rise by-target is inf"),
        ("by-target:first=2", "first of rise by-target is 2.0"),
        ("even-cost:window=0", "window of rise even-cost is 0.0"),
        ("even-cost:most=1", "most of rise even-cost is 1.0; it must be a number above 1"),
        ("constant:until=0.5", "takes no parameters"),
    ],
)
def test_bad_parameters(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tax(1.0, name)


@pytest.mark.parametrize(
    ("name", "message"),
    [("lineal", "Did you mean 'linear'"), ("by-targt", "Did you mean 'by-target'"), ("cosine:untl=1", "'until'")],
)
def test_names_that_nobody_knows(name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        Tax(1.0, name)


OWN = """
from dataclasses import dataclass
from walras.market.pricing import Rise

@dataclass(frozen=True)
class Mine(Rise):
    "Asks for as much as was used in the last step."
    scale: float = 1.0
    def share(self, at, memory):
        return self.scale * memory[0] if memory else 0.0
    def after(self, at, cost, memory):
        return (cost,)
"""


def test_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
    assert shares(f"{tmp_path}/mine.py:Mine:scale=0.5", [0.4, 0.8, 0.2]) == pytest.approx([0, 0.2, 0.4])
    with pytest.raises(InputError, match=r"rise Mine .*mine\.py, line 5.* asks for 1\.6"):
        shares(f"{tmp_path}/mine.py:Mine:scale=4", [0.4, 0.8, 0.2])


@dataclass(frozen=True)
class Odd(Rise):
    memory: Any

    def share(self, at: float, memory: Memory) -> float:
        return 1.0

    def after(self, at: float, cost: float, memory: Memory) -> Memory:
        if self.memory == "error":
            raise ValueError("oh")
        found: Memory = self.memory
        return found


@pytest.mark.parametrize("memory", [[1.0], ("a",), (float("nan"),), None, (True,)])
def test_what_no_checkpoint_keeps_is_refused(memory: object) -> None:
    with pytest.raises(InputError, match=r"rise Odd .* it must be a tuple of finite numbers"):
        Tax(1.0, Odd(memory)).after(0.5, 0.1)


def test_an_error_in_ones_own_is_told_with_its_place() -> None:
    with pytest.raises(UserCodeError, match=r"rise Odd.*test_rises\.py"):
        Tax(1.0, Odd("error")).after(0.5, 0.1)


@pytest.mark.parametrize("value", ["x", None, [0.5], True])
def test_settings_of_a_rise_that_are_no_numbers(value: Any) -> None:
    for made in (lambda: Linear(until=value), lambda: EvenCost(most=value), lambda: ByTarget(gain=value)):
        with pytest.raises(InputError, match="must be a number"):
            made()

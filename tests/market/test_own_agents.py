"""Agents and strategies of the user's own: they change what is reported, never what is true."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import pytest

from walras.agents import BidderInfo, FFNBlockAgent, HeadAgent, Strategy, UnitAgent
from walras.agents.strategies.strategy import Column
from walras.errors import InputError, UnknownNameError
from walras.market import ComputeMarket, Turn, read_trace
from walras.market.phases.bid import reports
from walras.market.phases.value import true_values

HEAD_ROWS = [0, 1, 7, 8]


class Shading(HeadAgent):
    """Bids half, and after a round no more than what it would have had to pay."""

    def bid(self) -> float:
        return min(self.value / 2, self.price or math.inf)


class Bold(UnitAgent):
    """Any unit that overstates its worth."""

    def bid(self) -> float:
        return 1000 * self.value


@final
@dataclass(frozen=True)
class Halving(Strategy):
    """Works in place on what it is told, as careless code does."""

    name: ClassVar[str] = "halving"

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        for column in (known.value, known.cost, known.wealth, known.quantity, known.price):
            np.multiply(column, 0.5, out=column)
        return known.value


@final
@dataclass(frozen=True)
class Echo(Strategy):
    """Reports the very array that it was told, or something else."""

    answer: Any = None
    name: ClassVar[str] = "echo"

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        return known.value if self.answer is None else np.asarray(self.answer)


@final
@dataclass(frozen=True)
class Noisy(Strategy):
    """Draws from the market's own generator."""

    name: ClassVar[str] = "noisy"

    def bid(self, known: BidderInfo, generator: np.random.Generator) -> Column:
        return known.value * generator.uniform(0.9, 1.1, len(known.value))


def test_an_agents_own_bid_changes_its_report_only(floor: Any, tmp_path: Path) -> None:
    market: ComputeMarket = floor.market(floor.rising(), budgets=[0.8, 0.6], agents={"head": Shading}, trace=tmp_path)
    value = np.array(floor.rising().rows[0])
    heads = np.isin(np.arange(14), HEAD_ROWS)
    for _ in range(2):
        price, present = market.ledger.price.copy(), market.may_bid.copy()
        market.step()
        expected = np.minimum(value / 2, np.where(price > 0, price, np.inf))
        assert np.array_equal(market.ledger.value, value)
        report = np.where(heads, expected, value)
        assert np.array_equal(market.ledger.report, np.where(present, report, 0))  # who has left bids nothing
    assert [a.row for a in market.agents_by_type[Shading]] == HEAD_ROWS
    assert len(market.agents_by_type[FFNBlockAgent]) == 10
    assert HeadAgent not in market.agents_by_type
    trace = read_trace(tmp_path)
    assert set(trace.loc[trace["kind"] == "head", "strategy"]) == {"Shading"}
    assert set(trace.loc[trace["kind"] == "ffn", "strategy"]) == {"truthful"}
    assert np.array_equal(trace["bid"][:14], np.where(heads, value / 2, value))


def test_a_bold_agent_wins_at_its_true_loss(floor: Any) -> None:
    """Welfare and surplus are counted in true values: who overstates buys at more than its unit is worth."""
    honest, bold = (floor.market(floor.rising(), agents=own) for own in (None, {"head": Bold}))
    honest.step()
    bold.step()
    assert (honest.rounds[0].funded["head"], bold.rounds[0].funded["head"]) == (2, 3)
    assert bold.rounds[0].welfare < honest.rounds[0].welfare
    assert bold.ledger.surplus[1] < 0
    assert bold.ledger.wealth[1] == pytest.approx(bold.ledger.surplus[1], abs=bold.ledger.quantum)
    assert {a.kind for a in bold.agents_by_type[Bold]} == {"head"}


def test_a_strategy_bids_for_all_and_its_name_stands_in_the_books(floor: Any) -> None:
    market = floor.market(floor.rising(), strategy=Halving())
    before = {name: getattr(market.ledger, name).copy() for name in ("cost", "quantity", "price")}
    value = np.array(floor.rising().rows[0])
    market.ledger.open(true_values(market, Turn.from_market(market)))
    report = reports(market, 0.5)
    assert np.array_equal(report, value / 2)
    assert np.array_equal(market.ledger.value, value)  # the books are not the strategy's to write
    for name, column in before.items():
        assert np.array_equal(getattr(market.ledger, name), column), name
    assert set(market.ledger.strategy) == {"halving"}


def test_own_bids_do_not_reach_true_values_through_the_strategys_array(floor: Any) -> None:
    market = floor.market(floor.rising(), strategy=Echo(), agents={"ffn": Bold})
    market.step()
    assert np.array_equal(market.ledger.value, floor.rising().rows[0])
    assert market.ledger.report.max() > 100 * market.ledger.value.max()


def test_a_strategys_chance_is_the_seeds(floor: Any) -> None:
    def reports(seed: int) -> list[float]:
        market = floor.market(floor.rising(), strategy=Noisy(), seed=seed)
        market.step()
        return list(market.ledger.report)

    assert reports(3) == reports(3) != reports(4)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (Echo([1.0, 2.0]), r"strategy 'echo' returned reports of shape \(2,\) for 14 units"),
        (Echo([1.0] * 13 + [math.nan]), r"L1\.F4 \(echo\) bids nan; bids must be finite"),
        (Echo([-math.inf] + [1.0] * 13), r"L0\.H0 \(echo\) bids -inf; bids must be finite"),
    ],
)
def test_reports_that_are_no_bids_are_refused(floor: Any, strategy: Strategy, message: str) -> None:
    market = floor.market(floor.rising(), strategy=strategy)
    with pytest.raises(InputError, match=message):
        market.step()
    assert market.round == 0


@pytest.mark.parametrize("answer", [math.nan, None, "much", [1.0, 2.0]])
def test_an_agent_that_bids_no_number_is_named(floor: Any, answer: Any) -> None:
    class Odd(FFNBlockAgent):
        def bid(self) -> float:
            return answer  # type: ignore[no-any-return]

    market = floor.market(floor.rising(), agents={"ffn": Odd})
    with pytest.raises(InputError, match=r"L0\.F0 \(Odd\) bids .*; bids must be"):
        market.step()


def test_agents_of_an_unknown_kind_are_refused(floor: Any) -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown kind of unit 'heads'\. Did you mean 'head'\? Known: .*ffn, head"
    ):
        floor.market(floor.rising(), agents={"heads": HeadAgent})


@pytest.mark.parametrize("cls", [object, HeadAgent.bid, "HeadAgent"])
def test_agents_are_classes_of_unit_agents(floor: Any, cls: Any) -> None:
    with pytest.raises(InputError, match=r"agents\['head'\] is .*; it must be a class derived from UnitAgent"):
        floor.market(floor.rising(), agents={"head": cls})

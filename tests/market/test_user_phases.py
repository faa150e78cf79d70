"""Phases, hooks, schedules, valuations of the user's own: what they return is checked, and errors say whose it is."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, final

import numpy as np
import pytest
import torch

from walras.agents import Magnitude, Strategy, Valuation
from walras.errors import ConformanceError, InputError, UnknownNameError, UserCodeError
from walras.market import ComputeMarket, Phase, Schedule, Shock, Turn, budget_path
from walras.mechanisms import Bids, Clearing, Mechanism, ShadowPrice

N = 14
NAN, INF = float("nan"), float("inf")


@final
@dataclass(frozen=True)
class Odd(Phase):
    """Returns the turn with something changed."""

    change: Callable[[Turn], dict[str, Any]]
    name: ClassVar[str] = "odd"
    follows: ClassVar[str | None] = "clear"

    def run(self, market: ComputeMarket, turn: Turn) -> Turn:
        return replace(turn, **self.change(turn))


def column(name: str, entry: float, unit: int = 3) -> Callable[[Turn], dict[str, Any]]:
    """The turn's column with one entry replaced."""

    def change(turn: Turn) -> dict[str, Any]:
        changed = getattr(turn, name).copy()
        changed[unit] = entry
        return {name: changed}

    return change


FLOATS = r"numpy array of float \[14\], one for each unit"
LEVEL = "it must be a number from 0 to 1"
FAULTS: list[tuple[Callable[[Turn], dict[str, Any]], str]] = [
    (lambda turn: {"number": 7}, "number is 7; it must stay 1"),
    (lambda turn: {"number": None}, "number is None; it must stay 1"),
    (lambda turn: {"quantity": turn.quantity * 0 + 1e9}, rf"quantity of L0\.H0 is 1e\+09; {LEVEL}"),
    (column("quantity", -2.0), rf"quantity of L0\.F1 is -2; {LEVEL}"),
    (column("quantity", NAN), rf"quantity of L0\.F1 is nan; {LEVEL}"),
    (column("settled", 1.5), rf"settled of L0\.F1 is 1\.5; {LEVEL}"),
    (lambda turn: {"quantity": turn.quantity[:-1]}, rf"quantity is float64 of shape \(13,\); it must be a {FLOATS}"),
    (lambda turn: {"quantity": turn.quantity[:, None]}, r"quantity is float64 of shape \(14, 1\)"),
    (lambda turn: {"quantity": turn.quantity > 0}, r"quantity is bool of shape \(14,\)"),
    (lambda turn: {"quantity": list(turn.quantity)}, rf"quantity is a list; it must be a {FLOATS}"),
    (lambda turn: {"quantity": torch.ones(N)}, "quantity is a Tensor; it must be"),
    (lambda turn: {"quantity": 1.0}, "quantity is a float; it must be"),
    (lambda turn: {"quantity": None}, "quantity is a NoneType; it must be"),
    (lambda turn: {"trading": turn.quantity}, r"trading is float64 of .*; it must be a numpy array of bool \[14\]"),
    (lambda turn: {"price": turn.price[:3]}, r"price is float64 of shape \(3,\)"),
    (column("price", INF), r"price of L0\.F1 is inf; it must be a finite number"),
    (column("payment", NAN), r"payment of L0\.F1 is nan; it must be a finite number"),
    (column("value", NAN), r"value of L0\.F1 is nan; it must be a finite number"),
    (column("report", NAN), r"report of L0\.F1 is nan; it must be below inf"),
    (lambda turn: {"figures": None}, "figures is None; it must map names of columns to numbers"),
    (lambda turn: {"figures": {"k": "x"}}, "figures holds k = 'x'; it must be a number"),
    (lambda turn: {"figures": {"k": np.ones(3)}}, r"figures holds k = array\(.*\); it must be a number"),
    (lambda turn: {"figures": {"k": torch.tensor(1.0)}}, r"figures holds k = tensor\(1\.\); it must be a number"),
    (lambda turn: {"figures": {3: 1.0}}, "figures holds the name 3; it must be that of a column"),
    (lambda turn: {"figures": {"price": 5.0}}, "figures holds 'price', a column that the table of rounds has already"),
    (lambda turn: {"figures": {"heads": 5.0}}, "figures holds 'heads', a column"),
    (lambda turn: {"figures": {"efficiency": 5.0}}, "figures holds 'efficiency', a column"),
    (lambda turn: {"clearing": None}, "clearing is None; it must be a Clearing"),
    (lambda turn: {"mechanism": None}, "mechanism is None; it must be a Mechanism"),
    (lambda turn: {"deviation_gain": "much"}, "deviation_gain is 'much'; it must be a number"),
    (lambda turn: {"shocks": None}, "shocks is None; it must be a tuple of shocks"),
]


@pytest.mark.parametrize(("change", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_what_a_phase_returns_is_checked(floor: Any, change: Any, fault: str) -> None:
    market = floor.market(Magnitude(), phases=[Odd(change)])
    who = rf"phase Odd \({re.escape(__file__)}, line \d+\) returned a turn whose "
    with pytest.raises(InputError, match=f"^{who}{fault}"):
        market.step()
    assert market.round == 0


def test_prices_of_local_markets_are_columns_as_well(floor: Any) -> None:
    clash = Odd(lambda turn: {"figures": {"price_L0": 1.0}})
    with pytest.raises(InputError, match="figures holds 'price_L0', a column"):
        floor.market(Magnitude(), phases=[clash], scope="layer").step()
    floor.market(Magnitude(), phases=[clash]).step()  # there is no such column with one market


@pytest.mark.parametrize(
    "change",
    [
        lambda turn: {"quantity": turn.quantity * 0.5},
        lambda turn: {"quantity": np.zeros(N, dtype=np.float32)},
        lambda turn: {"figures": {"k": np.float32(2), "m": 3, "n": NAN}},
        column("report", -INF, 13),
    ],
)
def test_what_may_be_is_let_through(floor: Any, change: Any) -> None:
    market = floor.market(floor.rising(), phases=[Odd(change)])
    market.step()
    assert market.round == len(market.frame) == 1


@final
@dataclass(frozen=True)
class Unready(Phase):
    """Cannot be set up."""

    error: Exception
    name: ClassVar[str] = "unready"

    def prepare(self, market: ComputeMarket) -> None:
        raise self.error

    def run(self, market: ComputeMarket, turn: Turn) -> Turn:
        return turn


def test_a_phase_that_cannot_be_prepared_is_named(floor: Any) -> None:
    place = rf"\({re.escape(__file__)}, line \d+\)"
    with pytest.raises(UserCodeError, match=rf"^phase Unready failed {place}: KeyError: 'x'"):
        floor.market(Magnitude(), phases=[Unready(KeyError("x"))])
    with pytest.raises(InputError, match=rf"^phase Unready {place}: too few units"):
        floor.market(Magnitude(), phases=[Unready(InputError("too few units"))])


@final
@dataclass(frozen=True)
class Quake(Shock):
    """Fails."""

    told: ClassVar[str] = "a quake"

    def strike(self, market: Any) -> None:
        raise KeyError("x")


def test_shocks_of_ones_own(floor: Any) -> None:
    with pytest.raises(UserCodeError, match=rf"^shock Quake failed \({re.escape(__file__)}, line \d+\): KeyError: 'x'"):
        floor.market(Magnitude(), shocks=[Quake(1)]).step()
    with pytest.raises(InputError, match="shocks holds <built-in function print>; it must be a Shock"):
        floor.market(Magnitude(), shocks=[print])


def refuses(market: ComputeMarket, turn: Turn) -> None:
    raise InputError("not like that")


def asks(market: ComputeMarket, turn: Turn) -> None:
    market.on("clearde", print)


def alone() -> None: ...


def test_hooks_are_named_whatever_is_wrong_with_them(floor: Any) -> None:
    file = re.escape(__file__)

    def played(hook: Any) -> None:
        market = floor.market(Magnitude())
        market.on("cleared", hook)
        market.step()

    for hook, error, line, message in (
        (refuses, InputError, refuses.__code__.co_firstlineno + 1, ": not like that"),
        (asks, UnknownNameError, asks.__code__.co_firstlineno + 1, ": unknown event 'clearde'. Did you mean"),
        (alone, UserCodeError, alone.__code__.co_firstlineno, " failed: TypeError: alone() takes 0 positional"),
        (partial(alone), UserCodeError, alone.__code__.co_firstlineno, " failed: TypeError: alone() takes 0"),
    ):
        name = getattr(hook, "__name__", "partial")
        told = rf"^hook {name} on 'cleared' \({file}, line {line}\){re.escape(message)}"
        with pytest.raises(error, match=told):
            played(hook)
    with pytest.raises(UserCodeError, match=r"^hook max on 'cleared' failed: TypeError"):
        played(max)  # written in C: no file to name


@final
@dataclass(frozen=True)
class Says(Valuation):
    """Returns what it is told to."""

    answer: Any
    unit: ClassVar[str] = "points"

    def __call__(self, calibration: Any, gates: Any, generator: Any) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, r" failed: RuntimeError: Could not infer dtype of NoneType"),
        ([NAN] * N, r": Says values L0\.H0 at nan; values must be finite numbers"),
        ([1.0] * 3, r": Says returned values of shape \(3,\) for 14 units"),
    ],
)
def test_a_valuation_is_named_with_its_file(floor: Any, answer: Any, message: str) -> None:
    with pytest.raises(
        (InputError, UserCodeError), match=rf"^valuation Says \({re.escape(__file__)}, line \d+\){message}"
    ):
        floor.market(Says(answer)).step()


@final
@dataclass(frozen=True)
class Path(Schedule):
    """Returns what it is told to."""

    answer: Any
    name: ClassVar[str] = "path"

    def shares(self, budget: float, rounds: int) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, r" failed: TypeError: 'NoneType' object is not iterable"),
        ([NAN, 0.5], r": budget is nan; it must be a share"),
        ([0.5], r" has 1 numbers, the last of them 0\.5; it must have one for each of 2 rounds"),
    ],
)
def test_a_schedule_is_named_with_its_file(answer: Any, message: str) -> None:
    with pytest.raises(
        (InputError, UserCodeError), match=rf"^schedule Path \({re.escape(__file__)}, line \d+\){message}"
    ):
        budget_path(0.5, 2, Path(answer))


@final
class Forgets(Strategy):
    """Hands nothing on."""

    name = "forgets"

    def bid(self, info: Any, generator: Any) -> Any:
        return info.value

    def after(self, outcome: Any, generator: Any) -> Any:
        return None


class Short(Strategy):
    """Bids for a few."""

    name = "short"

    def bid(self, info: Any, generator: Any) -> Any:
        return info.value[:3]


class Begins(Strategy):
    """Cannot begin."""

    name = "begins"

    def bid(self, info: Any, generator: Any) -> Any:
        return info.value

    def begun(self, agents: int, generator: Any) -> Any:
        raise KeyError("x")


def test_strategies_of_ones_own(floor: Any) -> None:
    file = re.escape(__file__)
    with pytest.raises(UserCodeError, match=rf"^strategy begins failed \({file}, line \d+\): KeyError: 'x'"):
        floor.market(Magnitude(), strategy=Begins())
    with pytest.raises(InputError, match=rf"^strategy short \({file}, line \d+\): .*reports of shape \(3,\) for 14"):
        floor.market(Magnitude(), strategy=Short()).step()
    market = floor.market(Magnitude(), budgets=[0.8, 0.5], strategy=Forgets())
    market.step()
    with pytest.raises(InputError, match=rf"^strategy forgets \({file}, line \d+\): it handed on None; it must be a"):
        market.step()


@final
@dataclass(frozen=True)
class Learns(Mechanism):
    """A rule with parts that require gradients, which hands on something else."""

    def clear(self, bids: Bids, supply: torch.Tensor, cost: torch.Tensor) -> Clearing:
        sold = ShadowPrice()(bids, supply, cost)
        return Clearing(sold.quantity.requires_grad_(), sold.price.requires_grad_())


@final
@dataclass(frozen=True)
class Ends(Mechanism):
    """Hands on nothing."""

    def clear(self, bids: Bids, supply: torch.Tensor, cost: torch.Tensor) -> Clearing:
        return ShadowPrice()(bids, supply, cost)

    def after(self, *given: Any) -> Any:
        return None


def test_a_rule_may_hold_parameters_that_learn_and_must_hand_on_a_rule(floor: Any) -> None:
    with_gradients, plain = (floor.market(Magnitude(), rule, phases=["probes"]) for rule in (Learns(), ShadowPrice()))
    for market in (with_gradients, plain):
        market.step()
    assert np.array_equal(with_gradients.ledger.quantity, plain.ledger.quantity)
    assert not with_gradients.clearing.price.requires_grad
    with pytest.raises(ConformanceError, match=r"Ends\.after returned None, not a Mechanism"):
        floor.market(Magnitude(), Ends()).step()


def test_agents_map_kinds_to_classes(floor: Any) -> None:
    with pytest.raises(InputError, match=r"agents is \[<class .*; it must map kinds of unit to classes"):
        floor.market(Magnitude(), agents=[int])

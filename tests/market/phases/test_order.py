"""Which phases a round has, and a phase of one's own."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import pytest

from walras.agents import Magnitude
from walras.errors import InputError, UnknownNameError, UserCodeError
from walras.market import (
    DEFAULT_PHASES,
    PHASES,
    ComputeMarket,
    Phase,
    Probes,
    RepairWeights,
    SublayerSessions,
    SwapRefinement,
    Turn,
)
from walras.market.phases import Clear, in_order

DEFAULT = ["open", "value", "bid", "clear", "settle"]


@final
@dataclass(frozen=True)
class Kept(Phase):
    """Keeps a unit, whatever the rule says, and tells what that is worth."""

    name: ClassVar[str] = "keep"
    done: ClassVar[str] = "kept"
    follows: ClassVar[str | None] = "clear"
    unit: int = 0

    def run(self, market: ComputeMarket, turn: Turn) -> Turn:
        quantity = turn.quantity.copy()
        quantity[self.unit] = 1.0
        return replace(turn, quantity=quantity, figures={"kept_value": float(turn.value[self.unit])})


@final
@dataclass(frozen=True)
class Counted(Phase):
    """Counts rounds in the market's memory."""

    name: ClassVar[str] = "count"

    def run(self, market: ComputeMarket, turn: Turn) -> Turn:
        market.memory[self.name] = market.memory.get(self.name, 0) + 1
        return turn


@final
@dataclass(frozen=True)
class Generous(Phase):
    """Funds everybody at no price."""

    name: ClassVar[str] = "clear"
    done: ClassVar[str] = "cleared"

    def run(self, market: ComputeMarket, turn: Turn) -> Turn:
        found = Clear().run(market, turn)
        free = np.zeros(len(turn.value))
        return replace(found, quantity=np.ones(len(turn.value)), price=free, payment=free)


@final
@dataclass(frozen=True)
class Odd(Phase):
    """Returns something else."""

    name: ClassVar[str] = "odd"

    def run(self, market: ComputeMarket, turn: Turn) -> Turn:
        return None  # type: ignore[return-value]


def after(of: str | None, called: str, done: str = "") -> Phase:
    """A phase that does nothing."""

    class Made(Phase):
        name = called
        follows = of

        def run(self, market: ComputeMarket, turn: Turn) -> Turn:
            return turn

    Made.done = done
    return Made()


def names(*extra: Phase) -> list[str]:
    return [phase.name for phase in in_order(DEFAULT_PHASES, extra)]


def test_extra_phases_go_where_they_belong() -> None:
    assert names() == DEFAULT
    assert names(Probes(), SwapRefinement()) == ["open", "value", "bid", "clear", "probe", "swap", "settle"]
    assert names(SwapRefinement(), Probes()) == ["open", "value", "bid", "clear", "swap", "probe", "settle"]
    assert names(after(None, "end"), after("settle", "late")) == [*DEFAULT, "late", "end"]
    assert names(after("b", "c"), after("a", "b"), after("open", "a")) == ["open", "a", "b", "c", *DEFAULT[1:]]
    replaced = in_order(DEFAULT_PHASES, [SublayerSessions(), Generous()])
    assert [type(phase).__name__ for phase in replaced] == ["SublayerSessions", "Value", "Bid", "Generous", "Settle"]


def test_bad_phases() -> None:
    with pytest.raises(InputError, match="two extra phases are called 'probe': Probes and Probes"):
        names(Probes(2), Probes(3))
    with pytest.raises(UnknownNameError, match=r"unknown phase that Made follows 'cleer'\. Did you mean 'clear'"):
        names(after("cleer", "own"))
    with pytest.raises(UnknownNameError, match="unknown phase that Made follows 'b'"):
        names(after("b", "a"), after("a", "b"))
    with pytest.raises(InputError, match="phase Made has no name; it needs a line like name ="):
        names(after(None, ""))


def test_events_of_two_phases_are_not_mixed(floor: Any) -> None:
    for clash in (after(None, "cleared"), after(None, "mine", "Valued"), after(None, "played")):
        with pytest.raises(InputError, match="two phases have the event"):
            floor.market(Magnitude(), phases=[clash])


def test_phases_by_name() -> None:
    recipes = ["sublayer-sessions", "swap-refinement", "layer-by-layer", "osscar", "spdy", "evopress", "menus", "trade"]
    assert [*PHASES] == [*DEFAULT, *recipes, "probes", "repair", "last-norm"]
    assert PHASES.make("probes:agents=3") == Probes(3)
    assert PHASES.make("SublayerSessions") == SublayerSessions()
    assert PHASES.make("repair:repair=scales") == RepairWeights("scales")
    assert PHASES.spelled(Probes(3)) == "probes:agents=3"
    with pytest.raises(UnknownNameError, match=r"unknown repair 'scale'\. Did you mean 'scales'"):
        PHASES.make("repair:repair=scale")
    assert all(entry.about.endswith(".") and len(entry.about.split()) > 8 for entry in PHASES.describe())
    with pytest.raises(UnknownNameError, match=r"unknown phase 'swap-refinment'\. Did you mean 'swap-refinement'"):
        PHASES.make("swap-refinment")


def test_a_phase_of_ones_own_changes_the_outcome_and_the_table(floor: Any) -> None:
    plain: ComputeMarket = floor.market(floor.rising())
    market: ComputeMarket = floor.market(floor.rising(), phases=[Kept(0), Counted()])
    plain.step()
    market.step()
    assert plain.ledger.quantity[0] == 0
    assert market.ledger.quantity[0] == 1
    assert np.array_equal(market.ledger.quantity[1:], plain.ledger.quantity[1:])
    assert market.frame["kept_value"].tolist() == [market.ledger.value[0]]
    assert market.memory == {"count": 1}


def test_a_phase_takes_the_place_of_a_default_one(floor: Any) -> None:
    market: ComputeMarket = floor.market(floor.rising(), phases=[Generous()])
    market.step()
    assert market.gates.tolist() == [1.0] * 14
    assert market.rounds[0].revenue == 0


def test_a_phase_from_a_file(floor: Any, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    market: ComputeMarket = floor.market(Magnitude(), budgets=[0.8, 0.5], phases=[f"{file}:Largest:scale=2"])
    market.step()
    assert market.rounds[0].figures == {"largest": 2 * market.ledger.value.max()}
    broken: ComputeMarket = floor.market(Magnitude(), budgets=[0.8, 0.5], phases=[f"{file}:Broken"])
    broken.step()
    with pytest.raises(UserCodeError, match=rf"phase Broken failed \({file}, line \d+\): ZeroDivisionError"):
        broken.step()
    assert broken.round == len(broken.frame) == 1


OWN = """
from dataclasses import dataclass, replace
from walras.market import Phase

@dataclass(frozen=True)
class Largest(Phase):
    \"\"\"Writes the largest value into the table of rounds.\"\"\"
    scale: float = 1.0
    name, follows = "look", "value"
    def run(self, market, turn):
        return replace(turn, figures={"largest": self.scale * float(turn.value.max())})

@dataclass(frozen=True)
class Broken(Phase):
    name, follows = "break", "clear"
    def run(self, market, turn):
        return turn if 1 / (turn.number - 2) else turn
"""


def test_a_phase_returns_the_turn(floor: Any) -> None:
    with pytest.raises(
        InputError, match=r"phase Odd \(.*test_order\.py, line \d+\) returned None; a phase returns the turn"
    ):
        floor.market(Magnitude(), phases=[Odd()]).step()
    with pytest.raises(InputError, match="phase is 3; it must be a Phase, or the name of one"):
        floor.market(Magnitude(), phases=[3])

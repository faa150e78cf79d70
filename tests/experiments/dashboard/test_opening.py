"""Markets open as their controls say; a budget that buys nothing is raised to what the cheapest unit of it costs."""

from dataclasses import replace

import mesa
import pytest

from walras.errors import WalrasError
from walras.experiments.dashboard.choice import Choice
from walras.experiments.dashboard.launch import Launch
from walras.experiments.dashboard.opening import opener

TOY = Launch(toy=2)
START = replace(Choice.from_settings(TOY.settings), budget=0.4)


def kept() -> int:
    """Models that Mesa 3.3 keeps; later versions keep none."""
    return len(getattr(mesa.Agent, "_ids", {}))


def cheapest(seed: int) -> float:
    market, _ = opener(TOY)(replace(START, budget=1.0, seed=seed))
    return float(market.ledger.cost.min())


def test_every_market_has_a_cheapest_unit_of_its_own() -> None:
    dearest = cheapest(2)
    assert cheapest(1) < 0.4 < dearest  # else the seeds show nothing
    opened, before = opener(TOY), kept()
    for _ in range(2):
        market, notes = opened(replace(START, seed=2))
        assert "cheapest unit needs" in notes[0]
        assert market.sessions[-1].budget == pytest.approx(dearest)
        market, notes = opened(replace(START, seed=1))
        assert market.sessions[-1].budget == pytest.approx(0.4)
        assert notes == []
    assert kept() <= before + 4  # and none of those whose budget bought nothing


def test_markets_that_cannot_be_opened_are_let_go() -> None:
    before = kept()
    for _ in range(3):
        with pytest.raises(WalrasError):
            opener(TOY)(replace(START, shock="disable:NOPE@1"))
    assert kept() == before

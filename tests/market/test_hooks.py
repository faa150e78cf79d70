"""Hooks before and after phases, and what becomes of a round in which one fails."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from walras.agents import Fisher, Magnitude
from walras.errors import InputError, UnknownNameError, UserCodeError
from walras.market import ComputeMarket, Probes, SublayerSessions, SwapRefinement, Turn, read_trace

EVENTS = ["play", "open", "opened", "value", "valued", "bid", "reported", "clear", "cleared", "settle", "settled"]


def test_every_phase_has_an_event_before_and_after_it(floor: Any) -> None:
    market: ComputeMarket = floor.market(Magnitude(), budgets=[0.8, 0.5])
    heard: list[tuple[str, int, int]] = []

    def listen(event: str) -> None:
        market.on(event, lambda m, turn: heard.append((event, turn.number, m.round)))

    for event in (*EVENTS, "played"):
        listen(event)
    market.step()
    assert [event for event, _, _ in heard] == [*EVENTS, "played"]
    assert {number for _, number, _ in heard} == {1}
    assert [played for _, _, played in heard] == [0] * 10 + [1, 1]  # counted once it is settled
    market.step()
    assert [number for _, number, _ in heard] == [1] * 12 + [2] * 12


def test_extra_phases_have_events(floor: Any) -> None:
    market: ComputeMarket = floor.market(Fisher(), phases=[SublayerSessions(), SwapRefinement(), Probes(2)])
    heard: list[str] = []

    def listen(event: str) -> None:
        market.on(event, lambda m, turn: heard.append(event))

    for event in ("open", "opened", "cleared", "swap", "swapped", "probe", "probed", "settle"):
        listen(event)
    market.step()
    assert heard == ["open", "opened", "cleared", "swap", "swapped", "probe", "probed", "settle"]


def test_hooks_see_the_round_as_it_is_by_then(floor: Any) -> None:
    market: ComputeMarket = floor.market(Fisher(), budgets=[0.5, 0.4])
    seen: dict[str, Turn] = {}

    def keep(event: str) -> None:
        market.on(event, lambda m, turn: seen.__setitem__(event, turn))

    for event in ("play", "valued", "reported", "cleared"):
        keep(event)
    market.step()
    assert not seen["play"].value.any()
    assert np.array_equal(seen["valued"].value, market.ledger.value)
    assert np.array_equal(seen["reported"].report, market.ledger.report)
    assert np.array_equal(seen["cleared"].quantity, market.ledger.quantity)
    assert np.array_equal(seen["cleared"].before, np.ones(14))
    assert seen["reported"].clearing is None
    with pytest.raises(InputError, match="round 1 has not been cleared"):
        seen["reported"].outcome  # noqa: B018  # it raises
    first = market.ledger.value
    market.step()
    assert np.array_equal(seen["play"].value, first)  # until it is set, that of the round before


def test_a_hook_is_removed_by_what_adding_it_returned(floor: Any) -> None:
    market: ComputeMarket = floor.market(Magnitude(), budgets=[0.8, 0.7, 0.6])
    heard: list[str] = []
    first = market.on("played", lambda m, turn: heard.append("first"))
    market.on("PLAYED", lambda m, turn: heard.append("second"))  # any spelling
    market.step()
    first()
    first()  # twice is once
    market.step()
    assert heard == ["first", "second", "second"]


def test_a_hook_may_remove_itself(floor: Any) -> None:
    market: ComputeMarket = floor.market(Magnitude(), budgets=[0.8, 0.7])
    heard: list[int] = []

    def once(market: ComputeMarket, turn: Turn) -> None:
        heard.append(turn.number)
        remove()

    remove = market.on("played", once)
    market.on("played", lambda m, turn: heard.append(-turn.number))
    market.step()
    market.step()
    assert heard == [1, -1, -2]


def test_bad_events_and_hooks(floor: Any) -> None:
    market: ComputeMarket = floor.market(Magnitude())
    with pytest.raises(
        UnknownNameError, match=r"unknown event 'clearde'\. Did you mean 'cleared'\? Known: bid, clear,"
    ):
        market.on("clearde", print)
    with pytest.raises(UnknownNameError, match="unknown event 'repaired'"):  # of a phase that is not there
        market.on("repaired", print)
    with pytest.raises(UnknownNameError, match="unknown event '3'"):
        market.on(3, print)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a hook is a function of the market and the turn, not 'print'"):
        market.on("cleared", "print")  # type: ignore[arg-type]


def test_a_hook_that_raises_is_named_and_finished_rounds_stay(floor: Any, tmp_path: Path) -> None:
    market: ComputeMarket = floor.market(Magnitude(), budgets=[0.8, 0.6, 0.4], trace=tmp_path)

    def fails(market: ComputeMarket, turn: Turn) -> None:
        if turn.number == 2:
            raise KeyError("no such thing")

    remove = market.on("cleared", fails)
    market.step()
    place = rf"\({__file__}, line {fails.__code__.co_firstlineno + 2}\)"
    for _ in range(2):  # also when it is tried again
        with pytest.raises(
            UserCodeError, match=rf"hook .*fails on 'cleared' failed {place}: KeyError: 'no such thing'"
        ):
            market.step()
        assert market.round == 1
        assert set(read_trace(tmp_path)["round"]) == {1}
    remove()
    for _ in market.remaining():
        market.step()
    assert set(read_trace(tmp_path)["round"]) == {1, 2, 3}


def test_an_interrupt_passes(floor: Any) -> None:
    market: ComputeMarket = floor.market(Magnitude())

    def interrupted(market: ComputeMarket, turn: Turn) -> None:
        raise KeyboardInterrupt

    market.on("cleared", interrupted)
    with pytest.raises(KeyboardInterrupt):
        market.step()

"""A session plays what it is asked for, whatever happens in its markets, and lets go of what it no longer shows."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.dashboard.choice import Choice
from walras.experiments.dashboard.session import MOST_STEPS, Session
from walras.experiments.market_model.toy import toy
from walras.market import ComputeMarket, Turn

START = Choice(rounds=5)
Opened = Callable[..., Session]


def opening(choice: Choice) -> tuple[ComputeMarket, list[str]]:
    return toy(24, rounds=choice.rounds, budget=choice.budget, seed=choice.seed, noise=0.2), []


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens sessions, and closes them at the end."""
    sessions: list[Session] = []

    def begin(opening: Any = opening, choices: Any = (START,), changed: Any = lambda: None) -> Session:
        session = Session(opening, list(choices), changed, shared=False)
        session.pause = 0.0
        session.start()
        sessions.append(session)
        until(lambda: not session.busy)
        return session

    yield begin
    for session in sessions:
        session.close(10)


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.002)


def rounds(session: Session) -> list[int]:
    return [-1 if seat.scene is None else seat.scene.round for seat in session.seats]


def test_a_step_is_one_round(opened: Opened) -> None:
    session = opened()
    assert rounds(session) == [0]
    session.step()
    until(lambda: rounds(session) == [1])
    assert not session.playing


def test_every_click_is_a_round_however_fast_they_come(opened: Opened) -> None:
    session = opened()
    for _ in range(4):
        session.step()
    until(lambda: rounds(session) == [4])
    for _ in range(1000):
        session.step()
    until(lambda: rounds(session) == [5] and not session.running)
    assert session._steps <= MOST_STEPS


def test_playing_ends_with_the_last_round(opened: Opened) -> None:
    session = opened()
    session.play(True)
    until(lambda: rounds(session) == [5] and not session.playing)


def test_a_pause_stops_and_a_reset_begins_anew(opened: Opened) -> None:
    session = opened(choices=[replace(START, rounds=1000)])
    session.play(True)
    until(lambda: rounds(session)[0] > 3)
    session.play(False)
    until(lambda: not session.busy)
    at = rounds(session)
    time.sleep(0.05)
    assert rounds(session) == at
    session.reset([replace(START, rounds=2)])
    until(lambda: rounds(session) == [0])


def test_buttons_pressed_by_many_at_once_break_nothing(opened: Opened) -> None:
    session = opened(choices=[START, START])

    def press(number: int) -> None:
        for i in range(20):
            if number == 0:
                session.step()
            elif number == 1:
                session.play(i % 2 == 0)
            else:
                session.reset([START, START])
            session.disable(i % 3, "L0.H0")

    threads = [threading.Thread(target=press, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session.play(False)
    session.reset([START, START])
    until(lambda: rounds(session) == [0, 0] and not session.busy)
    assert [seat.error for seat in session.seats] == ["", ""]


def test_two_markets_of_one_seed_have_the_same_units_and_their_own_budgets(opened: Opened) -> None:
    session = opened(choices=[START, replace(START, budget=0.2)])
    session.step()
    until(lambda: rounds(session) == [1, 1])
    first, second = (seat.scene.agents for seat in session.seats if seat.scene is not None)
    assert first["value"].tolist() == second["value"].tolist()
    assert first["quantity"].sum() > second["quantity"].sum()


def test_a_disabled_unit_is_out_from_the_next_round_on(opened: Opened) -> None:
    session = opened()
    session.disable(0, "L0.H1")
    until(lambda: bool(session.seats[0].notes))
    assert session.seats[0].notes == ["L0.H1 breaks before round 1."]
    session.step()
    until(lambda: rounds(session) == [1])
    assert session.seats[0].scene is not None
    row = session.seats[0].scene.agents.set_index("agent").loc["L0.H1"]
    assert (row["quantity"], row["bid"]) == (0.0, 0.0)
    assert "disabled L0.H1" in session.seats[0].scene.line


def test_a_unit_that_is_not_there_stops_its_market_with_a_sentence(opened: Opened) -> None:
    session = opened()
    session.disable(0, "L9.H9")
    until(lambda: bool(session.seats[0].error))
    assert "unknown unit 'L9.H9'" in session.seats[0].error


def test_a_market_that_raises_stops_and_the_other_goes_on(opened: Opened) -> None:
    def broken(market: Any, turn: Any) -> None:
        if market.round == 2:
            raise ZeroDivisionError("by hand")

    def half(choice: Choice) -> tuple[ComputeMarket, list[str]]:
        market, _ = opening(choice)
        if choice.budget == 0.3:
            market.on("played", broken)
        return market, []

    session = opened(half, [replace(START, budget=0.3), START])
    session.play(True)
    until(lambda: rounds(session)[1] == 5 and not session.playing)
    assert "by hand" in session.seats[0].error
    assert session.seats[1].error == ""
    session.reset([START])
    until(lambda: rounds(session) == [0] and session.seats[0].error == "")


@pytest.mark.parametrize("error", [InputError("no such rule"), MemoryError(), KeyError("x")])
def test_a_market_that_cannot_be_opened_says_why(opened: Opened, error: Exception) -> None:
    def refused(choice: Choice) -> tuple[ComputeMarket, list[str]]:
        raise error

    session = opened(refused)
    assert session.seats[0].error
    session.step()
    session.play(True)
    until(lambda: not session.playing)
    session.reset([START])
    until(lambda: not session.busy)


def test_a_market_in_which_something_raises_what_is_no_exception_stops_alone(opened: Opened) -> None:
    def rude(market: ComputeMarket, turn: Turn) -> None:
        raise KeyboardInterrupt

    def first_is_rude(choice: Choice) -> tuple[ComputeMarket, list[str]]:
        market, notes = opening(choice)
        if choice.seed == 1:
            market.on("clear", rude)
        return market, notes

    session = opened(first_is_rude, [replace(START, seed=1), START])
    session.step()
    until(lambda: rounds(session) == [0, 1])
    assert session.seats[0].error
    session.reset([START])
    until(lambda: not session.busy and rounds(session) == [0])


def test_markets_that_were_reset_are_let_go(opened: Opened) -> None:
    seen: list[weakref.ref[ComputeMarket]] = []

    def noted(choice: Choice) -> tuple[ComputeMarket, list[str]]:
        market, notes = opening(choice)
        seen.append(weakref.ref(market))
        return market, notes

    session = opened(noted)
    for number in range(2, 6):
        session.step()
        session.reset([START])
        until(lambda number=number: len(seen) == number and not session.busy)  # type: ignore[misc]
    gc.collect()
    assert [ref() is not None for ref in seen] == [False] * 4 + [True]


def test_a_closed_session_ends_its_thread(opened: Opened) -> None:
    told: list[int] = []
    session = opened(changed=lambda: told.append(1))
    session.close(10)
    assert session._thread is not None
    assert not session._thread.is_alive()
    before = len(told)
    session.step()
    time.sleep(0.02)
    assert len(told) == before

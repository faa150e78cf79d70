"""The page of live markets: one, or two side by side under the same clicks and the same seed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import final

import solara

from walras.experiments.dashboard.choice import Choice
from walras.experiments.dashboard.launch import Launch
from walras.experiments.dashboard.opening import opener
from walras.experiments.dashboard.pages.controls import Controls
from walras.experiments.dashboard.pages.market_view import MarketView
from walras.experiments.dashboard.session import Seat, Session

NAMES = ("Market A", "Market B")


@final
@dataclass(frozen=True)
class LiveState:
    """What is kept of live markets while another page is looked at."""

    session: Session
    start: Choice
    choices: solara.Reactive[list[Choice]]
    changed: Callable[[], None]
    version: int  # how often the session has had something new: parts that are drawn with another one are drawn anew


def use_live(launch: Launch, wanted: bool) -> LiveState:
    """The markets of a viewer; they are opened once they are `wanted`, and let go when the viewer leaves."""
    start = solara.use_memo(lambda: Choice.from_settings(launch.settings), [])
    choices, version = solara.use_reactive([start]), solara.use_reactive(0)
    numbers = solara.use_memo(lambda: count(1), [])
    begun = solara.use_ref(False)
    begun.current = begun.current or wanted

    def changed() -> None:
        version.set(next(numbers))  # never one that is set already: two threads may come here at once

    session = solara.use_memo(lambda: Session(opener(launch), [start], changed, shared=not launch.toy), [])
    solara.use_effect(lambda: _started(session) if begun.current else None, [begun.current])
    return LiveState(session, start, choices, changed, version.value)


@solara.component
def Live(state: LiveState, network: bool) -> None:
    """Live markets with their controls; every viewer has markets of its own."""
    session, choices = state.session, state.choices.value

    def choose(number: int, choice: Choice) -> None:
        """Both markets have one seed."""
        others = [replace(other, seed=choice.seed) for other in choices]
        state.choices.set([choice if i == number else other for i, other in enumerate(others)])

    def pair(on: bool) -> None:
        asked = [choices[0], choices[0]] if on else choices[:1]
        state.choices.set(asked)
        session.reset(asked)

    with solara.Div(classes=["walras-live"]):
        with solara.Column(gap="12px"):
            Clock(session, choices, state.changed, state.version)
            with solara.Div(classes=["walras-pair"]):
                for i, seat in enumerate(session.seats):
                    name = NAMES[i] if len(session.seats) > 1 else ""
                    SeatView(name, seat, lambda unit, i=i: session.disable(i, unit), state.version)
        with solara.Column(gap="12px", classes=["walras-settings"]):
            solara.Checkbox(label="Two markets side by side", value=len(choices) > 1, on_value=pair)
            solara.Text("What is set here counts from the next reset on.")
            for i, choice in enumerate(choices):
                Controls(NAMES[i], choice, state.start, lambda told, i=i: choose(i, told), network)


@solara.component
def Clock(session: Session, choices: list[Choice], changed: Callable[[], None], version: int) -> None:
    """Step, play, pause and reset."""
    del version

    def play(on: bool) -> None:
        session.play(on)
        changed()

    with solara.Div(classes=["walras-controls"]):
        solara.Button("Step", on_click=session.step, icon_name="mdi-step-forward", disabled=not session.running)
        if session.playing:
            solara.Button("Pause", on_click=lambda: play(False), icon_name="mdi-pause", color="primary")
        else:
            solara.Button(
                "Play", on_click=lambda: play(True), icon_name="mdi-play", color="primary",
                disabled=not session.running,
            )  # fmt: skip
        changed_settings = [seat.choice for seat in session.seats] != choices
        solara.Button(
            "Reset to the new settings" if changed_settings else "Reset",
            on_click=lambda: session.reset(choices),
            icon_name="mdi-restart",
            color="warning" if changed_settings else None,
        )
        solara.Text("working …" if session.busy else "", classes=["walras-busy"])


@solara.component
def SeatView(name: str, seat: Seat, on_disable: Callable[[str], None], version: int) -> None:
    """One market with what is to be said of it."""
    del version
    with solara.Column(gap="8px"):
        if name:
            solara.Text(name, style={"font-size": "20px", "font-weight": "500"})
        for note in seat.notes:
            solara.Info(note, dense=True)
        if seat.error:
            solara.Error(f"This market stopped: {seat.error}", classes=["walras-error"])
        if seat.scene is not None:
            MarketView(seat.scene, on_disable if not seat.error else None)
        elif not seat.error:
            solara.Text("Opening the market …")


def _started(session: Session) -> Callable[[], None]:
    session.start()
    return session.close

"""The controls of one market: sliders and menus, which count from the next reset on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import solara

from walras.agents import STRATEGIES
from walras.experiments.dashboard.choice import NOBODY, Choice, menu
from walras.experiments.dashboard.pages.parts import Menu
from walras.market import SCHEDULES
from walras.mechanisms import MECHANISMS


@solara.component
def Controls(name: str, choice: Choice, start: Choice, on_choice: Callable[[Choice], None], network: bool) -> None:
    """What can be set of one market; `start` is what the dashboard began with."""

    def told(**changed: Any) -> None:
        on_choice(replace(choice, **changed))

    with solara.Card(name, margin=0, elevation=0):
        percent = round(choice.budget * 100)
        Range(f"Budget: {percent}% of the dense compute", percent, 0, 100, lambda value: told(budget=value / 100))
        Menu(
            "Mechanism", menu(MECHANISMS, start.mechanism), choice.mechanism,
            on_value=lambda value: told(mechanism=value),
        )  # fmt: skip
        solara.InputText("Parameters, as name=value", choice.parameters, on_value=lambda value: told(parameters=value))
        Menu("Strategy", menu(STRATEGIES, start.strategy), choice.strategy, on_value=lambda value: told(strategy=value))
        Menu("Mixed with", [NOBODY, *STRATEGIES], choice.second, on_value=lambda value: told(second=value))
        if choice.second != NOBODY:
            share = round(choice.share * 100)
            Range(f"Bidding {choice.second}: {share}%", share, 0, 100, lambda value: told(share=value / 100))
        Menu("Schedule", menu(SCHEDULES, start.schedule), choice.schedule, on_value=lambda value: told(schedule=value))
        Range(f"Rounds: {choice.rounds}", choice.rounds, 1, 200, lambda value: told(rounds=value))
        if network:
            told_of = f"Sentences that value units: {choice.sentences}"
            Range(told_of, choice.sentences, 2, 512, lambda value: told(sentences=value))
        solara.InputInt("Seed", choice.seed, on_value=lambda value: told(seed=value))
        solara.Checkbox(label="Units may come back", value=choice.reentry, on_value=lambda value: told(reentry=value))
        solara.InputText("Shocks, as disable:L0.H1@3", choice.shock, on_value=lambda value: told(shock=value))


@solara.component
def Range(name: str, value: int, least: int, most: int, on_value: Callable[[int], None]) -> None:
    """A slider below its name, which has room there; a value beyond the ends widens them."""
    with solara.Column(gap="0px"):
        solara.Text(name)
        solara.SliderInt("", value, min=min(least, value), max=max(most, value), on_value=on_value)

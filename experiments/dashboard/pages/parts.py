"""Parts of pages: a menu, and what is made with Vue, a picture that can be clicked and the table of agents."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import solara
from solara.components.component_vue import component_vue

CSS = Path(__file__).with_name("page.css")


@solara.component
def Menu(name: str, values: Sequence[str], value: str | None, on_value: Callable[[str], None]) -> None:
    """A menu. A page can be made to ask for anything: what the menu does not hold is not taken."""

    def choose(asked: str) -> None:
        if asked in values:
            on_value(asked)

    solara.Select(name, list(values), value, on_value=choose)


@component_vue("picture.vue")
def Picture(svg: str = "", event_pick: Callable[[Any], None] = lambda place: None) -> None:
    """A picture: SVG or HTML of ours; a click on cells or a token is told with its place."""


@component_vue("agents.vue")
def AgentRows(
    headers: list[dict[str, Any]] = [],  # noqa: B006  # read alone: solara takes the default for the trait's
    rows: list[dict[str, str]] = [],  # noqa: B006
    total: int = 0,
    event_order: Callable[[Any], None] = lambda options: None,
    event_pick: Callable[[Any], None] = lambda name: None,
) -> None:
    """One page of the table of agents; `look` is the class of a name. It asks for other pages by `event_order`."""

"""Parts of pages that are made with Vue: a picture that can be clicked, and the table of agents."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from solara.components.component_vue import component_vue

CSS = Path(__file__).with_name("page.css")


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

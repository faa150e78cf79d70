"""What is shown of a market: map, curves, the table of its agents, and the one that is picked."""

from collections.abc import Callable
from typing import Any

import solara

from walras.experiments.dashboard.pages.parts import AgentRows, Picture
from walras.experiments.dashboard.pictures import charts
from walras.experiments.dashboard.pictures.plot import number
from walras.experiments.dashboard.pictures.unit_map import COLOURS, UnitMap
from walras.experiments.dashboard.scene import Scene
from walras.experiments.dashboard.table import COLUMNS, NUMBERS, Order, page_of

HEADERS = [
    {"text": called, "value": name, "align": "end" if name in NUMBERS else "start"} for name, called in COLUMNS.items()
]


@solara.component
def MarketView(scene: Scene, on_disable: Callable[[str], None] | None = None) -> None:
    """One moment of a market. With `on_disable` the picked unit can be broken."""
    picked, set_picked = solara.use_state("")
    column, set_column = solara.use_state("quantity")
    order, set_order = solara.use_state(Order())
    search, set_search = solara.use_state("")
    solara.Text(scene.line, classes=["walras-line"])
    with solara.Row(style={"flex-wrap": "wrap", "align-items": "center"}):
        solara.ToggleButtonsSingle(
            value=COLOURS[column],
            values=list(COLOURS.values()),
            on_value=lambda name: set_column(next(key for key, told in COLOURS.items() if told == name)),
            dense=True,
        )
    with solara.Div(classes=["walras-grid"]):
        for unit_map in UnitMap.maps(scene.agents):
            Picture(
                svg=unit_map.svg(scene.agents, column, picked),
                event_pick=lambda place, unit_map=unit_map: set_picked(_unit_at(scene, unit_map, place) or picked),
            )
        for svg in curves(scene):
            Picture(svg=svg)
    PickedAgent(scene, picked, on_disable)
    with solara.Div(style={"max-width": "320px"}):
        solara.InputText("Search units", value=search, on_value=set_search, continuous_update=True)
    rows, total = page_of(scene.agents, Order(order.page, order.rows, order.column, order.descending, search))
    AgentRows(
        headers=HEADERS,
        rows=[{**row, "look": "walras-picked" if row["agent"] == picked else "walras-row"} for row in rows],
        total=total,
        event_order=lambda told: set_order(Order.from_page(told, "")),
        event_pick=lambda name: set_picked(str(name)),
    )


@solara.component
def PickedAgent(scene: Scene, picked: str, on_disable: Callable[[str], None] | None) -> None:
    """The agent that is picked: what it has, how it came to that, and a button that breaks it."""
    with solara.Card(margin=0, elevation=1), solara.Column(gap="8px"):
        found = scene.agents[scene.agents["agent"] == picked]
        if not len(found):
            solara.Text("Click a unit in the map or the table to see its history.")
            return
        row = found.iloc[0]
        facts = ", ".join(f"{COLUMNS[name]} {number(float(row[name]))}" for name in NUMBERS)
        solara.Text(f"{picked} ({row['strategy']}): {facts}")
        if on_disable is not None:
            with solara.Row():
                solara.Button(
                    f"Disable {picked} from the next round on",
                    on_click=lambda: on_disable(picked),
                    icon_name="mdi-flash-off",
                    classes=["walras-disable"],
                    disabled=scene.round >= scene.last,
                )
        history = scene.past(picked)
        if len(history):
            with solara.Div(classes=["walras-grid"]):
                Picture(svg=charts.agent_history(history, picked, scene.unit))
                Picture(svg=charts.agent_holdings(history, picked))


def curves(scene: Scene) -> list[str]:
    """The curves of a market, as far as there is anything to draw."""
    found = [charts.price_path(scene.rounds, scene.unit), charts.budget_path(scene.rounds)] if len(scene.rounds) else []
    if scene.round:
        found += [charts.bids(scene.agents, scene.unit), charts.wealth(scene.agents, scene.unit)]
    return [*found, charts.lorenz(scene.agents)] if scene.round else found


def _unit_at(scene: Scene, unit_map: UnitMap, place: Any) -> str:
    """The unit at a place that the browser tells."""
    if not isinstance(place, dict) or not all(isinstance(place.get(key), (int, float)) for key in ("x", "y")):
        return ""
    return unit_map.unit_at(scene.agents, float(place["x"]), float(place["y"]))

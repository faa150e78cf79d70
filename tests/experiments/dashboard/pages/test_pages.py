"""Pages in this process: what they are made of answers to clicks, without a browser."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from walras.experiments.dashboard.launch import Launch
from walras.experiments.dashboard.scene import HISTORY, Replay, Scene

solara = pytest.importorskip("solara", reason="solara is not installed: pip install '.[viz]'")

Agents = Callable[..., pd.DataFrame]


def scene(agents: pd.DataFrame, last: int = 5) -> Scene:
    rounds = pd.DataFrame([{"round": 1, "budget": 0.5, "used": 0.5, "price": 1.0, "status": "cleared", "shock": ""}])
    past = pd.DataFrame({"round": [1], **{name: [1.0] for name in HISTORY}})
    return Scene(agents, rounds, lambda name: past, "nats", last)


def widgets(container: Any, wanted: Callable[[Any], bool]) -> list[Any]:
    """Widgets of what was rendered, in the order in which they are on the page."""
    found = [container] if wanted(container) else []
    parts = [*getattr(container, "children", ()), *(one["children"] for one in getattr(container, "v_slots", ()))]
    for part in parts:
        for child in part if isinstance(part, list | tuple) else [part]:
            found += [] if isinstance(child, str) else widgets(child, wanted)
    return found


def test_a_click_on_the_map_picks_a_unit_that_can_be_disabled(agents: Agents) -> None:
    from walras.experiments.dashboard.pages import market_view

    disabled: list[str] = []
    rendered, _context = solara.render(market_view.MarketView(scene(agents()), disabled.append), handle_error=False)
    picture = widgets(rendered, lambda widget: "data-cells" in getattr(widget, "svg", ""))[0]
    picture.vue_pick({"x": 0.999, "y": 0.999})
    button = widgets(rendered, lambda widget: "walras-disable" in (getattr(widget, "class_", "") or ""))[0]
    button.click()
    assert disabled == ["L2.H3"]


@pytest.mark.parametrize("told", [None, {}, {"x": "a", "y": 0}, {"token": 4}, 7])
def test_places_that_are_none_pick_nobody(agents: Agents, told: Any) -> None:
    from walras.experiments.dashboard.pages import market_view

    rendered, _context = solara.render(market_view.MarketView(scene(agents())), handle_error=False)
    widgets(rendered, lambda widget: "data-cells" in getattr(widget, "svg", ""))[0].vue_pick(told)


def test_the_table_is_sorted_by_what_the_browser_asks_for(agents: Agents) -> None:
    from walras.experiments.dashboard.pages import market_view

    frame = agents()
    rendered, _context = solara.render(market_view.MarketView(scene(frame)), handle_error=False)
    table = widgets(rendered, lambda widget: hasattr(widget, "vue_order"))[0]
    assert table.rows[0]["agent"] == frame.sort_values("value")["agent"].iloc[-1]
    table.vue_order({"page": 2, "rows": 25, "column": "layer", "descending": False})
    table = widgets(rendered, lambda widget: hasattr(widget, "vue_order"))[0]
    assert len(table.rows) == 25
    assert {row["layer"] for row in table.rows} == {"1", "2"}
    table.vue_pick("L1.F3")


def test_the_controls_change_the_choice(launch: Launch) -> None:
    from walras.experiments.dashboard.choice import Choice
    from walras.experiments.dashboard.pages import controls

    start, told = Choice.from_settings(launch.settings), list[Any]()
    rendered, _context = solara.render(controls.Controls("A", start, start, told.append, True), handle_error=False)
    selects = widgets(rendered, lambda widget: type(widget).__name__ == "Select")
    assert len(selects) == 4  # mechanism, strategy, the second one, schedule
    sliders = widgets(rendered, lambda widget: type(widget).__name__ == "Slider")
    sliders[0].v_model = 30
    assert told[-1] == replace(start, budget=0.3)


def test_a_menu_takes_nothing_that_it_does_not_hold(run_folder: Path) -> None:
    from walras.experiments.dashboard.pages.parts import Menu

    told = list[str]()
    rendered, _context = solara.render(Menu("Rule", ["VCG", "ShadowPrice"], "VCG", told.append), handle_error=False)
    (select,) = widgets(rendered, lambda widget: type(widget).__name__ == "Select")
    for asked in ("FILE.py:Rule", "ShadowPrice", "", None):
        select.v_model = asked
    assert told == ["ShadowPrice"]


def test_a_visitor_opens_no_folder_but_those_that_are_known(run_folder: Path, tmp_path: Path) -> None:
    from walras.experiments.dashboard.pages.replay import ReplayPage

    known = Launch(folders=(run_folder,), runs=tmp_path / "none", local=False)
    rendered, _context = solara.render(ReplayPage(known), handle_error=False)
    (select,) = widgets(rendered, lambda widget: type(widget).__name__ == "Select")
    select.v_model = "/etc/passwd"
    shown = " ".join(str(getattr(w, "children", "")) for w in widgets(rendered, lambda widget: True))
    assert "Round 1 of 3" in shown
    assert "walras-error" not in shown
    assert not widgets(rendered, lambda widget: type(widget).__name__ == "TextField" and widget.label == "Folder")


def test_a_run_is_shown_round_by_round(run_folder: Path) -> None:
    from walras.experiments.dashboard.pages import replay

    rendered, _context = solara.render(replay.Rounds(Replay(run_folder)), handle_error=False)
    widgets(rendered, lambda widget: type(widget).__name__ == "Slider")[0].v_model = 3
    assert any("Round 3 of 3" in str(getattr(w, "children", "")) for w in widgets(rendered, lambda widget: True))


@pytest.mark.parametrize("folder", ["nowhere", "", "\0"])
def test_a_folder_that_holds_nothing_is_told(launch: Launch, folder: str) -> None:
    from walras.experiments.dashboard.pages.folder_page import read_or_why
    from walras.experiments.dashboard.pages.replay import RUNS
    from walras.experiments.dashboard.pages.tokens import TRACES

    for kind in (RUNS, TRACES):
        found, why = read_or_why(kind, folder)
        assert found is None
        assert why


def test_the_whole_page_opens_a_market_and_lets_it_go(launch: Launch) -> None:
    from walras.experiments.dashboard.pages import page

    rendered, context = solara.render(page.Dashboard(launch), handle_error=False)
    end = time.monotonic() + 30
    while not any("Before round 1" in str(getattr(w, "children", "")) for w in widgets(rendered, lambda widget: True)):
        assert time.monotonic() < end
        time.sleep(0.02)
    context.close()

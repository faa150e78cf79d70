"""Mesa's tools make, run, reset and show market models from keywords."""

import inspect
from collections.abc import Iterator
from typing import Any

import mesa
import pytest
from mesa.batchrunner import batch_run

import walras
from walras.errors import InputError
from walras.experiments.market_model.toy import ToyMarket

ROUNDS = 3


def test_batch_runs_of_given_values() -> None:
    found = batch_run(
        walras.MarketModel,
        {"values": [[4.0, 3.0, 2.0, 1.0]], "budget": [0.5, 0.25], "rounds": ROUNDS, "mechanism": "ShadowPrice"},
        data_collection_period=1,
        display_progress=False,
    )
    assert [row["round"] for row in found] == [1, 2, 3] * 2
    assert [row["welfare"] for row in found if row["round"] == ROUNDS] == [7, 4]


def test_batch_runs_of_toys_by_the_function_and_by_seed() -> None:
    parameters: dict[str, Any] = {"units": 12, "budget": [0.5, 0.3], "rounds": ROUNDS}
    later = "rng" in inspect.signature(batch_run).parameters  # from Mesa 3.5 on seeds are no parameter
    more: dict[str, Any] = {"rng": [1, 2]} if later else {}
    parameters |= {} if later else {"seed": [1, 2]}
    found = batch_run(walras.toy, parameters, display_progress=False, **more)  # type: ignore[arg-type]  # a function that makes models
    assert len(found) == 4
    assert len({row["welfare"] for row in found}) == 4
    assert all(row["used"] <= row["budget"] for row in found)


@pytest.mark.nightly
def test_batch_runs_in_two_processes_find_the_same() -> None:
    parameters = {"units": 12, "budget": [0.5, 0.3], "noise": 0.2, "rounds": ROUNDS}
    both = [
        batch_run(ToyMarket, parameters, number_processes=n, display_progress=False)  # type: ignore[call-arg]  # no stub
        for n in (1, 2)
    ]
    one, two = (sorted(rows, key=lambda row: row["RunId"]) for rows in both)
    assert [{k: v for k, v in row.items() if v == v} for row in one] == [
        {k: v for k, v in row.items() if v == v} for row in two
    ]


def test_a_scenario_of_mesas() -> None:
    if not hasattr(mesa.Model, "scenario"):
        with pytest.raises(InputError, match=r"scenario needs Mesa 3\.5 or later"):
            walras.toy(scenario=object())
        return
    scenario: Any = mesa.experimental.scenarios.Scenario(rng=3, budget=0.25, rounds=2)  # type: ignore[attr-defined]
    market = walras.MarketModel(values=[4.0, 3.0, 2.0, 1.0], scenario=scenario)
    assert (market.seed, len(market.sessions), market.sessions[-1].budget) == (3, 2, 0.25)
    assert market.scenario is scenario
    another: Any = type(scenario)(budget=0.25)
    assert walras.MarketModel(values=[1.0, 2.0], scenario=another, budget=0.5).sessions[-1].budget == 0.5


@pytest.fixture
def page() -> Iterator[tuple[Any, Any]]:
    """A SolaraViz page of a toy market with sliders, drawn on the server's side, and the model that it shows."""
    solara = pytest.importorskip("solara")
    visualization = pytest.importorskip("mesa.visualization")
    shown = solara.reactive(walras.toy(12, 3, rounds=ROUNDS))

    @solara.component  # type: ignore[untyped-decorator]  # solara has no types here
    def Prices(model: Any) -> None:
        solara.HTML(unsafe_innerHTML=model._repr_html_())

    parameters = {
        "units": {"type": "SliderInt", "value": 12, "min": 6, "max": 60, "step": 6, "label": "units"},
        "budget": {"type": "SliderFloat", "value": 0.5, "min": 0.1, "max": 1.0, "step": 0.1, "label": "budget"},
        "mechanism": {"type": "Select", "value": "ShadowPrice", "values": ["ShadowPrice", "VCG"], "label": "rule"},
        "layers": 3,
        "rounds": ROUNDS,
    }

    @solara.component  # type: ignore[untyped-decorator]  # as above
    def Page() -> None:
        with solara.AppLayout():  # which a server puts around every page: sliders and buttons are in its side bar
            visualization.SolaraViz(shown, components=[(Prices, 0)], model_params=parameters)

    _, rc = solara.render(Page(), handle_error=False)
    yield shown, rc
    rc.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_page_steps_a_market_and_resets_it_with_the_sliders_values(page: tuple[Any, Any]) -> None:
    ipyvuetify: Any = pytest.importorskip("ipyvuetify")
    shown, rc = page
    first = shown.value
    assert isinstance(first, ToyMarket)
    step, reset = (rc.find(ipyvuetify.Btn, children=[name]).widget for name in ("Step", "Reset"))
    for _ in range(ROUNDS):
        step.click()
    assert (first.round, first.running) == (ROUNDS, False)
    assert rc.find(ipyvuetify.Btn, children=["Step"]).widget.disabled
    sliders = {slider.label: slider for slider in rc.find(ipyvuetify.Slider).widgets}
    sliders["budget"].v_model = 0.3
    sliders["units"].v_model = 24
    reset.click()
    again = shown.value
    assert again is not first
    assert (again.round, again.running, len(again.ledger)) == (0, True, 24)
    assert again.sessions[-1].budget == 0.3
    rc.find(ipyvuetify.Btn, children=["Step"]).widget.click()
    assert again.round == 1

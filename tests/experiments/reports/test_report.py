"""The report: a page that any browser reads, its pictures, and the same bytes every time."""

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from report_pages import check_page

from walras.experiments.reports import plots
from walras.experiments.reports import run_report as report
from walras.experiments.spec import RunSpec
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.run_folder import RUN
from walras.market import Trace

NAME = '<x> & "$y$".py:_Rule'


@pytest.fixture(scope="module")
def trace() -> pd.DataFrame:
    units = [(kind, layer, index) for layer in range(2) for kind in ("head", "ffn") for index in range(3)]
    frame = pd.DataFrame([(r, *unit) for r in (1, 2) for unit in units], columns=["round", "kind", "layer", "index"])
    return frame.assign(
        value=range(24), bid=range(24), quantity=[1.0, 0.0] * 12, wealth=range(24), cost=1 / 12, price=0.5, payment=0.0
    )


class Outcome:
    """Everything that the report reads of a result."""

    def __init__(self, trace: pd.DataFrame) -> None:
        self.trace, self.trades = trace, pd.DataFrame()
        self.rounds = pd.DataFrame(
            {"round": [1, 2], "budget": [0.7, 0.5], "price": [0.0, 1.23456789], "status": ["a", "b"]}
        )
        self.figures = {
            "kept": {"head": 4, "ffn": 2}, "parameters": 5, "dense_parameters": 9, "bytes": 2e6, "dense_bytes": 4e6,
            "mechanism": NAME, "valuation": "<v>", "task": "<t>", "model": "<m>", "unit": "$ and <u>$", "units": 12,
            "rounds": 2, "length": 128, "budget": 0.5, "used": 0.49, "macs": 1e6, "price": 1.0, "welfare": 2.0,
            "revenue": 1.0, "dense_macs": 2e6,
            "status": "cleared", "metric": {"name": "50 $ <k>", "dense": 0.9, "value": 0.8},
        }  # fmt: skip
        self.summary = SimpleNamespace(as_dict=lambda: self.figures)


def test_page_and_pictures(trace: pd.DataFrame, tmp_path: Path) -> None:
    outcome: Any = Outcome(trace)
    pictures = []
    for name in ("one", "two"):
        folder = ResultFolder(tmp_path / name, RUN, RunSpec.parse({}))
        report.write_report(folder, outcome)
        pictures.append({p.name: p.read_bytes() for p in folder.path.glob("*.png")})
    assert pictures[0] == pictures[1]
    assert pictures[0].keys() == {"price.png", "allocation.png", "bids.png", "lorenz.png", "frontier.png"}
    for data in pictures[0].values():
        assert data.startswith(b"\x89PNG")
        assert min(struct.unpack(">II", data[16:24])) >= 250  # width and height
    text = (tmp_path / "one" / "report.html").read_text(encoding="utf-8")
    page = check_page(text, tmp_path / "one")
    assert not {"x", "v", "t", "m", "u", "k"} & {element.tag for element in page.elements}
    (title,) = page.all("h1")
    assert title.text == f"{NAME} on <t>"
    assert any("<v>" in part.text for part in page.all("p"))
    assert page.all("tr")[1].text.startswith("50 $ <k>")
    assert len(page.all("svg")) == 5
    assert [heading.text for heading in page.all("h2")] == [
        "Verdict", "Allocation", "Economics", "Rounds (2)", "How this was made",
    ]  # fmt: skip


def test_figures_say_what_they_show(trace: pd.DataFrame) -> None:
    outcome = Outcome(trace)
    path = plots.price_path(outcome.rounds, "nats").axes
    assert [a.get_ylabel() for a in path] == ["price of the dense compute\n[nats]", "budget [share of dense compute]"]
    assert path[0].get_lines()[0].get_ydata().tolist() == [0.0, 1.23456789]  # type: ignore[union-attr]
    heads, ffn = plots.allocation(trace).axes
    assert heads.get_title() == "attention heads: 4 of 6 stay"
    assert ffn.get_title() == "FFN units: 2 of 6 stay"
    assert (heads.get_xlabel(), heads.get_ylabel()) == ("index in the layer", "layer")
    (bids,) = plots.bids(trace, "nats").axes
    assert (bids.get_xlabel(), bids.get_ylabel()) == ("value [nats]", "bid [nats]")
    won, lost, *_ = bids.get_lines()
    assert len(won.get_xdata()) + len(lost.get_xdata()) == 12  # type: ignore[arg-type]
    (frontier,) = plots.frontier(outcome.figures).axes
    assert [line.get_ydata()[0] for line in frontier.get_lines()] == [0.9, 0.8]  # type: ignore[index]
    (legend,) = frontier.figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["dense", "after _Rule"]


def test_more_units_than_cells_are_shown_as_shares() -> None:
    """Of 200 neurons three share a cell; of the first layer every third stays, of the second none."""
    index = np.tile(np.arange(200), 2)
    layer = np.repeat([0, 1], 200)
    stays = ((index % 3 == 0) & (layer == 0)).astype(float)
    rows = pd.DataFrame({"round": 1, "kind": "ffn", "layer": layer, "index": index, "quantity": stays})
    (axes,) = plots.allocation(rows).axes
    shade = np.asarray(axes.get_images()[0].get_array())
    assert shade.shape == (2, 67)
    assert shade[0, :-1].tolist() == pytest.approx([1 / 3] * 66)
    assert shade[1].tolist() == [0] * 67
    assert axes.get_title() == "FFN units: 67 of 400 stay"
    assert axes.get_xlabel() == "index in the layer / 3, shaded by share"


def test_a_market_of_worthless_units_can_be_drawn(trace: pd.DataFrame) -> None:
    assert plots.png(plots.bids(trace.assign(value=0.0, bid=-1.0, quantity=0.0), "nats")).startswith(b"\x89PNG")
    assert plots.png(plots.allocation(trace.assign(quantity=0.0))).startswith(b"\x89PNG")
    assert plots.png(plots.allocation(trace[trace["kind"] == "ffn"])).startswith(b"\x89PNG")


def test_drawing_leaves_the_notebooks_own_pictures_alone(trace: pd.DataFrame) -> None:
    before = dict(matplotlib.rcParams)
    plots.png(plots.allocation(trace))
    assert dict(matplotlib.rcParams) == before


def test_lorenz_curves_and_prices_of_several_runs(trace: pd.DataFrame) -> None:
    study = Trace(trace)
    (axes,) = plots.lorenz(study.lorenz).axes
    _, wealth, compute = axes.get_lines()
    for line, name in ((wealth, "wealth"), (compute, "compute")):
        curve = study.lorenz[study.lorenz["of"] == name]
        assert np.asarray(line.get_ydata()).tolist() == curve["held"].tolist()
        assert line.get_label() == f"{name} (Gini {curve['gini'].iloc[0]:.2f})"
    runs = {"a": study.rounds, "b": study.rounds.assign(price=2 * study.rounds["price"])}
    (axes,) = plots.price_paths(runs, "nats").axes
    first, second = axes.get_lines()
    assert np.asarray(first.get_ydata()).tolist() == study.rounds["price"].tolist()
    assert np.asarray(second.get_ydata()).tolist() == (2 * study.rounds["price"]).tolist()
    assert first.get_linestyle() != second.get_linestyle()
    assert [line.get_label() for line in (first, second)] == ["a", "b"]

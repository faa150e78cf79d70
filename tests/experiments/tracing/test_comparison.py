"""Two traces side by side, and the files that are made of them."""

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

import walras
from walras.errors import InputError
from walras.experiments.reports.plots import svg_file
from walras.experiments.tracing.comparison import Comparison, TracedRun
from walras.experiments.tracing.exports import Exports
from walras.experiments.tracing.graph import replacement_graph
from walras.experiments.tracing.overview import overview
from walras.market import Trace


def traced(name: str, unit: str = "points", **keywords: Any) -> TracedRun:
    market = walras.toy(12, 3, **{"rounds": 3, **keywords})
    while market.running:
        market.step()
    return TracedRun(name, Trace(market.trace()), unit)


A = traced("a")
B = traced("b", rounds=2, budget=0.3, mechanism="PayAsBidAuction")
NOISY = traced("noisy", noise=1.0, reentry=True, rounds=6, schedule="constant")


def test_units_that_only_one_keeps() -> None:
    pair = Comparison(A, B)
    kept = {run.name: set(run.trace.winners["agent"]) for run in (A, B)}
    assert set(pair.only("first only")) == kept["a"] - kept["b"] != set()
    assert set(pair.only("second only")) == kept["b"] - kept["a"]
    some = pair.only("first only")[0]
    assert Comparison(A, B, frozenset([some])).only("first only") == [some]


def test_rounds_are_aligned_and_welfare_only_in_one_unit() -> None:
    pair = Comparison(A, B)
    assert list(pair.rounds) == ["round", "price a", "price b", "used a", "used b", "welfare a", "welfare b"]
    assert pair.rounds["round"].tolist() == [1, 2, 3]
    assert np.isnan(pair.rounds["price b"].iloc[-1])
    assert pair.rounds["used a"].tolist() == A.trace.rounds["used"].tolist()
    assert pair.as_json()["rounds"][2]["price b"] is None
    for other in (traced("b", unit="nats"), traced("b", unit="")):
        found = Comparison(A, other)
        assert not found.same_unit
        assert "welfare a" not in found.rounds
        assert found.as_json()["unit_of_value"] is None


def test_runs_of_other_units_are_refused() -> None:
    with pytest.raises(InputError, match="of different units"):
        Comparison(A, TracedRun("c", Trace(A.trace.trace[A.trace.trace["layer"] > 0]))).check()


def test_a_selection_that_holds_of_nothing_is_refused() -> None:
    assert len(A.where("layer == 1").trace.trace) == 3 * 4
    assert A.where(None) is A
    with pytest.raises(InputError, match="--where 'layer == 9' holds of no row of a"):
        A.where("layer == 9")


def test_one_picture_of_both_runs() -> None:
    figure = overview([A, B])
    money, use, *kinds = [axes for part in figure.subfigs for axes in part.axes]
    for axes in (money, use):
        lengths = [len(line.get_xdata()) for line in axes.get_lines()]  # type: ignore[arg-type]  # an array here
        assert lengths == [3, 2]
    assert [axes.get_title() for axes in kinds] == ["attention heads", "FFN units"]
    first = kinds[0].get_lines()[0]
    expected = A.trace.layers[A.trace.layers["kind"] == "head"]
    assert np.array_equal(first.get_ydata(), expected["sum"] / expected["size"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert "[points]" in money.get_ylabel()
    other = overview([A, traced("b", unit="nats")])
    assert "each run's own unit of value" in other.subfigs[0].axes[0].get_ylabel()
    assert svg_file(overview([A, B])) == svg_file(overview([A, B]))


def test_the_graph_says_who_replaced_whom() -> None:
    graph = replacement_graph(NOISY.trace.trace, NOISY.trace)
    assert len(graph) == 12
    assert graph.number_of_edges() > 0
    moved = NOISY.trace.turnover
    for gone, come, tie in graph.edges(data=True):
        now = moved[moved["round"] == tie["round"]].set_index("agent")["change"]
        assert (now[gone], now[come]) == ("left", "entered")
        assert graph.nodes[gone]["kind"] == graph.nodes[come]["kind"]
    last = NOISY.trace.last.set_index("agent")
    assert all(data["wealth"] == last.loc[name, "wealth"] for name, data in graph.nodes(data=True))
    chosen = NOISY.where("kind == 'head' and layer == 0").trace.trace
    assert set(replacement_graph(chosen, NOISY.trace)) == set(chosen["agent"])


def test_files_hold_what_was_chosen(tmp_path: Path) -> None:
    files = {name: tmp_path / f"x.{name}" for name in ("csv", "graphml", "png", "svg")}
    rows = NOISY.where("layer == 0").trace.trace
    written = Exports(files, overwrite=False).write(rows, NOISY.trace, [NOISY])
    assert written == list(files.values())
    back = pd.read_csv(files["csv"])
    assert list(back) == list(rows)
    assert np.allclose(back["value"], rows["value"], rtol=0, atol=0)
    graph = nx.read_graphml(files["graphml"])
    assert set(graph) == set(rows["agent"])
    assert imread(files["png"]).std() > 0
    assert files["svg"].read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_files_that_are_there_stay(tmp_path: Path) -> None:
    there = tmp_path / "x.csv"
    there.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"--csv '.*x\.csv' is there already; choose another name, or --overwrite"):
        Exports({"csv": there}, overwrite=False)
    assert there.read_text(encoding="utf-8") == "mine"
    Exports({"csv": there}, overwrite=True).write(A.trace.trace, A.trace, [A])
    assert there.read_text(encoding="utf-8").startswith("round,agent,kind")


def test_places_that_are_no_places_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        Exports({"png": tmp_path}, overwrite=True)
    with pytest.raises(InputError, match="is no folder that you may write to"):
        Exports({"png": tmp_path / "file" / "x.png"}, overwrite=False)
    with pytest.raises(InputError, match="is given to two options"):
        Exports({"png": tmp_path / "x", "svg": tmp_path / "." / "x"}, overwrite=False)
    with pytest.raises(InputError, match="cannot be written"):
        Exports({"csv": tmp_path / ("x" * 300)}, overwrite=False)

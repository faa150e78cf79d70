"""Names of all kinds in pictures, pages and model cards: shown as they are, and never obeyed."""

import contextlib
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from walras.experiments.grids.axes import Reference
from walras.experiments.grids.statistics import Statistics
from walras.experiments.observing.examples import ExampleHead
from walras.experiments.observing.reports import pictures as observed
from walras.experiments.observing.reports import report as observe_report
from walras.experiments.reports import plots
from walras.experiments.reports.grids import frontier_report
from walras.experiments.reports.grids.frontier_plot import frontier_picture
from walras.experiments.reports.model_card import model_card
from walras.experiments.reports.trace_pictures import draw
from walras.experiments.training import report as train_report
from walras.market import Trace

SCRIPT = '</title></td><script>alert("1")</script> & $x^{$'
NAMES = ("a$x^{$", "$\\frac{$", "\\", "$$", "a\nb", "\x1b[31m\x00\t", "x" * 500, "😀\ud7ff日本", "_hidden", "\ud800")


def rows(kind: str = "head", layers: tuple[int, ...] = (0, 1), strategy: str = "truthful") -> pd.DataFrame:
    """Two rounds of three units a layer."""
    units = [(r, layer, i) for r in (1, 2) for layer in layers for i in range(3)]
    frame = pd.DataFrame(units, columns=["round", "layer", "index"])
    agents = [f"L{layer}.{kind}{i}" for _, layer, i in units]
    count = len(frame)
    return frame.assign(
        agent=agents, kind=kind, strategy=strategy, cost=0.1, value=np.linspace(0.01, 0.02, count),
        bid=np.linspace(0.01, 0.02, count), quantity=[1.0, 0.0] * (count // 2), price=0.1, payment=0.1, surplus=0.1,
        wealth=np.arange(float(count)),
    )  # fmt: skip


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_all_names_in_one_picture() -> None:
    """Series, axes and titles; a long name takes no more than its room."""
    rounds = Trace(rows()).rounds
    width, height = size(plots.png(plots.price_paths(dict.fromkeys(NAMES, rounds), "\n".join(NAMES))))
    assert (width, height) == (780, 416)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES[:-1], ids=ascii)
def test_pictures_of_runs_with_any_name(name: str, tmp_path: Path) -> None:
    study = Trace(rows(kind=name, strategy=name))
    summary = {"metric": {"name": name, "dense": 0.9, "value": 0.8}, "used": 0.5, "mechanism": name}
    figures = (
        plots.price_paths({name: study.rounds, "b": study.rounds}, name),
        plots.two_allocations(study.against(study), name, name),
        plots.frontier(summary),
        plots.bids(study.trace, name),
        plots.survival(study.survival),
    )
    for figure in figures:
        width, height = size(plots.png(figure))
        assert 100 < width < 4000
        assert 100 < height < 4000


def test_texts_are_shown_as_they_are() -> None:
    figure = plots.price_paths({"a$x^{$": Trace(rows()).rounds, "_b": Trace(rows()).rounds}, "$u$\x1b[0m")
    plots.png(figure)
    (axes,) = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a$x^{$", " _b"]
    assert not any(text.get_parse_math() for text in legend.get_texts())
    assert axes.get_ylabel() == "price of the dense compute\n[$u$]"


def test_ticks_of_logarithmic_axes_hold_no_formulas() -> None:
    figure = plots.bids(rows(), "nats")
    plots.png(figure)
    labels = [text.get_text() for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis)
              for text in axis.get_ticklabels(which="both")]  # fmt: skip
    assert any(labels)
    assert not any("$" in label or "\\" in label for label in labels)


@pytest.mark.parametrize("name", ["$\\frac{$ \x1b[0m"])
def test_pictures_of_grids_and_observations_with_any_name(name: str) -> None:
    table = pd.DataFrame(
        [(rule, b, s, 1e9 * b, 1000, None, 0.8, 0.9) for rule in (name, "b") for b in (0.75, 0.5) for s in (0, 1)],
        columns=["recipe", "budget", "seed", "macs", "parameters", "latency_ms", "value", "dense"],
    )
    statistics = Statistics.from_table(table, Reference("recipe", "b"))
    size(plots.png(frontier_picture(table, statistics, name)))
    weights = np.full((2, 2), 0.5)
    size(plots.png(observed.heat_maps([ExampleHead((name, name), 0, 0, weights, weights)], name, 2)))


@pytest.mark.nightly
def test_absurd_layers_are_drawn_by_rank(tmp_path: Path) -> None:
    """A number of a layer says nothing of how many there are."""
    study = Trace(rows(layers=(0, 7, 99_999)))
    draw({"a": study, "x" * 250: study}, tmp_path / "p")
    assert {path.name for path in (tmp_path / "p").iterdir()} >= {"allocation.png", "compared-2.png"}
    assert size((tmp_path / "p" / "allocation.png").read_bytes())[1] < 1000
    for figure in (plots.allocation(study.trace), plots.two_allocations(study.against(study), "a", "b")):
        assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["0", "7", "99999"]


@pytest.mark.nightly
def test_many_layers() -> None:
    picture = plots.png(plots.allocation(rows(layers=tuple(range(0, 30_000, 10)))))
    assert size(picture)[1] < 10_000


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walras.experiments.reports.plots.png", lambda figure: b"picture")
    monkeypatch.setattr(
        "walras.experiments.reports.plots.svg",
        lambda figure, name, alt: '<svg role="img" aria-label="x" viewBox="0 0 1 1"></svg>',
    )


def page(folder: Path) -> str:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert text.count("</title>") == 1
    return text


@pytest.mark.usefixtures("no_pictures")
def test_a_page_of_a_training_run(tmp_path: Path) -> None:
    from tests.experiments.store.test_result_file import TRAINED

    figures = {**TRAINED, **dict.fromkeys(("task", "model", "pricing", "recipe"), SCRIPT), "kept": {SCRIPT: 3}}
    figures["metric"] = {"name": SCRIPT, "dense": 0.9, "value": 0.8, "higher_is_better": True}
    figures["scores"] = figures["dense_scores"] = {f"other {SCRIPT}": 0.5}
    units = SimpleNamespace(layer=[0], kind=[SCRIPT], index=[0])
    summary = SimpleNamespace(as_dict=lambda: figures)
    result: Any = SimpleNamespace(units=units, keep=torch.ones(1), summary=summary)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(train_report, "training", lambda result: plots.frontier({**figures, "mechanism": "a"}))
        train_report.write_report(tmp_path, result)
    assert page(tmp_path).count("&lt;script&gt;") >= 6


@pytest.mark.usefixtures("no_pictures")
def test_a_page_of_an_observation(tmp_path: Path) -> None:
    shown = dict.fromkeys(observe_report_columns(), 0.5)
    row = {**shown, "constrain": SCRIPT, "rule": SCRIPT, "control": "unconstrained", "budget": 4.0, "inactive": True}
    summary = {
        "metric": {"name": SCRIPT, "dense": 0.9, "value": 0.8, "higher_is_better": True}, "rule": SCRIPT,
        "task": SCRIPT, "model": SCRIPT, "layers": 2, "sequences": 3, "most_keys": 4, "unit": SCRIPT,
        "warnings": [SCRIPT], "rows": [row], "constrain": {SCRIPT: [0]},
        "examples_at": {"budget": 4, "constrain": SCRIPT},
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        for name in ("frontier", "inequality", "heat_maps"):
            patched.setattr(observed, name, lambda *_: plots.bids(rows(), "nats"))
        observe_report.write_report(tmp_path, pd.DataFrame([row]), [], summary)
    assert page(tmp_path).count("&lt;script&gt;") >= 8


def observe_report_columns() -> tuple[str, ...]:
    from walras.experiments.observing.reports.tables import SHOWN

    return SHOWN


class Named(SimpleNamespace):
    """A cell that is called something."""

    def __str__(self) -> str:
        return SCRIPT


@pytest.mark.usefixtures("no_pictures")
def test_a_page_of_a_comparison(tmp_path: Path) -> None:
    cells = [(rule, b, s) for rule in (SCRIPT, "b") for b in (0.75, 0.5) for s in (0, 1)]
    table = pd.DataFrame(
        [(*labels, 1e9 * labels[1], 1000, None, 0.8, 0.9, SCRIPT) for labels in cells],
        columns=["recipe", "budget", "seed", "macs", "parameters", "latency_ms", "value", "dense", "status"],
    )  # fmt: skip
    settings = SimpleNamespace(as_yaml=lambda: f"subject:\n  data: {SCRIPT!r}\n")
    ran = [SimpleNamespace(settings=settings, key=SCRIPT) for _ in cells]
    failed = Named(settings=settings)
    found: Any = SimpleNamespace(
        statistics=Statistics.from_table(table, Reference("recipe", "b")), table=table,
        metric={"name": SCRIPT, "higher_is_better": False},
        folder=SimpleNamespace(
            path=tmp_path, failure=lambda cell: tmp_path / "failed" / "1.txt", tables=contextlib.nullcontext,
            result=lambda cell: {"bytes": 8, "dense_bytes": 16}, timing=lambda cell: None,
            place=lambda cell: tmp_path / "cells" / "1",
        ),
        about={"task": SCRIPT, "model": SCRIPT, "length": 16}, grid=SimpleNamespace(seeds=[0, 1], cells=[*ran, failed]),
        failed=[failed],
    )  # fmt: skip
    frontier_report.write_frontier_report(found)
    assert page(tmp_path).count("&lt;script&gt;") >= 10


def test_a_model_card() -> None:
    layers = {0: {"attention_heads": 4, "ffn_neurons": 64}}
    evil = "x`</code>\n\n# title\n---\n<script> [a](b) | $x$"
    summary = {
        "metric": {"name": evil, "dense": 0.9, "value": 0.8}, "task": evil, "model": evil, "resource": evil,
        "recipe": evil, "mechanism": evil, "valuation": evil, "seed": 0, "used": 0.5, "budget": 0.5, "length": 16,
        "dense_macs": 2e6, "macs": 1e6, "dense_parameters": 20, "parameters": 10,
    }  # fmt: skip
    timed = {**summary, "latency_ms": {"32": {"dense": 20.0, "value": 10.5}}}
    assert "| milliseconds, 32 x 16 tokens, where it was made | 20 | 10.5 |" in model_card(
        timed, "x", "AutoModel", layers, layers
    )
    lines = model_card(
        {**summary, "latency_ms": {evil: {"dense": 2.0, "value": 1.0}}}, 'n"ame\n```\nx', "AutoModel", layers, layers
    ).split("\n")
    assert [line for line in lines if line.startswith("---")] == ["---", "---"]
    assert [line for line in lines if line.startswith("# ")] == ['# n"ame \\`\\`\\` x']
    assert [line for line in lines if line.startswith("```")] == ["```python", "```"]
    assert 'model = walras.load_model("n\\"ame ``` x")  # or so' in "\n".join(lines)
    (figures,) = [line for line in lines if "0.9000" in line]
    assert figures.replace("\\|", "").count("|") == 4
    plain = "\n".join(line for line in lines if "``" not in line)  # outside of code
    assert "<script>" not in plain.replace("\\<", "")

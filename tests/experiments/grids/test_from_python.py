"""Comparisons from Python: names and objects, frames, and what fails."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import walras
from walras import Clearing, Mechanism, ShadowPrice
from walras.errors import InputError, UnknownNameError, WalrasError


@dataclass(frozen=True)
class Mine(Mechanism):
    """ShadowPrice under another name, or a rule that fails."""

    fails: bool = False

    def clear(self, bids: Any, supply: torch.Tensor, cost: torch.Tensor) -> Clearing:
        if self.fails:
            raise ValueError("out of stock")
        return ShadowPrice().clear(bids, supply, cost)


@pytest.fixture
def settings(models: Path, lines: Path, no_pictures: None) -> dict[str, Any]:
    """A run of about a second."""
    return {
        "model": str(models / "bert"), "task": "text", "data": str(lines), "length": 16, "sentences": 8, "block": 16,
        "recipe": "magnitude",
    }  # fmt: skip


@pytest.mark.nightly
def test_names_and_objects_in_a_frame(settings: dict[str, Any], tmp_path: Path) -> None:
    vary: dict[str, list[Any]] = {"mechanism": ["ShadowPrice", Mine()], "budget": [0.5, 0.75]}
    table = walras.compare(vary, seeds=2, out=tmp_path / "o", **settings)
    assert table.columns.tolist() == [
        "mechanism", "budget", "seed", "macs", "parameters", "latency_ms", "value", "dense",
        "used", "price", "welfare", "revenue", "status",
    ]  # fmt: skip
    assert table["mechanism"].unique().tolist() == ["ShadowPrice", "Mine:fails=False"]
    assert table["budget"].tolist() == [0.75, 0.75, 0.5, 0.5] * 2
    ours, theirs = (table[table["mechanism"] == name]["value"].tolist() for name in table["mechanism"].unique())
    assert ours == theirs
    statistics = walras.paired_statistics(table, "mechanism=ShadowPrice")
    assert statistics["difference"].dropna().tolist() == [0.0] * 3
    cells = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "o" / "cells").glob("*/result.json")}
    again = walras.compare({**vary, "mechanism": [ShadowPrice(), Mine()]}, seeds=2, out=tmp_path / "o", **settings)
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "o" / "cells").glob("*/result.json")} == cells
    pd.testing.assert_frame_equal(again, table)


def test_reports_are_written_where_somebody_can_look_at_them(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the comparison and of each of its runs; without a folder that stays, drawing would be in vain."""
    written: list[Path] = []
    write = "walras.experiments.reports.pages.writing.write_whole"
    monkeypatch.setattr(write, lambda place, content: written.append(place))
    given: dict[str, Any] = {"vary": {"mechanism": ["ShadowPrice", "PostedPrice"]}, "seeds": 1, **settings}
    walras.compare(**given)
    assert not written
    walras.compare(**given, out=tmp_path / "o")
    assert [place.name for place in written].count("report.html") == 3


def test_runs_that_fail(settings: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match=r"1 of 2 runs failed; the first, Mine:fails=True at 0\.5, seed 0: .*out of"):
        table = walras.compare({"mechanism": ["ShadowPrice", Mine(fails=True)]}, seeds=1, budget=0.5, **settings)
    assert table["mechanism"].tolist() == ["ShadowPrice"]
    with pytest.raises(WalrasError, match="1 of 1 runs failed"):
        walras.compare({"mechanism": [Mine(fails=True)]}, seeds=1, **settings)


def test_bad_input(settings: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="unknown axis 'mechansim'"):
        walras.compare({"mechansim": ["ShadowPrice"]}, **settings)
    with pytest.raises(InputError, match="axis mechanism is 'VCG'; it must be a list of values"):
        walras.compare({"mechanism": "VCG"}, **settings)
    with pytest.raises(InputError, match=r"budget is 0\.5 .*; give it"):
        walras.compare({"mechanism": ["VCG"], "budget": [0.5]}, budget=0.5, **settings)

"""Shocks from the text of a setting, and in a whole run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from walras.errors import InputError
from walras.experiments.shocks import PlannedShock, find_shocks
from walras.market import read_trace

Walras = Callable[..., Any]


def test_what_is_read() -> None:
    assert find_shocks(None, 4) == []
    found = find_shocks("disable:L3.H7+L0.F2@2 task:mine.py:Mine@4", 4)
    assert found == [PlannedShock("disable", "L3.H7+L0.F2", 2), PlannedShock("task", "mine.py:Mine", 4)]


@pytest.mark.parametrize(
    "text",
    [
        "disable@2",
        "disable:@2",
        "flood:L0.H0@2",
        "disable:L0.H0",
        "disable:L0.H0@x",
        "disable:L0.H0@²",
        "disable:L0.H0@٣",
    ],
)
def test_what_is_not(text: str) -> None:
    with pytest.raises(InputError, match=r"shock is .*; it must read like disable:L3\.H7"):
        find_shocks(text, 4)


def test_a_round_that_is_not_played() -> None:
    with pytest.raises(InputError, match="strikes before round 5; there are 4 rounds"):
        find_shocks("disable:L0.H0@5", 4)


@pytest.mark.nightly
def test_a_whole_run(walras: Walras, models: Path) -> None:
    answer = walras(
        "run", "--model", models / "bert", "--recipe", "none", "--sentences", 16, "--rounds", 3,
        "--reentry", "--schedule", "constant", "--valuation", "magnitude", "--shock", "disable:L0.H0@2", "--out", "r",
    )  # fmt: skip
    assert answer.code == 0, answer.error
    trace = read_trace("r")
    gone = trace[(trace["agent"] == "L0.H0") & (trace["round"] >= 2)]
    assert gone["quantity"].tolist() == [0, 0]
    assert pd.read_parquet("r/rounds.parquet")["shock"].tolist() == ["", "disabled L0.H0", ""]


def test_a_budget_that_rises_needs_reentry(walras: Walras, models: Path) -> None:
    answer = walras("run", "--model", models / "bert", "--schedule", "cycle", "--rounds", 4, "--out", "r")
    assert answer.code == 2
    assert "schedule cycle raises the budget from" in answer.error
    assert "--reentry" in answer.error

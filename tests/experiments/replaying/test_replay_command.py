"""`walras replay` from the command line to its folder."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walras.experiments.replaying.figures import difference, share_interval

Walras = Callable[..., Any]
Write = Callable[[list[dict[str, Any]]], Path]


def rows(n: int = 40) -> list[dict[str, Any]]:
    draw = np.random.default_rng(0)
    need = draw.lognormal(4, 0.6, n)
    return [
        {"id": f"q{i}", "arrival": 2.0 * i, "threshold": round(float(need[i]), 1), "tokens": int(need[i] * 1.2),
         "correct": bool(i % 4)}
        for i in range(n)
    ]  # fmt: skip


POLICIES = ("--policy", "clear", "--policy", "uniform", "--policy", "fixed-cap:tokens=70")


def test_several_policies_on_one_trace(walras: Walras, write: Write, no_pictures: None) -> None:
    trace = write(rows())
    line = ("replay", trace, "--budget", 500, "--per", "20s", *POLICIES, "--out", "o")
    answer = walras(*line, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert [one["policy"] for one in found["policies"]] == ["clear", "uniform", "fixed-cap:tokens=70"]
    assert (found["requests"], found["seconds"], found["unfunded"]) == (40, 20.0, "reject")
    assert sorted(path.name for path in Path("o").iterdir()) == [
        "over-time.png", "replay.json", "report.html", "requests.csv", "windows.csv",
    ]  # fmt: skip
    assert json.loads(Path("o/replay.json").read_text()) == found
    requests, windows = pd.read_csv("o/requests.csv"), pd.read_csv("o/windows.csv")
    assert len(requests) == 3 * 40
    for one in found["policies"]:
        mine, spent = (table[table["policy"] == one["policy"]] for table in (requests, windows))
        assert mine["id"].tolist() == [f"q{i}" for i in range(40)]
        assert one["accuracy"] == mine["right"].mean()
        assert one["accuracy_low"] <= one["accuracy"] <= one["accuracy_high"]
        assert one["granted"] == mine["granted"].sum() == one["used"] + one["returned"] + one["expired"]
        assert one["spent_max"] == spent["spent"].max() <= 500
        assert 0 < one["share_of_optimum"] <= 1
        assert one["minus_first"] == pytest.approx(one["accuracy"] - found["policies"][0]["accuracy"])
    assert found["policies"][1]["price_median"] is None
    page = Path("o/report.html").read_text()
    assert "walras replay" in page
    assert "fixed-cap:tokens=70" in page

    again = walras(*line)  # over itself
    assert again.code == 0, again.err
    assert "of" in again.out
    assert "fixed-cap:tokens=70" in again.out
    assert "Report: o/report.html" in again.out
    Path("o/mine.txt").write_text("x")
    assert "holds 'mine.txt', which is no part of a replay" in walras(*line).error


def test_the_picture_shows_spending_and_prices(walras: Walras, write: Write) -> None:
    answer = walras("replay", write(rows(12)), "--budget", 300, "--window", 4, "--policy", "uniform", "--out", "o")
    assert answer.code == 0, answer.err
    assert Path("o/over-time.png").read_bytes().startswith(b"\x89PNG")
    answer = walras("replay", write(rows(12)), "--budget", 300, "--window", 4, *POLICIES, "--out", "o")
    assert answer.code == 0, answer.err
    page = Path("o/report.html").read_text()
    assert "<svg" in page
    assert "per 4 requests" in page


def test_the_unfunded_and_notes(walras: Walras, write: Write) -> None:
    records = [{key: value for key, value in one.items() if key != "correct"} for one in reversed(rows(12))]
    trace = write([*records, {"id": "x"}])
    answer = walras("replay", trace, "--budget", 100, "--per", "10s", "--unfunded", "queue:30", "--on-bad", "skip")
    assert answer.code == 0, answer.err
    assert "Note: 11 rows stood behind one that came later; they were sorted by arrival." in answer.out
    assert "Note: The trace does not say which answers are correct" in answer.out
    assert "Note: 1 bad rows were left out." in answer.out
    waits = json.loads(
        walras(
            "replay", trace, "--budget", 100, "--per", "10s", "--unfunded", "queue:30", "--on-bad", "skip", "--json",
            "--policy", "fixed-cap:tokens=100",
        ).out
    )["policies"][0]  # fmt: skip
    assert waits["waited_mean"] > 0
    floors = walras("replay", trace, "--budget", 100, "--unfunded", "floor=40", "--on-bad", "skip", "--json")
    assert json.loads(floors.out)["policies"][0]["floored"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--policy", "cleer"), r"unknown online policy 'cleer'\. Did you mean 'clear'\? Known: clear, fixed-cap"),
        (("--policy", "fixed-cap:token=3"), r"unknown parameter of online policy fixed-cap 'token'"),
        (("--budget", 0), r"budget is 0\.0; it must be a number from 1"),
        (("--budget", "nan"), r"budget is nan"),
        (("--per", "soon"), r"--per is 'soon'; valid: a time such as"),
        (("--per", "5s", "--window", 3), r"--per and --window both say how long a window is"),
        (("--window", 0), r"window is 0; it must be a whole number"),
        (("--window", 3, "--unfunded", "queue:5"), r"--unfunded queue needs windows of time"),
        (("--unfunded", "wait"), r"unknown unfunded rule 'wait'.*Known: downgrade, floor, queue, reject"),
        (("--unfunded", "downgrade=small"), r"--unfunded downgrade sends requests to another model, and a trace does"),
        (("--typical", 0.5), r"--typical is 0\.5"),
        (("--window", 3, "--typical", 50), r"--typical tells how many requests a window of time may have"),
        (("--tokens-a-second", 0), r"--tokens-a-second is 0\.0"),
        (("--headroom", -1), r"headroom is -1\.0"),
        (("--reserve", -1), r"reserve is -1\.0"),
        (("--on-bad", "cry"), r"unknown --on-bad 'cry'"),
        (("--out", "/proc/x"), r"--out '/proc/x' cannot be written"),
        (("--predictor", "none"), r"'none' holds no sound predictor"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(walras: Walras, write: Write, options: Any, message: str) -> None:
    error = walras("replay", write(rows(3)), "--budget", 100, *options).error
    assert re.search(message, error), error
    assert list(Path().iterdir()) == []


def test_intervals_of_shares() -> None:
    assert share_interval(0, 10) == (0.0, 0.0)
    low, high = share_interval(50, 100)
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.015)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.015)
    right = np.arange(100) < 60
    assert difference(right, right) == (0.0, 0.0, 0.0)
    apart, low, high = difference(right, np.arange(100) < 50)
    assert apart == pytest.approx(0.1)
    assert 0.03 < low < 0.1 < high < 0.17


def test_a_policy_of_ones_own(walras: Walras, write: Write, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from walras.market.queries import OnlinePolicy\nclass Mine(OnlinePolicy):\n    name = 'mine'\n"
        "    informed = False\n    def wanted(self, bids, seen):\n        return [7.0] * len(bids.threshold)\n"
    )
    answer = walras("replay", write(rows(5)), "--budget", 100, "--policy", f"{own}:Mine", "--json")
    assert json.loads(answer.out)["policies"][0]["granted"] == 35

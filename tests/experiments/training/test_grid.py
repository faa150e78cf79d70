"""Grids of training runs from the command line: labels, tables, the time told before, and going on after a kill."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from walras.errors import InputError
from walras.experiments.commands.train import prices
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.estimate import hours
from walras.experiments.training.grid import Grid
from walras.market.pricing import PRICINGS

Walras = Callable[..., Any]
QUICK = ("--device", "cpu", "--batch-size", 4, "--held-out", 0, "--epochs", 2, "--block", 16, "--length", 16)


@pytest.fixture
def command(walras: Walras, models: Path, glue: Path, no_pictures: None) -> Walras:
    """`walras train` on the tiny encoder and a dozen sentences."""

    def run(*options: object) -> Any:
        return walras("train", "--model", models / "bert", "--task", "sst2", "--data", glue, *QUICK, *options)

    return run


def test_one_run(command: Walras) -> None:
    answer = command("--budget", 0.6, "--out", "r", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert json.loads(answer.out) == {
        k: v for k, v in json.loads(Path("r/result.json").read_text()).items() if k != "bytes"
    }
    printed = command("--budget", 0.6, "--out", "r", "--overwrite")
    assert "accuracy, after" in printed.out
    assert "latency, 32 x 16" in printed.out


def test_a_grid_tells_its_time_first_and_ends_in_tables(command: Walras) -> None:
    answer = command("--recipe", "magnitude", "--recipe", "random", "--seeds", 2, "--workers", 0, "--out", "g")
    assert answer.code == 0, answer.err
    assert "4 run(s): about " in answer.err
    table = pd.read_csv("g/frontier.csv")
    assert table[["recipe", "seed"]].to_numpy().tolist() == [
        ["magnitude", 0], ["magnitude", 1], ["random", 0], ["random", 1]
    ]  # fmt: skip
    assert {"used", "macs", "parameters", "latency_ms_1", "latency_share_32", "untrained accuracy"} <= set(table)
    statistics = pd.read_csv("g/statistics.csv")
    assert statistics["pairs"].tolist() == [0, 2]
    assert "magnitude" in answer.out
    again = command("--recipe", "magnitude", "--recipe", "random", "--seeds", 2, "--workers", 0, "--out", "g")
    assert "run(s)" not in again.err  # nothing waits
    assert pd.read_csv("g/frontier.csv").equals(table)


def test_a_cell_that_was_cut_short_goes_on(command: Walras, monkeypatch: pytest.MonkeyPatch) -> None:
    from walras.experiments.training.trainer import Trainer

    options = ("--budget", 0.6, "--budget", 0.5, "--save-every", 1, "--workers", 0)
    assert command(*options, "--out", "whole").code == 0
    step = Trainer._step

    def killed(self: Trainer) -> None:
        if self.now.step == 4:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(Trainer, "_step", killed)
    assert command(*options, "--out", "cut").code == 130
    monkeypatch.setattr(Trainer, "_step", step)
    assert command(*options, "--out", "cut").code == 0
    timed = ["latency_ms_1", "latency_ms_32", "latency_share_1", "latency_share_32", "seconds"]
    whole, cut = (pd.read_csv(f"{name}/frontier.csv").drop(columns=timed) for name in ("whole", "cut"))
    pd.testing.assert_frame_equal(whole, cut)


def test_a_cell_that_fails_is_told_and_the_rest_goes_on(command: Walras, monkeypatch: pytest.MonkeyPatch) -> None:
    from walras.experiments.training.trainer import Trainer

    step = Trainer._step

    def failing(self: Trainer) -> None:
        if self.config.budget == 0.5:
            raise RuntimeError("out of memory")
        step(self)

    monkeypatch.setattr(Trainer, "_step", failing)
    answer = command("--budget", 0.6, "--budget", 0.5, "--workers", 0, "--out", "g")
    assert answer.code == 1
    assert "Failed: cleared at 0.5, seed 0: RuntimeError: out of memory" in answer.out
    assert pd.read_csv("g/frontier.csv")["budget"].tolist() == [0.6]


def test_prices_are_numbers_or_a_log_grid() -> None:
    assert prices(["0.5", "0.01:1:3"]) == pytest.approx([0.5, 0.01, 0.1, 1.0])


@pytest.mark.parametrize("text", ["x", "1:2", "0:1:3", "2:1:3", "1:2:1", "1:2:2.5", "1:2:3:4"])
def test_prices_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="price is"):
        prices([text])


def test_labels_and_combinations() -> None:
    grid = Grid.of({"pricing": "tax", "seed": 3}, {"price": [0.1, 0.2]}, 2)
    assert [(c.recipe, c.seed) for c in grid.cells] == [("tax 0.1", 3), ("tax 0.1", 4), ("tax 0.2", 3), ("tax 0.2", 4)]
    assert len({c.key for c in grid.cells}) == 4
    with pytest.raises(InputError, match=r"budget 0\.5 is given twice"):
        Grid.of({}, {"budget": [0.5, 0.5]}, 1)
    with pytest.raises(InputError, match="unknown pricing 'none of these'"):
        Grid.of({"pricing": "none of these"}, {"budget": [0.5, 0.4]}, 1)


def test_the_help_names_every_pricing(walras: Walras) -> None:
    told = str(TrainConfig.__dataclass_fields__["pricing"].metadata["help"])
    assert all(name in told for name in (*PRICINGS, "none"))


def test_more_epochs_and_runs_take_longer(models: Path, glue: Path) -> None:
    def told(epochs: int, runs: int) -> float:
        config = TrainConfig(
            str(models / "bert"), "sst2", str(glue), device="cpu", batch_size=4, epochs=epochs, length=16
        )
        return hours([config] * runs, 1)

    one, long, many = told(1, 1), told(100, 1), told(1, 100)
    assert 0 < 10 * one < min(long, many)

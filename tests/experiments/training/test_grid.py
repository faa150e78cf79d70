"""Grids of training runs from the command line: labels, tables, the time told before, and going on after a kill."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from walras.errors import InputError
from walras.experiments.benchmarks.training import BASELINES, OURS, Study
from walras.experiments.cli.screen import TerminalConsole
from walras.experiments.cli.train import prices
from walras.experiments.grids.axes import Reference
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import GridResult, conclude
from walras.experiments.reports.grids.frontier_tables import print_grid
from walras.experiments.settings.fields import leaves
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.estimate import hours
from walras.experiments.training.grid import TrainCell, grid_of_trainings
from walras.market.pricing import PRICINGS

Walras = Callable[..., Any]
QUICK = ("--device", "cpu", "--batch-size", 4, "--held-out", 0, "--epochs", 2, "--block", 16, "--length", 16)


@pytest.fixture
def command(walras: Walras, models: Path, glue: Path, no_pictures: None) -> Walras:
    """`walras train` on the tiny encoder and a dozen sentences."""

    def run(*options: object) -> Any:
        return walras("train", "--model", models / "bert", "--task", "sst2", "--data", glue, *QUICK, *options)

    return run


@pytest.mark.nightly
def test_one_run(command: Walras) -> None:
    answer = command("--budget", 0.6, "--out", "r", "--json")
    assert (answer.code, answer.err) == (0, "")
    written = json.loads(Path("r/result.json").read_text())
    assert written.pop("files").keys() == {"allocation.safetensors", "evaluations.parquet", "steps.parquet"}
    assert written.pop("versions").keys() == {"walras", "torch", "transformers"}
    assert json.loads(answer.out) == written
    printed = command("--budget", 0.6, "--out", "r", "--overwrite")
    assert "accuracy, after" in printed.out
    assert "latency, 32 x 16" in printed.out


@pytest.mark.nightly
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


@pytest.mark.nightly
def test_several_tasks_with_taxes_and_recipes_end_in_fronts(command: Walras) -> None:
    """Twice the same command: the second time nothing waits, and the tables are the same."""
    options = ("--task", "sst2,stsb", "--price", "0.1:3:2", "--recipe", "magnitude", "--budget", 0.6, "--workers", 0)
    answer = command(*options, "--valuation", "fisher", "--repair", "none", "--out", "f")
    assert answer.code == 0, answer.err
    assert "6 run(s): about " in answer.err
    table = pd.read_csv("f/frontier.csv")
    assert table["task"].tolist() == ["sst2"] * 3 + ["stsb"] * 3
    assert table["recipe"].tolist() == ["tax 0.1", "tax 3", "magnitude"] * 2
    assert "stsb: " in answer.out
    assert "Pareto front of pearson and compute" in answer.out
    for name in ("report.html", "pareto-stsb.png", "claims.csv", "stsb/pareto.csv", "sst2/report.html"):
        assert (Path("f") / name).is_file()
    again = command(*options, "--valuation", "fisher", "--repair", "none", "--out", "f", "--json")
    assert "run(s)" not in again.err
    assert [row["task"] for row in json.loads(again.out)] == table["task"].tolist()
    assert pd.read_csv("f/frontier.csv").equals(table)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--task", "sst2,sts", "--price", 0.1), "unknown task 'sts'. Did you mean 'stsb'"),
        (("--task", "sst2,stsb,sst2", "--price", 0.1), "task sst2 is given twice"),
        (("--task", "sst2,,stsb", "--price", 0.1), "has an empty value"),
        (("--task", "sst2,stsb", "--price", 0.1, "--rise", "cosin"), "unknown rise 'cosin'. Did you mean 'cosine'"),
        (("--task", "sst2,stsb", "--price", 0.1, "--resume"), "leave --resume out"),
        (("--price", 0.1, "--recipe", "k-prun"), "unknown recipe 'k-prun'. Did you mean 'k-prune'"),
    ],
)
def test_families_that_cannot_be(command: Walras, options: tuple[object, ...], told: str) -> None:
    assert told in command(*options, "--out", "f").error
    assert list(Path().iterdir()) == []


def test_a_folder_of_something_else(command: Walras) -> None:
    Path("f").mkdir()
    Path("f/mine.txt").touch()
    told = command("--task", "sst2,stsb", "--price", 0.1, "--out", "f").error
    assert "holds 'mine.txt', which is no part of these tasks" in told


def test_options_of_one_run_and_of_a_grid(command: Walras) -> None:
    assert "--resume needs the folder of the run that is to go on: --out FOLDER" in command("--resume").error
    for option, told in (("--resume", "leave --resume out"), ("--overwrite", "choose another --out")):
        assert told in command("--budget", 0.6, "--budget", 0.5, "--out", "g", option).error
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(("seed", "told"), [("x", "'x'"), ("null", "None"), ("1.7", "1.7"), ("true", "True")])
def test_seeds_that_are_none(command: Walras, tmp_path: Path, seed: str, told: str) -> None:
    (tmp_path / "s.yaml").write_text(f"seed: {seed}\n", encoding="utf-8")
    assert command("--config", tmp_path / "s.yaml").error == f"seed is {told}; it must be of type int"


def finished(
    grid: Grid[TrainConfig], folder: GridFolder, value: Callable[[TrainCell], float]
) -> GridResult[TrainConfig]:
    """The tables of a grid whose cells came to these values; None of it is trained."""
    for cell in grid.cells:
        metric = {"name": "accuracy", "value": value(cell), "dense": 0.9, "higher_is_better": True}
        result = {
            "metric": metric, "scores": {}, "untrained_scores": None, "latency_ms": {}, "parameters": 60,
            "dense_parameters": 80, **dict.fromkeys(
                ("price", "expected", "used", "macs", "heads", "ffn", "held_out", "steps", "seconds"), 0
            ),
        }  # fmt: skip
        folder.write(f"cells/{cell.key}/config.yaml", cell.settings.as_yaml())
        folder.write(f"cells/{cell.key}/result.json", json.dumps(result))
    return conclude(grid, folder)


def test_a_study_compares_with_ours_over_the_budgets_that_both_have(tmp_path: Path) -> None:
    """Ours has a budget more; its values count in its own row, and not in the mean over all."""
    dense = {seed: Path("dense") for seed in (0, 1)}
    study = Study((0, 1), budgets=(0.8, 0.6, 0.4), baseline_budgets=(0.6, 0.4)).cells("sst2", "data", dense, {})
    grid = replace(study, cells=study.cells[::-1])  # the reference is not whoever comes first
    assert grid.cells[0]["recipe"] != OURS
    folder = GridFolder(tmp_path / "grid")
    found = finished(grid, folder, lambda cell: cell["budget"] + (0.1 if cell["recipe"] == OURS else 0.01 * cell.seed))
    statistics = found.statistics
    assert statistics is not None
    assert statistics.against == Reference("recipe", OURS)
    for recipe in BASELINES:
        overall = statistics.at(recipe, None)
        assert overall.value is not None
        assert overall.difference is not None
        assert (overall.value.count, overall.difference.count) == (2, 2)
        assert (overall.value.mean, overall.difference.mean) == pytest.approx((0.505, -0.095))
    ours = statistics.at(OURS, None).value
    assert ours is not None
    assert ours.mean == pytest.approx(0.6)
    assert "Not everything was run at 0.8, which the mean over all leaves out." in statistics.caution()
    table = pd.read_csv(folder.path / "frontier.csv")
    assert (table["dense_parameters"] == 80).all()
    assert table["sparsity"].to_numpy() == pytest.approx(0.25)


def test_a_study_begins_from_its_dense_runs_or_from_a_trained_model(tmp_path: Path) -> None:
    folder = GridFolder(tmp_path)
    for trained in (False, True):
        study = Study((0, 1), settings={"model": "decoder"}, trained=trained)
        dense = study.dense("sst2", "data", {})
        assert {cell.settings.economy.pricing for cell in dense.cells} == {"none"}
        starts = study.starts(dense, folder)
        places = [folder.place(cell) / "model" for cell in dense.cells]
        assert [starts[seed] for seed in (0, 1)] == ([Path("decoder")] * 2 if trained else places)
        cells = study.cells("sst2", "data", starts, {}).cells
        assert {(cell.seed, cell.settings.subject.model) for cell in cells} == {
            (seed, str(starts[seed])) for seed in (0, 1)
        }


def test_without_a_cell_of_the_reference_there_are_no_statistics(tmp_path: Path) -> None:
    grid = grid_of_trainings({"pricing": "none"}, {"budget": [0.5, 0.4]}, 1)
    found = finished(
        replace(grid, against=Reference("recipe", "ours")), GridFolder(tmp_path / "grid"), lambda cell: 0.5
    )
    assert found.statistics is None
    console = TerminalConsole(file=io.StringIO(), width=200)
    print_grid(console, found)
    assert "No statistics: ours has no finished cell to compare with" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert finished(grid, GridFolder(tmp_path / "grid"), lambda cell: 0.5).statistics is not None


@pytest.mark.nightly
def test_a_cell_that_was_cut_short_goes_on(command: Walras, monkeypatch: pytest.MonkeyPatch) -> None:
    from walras.experiments.training.loop.task_trainer import TaskTrainer

    options = ("--budget", 0.6, "--budget", 0.5, "--save-every", 1, "--workers", 0)
    assert command(*options, "--out", "whole").code == 0
    step = TaskTrainer.training_step
    begun: list[TaskTrainer] = []

    def killed(self: TaskTrainer, *given: Any, **more: Any) -> Any:
        begun.extend([self] if self not in begun else [])
        if self.state.global_step == 4 and len(begun) == 2:
            raise KeyboardInterrupt
        return step(self, *given, **more)

    monkeypatch.setattr(TaskTrainer, "training_step", killed)
    assert command(*options, "--out", "cut").code == 130
    assert pd.read_csv("cut/frontier.csv")["budget"].tolist() == [0.6]  # what has finished can be read
    monkeypatch.setattr(TaskTrainer, "training_step", step)
    assert command(*options, "--out", "cut").code == 0
    timed = ["latency_ms_1", "latency_ms_32", "latency_share_1", "latency_share_32", "seconds"]
    whole, cut = (pd.read_csv(f"{name}/frontier.csv").drop(columns=timed) for name in ("whole", "cut"))
    pd.testing.assert_frame_equal(whole, cut)


@pytest.mark.nightly
def test_a_cell_that_fails_is_told_and_the_rest_goes_on(command: Walras, monkeypatch: pytest.MonkeyPatch) -> None:
    from walras.experiments.training.loop.task_trainer import TaskTrainer

    step = TaskTrainer.training_step
    begun: list[TaskTrainer] = []

    def failing(self: TaskTrainer, *given: Any, **more: Any) -> Any:
        begun.extend([self] if self not in begun else [])
        if len(begun) == 2:
            raise RuntimeError("out of memory")
        return step(self, *given, **more)

    monkeypatch.setattr(TaskTrainer, "training_step", failing)
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
    grid = grid_of_trainings({"pricing": "tax", "seed": 3}, {"price": [0.1, 0.2]}, 2)
    assert [(c["recipe"], c.seed) for c in grid.cells] == [
        ("tax 0.1", 3),
        ("tax 0.1", 4),
        ("tax 0.2", 3),
        ("tax 0.2", 4),
    ]
    assert len({c.key for c in grid.cells}) == 4
    with pytest.raises(InputError, match=r"budget 0\.5 is given twice"):
        grid_of_trainings({}, {"budget": [0.5, 0.5]}, 1)
    with pytest.raises(InputError, match="unknown pricing 'none of these'"):
        grid_of_trainings({"pricing": "none of these"}, {"budget": [0.5, 0.4]}, 1)


def test_any_setting_may_vary() -> None:
    grid = grid_of_trainings({}, {"epochs": ["1", "3"], "recipe": ["magnitude", "random"]}, 1, "epochs=3")
    assert grid.axes == {"recipe": ("magnitude", "random"), "epochs": (1, 3), "budget": (0.5,)}
    assert grid.against == Reference("epochs", 3)
    assert [cell.settings.optimiser.epochs for cell in grid.cells] == [1, 1, 3, 3]
    with pytest.raises(InputError, match=r"unknown axis 'epoch'\. Did you mean 'epochs'"):
        grid_of_trainings({}, {"epoch": [1]}, 1)


def test_the_help_names_every_pricing(walras: Walras) -> None:
    told = str(leaves(TrainConfig)["pricing"].field.metadata["help"])
    assert all(name in told for name in (*PRICINGS, "none"))


def test_more_epochs_and_runs_take_longer(models: Path, glue: Path) -> None:
    def told(epochs: int, runs: int) -> float:
        network = {"model": str(models / "bert"), "task": "sst2", "data": str(glue), "length": 16}
        config = TrainConfig.parse({**network, "device": "cpu", "batch_size": 4, "epochs": epochs})
        return hours([config] * runs, 1)

    one, long, many = told(1, 1), told(100, 1), told(1, 100)
    assert 0 < 10 * one < min(long, many)

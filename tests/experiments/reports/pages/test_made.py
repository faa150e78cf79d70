"""Commands by which reports are made again: read back, they are the same settings."""

import shlex
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.cli.grids.compare import axes_of
from walras.experiments.designs.of_runs import designed_runs
from walras.experiments.grids.axes import read_vary
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runs import RunExperiment
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.reports.pages.made import command_of, read_back, sweep_command_of
from walras.experiments.spec import RunSpec
from walras.experiments.training.config import TrainConfig
from walras.mechanisms import ShadowPrice

RUNS: tuple[dict[str, Any], ...] = (
    {}, {"budget": 0.4}, {"budget": "latency=0.6"}, {"budget": {"macs": 0.5, "parameters": 0.75}},
    {"recipe": "none", "rounds": 7, "mechanism": "PostedPrice:price=0.002"}, {"recipe": "k-prune"},
    {"recipe": None, "units": ["head"], "reentry": True, "endowment": 1e-8, "label_free": True},
    {"model": "a b's $HOME; rm -rf", "data": "ä/ö `x`", "shock": "disable:L3.H7+L0.F2@2", "trust_remote_code": True},
    {"strategy": "truthful=0.8,shading=0.2", "phases": []}, {"probes": 0, "seed": 3, "repair": "none"},
)  # fmt: skip


@pytest.mark.parametrize("given", RUNS, ids=str)
def test_a_run(given: dict[str, Any]) -> None:
    spec = RunSpec.parse(given)
    walras, command, *words = shlex.split(command_of(spec))
    assert (walras, command) == ("walras", "run")
    assert RunSpec.parse(read_back(words, RunSpec)) == spec
    assert "\n" not in command_of(spec)


def test_only_what_is_not_the_default_is_told() -> None:
    assert command_of(RunSpec.parse({})) == "walras run"
    assert (
        command_of(RunSpec.parse({"budget": 0.4}), "--measure-latency") == "walras run --budget 0.4 --measure-latency"
    )


def test_objects_have_no_line() -> None:
    class Own(ShadowPrice):  # type: ignore[misc]  # final; a user may not know
        """Of the user's own."""

    assert command_of(RunSpec.parse({"mechanism": ShadowPrice()})).startswith("walras run")
    try:
        spec = RunSpec.parse({"mechanism": Own()})
    except InputError:
        return
    assert command_of(spec) == ""


@pytest.mark.parametrize(
    "given", [{}, {"budget": 0.7, "epochs": 2, "pricing": "tax", "price": 0.01}, {"recipe": "michel"}]
)
def test_a_training_run(given: dict[str, Any]) -> None:
    config = TrainConfig.parse(given)
    words = shlex.split(command_of(config))
    assert words[:2] == ["walras", "train"]
    assert TrainConfig.parse(read_back(words[2:], TrainConfig)) == config


@pytest.mark.parametrize(
    "given", [{}, {"budgets": [8, 4], "controls": [], "constrain": ["0,1", "all"], "eliminate": False}]
)
def test_an_observation(given: dict[str, Any]) -> None:
    config = ObserveConfig.parse(given)
    words = shlex.split(command_of(config))
    assert words[:2] == ["walras", "observe"]
    assert ObserveConfig.parse(read_back(words[2:], ObserveConfig)).tree == config.tree


class Unchecked(RunExperiment):  # type: ignore[misc]  # final
    """Runs whose data and networks are not looked for."""

    def check(self, settings: Any) -> None:
        """Nothing is looked for."""


def test_a_sweep() -> None:
    axes: dict[str, list[Any]] = {"mechanism": ["ShadowPrice", "UniformPriceAuction"], "rounds": [1, 2],
            "budget": [0.75, 0.5]}  # fmt: skip
    base = {"recipe": "none", "model": "x y", "sentences": 12, "reentry": True}
    grid = Grid.from_axes(Unchecked(), base, axes, 2, "rounds=2")
    walras, command, *words = shlex.split(sweep_command_of(grid))
    assert (walras, command) == ("walras", "compare")
    of = {word: [words[i + 1] for i, w in enumerate(words) if w == word] for word in ("--vary", "--budget", "--seeds")}
    assert of["--seeds"] == ["2"]
    assert words[words.index("--against") + 1] == "rounds=2"
    assert "--reentry" in words
    varied = axes_of({"budget": of["--budget"]}, read_vary(of["--vary"]))
    again = Grid.from_axes(Unchecked(), {**base, "sentences": "12"}, varied, 2, "rounds=2")
    assert {cell.key: dict(cell.labels) for cell in again.cells} == {c.key: dict(c.labels) for c in grid.cells}


def test_a_grid_of_something_else_has_no_line() -> None:
    grid = Grid.from_axes(Unchecked(), {"recipe": "none"}, {"mechanism": [ShadowPrice()], "budget": [0.5, 0.4]}, 1)
    assert sweep_command_of(grid).startswith("walras compare --recipe none --vary mechanism=ShadowPrice")


def test_the_command_of_a_design_has_its_ranges_and_what_is_the_same_in_all_points() -> None:
    axes: dict[str, list[Any]] = {
        "recipe": ["none"], "budget": ["0.4..0.9"], "mechanism": ["ShadowPrice", "UniformPriceAuction"],
        "block": ["16"],
    }  # fmt: skip
    grid = designed_runs("halton:n=3", axes, 1, {"rounds": 2}, None, 100)
    walras, command, *words = shlex.split(sweep_command_of(grid))
    assert (walras, command) == ("walras", "compare")
    assert words[words.index("--design") + 1] == "halton:n=3"
    at = words.index("--design")
    given = read_back(words[:at], RunSpec)
    recipe = given.pop("recipe")
    assert recipe == "none"
    varied = [words[i + 1] for i, word in enumerate(words) if word == "--vary"]
    assert "budget=0.4..0.9" in varied
    again = designed_runs("halton:n=3", axes_of({"recipe": [recipe]}, read_vary(varied)), 1, given, None, 100)
    assert [cell.key for cell in again.cells] == [cell.key for cell in grid.cells]

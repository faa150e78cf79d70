"""The command line, a file of settings, names and objects in Python, and a cell of a grid: one path, the same run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import walras as package
from walras.agents import Fisher, Hedge
from walras.experiments.tasks import TASKS
from walras.market.schedule import Linear
from walras.mechanisms import PostedPrice
from walras.models.loading import load
from walras.models.repair.scales import Scales

Walras = Callable[..., Any]
SIZES: dict[str, Any] = {"sentences": 16, "length": 16, "batch_size": 8, "block": 16, "seed": 3, "budget": 0.6}
NAMED: dict[str, Any] = {
    "recipe": "none", "mechanism": "posted-price:price=0.0001", "valuation": "Fisher", "strategy": "HEDGE:rate=.2",
    "schedule": "linear", "rounds": 3, "repair": "scales",
}  # fmt: skip
OBJECTS: dict[str, Any] = {
    **NAMED, "mechanism": PostedPrice(0.0001), "valuation": Fisher(), "strategy": Hedge(rate=0.2), "schedule": Linear(),
    "repair": Scales(),
}  # fmt: skip


def left(run: Path) -> tuple[list[bytes], dict[str, Any]]:
    """The bytes of a run's trace, and its result but for seconds and the network's place."""
    parts = [part.read_bytes() for part in sorted((run / "trace").iterdir())]
    result = json.loads((run / "result.json").read_text())
    return parts, {**result, "seconds": 0, "model": ""}


def options(settings: dict[str, Any]) -> list[object]:
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value)]


CASES = [
    pytest.param(NAMED, id="plain"),
    pytest.param({"recipe": "kwon"}, id="kwon", marks=pytest.mark.nightly),
    pytest.param({"recipe": "walras"}, id="walras", marks=pytest.mark.nightly),
]


@pytest.mark.nightly
@pytest.mark.parametrize("settings", CASES)
def test_the_same_settings_give_the_same_run(
    settings: dict[str, Any], walras: Walras, models: Path, no_pictures: None
) -> None:
    given, model = {**SIZES, **settings}, str(models / "bert")
    answer = walras("run", "--model", model, *options(given), "--out", "cli")
    assert answer.code == 0, answer.err
    again = walras("run", "--config", "cli/config.yaml", "--out", "yaml")
    assert again.code == 0, again.err
    package.run(model, out="names", **given)
    network, tokenizer = load(model, device="cpu")
    objects = {**given, **(OBJECTS if settings is NAMED else {})}
    package.run(network, tokenizer, TASKS.make("pairs"), out="objects", **objects)

    first = left(Path("cli"))
    assert len(first[0]) >= 1
    for other in ("yaml", "names", "objects"):
        assert left(Path(other)) == first, other
    assert Path("yaml/config.yaml").read_bytes() == Path("cli/config.yaml").read_bytes()
    assert Path("names/config.yaml").read_bytes() == Path("cli/config.yaml").read_bytes()
    for name in ("allocation.safetensors", "rounds.parquet"):
        assert Path("objects", name).read_bytes() == Path("cli", name).read_bytes()


@pytest.mark.nightly
def test_a_cell_of_a_grid_is_the_same_run(walras: Walras, models: Path, no_pictures: None) -> None:
    given = {**SIZES, "seed": 0, "recipe": "kwon"}
    line = ("--model", models / "bert", *options({k: v for k, v in given.items() if k != "seed"}))
    assert walras("run", *line, "--out", "alone").code == 0
    answer = walras("compare", *line, "--seeds", 1, "--workers", 0, "--out", "grid")
    assert answer.code == 0, answer.err
    (cell,) = Path("grid/cells").iterdir()
    assert left(cell) == left(Path("alone"))


def test_the_metric_is_that_of_the_sliced_network(models: Path, lines: Path) -> None:
    """Gates alone would not tell: a function of the user's sees the network without the units that left."""
    network, tokenizer = load(str(models / "bert"), device="cpu")
    seen: list[int] = []

    def count(model: Any) -> float:
        seen.append(sum(p.numel() for p in model.parameters()))
        return float(seen[-1])

    texts = lines.read_text().splitlines()
    outcome = package.run(network, tokenizer, texts, recipe="random", evaluate=count, length=16)
    assert outcome.metric.dense == seen[0] == outcome.summary.dense_parameters
    assert outcome.metric.value == seen[1] == outcome.summary.parameters < seen[0]

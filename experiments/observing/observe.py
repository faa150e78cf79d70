"""The main job: a sweep of scarce attention over one model and one task, from settings to a folder."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import pandas as pd

from walras.experiments.executors import ExecutorSource
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.observing.examples import TOKENS, ExampleHead, examples
from walras.experiments.observing.folder import EVALUATIONS, OBSERVATION
from walras.experiments.observing.inactive import warnings
from walras.experiments.observing.layers import constrained_layers
from walras.experiments.observing.network import ObservedNetwork, load_observed
from walras.experiments.observing.reports.report import write_report
from walras.experiments.observing.reports.tables import layer_table, observation_table, shown
from walras.experiments.observing.rules import rules_at_budget
from walras.experiments.observing.sweep import Observation, grid_of_evaluations, observations
from walras.experiments.progress import Progress, Silent
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.run_folder import write_table
from walras.experiments.subjects.data import TaskData
from walras.models.attention.token_elimination import can_eliminate


@final
@dataclass(frozen=True)
class ObserveSummary:
    """The figures of an observation, as `result.json` has them."""

    rule: str
    unit: str  # of the budgets
    budgets: Sequence[float]
    task: str
    model: str
    seed: int
    length: int
    limit: int | None  # rows that were evaluated on, at most
    constrain: Mapping[str, Sequence[int]]  # layers by pattern
    controls: Sequence[str]
    layers: int
    sequences: int  # that were evaluated on
    most_keys: int  # that a query has
    metric: Mapping[str, Any]  # name, its value for the dense network, direction
    protocol: Mapping[str, Any]  # how the metric is measured
    examples_at: Mapping[str, Any]  # pattern and budget at which heads are shown
    warnings: Sequence[str]
    rows: Sequence[Mapping[str, Any]]  # main columns of the table
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@final
@dataclass(frozen=True)
class ObserveResult:
    """What an observation came to.

    Attributes:
        table: one row per setting and control.
        layers: one row per layer of each.
        examples: weights of a few heads.
        warnings: budgets that took nothing away, one sentence each.
        summary: the figures, as `result.json` has them.
    """

    table: pd.DataFrame
    layers: pd.DataFrame
    examples: Sequence[ExampleHead]
    warnings: tuple[str, ...]
    summary: ObserveSummary


def observe(
    config: ObserveConfig | Mapping[str, Any],
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    *,
    resume: bool = False,
    executor: Executor | ExecutorSource | str | None = "serial",
) -> ObserveResult:
    """Sweep budgets and controls; write the folder `out` where one is given.

    With `resume` evaluations that the folder holds of an interrupted sweep with the same settings are not run again.
    They run on the `executor`, by default one after the other in this process.

    Raises:
        InputError: bad settings or data, before a network is loaded or a file written; a layer that the network has
            not, before it is run.
    """
    config = config if isinstance(config, ObserveConfig) else ObserveConfig.parse(config)
    progress = progress or Silent()
    folder = None if out is None else ResultFolder(out, OBSERVATION, config, overwrite=overwrite, resume=resume)
    if folder is None:
        with TemporaryDirectory() as place:
            return _observed(config, lambda: Path(place), progress, executor)
    with folder.held():
        result = _observed(config, partial(_begun, folder), progress, executor)
        write_table(folder.path / "observe.parquet", result.table)
        write_table(folder.path / "layers.parquet", result.layers)
        write_report(folder.path, result.table, result.examples, result.summary.as_dict(), config)
        folder.finish(result.summary.as_dict(), without=EVALUATIONS)
    return result


def _begun(folder: ResultFolder) -> Path:
    """Where evaluations go."""
    folder.begin()
    return folder.path / EVALUATIONS


def _observed(
    config: ObserveConfig, place: Callable[[], Path], progress: Progress,
    executor: Executor | ExecutorSource | str | None,
) -> ObserveResult:  # fmt: skip
    """All evaluations; the folder in which they are kept is asked for once the network is loaded."""
    started = time.monotonic()
    step = progress.add_task("Loading the model", total=1)
    network = load_observed(config)
    progress.update(step, completed=1)
    patterns = {pattern: constrained_layers(pattern, network.layers) for pattern in config.scarcity.constrain}
    grid = grid_of_evaluations(config, can_eliminate(network.model))
    found = observations(grid, GridFolder(place()), patterns, executor, progress)
    pattern, layers = next(iter(patterns.items()))
    budget, data = pictured_budget(config), network.subject.data
    assert isinstance(data, TaskData)
    task = data.task
    made = rules_at_budget(config.scarcity.made, budget, network.model, network.batches, layers, network.layers)
    pictured = examples(network.model, network.subject.tokenizer, task, made.rules, layers[-1], network.subject.length)
    table, warned = observation_table(found, task.metric), tuple(warnings(found, config.scarcity.made))
    summary = replace(
        _summary(config, network, patterns, found), examples_at={"constrain": pattern, "budget": budget},
        warnings=[*warned], rows=shown(table), seconds=round(time.monotonic() - started, 2),
    )  # fmt: skip
    return ObserveResult(table, layer_table(found), pictured, warned, summary)


def _summary(
    config: ObserveConfig, network: ObservedNetwork, patterns: Mapping[str, tuple[int, ...]],
    found: Sequence[Observation],
) -> ObserveSummary:  # fmt: skip
    """What does not take the table."""
    subject, first = network.subject, found[0]
    scarcity, data = config.scarcity, subject.data
    return ObserveSummary(
        rule=scarcity.rule_text, unit=scarcity.made.unit, budgets=[*scarcity.budgets], task=data.name,
        model=config.subject.model, seed=config.seed, length=subject.length, limit=config.limit,
        constrain={name: [*layers] for name, layers in patterns.items()}, controls=[*scarcity.controls],
        layers=network.layers, sequences=first.tally.sequences, most_keys=first.tally.most_keys,
        metric={"name": data.metric, "dense": first.dense, "higher_is_better": data.higher_is_better},
        protocol=data.protocol(), examples_at={}, warnings=[], rows=[], seconds=0.0,
    )  # fmt: skip


def pictured_budget(config: ObserveConfig) -> float:
    """The budget at which heads are shown: about a quarter of the keys of a sentence; of other things, a middle one."""
    budgets = sorted(config.scarcity.budgets)
    if config.scarcity.made.counts_keys:
        return min(budgets, key=lambda budget: abs(budget - TOKENS / 4))
    return budgets[len(budgets) // 2]

"""The main job: a sweep of scarce attention over one model and one task, from settings to a folder."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from walras.experiments.floor import check_length
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.observing.evaluations import Evaluations
from walras.experiments.observing.examples import TOKENS, Shown, examples
from walras.experiments.observing.folder import ObserveFolder
from walras.experiments.observing.inactive import warnings
from walras.experiments.observing.report import write_report
from walras.experiments.observing.rules import ruled
from walras.experiments.observing.sweep import Observation, Subject, Sweep
from walras.experiments.observing.tables import layer_table, observation_table, shown
from walras.experiments.run import Progress, Silent, find_task
from walras.experiments.store.run_folder import write_table
from walras.models.loading import load


@final
@dataclass(frozen=True)
class Observed:
    """What an observation came to."""

    table: pd.DataFrame  # a row a setting and control
    layers: pd.DataFrame  # a row a layer of each
    examples: Sequence[Shown]
    warnings: tuple[str, ...]
    summary: dict[str, Any]  # what result.json holds


def observe(
    config: ObserveConfig,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    *,
    resume: bool = False,
) -> Observed:
    """Sweep budgets and controls; write the folder `out` where one is given.

    With `resume` evaluations that the folder holds of an interrupted sweep with the same settings are not run again.

    Raises:
        InputError: bad settings or data, before a network is loaded or a file written; a layer that the network has
            not, before it is run.
    """
    started = time.monotonic()
    progress = progress or Silent()
    folder = None if out is None else ObserveFolder(out, config.as_yaml(), overwrite, resume)
    task = find_task(config.task, config.data)
    task.check(config.length)
    task = task if config.limit is None else task.first(config.limit)
    step = progress.add_task("Loading the model", total=None)
    model, tokenizer = load(config.model, task.head, device=config.device, trust_remote_code=config.trust_remote_code)
    check_length(model, config.length)
    sizes = {"batch_size": config.batch_size, "length": config.length}
    batches = task.calibration(tokenizer, sentences=config.sentences, seed=config.seed, **sizes)
    sweep = Sweep(config, Subject(model, tokenizer, task, **sizes), batches, Evaluations(folder))
    progress.update(step, completed=1, description=f"{config.model} on {task.name}")
    bar = progress.add_task("Unconstrained", total=len(sweep))
    found: list[Observation] = []
    for observations in sweep:
        found += observations
        last = observations[-1]
        told = f"{last.rule} {last.budget:g}, {last.control}" if math.isfinite(last.budget) else last.control
        progress.update(bar, advance=1, description=f"{told}: {task.metric} {last.value:.3f}")
    pattern, layers = next(iter(sweep.patterns.items()))
    budget = pictured_budget(config)
    rules = ruled(config.rule, budget, model, batches, layers, sweep.subject.layers).rules
    pictured = examples(model, tokenizer, task, rules, layers[-1], config.length)
    table, warned = observation_table(found, task.metric), tuple(warnings(found))
    summary: dict[str, Any] = {
        "rule": config.rule, "unit": config.scarce.unit, "budgets": [*config.budgets], "task": task.name,
        "model": config.model, "seed": config.seed, "length": config.length, "limit": config.limit,
        "constrain": {name: [*layers] for name, layers in sweep.patterns.items()}, "controls": [*config.controls],
        "layers": sweep.subject.layers, "sequences": found[0].tally.sequences, "most_keys": found[0].tally.most_keys,
        "metric": {"name": task.metric, "dense": found[0].dense, "higher_is_better": task.higher_is_better},
        "protocol": task.protocol(tokenizer, config.length), "examples_at": {"constrain": pattern, "budget": budget},
        "warnings": [*warned], "rows": shown(table), "seconds": round(time.monotonic() - started, 2),
    }  # fmt: skip
    result = Observed(table, layer_table(found), pictured, warned, summary)
    if folder is not None:
        write_table(folder.path / "observe.parquet", result.table)
        write_table(folder.path / "layers.parquet", result.layers)
        write_report(folder, result.table, result.examples, result.summary)
        folder.write_result(result.summary)
    return result


def pictured_budget(config: ObserveConfig) -> float:
    """The budget at which heads are shown: about a quarter of the keys of a sentence; of other things, a middle one."""
    budgets = sorted(config.budgets)
    if config.scarce.counts_keys:
        return min(budgets, key=lambda budget: abs(budget - TOKENS / 4))
    return budgets[len(budgets) // 2]

"""How long recipes take, and how many passes over the calibration data that is.

    python -m walras.experiments.benchmarks.speed.recipe_time --task stsb --data GLUE --recipe walras --recipe kwon

A row per recipe: seconds of the whole `walras run` but for loading libraries (the network and data, dense metric,
market, repair, metric of the small model, report), seconds of the market and its repairs alone, and these as a multiple
of one forward and backward pass over the calibration batches, measured before and after it; the shorter one counts.
A row that is in the file of rows is not measured again. Recipes that a network has no units for are told and left out.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer

from walras.agents import Calibration, Fisher
from walras.errors import InputError, WalrasError
from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.cli.screen import fail, output, progress_bar
from walras.experiments.pipeline import run_plan
from walras.experiments.plan import Plan
from walras.experiments.progress import Progress, say
from walras.experiments.recipes import RECIPES
from walras.experiments.spec import MACS, RunSpec
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.run_folder import RUN
from walras.experiments.subjects.subject import Subject
from walras.experiments.unit_costs import UnitCosts
from walras.files.writing import write_whole

KEY = ("recipe", "model", "task", "budget", "threads")
COLUMNS = [*KEY, "whole_s", "run_s", "pass_s", "passes", "value", "dense"]


def main(
    recipe: Annotated[list[str] | None, typer.Option(help="Recipes by name. [default: all]")] = None,
    model: Annotated[str | None, typer.Option(help="Network. [default: that of walras run]")] = None,
    task: Annotated[str, typer.Option(help="Task by name.")] = "pairs",
    data: Annotated[str | None, typer.Option(help="Folder with the task's data.")] = None,
    budget: Annotated[float, typer.Option(help="Share of the dense model's compute.")] = 0.5,
    length: Annotated[int | None, typer.Option(help="Tokens of a sequence.")] = None,
    sentences: Annotated[int | None, typer.Option(help="Sentences to value units on.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Of batches.")] = None,
    out: Annotated[Path, typer.Option(help="CSV file to write, and NAME_cells.jsonl.")] = Path("runs/recipe_time.csv"),
) -> None:
    """Measure what is missing, print the table, write it as CSV after every row."""
    given = {"model": model, "task": task, "data": data, "budget": budget, "length": length, "sentences": sentences,
             "batch_size": batch_size}  # fmt: skip
    settings = {name: value for name, value in given.items() if value is not None}
    file = out.with_name(f"{out.stem}_cells.jsonl")
    try:
        specs = [RunSpec.parse({**settings, "recipe": name}) for name in recipe or RECIPES]  # before anything is run
        rows = read_rows(file)
        with progress_bar() as progress:
            for spec in specs:
                key = key_of(spec)
                if any(key.items() <= row.items() for row in rows):
                    continue
                try:
                    rows.append({**key, **measure(spec, progress)})
                except InputError as error:
                    say(progress, f"{key['recipe']} is left out: {error}")
                    continue
                write_rows(file, rows)
                write_whole(out, table(rows).to_csv(index=False, float_format="%.5g"))
    except WalrasError as error:
        fail(error)
    output().print(table(rows).to_string(index=False))


def key_of(spec: RunSpec) -> dict[str, Any]:
    """What tells a row from others."""
    found = (spec.recipe, spec.subject.model, spec.subject.task, spec.market.budget[MACS], torch.get_num_threads())
    return dict(zip(KEY, found, strict=True))


def table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A line a row."""
    return pd.DataFrame(rows, columns=COLUMNS)


def measure(spec: RunSpec, progress: Progress) -> dict[str, float]:
    """The figures of one row.

    Raises:
        InputError: the recipe does not suit the network or the task.
    """
    begun = time.perf_counter()
    plan = Plan.from_spec(spec)
    subject = Subject.load(plan.spec.subject, progress)
    loaded = time.perf_counter() - begun
    before = one_pass(plan, subject)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        metric = run_plan(plan, subject, ResultFolder(Path(folder) / "run", RUN, plan.spec), progress).metric
    took = time.perf_counter() - begun
    single = min(before, one_pass(plan, subject))
    return {"whole_s": loaded + took, "run_s": took, "pass_s": single, "passes": took / single,
            "value": metric.value, "dense": metric.dense}  # fmt: skip


def one_pass(plan: Plan, subject: Subject) -> float:
    """Seconds of a forward and backward pass over the calibration batches: of all units' Fisher values."""
    market, costs = plan.spec.market, UnitCosts.measure(subject, plan)
    batches = subject.data.batches(market.sentences, plan.spec.seed)
    objective = subject.data.objective(subject.model, market.label_free)
    calibration = Calibration(subject.model, costs.units, objective, batches, costs.macs.share)
    everyone = torch.ones(len(costs.units), device=next(subject.model.parameters()).device)
    begun = time.perf_counter()
    Fisher()(calibration, everyone, torch.Generator())
    return time.perf_counter() - begun


if __name__ == "__main__":
    typer.run(main)

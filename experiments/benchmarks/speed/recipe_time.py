"""How long recipes take, and how many passes over the calibration data that is.

    python -m walras.experiments.benchmarks.speed.recipe_time walras k-prune --task stsb --data GLUE_FOLDER

A row per recipe: seconds of the whole `walras run` but for loading libraries (the network and data, dense metric,
market, repair, metric of the small model, report), seconds of the market and its repairs alone, and these as a multiple
of one forward and backward pass over the calibration batches, measured before and after it; the shorter one counts.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer

from walras.agents import Calibration, Fisher
from walras.errors import WalrasError
from walras.experiments.cli.screen import fail, output
from walras.experiments.pipeline import run_plan
from walras.experiments.plan import Plan
from walras.experiments.spec import RunSpec
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.run_folder import RUN
from walras.experiments.subjects.subject import Subject
from walras.experiments.unit_costs import UnitCosts

COLUMNS = ["recipe", "budget", "threads", "whole_s", "run_s", "pass_s", "passes", "value", "dense"]


def main(
    recipes: Annotated[list[str], typer.Argument(help="Recipes by name.")],
    task: Annotated[str, typer.Option(help="Task by name.")] = "pairs",
    data: Annotated[str | None, typer.Option(help="Folder with the task's data.")] = None,
    budget: Annotated[float, typer.Option(help="Share of the dense model's compute.")] = 0.5,
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("runs/recipe_time.csv"),
) -> None:
    """Measure, print the table, write it as CSV."""
    try:
        rows = [measure(recipe, task, data, budget) for recipe in recipes]
    except WalrasError as error:
        fail(error)
    table = pd.DataFrame(rows, columns=COLUMNS)
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(out, index=False, float_format="%.5g")
    output().print(table.to_string(index=False))


def measure(recipe: str, task: str, data: str | None, budget: float) -> list[object]:
    """One row of the table."""
    begun = time.perf_counter()
    plan = Plan.from_spec(RunSpec.parse({"recipe": recipe, "task": task, "data": data, "budget": budget}))
    subject = Subject.load(plan.spec.subject)
    loaded = time.perf_counter() - begun
    before = one_pass(plan, subject)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        metric = run_plan(plan, subject, ResultFolder(Path(folder) / "run", RUN, plan.spec)).metric
    took = time.perf_counter() - begun
    single = min(before, one_pass(plan, subject))
    threads = torch.get_num_threads()
    return [recipe, budget, threads, loaded + took, took, single, took / single, metric.value, metric.dense]


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

"""How a price is best paid in a training: one choice at a time against the default, judged on held-out training rows.

    python -P -m walras.experiments.benchmarks.training_choices --data GLUE_FOLDER --task cola

All begin from the dense models of the benchmark `training`, whose folder `--dense` names, and which are trained there
where they are not yet. The split that tables report is not looked at: what is compared is the metric on the training
rows that were held out, by which the weights of each training were chosen too. Two recipes with the same epochs stand
beside the choices. Written to the folder: training_choices_cells.jsonl (a row a training) and training_choices.csv
(means over seeds, and paired differences to the default). A training whose row is there is not run again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer

from walras.errors import UnknownNameError, WalrasError
from walras.experiments.benchmarks.kept_rows import read_rows
from walras.experiments.benchmarks.kept_trainings import measure
from walras.experiments.benchmarks.training import STUDIES
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.executors.processes import Processes
from walras.experiments.grids.runner import run_grid
from walras.experiments.grids.statistics import Interval
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.train import TrainResult
from walras.files.writing import write_whole

DEFAULT = "default"
CHOICES: Mapping[str, Mapping[str, Any]] = {
    DEFAULT: {},
    "rates anew once settled": {"rewind": True},
    "priced in a tenth": {"priced": 0.1},
    "priced in half": {"priced": 0.5},
    "one clearing": {"rounds": 1},
    "two clearings": {"rounds": 2},
    "values by labels": {"label_free": False},
    "predictions distilled": {"distil": 1.0},
    "states distilled": {"distil_states": 1.0},
    "a tenth, rates anew": {"priced": 0.1, "rewind": True},
    "states distilled, rates anew": {"distil_states": 1.0, "rewind": True},
    "kwon": {"recipe": "kwon"},
    "k-prune": {"recipe": "k-prune"},
}


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    task: Annotated[str, typer.Option(help="One of the tasks of the benchmark `training`.")] = "stsb",
    budget: Annotated[float, typer.Option(help="Share of the dense model's compute.", min=0.0, max=1.0)] = 0.4,
    out: Annotated[Path, typer.Option(help="Folder of the rows and the table.")] = Path("runs/training-choices"),
    dense: Annotated[Path, typer.Option(help="Folder of the benchmark `training`.")] = Path("runs/training"),
    seeds: Annotated[list[int] | None, typer.Option(help="Seeds, one after the other. [default: 0, 1, 2]")] = None,
    choice: Annotated[list[str] | None, typer.Option(help="Choices by name. [default: all]")] = None,
    model: Annotated[str | None, typer.Option(help="Model of the dense runs. [default: the study's]")] = None,
    limit: Annotated[int | None, typer.Option(help="Training rows at most. [default: the study's]", min=2)] = None,
    epochs: Annotated[int, typer.Option(help="Passes over them under a price.", min=1)] = 3,
) -> None:
    """Train what has no row yet; write and print the table."""
    with ended_in_words():
        if task not in STUDIES or STUDIES[task].trained:
            raise UnknownNameError("study", task, [name for name, study in STUDIES.items() if not study.trained])
        if unknown := set(choice or ()) - set(CHOICES):
            raise UnknownNameError("choice", min(unknown), CHOICES)
        more = {name: value for name, value in (("model", model), ("limit", limit)) if value is not None}
        study = replace(STUDIES[task], seeds=tuple(seeds or (0, 1, 2)))
        with progress_bar() as progress:
            grid, folder = study.dense(task, data, more), GridFolder(dense / f"{task}-dense")
            if run_grid(grid, folder, Processes(1), progress).failed:
                raise WalrasError("a dense model could not be trained")
            common = {"task": task, "data": data, **study.settings, **more, "budget": budget, "epochs": epochs}
            designs = [
                designed(name, seed, {**common, "seed": seed, "model": str(start)}, model)
                for seed, start in study.starts(grid, folder).items()
                for name in choice or CHOICES
            ]
            rows = measure(designs, figures, out / "training_choices_cells.jsonl", progress)
        table = compared(read_rows(out / "training_choices_cells.jsonl"))
        write_whole(out / "training_choices.csv", table.to_csv(index=False, float_format="%.6g"))
        output().print(compared(rows).to_string(index=False))


def designed(
    name: str, seed: int, settings: Mapping[str, Any], model: str | None
) -> tuple[dict[str, Any], TrainConfig]:
    """A training by a choice, and what tells it from all others."""
    config = TrainConfig.parse({**settings, **CHOICES[name]})
    told = {"choice": name, "task": config.subject.task, "budget": config.budget, "seed": seed}
    return {**told, "epochs": config.optimiser.epochs, "limit": config.rows.limit, "begun": model}, config


def figures(result: TrainResult) -> dict[str, Any]:
    """Quality on the training rows that were held out; nothing of the split that tables report."""
    summary = result.summary
    return {"held_out": summary.held_out, "used": summary.used, "steps": summary.steps, "seconds": summary.seconds}


def compared(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """By task, budget and choice: means over seeds, and differences to the default with the same seed (95 %)."""
    found = []
    table = pd.DataFrame(rows)
    for (task, budget, choice), own in table.groupby(["task", "budget", "choice"], sort=False):
        others = table[(table["task"] == task) & (table["budget"] == budget) & (table["choice"] == DEFAULT)]
        pairs = own.merge(others, on=["seed", "epochs", "limit", "begun"], suffixes=("", "_default"))
        apart = Interval.from_sample(pairs["held_out"] - pairs["held_out_default"])
        found.append({
            "task": task, "budget": budget, "choice": choice, "seeds": len(own), "held_out": own["held_out"].mean(),
            "used": own["used"].mean(), "pairs": len(pairs), "difference": None if apart is None else apart.mean,
            "low": None if apart is None else apart.low, "high": None if apart is None else apart.high,
        })  # fmt: skip
    return pd.DataFrame(found)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the same rounding on every machine of a kind
    typer.run(main)

"""STS-B dev at default settings: Spearman of the sliced model, five calibration seeds.

    python -m walras.experiments.benchmarks.stsb --data GLUE_FOLDER

Cells that are finished are not run again. The development split chooses nothing: the number of rounds and
re-entry were compared on 1,500 held-out training rows, where they differ by less than the noise; other schedules than
the geometric one were not compared.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from scipy.stats import t

from walras.errors import WalrasError
from walras.experiments.cli.screen import fail, output
from walras.experiments.config import RunConfig, read_config
from walras.experiments.run import Plan, Silent, Stage, run_plan
from walras.experiments.store.run_folder import RunFolder, read_result

BUDGETS = (0.5, 0.4)
VARIANTS = ((4, False), (4, True), (1, False))  # rounds, without labels; the first is the default
COLUMNS = ["rounds", "label_free", "budget", "seed", "used", "macs", "price", "dense", "spearman", "seconds"]


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    seeds: Annotated[int, typer.Option(help="Calibration seeds.", min=1)] = 5,
    out: Annotated[Path, typer.Option(help="Folder of the cells and of stsb.csv.")] = Path("runs/stsb"),
    more: Annotated[bool, typer.Option("--more", help="Also without labels, and in one clearing.")] = False,
) -> None:
    """Run all cells that are not finished, print the table, write `stsb.csv`."""
    try:
        rows = cells(data, seeds, out, VARIANTS if more else VARIANTS[:1])
    except WalrasError as error:
        fail(error)
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.to_csv(out / "stsb.csv", index=False, float_format="%.6g")
    console = output()
    console.print(table.to_string(index=False))
    for (rounds, label_free, budget), group in table.groupby(["rounds", "label_free", "budget"]):
        score = group["spearman"].to_numpy()
        half = float(t.ppf(0.975, len(score) - 1) * score.std(ddof=1) / np.sqrt(len(score)))  # 95 %, Student
        how = "label-free" if label_free else "labels"
        console.print(
            f"budget {budget:g}, {rounds} round(s), {how}: {score.mean():.4f} +- {half:.4f} ({len(score)} seeds)"
        )


def cells(data: str, seeds: int, out: Path, variants: Sequence[tuple[int, bool]]) -> list[list[object]]:
    """A row a cell, in the columns of `COLUMNS`."""
    stage: Stage | None = None
    rows: list[list[object]] = []
    for rounds, label_free in variants:
        for budget in BUDGETS:
            for seed in range(seeds):
                config = RunConfig(
                    task="stsb", data=data, budget=budget, rounds=rounds, label_free=label_free, seed=seed
                )  # fmt: skip
                place = out / f"{rounds}-{'free' if label_free else 'labels'}-{budget:g}-{seed}"
                stage = played(config, place, stage)
                found = read_result(place)
                metric = found["metric"]
                values = [found[k] for k in ("budget", "seed", "used", "macs", "price")]
                rows.append([rounds, label_free, *values, metric["dense"], metric["value"], found["seconds"]])
                output().print(f"{place.name}: {metric['value']:.4f}")
    return rows


def played(config: RunConfig, place: Path, stage: Stage | None) -> Stage | None:
    """Run what is not finished, on a network that is loaded once for all; it comes back."""
    if finished(place, config):
        return stage
    plan = Plan.of(config)
    stage = stage or Stage.of(plan, Silent())
    run_plan(plan, stage, RunFolder(place, overwrite=True), Silent())
    return stage


def finished(place: Path, config: RunConfig) -> bool:
    """Whether the folder holds the finished run of these settings."""
    return (place / "result.json").is_file() and RunConfig(**read_config(place / "config.yaml")) == config


if __name__ == "__main__":
    typer.run(main)

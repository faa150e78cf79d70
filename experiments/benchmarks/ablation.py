"""Whose compute is taxed, and what the literal cost does: the layout of the paper's Table 4, on one task and seed.

    python -m walras.experiments.benchmarks.ablation --data GLUE_FOLDER --model DENSE_FOLDER

Every row trains the same dense model with the same seed under the same tax. `macs` are trained gates on heads, on FFN
blocks, on both; `literal` is Eq. 2 as it stands, whose attention term is a constant; `invariant` its form that
rescaling cannot evade. The last column is how far any weight ends from where it ends without a tax, for rows
in which nothing is cut out: of the literal attention term, rounding alone. Finished rows are not run again.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer

from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.grids.axes import Reference
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import run_grid
from walras.experiments.reports.grids.frontier_tables import print_grid
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.store.run_folder import read_result
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.grid import TrainExperiment
from walras.files.tensors import read_arrays
from walras.files.writing import write_whole

ROWS: dict[str, dict[str, Any]] = {
    "no tax": {"cost": "literal", "price": 0.0},
    "attention, literal": {"cost": "literal", "taxed": "heads"},
    "FFN, literal": {"cost": "literal", "taxed": "ffn"},
    "FFN, invariant": {"cost": "invariant", "taxed": "ffn"},
    "attention": {"cost": "macs", "taxed": "heads"},
    "FFN": {"cost": "macs", "taxed": "ffn"},
    "both": {"cost": "macs", "taxed": "both"},
}


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    model: Annotated[str, typer.Option(help="Fine-tuned dense model.")],
    task: Annotated[str, typer.Option(help="Task by name.")] = "stsb",
    price: Annotated[float, typer.Option(help="The tax.")] = 0.1,
    epochs: Annotated[int, typer.Option(help="Passes over the rows.")] = 3,
    limit: Annotated[int | None, typer.Option(help="Training rows at most.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs and of ablation.csv.")] = Path("runs/ablation"),
) -> None:
    """Train every row that has not finished; print and write the table."""
    common = {"task": task, "data": data, "model": model, "pricing": "tax", "price": price, "epochs": epochs,
              "device": "cpu", **({} if limit is None else {"limit": limit})}  # fmt: skip
    with ended_in_words():
        grid, folder = cells(common), GridFolder(out / "runs")
        with progress_bar() as progress:
            found = run_grid(grid, folder, "serial", progress)
    done = [cell for cell in grid.cells if cell not in found.failed]
    if grid.cells[0] in done:
        rows = [_row(cell["taxed"], folder.place(cell), folder.place(grid.cells[0])) for cell in done]
        write_whole(out / "ablation.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))
        output().print(pd.DataFrame(rows).to_string(index=False))
    else:
        print_grid(output(), found)
    sys.exit(1 if found.failed else 0)


def cells(common: dict[str, Any]) -> Grid[TrainConfig]:
    """One run per row, the one without a tax first."""
    made = {name: TrainConfig.parse({**common, **own}) for name, own in ROWS.items()}
    return Grid(
        TrainExperiment(),
        [Cell({"taxed": name, "budget": config.budget}, config.seed, config) for name, config in made.items()],
        Reference("taxed", "no tax"),
    )


def _row(name: str, place: Path, untaxed: Path) -> dict[str, Any]:
    result = read_result(place)
    files = [folder / "model" / "model.safetensors" for folder in (place, untaxed)]
    now, without = (read_arrays(file, "weights", "pt") for file in files)
    apart = [float((now[n] - without[n]).abs().max()) for n in now if now[n].shape == without[n].shape]
    same = result["used"] == 1.0 and len(apart) == len(without)
    return {
        "taxed": name, "metric": result["metric"]["value"], "dense": result["metric"]["dense"],
        "macs used": result["used"], "heads": result["kept"].get("head", 0), "ffn": result["kept"].get("ffn", 0),
        "latency, batch 1": result["latency_ms"]["1"]["value"] / result["latency_ms"]["1"]["dense"],
        "furthest weight": max(apart) if same else float("nan"),
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)  # the same rounding on every machine of a kind
    typer.run(main)

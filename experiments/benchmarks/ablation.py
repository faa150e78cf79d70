"""Whose compute is taxed, and what the literal cost does: the layout of the paper's Table 4, on one task and seed.

    python -m walras.experiments.benchmarks.ablation --data GLUE_FOLDER --model DENSE_FOLDER

Every row trains the same dense model with the same seed under the same tax. `macs` are trained gates on heads, on FFN
blocks, on both; `literal` is Eq. 2 as it stands, whose attention term is a constant; `invariant` its form that
rescaling cannot evade. The last column is how far any weight ends from where it ends without a tax, for rows
in which nothing is cut out: of the literal attention term, rounding alone. Finished rows are not run again.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer
from safetensors.torch import load_file

from walras.errors import WalrasError
from walras.experiments.cli.screen import fail, interrupted, output, progress_bar
from walras.experiments.store.run_folder import write_whole
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.train import train

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
    rows = []
    try:
        with progress_bar() as progress:
            for name, own in ROWS.items():
                place = out / name.replace(", ", "-").replace(" ", "-")
                if not (place / "result.json").is_file():
                    resume = (place / "config.yaml").is_file()
                    train(TrainConfig.of({**common, **own}), place, resume=resume, progress=progress)
                rows.append(_row(name, place, out / "no-tax"))
    except WalrasError as error:
        fail(error)
    except KeyboardInterrupt:
        interrupted("the same command goes on from there")
    table = pd.DataFrame(rows)
    write_whole(out / "ablation.csv", table.to_csv(index=False, float_format="%.6g"))
    output().print(table.to_string(index=False))


def _row(name: str, place: Path, untaxed: Path) -> dict[str, Any]:
    result = json.loads((place / "result.json").read_text(encoding="utf-8"))
    now, without = (load_file(folder / "model" / "model.safetensors") for folder in (place, untaxed))
    apart = [float((now[n] - without[n]).abs().max()) for n in now if now[n].shape == without[n].shape]
    same = result["used"] == 1.0 and len(apart) == len(without)
    return {
        "taxed": name, "metric": result["metric"]["value"], "dense": result["metric"]["dense"],
        "macs used": result["used"], "heads": result["heads"], "ffn": result["ffn"],
        "latency, batch 1": result["latency_ms"]["1"]["value"] / result["latency_ms"]["1"]["dense"],
        "furthest weight": max(apart) if same else float("nan"),
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)  # the same rounding on every machine of a kind
    typer.run(main)

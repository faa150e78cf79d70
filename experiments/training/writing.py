"""The folder of a training run that has finished."""

import json
from typing import TYPE_CHECKING

from torch import nn

from walras.experiments.export import write
from walras.experiments.outcome import allocation_columns
from walras.experiments.store.run_folder import write_allocation, write_table
from walras.experiments.training.folder import TrainFolder
from walras.experiments.training.report import write_report
from walras.files.writing import write_whole

if TYPE_CHECKING:
    from walras.experiments.training.train import TrainResult


def write_run(folder: TrainFolder, result: "TrainResult", dense: nn.Module) -> None:
    """Write the smaller model, the tables, the report and, last of all, the result."""
    place, summary, units = folder.path, result.summary.as_dict(), result.units
    write(dense, result.model, result.tokenizer, place / "model", summary, onnx=False, overwrite=True)
    block, columns = folder.config.market.block, allocation_columns(units, result.keep.float())
    write_allocation(place, columns, block, units.kinds)
    write_table(place / "steps.parquet", result.steps)
    write_table(place / "evaluations.parquet", result.evaluations)
    write_report(folder, result)
    write_whole(place / "result.json", json.dumps(summary, indent=2) + "\n")
    folder.forget_checkpoint()

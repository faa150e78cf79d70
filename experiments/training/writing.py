"""The folder of a training run that has finished."""

from typing import TYPE_CHECKING

from torch import nn

from walras.experiments.export import Form, write
from walras.experiments.outcome import allocation_columns
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.run_folder import write_allocation, write_table
from walras.experiments.training.folder import CHECKPOINT
from walras.experiments.training.report import write_report

if TYPE_CHECKING:
    from walras.experiments.training.train import TrainResult


def write_run(folder: ResultFolder, result: "TrainResult", dense: nn.Module, block: int) -> None:
    """Write the smaller model, the tables, the report and, last of all, the result; `block` FFN neurons are a unit."""
    place, summary, units = folder.path, result.summary.as_dict(), result.units
    write(dense, result.model, result.tokenizer, place / "model", summary, Form(overwrite=True))
    write_allocation(place, allocation_columns(units, result.keep.float()), block, units.kinds)
    write_table(place / "steps.parquet", result.steps)
    write_table(place / "evaluations.parquet", result.evaluations)
    write_report(place, result, folder.settings, folder.place)
    folder.finish(summary, without=CHECKPOINT)

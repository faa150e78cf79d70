"""The report of a comparison: one HTML file with its picture inside, and the picture beside it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from walras.experiments.config import RunConfig
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.statistics import Statistics
from walras.experiments.grids.sweep import Sweep
from walras.experiments.reports.frontier_plot import frontier_picture
from walras.experiments.reports.pages import write_page
from walras.experiments.store.grid_folder import SweepFolder


def write_frontier_report(
    folder: SweepFolder,
    sweep: Sweep,
    table: pd.DataFrame,
    statistics: Statistics,
    metric: str,
    failed: Sequence[Cell[RunConfig]],
) -> None:
    """Write `frontier.png` and `report.html`."""
    alt = f"{metric} against compute, a line a recipe, and differences to {statistics.against} by budget"
    write_page(
        folder.path,
        Path(__file__).with_name("compare.html"),
        {"frontier": (frontier_picture(table, statistics, metric), alt)},
        config=sweep.cells[0].config,
        sweep=sweep,
        metric=metric,
        dense=float(table["dense"].mean()),
        budgets=list(dict.fromkeys(s.budget for s in statistics.rows)),
        recipes=table["recipe"].unique().tolist(),
        statistics=statistics,
        rows=table.astype(object).where(table.notna(), None).to_dict("records"),
        failed=[(str(cell), folder.failure(cell).relative_to(folder.path)) for cell in failed],
    )

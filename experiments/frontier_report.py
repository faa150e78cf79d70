"""The report of a comparison: one HTML file with its picture inside, and the picture beside it."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape

from walras.experiments import plots
from walras.experiments.cell import Cell
from walras.experiments.config import RunConfig
from walras.experiments.frontier import Statistics
from walras.experiments.frontier_plot import frontier_picture
from walras.experiments.sweep import Sweep
from walras.experiments.sweep_folder import SweepFolder


def write_frontier_report(
    folder: SweepFolder,
    sweep: Sweep,
    table: pd.DataFrame,
    statistics: Statistics,
    metric: str,
    failed: Sequence[Cell[RunConfig]],
) -> None:
    """Write `frontier.png` and `report.html`."""
    picture = plots.png(frontier_picture(table, statistics, metric))
    folder.write("frontier.png", picture)
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape())
    page = environment.get_template("compare.html").render(
        config=sweep.cells[0].config,
        sweep=sweep,
        metric=metric,
        dense=float(table["dense"].mean()),
        picture=b64encode(picture).decode(),
        budgets=list(dict.fromkeys(s.budget for s in statistics.rows)),
        recipes=table["recipe"].unique().tolist(),
        statistics=statistics,
        rows=table.astype(object).where(table.notna(), None).to_dict("records"),
        failed=[(str(cell), folder.failure(cell).relative_to(folder.path)) for cell in failed],
    )
    folder.write("report.html", page)

"""What is told of a design's sample: a table of indices, and a page with their picture and all cells."""

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from walras.experiments.designs.sensitivity import Sensitivity, sensitivity_of
from walras.experiments.grids.cell import SEED, shown
from walras.experiments.grids.runner import GridResult
from walras.experiments.reports.frontier_report import FIGURES, figure_text, shared_settings
from walras.experiments.reports.metric import titled
from walras.experiments.reports.pages import write_page
from walras.experiments.reports.sensitivity_plot import sensitivity_picture
from walras.files.plain_data import write_json


def write_sensitivity(found: GridResult[Any]) -> None:
    """Write `indices.csv`, `.json` and `.png`, and `report.html`; nothing where no cell has finished."""
    if not len(found.table):
        return
    told, table, grid = sensitivity_of(found), found.table, found.grid
    figures = [name for name in FIGURES if name in table]
    alt = f"How much {', '.join(told.vary)} matter for {', '.join(dict.fromkeys(i.output for i in told.indices))}"
    with found.folder.tables():
        found.folder.write("indices.csv", told.frame.to_csv(index=False, float_format="%.8g"))
        found.folder.write("indices.json", write_json(told.as_dict()))
        write_page(
            found.folder.path,
            Path(__file__).with_name("sensitivity.html"),
            {"indices": (sensitivity_picture(told.indices), alt)},
            about=found.about,
            told=told,
            metric=titled(found.metric),
            seeds=len(grid.seeds),
            cells=len(grid.cells),
            lines=sensitivity_lines(told),
            headings=[*grid.axes, SEED, *(FIGURES[name][0] or titled(found.metric) for name in figures)],
            rows=[
                [*(shown(row[axis]) for axis in [*grid.axes, SEED]), *(figure_text(n, row[n]) for n in figures)]
                for row in table.to_dict("records")
            ],
            fixed=shared_settings(grid.cells, [*grid.axes, SEED]),
            failed=[(str(cell), found.folder.failure(cell).relative_to(found.folder.path)) for cell in found.failed],
        )  # fmt: skip


def sensitivity_lines(told: Sensitivity) -> list[list[str]]:
    """A row per output and setting, a column per measure behind them; the first row has the headings."""
    measures = list(dict.fromkeys(index.measure for index in told.indices))
    found = {(i.output, i.setting, i.measure): str(i) for i in told.indices}
    pairs = list(dict.fromkeys((i.output, i.setting) for i in told.indices))
    rows = [[output, setting, *(found.get((output, setting, m), "") for m in measures)] for output, setting in pairs]
    return [["output", "setting", *measures], *rows]


def print_sensitivity(console: Console, told: Sensitivity) -> None:
    """The indices as a table, and what has to be known of them."""
    headings, *rows = sensitivity_lines(told)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    last = ""
    for output, *rest in rows:
        if last not in ("", output):
            table.add_section()
        table.add_row(output if output != last else "", *rest)
        last = output
    if rows:
        console.print(table)
        console.print(f"In brackets: 95 % intervals, each by itself. {told.blocks} points of design {told.design}.")
    for note in told.notes:
        console.print(note, soft_wrap=True)

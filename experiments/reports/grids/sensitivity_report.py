"""What is told of a design's sample: a table of indices, and a page with their picture and all cells."""

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from walras.experiments.designs.sensitivity import Sensitivity, SettingIndex, sensitivity_of
from walras.experiments.grids.runner import GridResult
from walras.experiments.reports.grids.grid_parts import cells_table, failed_cells, shared_table
from walras.experiments.reports.grids.sensitivity_plot import sensitivity_picture
from walras.experiments.reports.metric import titled
from walras.experiments.reports.pages.made import FROM_PYTHON, sweep_command_of
from walras.experiments.reports.pages.page import Link, Made, Note, Page, Picture, Section
from walras.experiments.reports.pages.page import Table as PageTable
from walras.experiments.reports.pages.writing import write_page
from walras.experiments.store.versions import VERSIONS
from walras.files.plain_data import write_json


def write_sensitivity(found: GridResult[Any]) -> None:
    """Write `indices.csv`, `.json` and `.png`, and `report.html`; nothing where no cell has finished."""
    if not len(found.table):
        return
    told = sensitivity_of(found)
    with found.folder.tables():
        found.folder.write("indices.csv", told.frame.to_csv(index=False, float_format="%.8g"))
        found.folder.write("indices.json", write_json(told.as_dict()))
        write_page(found.folder.path, sensitivity_page(found, told))


def sensitivity_page(found: GridResult[Any], told: Sensitivity) -> Page:
    """The page of a design's sample: indices, their picture, what was varied, all cells."""
    grid, (headings, *rows) = found.grid, sensitivity_lines(told)
    alt = f"How much {in_words(told.vary)} matter for {in_words(dict.fromkeys(i.output for i in told.indices))}"
    seeds, varied = len(grid.seeds), [[*pair] for pair in told.vary.items()]
    about = (
        f"{found.about.get('model', 'A model')}; {told.blocks} points of design {told.design}, in {len(grid.cells)} "
        f"cells with {seeds} seed{'s' * (seeds != 1)}. Quality is {titled(found.metric)} of the sliced models."
    )
    intervals = "Bars are estimates, black lines their 95 % intervals, each by itself."
    picture = Picture("indices", sensitivity_picture(told.indices), alt, intervals)
    sections = [
        Section("How much each setting matters", [picture]),
        Section("What varies", [PageTable(("setting", "range"), varied, "Settings that vary", texts=2)]),
        Section(f"All {len(found.table)} cells", [cells_table(found, [*grid.axes])], folded=True),
        Section("Settings of all cells", [shared_table(grid, [*grid.axes])], folded=True),
    ]
    figures = [
        PageTable(headings, rows, "Indices, in brackets 95 % intervals, each by itself", texts=2),
        *(Note(note) for note in told.notes), *failed_cells(found),
    ]  # fmt: skip
    files = [Link(name, name) for name in ("indices.csv", "indices.json")]
    design = {"seeds": ", ".join(map(str, grid.seeds)), "design": str(told.design)}
    command = sweep_command_of(grid)
    made = Made(command, "" if command else FROM_PYTHON, design, found.about.get(VERSIONS, {}), files)
    title = f"How much {in_words(told.vary)} matter on {found.about.get('task', 'a task')}"
    return Page(title, about, _verdict(told), figures, sections, made)


def _verdict(told: Sensitivity) -> str:
    """Which setting matters most for each output, by the size of the last measure that the design has.

    An interval that holds 0 does not tell a setting from one that does nothing.
    """
    if not told.indices:
        return "This design samples the settings evenly; it has no indices."
    measure = told.indices[-1].measure
    best: dict[str, SettingIndex] = {}
    for index in told.indices:
        if index.measure == measure and (
            index.output not in best or abs(index.estimate) > abs(best[index.output].estimate)
        ):
            best[index.output] = index
    clear = {output: index for output, index in best.items() if not index.may_be_nothing}
    sentences = []
    if clear:
        found = "; ".join(f"{index.setting} for {output} ({index})" for output, index in clear.items())
        sentences.append(f"What matters most, by {measure}: {found}.")
    if len(clear) < len(best):
        others = in_words(output for output in best if output not in clear)
        sentences.append(f"For {others} no setting can be told from one that does nothing.")
    return " ".join(sentences)


def in_words(names: Iterable[str]) -> str:
    """Names as a sentence lists them: a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


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

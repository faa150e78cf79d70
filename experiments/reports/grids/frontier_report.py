"""The report of a grid: the verdict, a table by budget, the picture, and a link to the report of every cell."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from walras.experiments.grids.cell import shown
from walras.experiments.grids.runner import GridResult
from walras.experiments.grids.statistics import Interval, Statistic, Statistics
from walras.experiments.reports.grids.frontier_plot import FEWEST, frontier_picture, series_names
from walras.experiments.reports.grids.frontier_sentence import comparison_sentence
from walras.experiments.reports.grids.grid_parts import cells_table, failed_cells, shared_table
from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import ABSENT, amounts, count, difference, megabytes, number, quality
from walras.experiments.reports.pages.made import FROM_PYTHON, sweep_command_of
from walras.experiments.reports.pages.page import Cell as Content
from walras.experiments.reports.pages.page import Link, Made, Note, Page, Picture, Section, Table
from walras.experiments.reports.pages.writing import write_page
from walras.experiments.store.versions import VERSIONS

_COSTS = (
    ("macs", "dense_macs"),
    ("latency_ms", "dense_ms"),
    ("bytes", "dense_bytes"),
    ("parameters", "dense_parameters"),
)


def write_frontier_report(found: GridResult[Any], more: Sequence[Section] = ()) -> None:
    """Write `frontier.png` and `report.html` of a `GridResult`; nothing where it has no statistics.

    Args:
        found: what the grid came to.
        more: sections of the report, with their pictures.
    """
    if found.statistics is None:
        return
    page = frontier_page(found, found.statistics, more)
    with found.folder.tables():
        write_page(found.folder.path, page)


def frontier_page(found: GridResult[Any], statistics: Statistics, more: Sequence[Section] = ()) -> Page:
    """The page of a grid.

    Args:
        found: what it came to.
        statistics: its statistics.
        more: sections, behind that of the picture.
    """
    table, metric, names = found.table, titled(found.metric), series_names(statistics)
    dense, seeds = float(table["dense"].mean()), len(found.grid.seeds)
    costs = _costs(found)
    last, *others = reversed(statistics.budgets)
    alt = f"{metric} against compute, and differences to {statistics.against} by budget."
    picture = Picture("frontier", frontier_picture(table, statistics, metric), alt, _read(statistics))
    sections = [
        Section(f"{metric} and compute", [picture]),
        *more,
        *([Section("At every budget", [_by_budget(statistics, b, costs, dense, metric) for b in reversed(others)])]
          if others else []),
        Section(f"All {len(table)} cells", [cells_table(found, statistics.axes)], folded=True),
        Section("Settings of all cells", [shared_table(found.grid, statistics.axes)], folded=True),
    ]  # fmt: skip
    about = (
        f"{found.about.get('model', 'A model')}, cut down to shares of what the dense model uses for "
        f"{found.about.get('length', ABSENT)} tokens; {seeds} seed{'s' * (seeds != 1)}, each another draw of the "
        "calibration data and the same one for all. Figures are of the sliced models."
    )
    title = f"{', '.join(names.values())} on {found.about.get('task', 'a task')}"
    figures = [_by_budget(statistics, last, costs, dense, metric), Note(statistics.caution()), *failed_cells(found)]
    return Page(title, about, comparison_sentence(statistics, found.metric, dense), figures, sections,
                _made(found, statistics))  # fmt: skip


def _read(statistics: Statistics) -> str:
    """What has to be known to read the picture."""
    counts = [s.value.count for s in statistics.rows if s.value is not None]
    bands = (
        f"Every point is a seed: below {FEWEST} an interval says nothing."
        if min(counts) < FEWEST
        else "Bands and bars are the intervals."
    )
    return (
        f"Above: means over seeds. Below: differences to {statistics.against}. {bands} The axis of the metric spans at "
        "least a fifth of the dense model's figure, that of differences a twentieth to either side of 0."
    )


def _costs(found: GridResult[Any]) -> pd.DataFrame:
    """The table with what the cells' results have beside it: bytes, and the dense model's figures."""
    table = found.table.copy()
    results = [found.folder.result(cell) or {} for cell in found.grid.cells if cell not in found.failed]
    timings = [found.folder.timing(cell) or {} for cell in found.grid.cells if cell not in found.failed]
    for name in ("bytes", "dense_bytes", "dense_macs", "dense_parameters"):
        table[name] = [result.get(name) for result in results]
    table["dense_ms"] = [timing.get("dense_ms") for timing in timings]
    return table


def _by_budget(statistics: Statistics, budget: Any, costs: pd.DataFrame, dense: float, metric: str) -> Table:
    """A row per series at a budget, below that of the dense model: quality, what is left, and how far apart."""
    names, paired = series_names(statistics), statistics.comparisons > 0
    kept = [(own, whole) for own, whole in _COSTS if own in costs and costs[own].notna().any()]
    headings = {"macs": "MACs", "latency_ms": "milliseconds", "bytes": "megabytes", "parameters": "parameters"}
    rows: list[list[Content]] = [
        ["dense", quality(dense), *(_cost(own, _mean(costs, whole)) for own, whole in kept), *([ABSENT] * 2 * paired)]
    ]
    strong = set()
    for series in statistics.series:
        one = statistics.of_series(series, budget)
        if statistics.is_reference(series):
            strong.add(len(rows))
        own = _rows_of(costs, one, statistics)
        apart = [_interval(one.difference, difference), _verdict(one)] if paired else []
        rows.append([names[series], _interval(one.value, quality), *(_cost(c, _mean(own, c)) for c, _ in kept), *apart])
    at = "over all budgets" if budget is None else f"at {shown(budget)}"
    intervals = "means over seeds ± their 95 % intervals" if _enough(statistics) else "means over seeds"
    against = [f"minus {statistics.against}", "95 % interval"] if paired else []
    return Table(["", metric, *(headings[own] for own, _ in kept), *against], rows, f"{metric} {at}: {intervals}",
                 emphasised=frozenset(strong))  # fmt: skip


def _rows_of(costs: pd.DataFrame, one: Statistic, statistics: Statistics) -> pd.DataFrame:
    """The cells that a statistic is made of; over all budgets, those that every series has."""
    for name, label in one.labels.items():
        if label is not None:
            costs = costs[costs[name] == label]
    return (
        costs
        if one.budget is not None or not statistics.left_out
        else costs[~costs["budget"].isin(statistics.left_out)]
    )


def _mean(costs: pd.DataFrame, column: str) -> Any:
    if column not in costs:
        return None
    values = costs[column].dropna()
    return float(values.mean()) if len(values) else None


def _cost(name: str, value: Any) -> str:
    """The mean of a cost as text."""
    if name == "macs":
        return amounts(value, places=1)[0]
    return megabytes(value)[0] if name == "bytes" else number(value) if name == "latency_ms" else _whole(value)


def _whole(value: Any) -> str:
    return ABSENT if value is None else count(round(value))


def _interval(found: Interval | None, told: Callable[[Any], str]) -> str:
    """A mean, with half of its interval where there are seeds enough for one."""
    if found is None:
        return ABSENT
    if found.low is None or found.high is None or found.count < FEWEST:
        return told(found.mean)
    return f"{told(found.mean)} ± {quality((found.high - found.low) / 2)}"


def _verdict(one: Statistic) -> str:
    """On which side of 0 a difference's interval lies."""
    if one.difference is None:
        return "reference" if one.value is not None else ABSENT
    return one.verdict if one.difference.count >= FEWEST else f"{ABSENT} ({one.difference.count} of {FEWEST} seeds)"


def _enough(statistics: Statistics) -> bool:
    return all(s.value is None or s.value.count >= FEWEST for s in statistics.rows)


def _made(found: GridResult[Any], statistics: Statistics) -> Made:
    timed = "latency_ms" in found.table and bool(found.table["latency_ms"].notna().any())
    command = sweep_command_of(found.grid, *(["--measure-latency"] if timed else []))
    told = {
        "seeds": ", ".join(map(str, found.grid.seeds)),
        "compared with": f"{statistics.against.axis} {statistics.against}",
    }
    files = [Link(name, name) for name in ("frontier.csv", "statistics.csv") if (found.folder.path / name).is_file()]
    return Made(command, "" if command else FROM_PYTHON, told, found.about.get(VERSIONS, {}), files)

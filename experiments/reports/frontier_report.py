"""The report of a grid: the verdict, a table by budget, the picture, and a link to the report of every cell."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from walras.experiments.grids.cell import SEED, Cell, shown
from walras.experiments.grids.runner import GridResult
from walras.experiments.grids.statistics import Interval, Statistic, Statistics
from walras.experiments.reports.frontier_plot import FEWEST, frontier_picture, series_names
from walras.experiments.reports.frontier_sentence import comparison_sentence
from walras.experiments.reports.metric import titled
from walras.experiments.reports.numbers import ABSENT, amounts, count, difference, megabytes, number, percent, quality
from walras.experiments.reports.pages.made import sweep_command_of
from walras.experiments.reports.pages.page import Cell as Content
from walras.experiments.reports.pages.page import Link, Made, Note, Page, Picture, Section, Table
from walras.experiments.reports.pages.writing import REPORT, write_page
from walras.experiments.store.versions import VERSIONS
from walras.files.plain_data import parse_yaml

SECTIONS = ("subject", "market")  # of settings that are nested
FIGURES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "value": ("", quality),  # under the metric's name
    "dense": ("dense", quality),
    "macs": ("MACs", lambda macs: amounts(macs, places=1)[0]),
    "parameters": ("parameters", count),
    "latency_ms": ("milliseconds", number),
    "used": ("used", percent),
    "price": ("price", number),
    "welfare": ("welfare", number),
    "revenue": ("revenue", number),
    "status": ("status", str),
}
"""Columns of the table that the report lists where it has them: their headings, and a value as text."""
_COSTS = (
    ("macs", "dense_macs"),
    ("latency_ms", "dense_ms"),
    ("bytes", "dense_bytes"),
    ("parameters", "dense_parameters"),
)
_FROM_PYTHON = "It was started from Python, with objects that no command line names; compare.yaml lists its cells."


def write_frontier_report(found: GridResult[Any]) -> None:
    """Write `frontier.png` and `report.html` of a `GridResult`; nothing where it has no statistics."""
    if found.statistics is None:
        return
    page = frontier_page(found, found.statistics)
    with found.folder.tables():
        write_page(found.folder.path, page)


def frontier_page(found: GridResult[Any], statistics: Statistics) -> Page:
    """The page of a grid.

    Args:
        found: what it came to.
        statistics: its statistics.
    """
    table, metric, names = found.table, titled(found.metric), series_names(statistics)
    dense, seeds = float(table["dense"].mean()), len(found.grid.seeds)
    costs = _costs(found)
    last, *others = reversed(statistics.budgets)
    alt = f"{metric} against compute, and differences to {statistics.against} by budget."
    picture = Picture("frontier", frontier_picture(table, statistics, metric), alt, _read(statistics))
    sections = [
        Section(f"{metric} and compute", [picture]),
        *([Section("At every budget", [_by_budget(statistics, b, costs, dense, metric) for b in reversed(others)])]
          if others else []),
        Section(f"All {len(table)} cells", [_cells(found, statistics, metric)], folded=True),
        Section("Settings of all cells", [_settings(found, statistics)], folded=True),
    ]  # fmt: skip
    about = (
        f"{found.about.get('model', 'A model')}, cut down to shares of what the dense model uses for "
        f"{found.about.get('length', ABSENT)} tokens; {seeds} seed{'s' * (seeds != 1)}, each another draw of the "
        "calibration data and the same one for all. Figures are of the sliced models."
    )
    title = f"{', '.join(names.values())} on {found.about.get('task', 'a task')}"
    figures = [_by_budget(statistics, last, costs, dense, metric), Note(statistics.caution()), *_failures(found)]
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


def _cells(found: GridResult[Any], statistics: Statistics, metric: str) -> Table:
    """A row per finished cell, which leads to its report."""
    figures = [name for name in FIGURES if name in found.table]
    done = [cell for cell in found.grid.cells if cell not in found.failed]
    axes = [*statistics.axes, SEED]
    rows = [
        [_to_report(found, cell), *(shown(row[axis]) for axis in axes),
         *(ABSENT if pd.isna(row[n]) else FIGURES[n][1](row[n]) for n in figures)]
        for cell, row in zip(done, found.table.to_dict("records"), strict=True)
    ]  # fmt: skip
    headings = ["report", *axes, *(FIGURES[name][0] or metric for name in figures)]
    return Table(headings, rows, "Every cell, and its report", texts=1 + len(axes))


def _to_report(found: GridResult[Any], cell: Cell[Any]) -> Content:
    place = found.folder.place(cell)
    there = (place / REPORT).is_file()
    return Link(cell.key[:8], f"{place.relative_to(found.folder.path).as_posix()}/{REPORT}") if there else cell.key[:8]


def _failures(found: GridResult[Any]) -> Iterator[Note | Table]:
    """Which cells failed, and where it is told why."""
    if found.failed:
        yield Note(f"{len(found.failed)} of {len(found.grid.cells)} cells failed, and are missing here.", warning=True)
        files = [found.folder.failure(cell).relative_to(found.folder.path).as_posix() for cell in found.failed]
        failed = zip(found.failed, files, strict=True)
        rows: list[list[Content]] = [[str(cell), Link(file, file)] for cell, file in failed]
        yield Table(("cell", "why"), rows, "Cells that failed", texts=2)


def _settings(found: GridResult[Any], statistics: Statistics) -> Table:
    fixed = shared_settings(found.grid.cells, [*statistics.axes, SEED])
    rows: list[list[Content]] = [[name, value] for name, value in fixed.items()]
    return Table(("setting", "value"), rows, "What all cells have in common", texts=2)


def _made(found: GridResult[Any], statistics: Statistics) -> Made:
    timed = "latency_ms" in found.table and bool(found.table["latency_ms"].notna().any())
    command = sweep_command_of(found.grid, *(["--measure-latency"] if timed else []))
    told = {
        "seeds": ", ".join(map(str, found.grid.seeds)),
        "compared with": f"{statistics.against.axis} {statistics.against}",
    }
    files = [Link(name, name) for name in ("frontier.csv", "statistics.csv") if (found.folder.path / name).is_file()]
    return Made(command, "" if command else _FROM_PYTHON, told, found.about.get(VERSIONS, {}), files)


def shared_settings(cells: Sequence[Cell[Any]], varied: Sequence[str]) -> dict[str, str]:
    """Settings that are the same in all cells, by name, as their files of settings have them."""
    first, *others = (_by_name(parse_yaml(cell.settings.as_yaml())) for cell in cells)
    return {
        name: shown(value)
        for name, value in first.items()
        if name not in varied and value not in (None, []) and all(other.get(name) == value for other in others)
    }


def _by_name(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings by their own names."""
    sections = [value for name, value in tree.items() if name in SECTIONS and isinstance(value, Mapping)]
    plain = {name: value for name, value in tree.items() if name not in SECTIONS}
    return {**plain, **{name: value for inner in sections for name, value in inner.items()}}

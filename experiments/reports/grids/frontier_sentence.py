"""A comparison in one sentence: which series comes first, by how much, and whether that can be told from chance."""

from collections.abc import Mapping
from typing import Any

from walras.experiments.grids.cell import shown
from walras.experiments.grids.statistics import Statistic, Statistics
from walras.experiments.reports.grids.frontier_plot import FEWEST, series_names
from walras.experiments.reports.numbers import difference, quality


def comparison_sentence(statistics: Statistics, metric: Mapping[str, Any], dense: float) -> str:
    """The verdict over all budgets, or at the only one.

    Args:
        statistics: of a grid.
        metric: its name and direction.
        dense: figure of the dense model.
    """
    names, name = series_names(statistics), str(metric["name"])
    least = metric.get("higher_is_better") is False
    where = statistics.budgets[-1]
    place = "Over all budgets" if where is None and len(statistics.budgets) > 1 else f"At {shown(where)}"
    place = "Here" if statistics.budgets == [None] else place
    rows = [s for s in statistics.rows if s.budget == where and s.value is not None]
    if len(rows) < 2:
        found = [s for s in statistics.rows if s.value is not None]
        figures = ", ".join(f"{_mean(s)} at {shown(s.budget)}" for s in found if s.budget is not None)
        return f"{name}: {figures or _mean(found[0])}; the dense model has {quality(dense)}."
    rows.sort(key=lambda s: _value(s) if least else -_value(s))
    first = rows[0]
    told = f"{place}, {names[first.series]} has the {'lowest' if least else 'highest'} {name}, {_mean(first)}"
    return f"{told}, where the dense model has {quality(dense)}: {_lead(first, rows[1], statistics, names)}."


def _lead(first: Statistic, second: Statistic, statistics: Statistics, names: Mapping[tuple[Any, ...], str]) -> str:
    """How far the first one is from the reference, or the reference from the second, and how sure that is."""
    other, apart, sign = str(statistics.against), first.difference, 1
    if statistics.is_reference(first.series):
        other, apart, sign = names[second.series], second.difference, -1
    if apart is None:
        return "nothing stands beside it to compare with"
    if quality(abs(apart.mean)) == quality(0.0):
        return f"{other} has the same"
    sure = first if sign > 0 else second
    seeds = f"{apart.count} seed{'s' * (apart.count != 1)}"
    if apart.count < FEWEST:
        how = f"{seeds} cannot tell that from chance"
    elif sure.verdict == "not told apart":
        how = f"{seeds} do not tell that from chance"
    else:
        how = f"the 95 % interval over {seeds} excludes 0"
    return f"{difference(sign * apart.mean)} against {other}; {how}"


def _value(found: Statistic) -> float:
    return found.value.mean if found.value is not None else float("nan")


def _mean(found: Statistic) -> str:
    return quality(_value(found))

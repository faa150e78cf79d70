"""What the picture of a comparison shows, read back from its axes."""

from itertools import product

import pandas as pd
import pytest

from walras.experiments.grids.axes import Reference
from walras.experiments.grids.statistics import Statistics
from walras.experiments.reports.grids.frontier_plot import frontier_picture, series_names
from walras.experiments.reports.plots import png

COLUMNS = ["recipe", "budget", "seed", "macs", "parameters", "latency_ms", "value", "dense"]
OURS = Reference("recipe", "ours")
GAIN = {"a$b": -0.02, "ours": 0.0, "far": -0.5}


def table(recipes: list[str], budgets: list[float], seeds: int) -> pd.DataFrame:
    rows = [
        (r, b, s, 1e9 * b, 1000, None, 0.8 + GAIN[r] - 0.1 * (1 - b) + 0.01 * s, 0.9)
        for r, b, s in product(recipes, budgets, range(seeds))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.spread
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("budgets", [[0.5], [0.75, 0.5, 0.4]])
@pytest.mark.parametrize("recipes", [["ours"], ["a$b", "ours"], ["a$b", "far", "ours"]])
def test_points_are_the_means_and_the_differences(recipes: list[str], budgets: list[float], seeds: int) -> None:
    rows = table(recipes, budgets, seeds)
    figure = frontier_picture(rows, Statistics.from_table(rows, OURS), "metric_$1")
    values, *apart = figure.axes
    lines = {line.get_label(): line for line in values.get_lines()}
    assert set(lines) == {*recipes, "dense"}
    for recipe in recipes:
        line = lines[recipe]
        assert line.get_xdata() == pytest.approx([1e3 * b for b in budgets])
        means = rows[rows["recipe"] == recipe].groupby("budget")["value"].mean()
        assert line.get_ydata() == pytest.approx([means[b] for b in budgets])
    assert lines["dense"].get_ydata() == pytest.approx([0.9, 0.9])
    assert len({(str(line.get_color()), str(line.get_marker())) for line in lines.values()}) == len(lines)
    assert len(apart) == (len(recipes) > 1)
    if apart:
        ticks = [label.get_text() for label in apart[0].get_xticklabels()]
        assert ticks == [*(f"{b:g}" for b in budgets), *(["mean of all"] if len(budgets) > 1 else [])]
        shown = [float(bar[0].get_ydata()[0]) for bar in apart[0].containers]
        expected = [GAIN[r] for r in recipes if r != "ours" for _ in ticks]
        assert shown == pytest.approx(expected)


def test_it_can_be_drawn() -> None:
    rows = table(["a$b", "far", "ours"], [0.75, 0.5], 2)
    picture = png(frontier_picture(rows, Statistics.from_table(rows, OURS), "metric_$1"))
    assert picture.startswith(b"\x89PNG")
    assert picture == png(frontier_picture(rows, Statistics.from_table(rows, OURS), "metric_$1"))


def test_a_line_per_combination_of_other_axes() -> None:
    """Two axes beside the budget: references are black, and differences are drawn of all others."""
    rows = [
        (rule, strategy, b, s, 1e9 * b, 1000, None, 0.8 + 0.1 * (rule == "B") + 0.01 * s, 0.9)
        for rule, strategy, b, s in product("AB", ("truthful", "hedge"), (0.75, 0.5), range(2))
    ]
    found = Statistics.from_table(
        pd.DataFrame(rows, columns=["mechanism", "strategy", *COLUMNS[1:]]), Reference("mechanism", "A")
    )
    figure = frontier_picture(pd.DataFrame(rows, columns=["mechanism", "strategy", *COLUMNS[1:]]), found, "metric")
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    assert set(lines) == {"A, truthful", "A, hedge", "B, truthful", "B, hedge", "dense"}
    assert [lines[f"A, {s}"].get_color() for s in ("truthful", "hedge")] == ["#000000"] * 2
    assert len({(str(line.get_color()), str(line.get_marker())) for line in lines.values()}) == len(lines)
    shown = [float(bar[0].get_ydata()[0]) for bar in figure.axes[1].containers]
    assert shown == pytest.approx([0.1] * 2 * 3)


def test_names_tell_what_varies() -> None:
    rows = [("A", rounds, b, 0, 1e9 * b, 1000, None, 0.8, 0.9) for rounds, b in product((1, 4), (0.75, 0.5))]
    table = pd.DataFrame(rows, columns=["mechanism", "rounds", *COLUMNS[1:]])
    assert [*series_names(Statistics.from_table(table, Reference("rounds", 1))).values()] == ["rounds=1", "rounds=4"]
    only = table.drop(columns=["mechanism", "rounds"]).iloc[:2]
    assert [*series_names(Statistics.from_table(only, Reference("budget", 0.75))).values()] == ["all runs"]

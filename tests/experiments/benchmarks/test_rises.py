"""The benchmark of rises: every rise is among them, rows are kept, and what is compared uses the same."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from walras.experiments.benchmarks.rises import KEY, cells, compared, key, picture
from walras.experiments.training.config import TrainConfig
from walras.market.pricing import RISES


def rows(figures: dict[tuple[str, int], list[tuple[float, float]]]) -> pd.DataFrame:
    """Rows of two points each: what is used, and the metric."""
    return pd.DataFrame(
        [
            {"rise": rise, "price": 0.2 - 0.1 * i, "budget": 0.5, "seed": seed, "used": used, "metric": metric,
             "dense": 0.9, "course": [1.0 - 0.05 * j for j in range(11)]}
            for (rise, seed), points in figures.items() for i, (used, metric) in enumerate(points)
        ]
    )  # fmt: skip


def test_every_rise_has_two_points_a_seed() -> None:
    found = [TrainConfig.parse({"task": "pairs", **own}) for own in cells()]
    names = [config.economy.rise for config in found]
    assert {name: names.count(name) for name in names} == dict.fromkeys(RISES, 2)
    assert len({tuple(key(config).values()) for config in found}) == len(found)
    assert list(key(found[0])) == KEY


def test_what_is_compared_uses_the_same() -> None:
    """Of `constant` half-way, at 0.5, 0.7; on the other's line there 0.8. Lines that do not reach it do not count."""
    table = rows({
        ("constant", 0): [(0.4, 0.6), (0.6, 0.8)], ("linear", 0): [(0.45, 0.78), (0.65, 0.86)],
        ("constant", 1): [(0.4, 0.6), (0.6, 0.8)], ("linear", 1): [(0.45, 0.80), (0.65, 0.88)],
        ("cubic", 1): [(0.55, 0.9), (0.8, 0.9)],
    })  # fmt: skip
    first, other = compared(table).to_dict("records")
    assert (first["rise"], first["seeds"], first["minus constant"]) == ("constant", 2, 0)
    assert (other["rise"], other["seeds"]) == ("linear", 2)
    assert other["minus constant"] == pytest.approx(0.11)
    assert other["low"] < 0.11 < other["high"]


def test_nothing_is_compared_where_one_tax_alone_has_run() -> None:
    assert compared(rows({("constant", 0): [(0.4, 0.6)], ("linear", 0): [(0.4, 0.6)]})).empty


def test_the_picture_has_a_line_per_rise() -> None:
    figure: Figure = picture(rows({("constant", 0): [(0.4, 0.6), (0.6, 0.8)], ("linear", 0): [(0.5, 0.7), (0.6, 0.8)]}))
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["constant", "linear", "before training"]

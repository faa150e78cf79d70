"""Table and statistics of a comparison, against scipy and by hand."""

import io
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from walras.errors import UnknownNameError
from walras.experiments.grids.axes import Reference
from walras.experiments.grids.statistics import Interval
from walras.experiments.grids.statistics import Statistics as AnyStatistics
from walras.experiments.grids.table import parquet, schema

COLUMNS = ["recipe", "budget", "seed", "macs", "parameters", "latency_ms", "value", "dense"]


class Statistics:
    """Statistics along recipes."""

    @staticmethod
    def from_table(table: pd.DataFrame, against: str) -> AnyStatistics:
        return AnyStatistics.from_table(table, Reference("recipe", against))


def table(values: dict[tuple[str, float], list[float]]) -> pd.DataFrame:
    rows = [
        (recipe, budget, seed, 1e6 * budget, 1000, None, value, 0.9)
        for (recipe, budget), sample in values.items()
        for seed, value in enumerate(sample)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.fixture
def random() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    draws = generator.normal(0, 0.02, 6)
    cells = product(("a", "b", "ours"), (0.75, 0.5, 0.4))
    return table({(r, b): [*(0.8 + 0.01 * len(r) * b + draws + generator.normal(0, 0.01, 6))] for r, b in cells})


def test_intervals_by_hand() -> None:
    """[1, 2, 3]: mean 2, deviation 1, and Student's quantile 4.302653 of two degrees of freedom."""
    found = Interval.from_sample([1, 2, 3])
    assert found is not None
    assert (found.mean, found.count) == (2, 3)
    assert (found.low, found.high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-6)
    assert str(found) == "2.0000 ± 2.4841"
    assert Interval.from_sample([7]) == Interval(7, None, None, 1)
    assert str(Interval.from_sample([7])) == "7.0000"
    assert Interval.from_sample([0.1] * 2) == Interval(0.1, 0.1, 0.1, 2)
    assert Interval.from_sample([]) is None


def test_differences_by_hand() -> None:
    """Values 4, 6 against 1, 5: differences 3 and 1, mean 2, deviation 2 ** 0.5, and t(1) = 12.7062."""
    found = Statistics.from_table(table({("a", 0.5): [4, 6], ("ours", 0.5): [1, 5]}), "ours")
    difference = found.at("a", 0.5).difference
    assert difference is not None
    assert (difference.low, difference.mean, difference.high) == pytest.approx((2 - 12.7062, 2, 2 + 12.7062), rel=1e-5)
    assert found.at("ours", 0.5).difference is None


def test_intervals_are_those_of_scipy(random: pd.DataFrame) -> None:
    found = Statistics.from_table(random, "ours")
    values = {key: group["value"].to_numpy() for key, group in random.groupby(["recipe", "budget"])}
    for recipe, budget in product(("a", "b", "ours"), (0.75, 0.5, 0.4)):
        here = found.at(recipe, budget)
        own = ttest_1samp(values[recipe, budget], 0).confidence_interval(0.95)
        assert here.value is not None
        assert (here.value.low, here.value.high) == pytest.approx((own.low, own.high))
        if recipe != "ours":
            paired = ttest_rel(values[recipe, budget], values["ours", budget]).confidence_interval(0.95)
            assert here.difference is not None
            assert (here.difference.low, here.difference.high) == pytest.approx((paired.low, paired.high))


def test_over_all_budgets_a_seed_counts_once(random: pd.DataFrame) -> None:
    found = Statistics.from_table(random, "ours").at("a", None)
    means = random.groupby(["recipe", "seed"])["value"].mean()
    paired = ttest_rel(means["a"], means["ours"]).confidence_interval(0.95)
    assert found.value is not None
    assert found.difference is not None
    assert (found.value.count, found.difference.count) == (6, 6)
    assert found.value.mean == pytest.approx(means["a"].mean())
    assert (found.difference.low, found.difference.high) == pytest.approx((paired.low, paired.high))


def test_pairing_takes_out_what_a_draw_does_to_all() -> None:
    shared = np.array([0.0, 0.1, -0.1, 0.2])
    found = Statistics.from_table(table({("a", 0.5): [*(0.7 + shared)], ("ours", 0.5): [*(0.8 + shared)]}), "ours").at(
        "a", 0.5
    )
    assert found.difference is not None
    assert (found.difference.low, found.difference.high) == pytest.approx((-0.1, -0.1))


def test_missing_cells_leave_their_seed_out(random: pd.DataFrame) -> None:
    gone = (random["recipe"] == "a") & (random["budget"] == 0.5) & (random["seed"] == 2)
    found, whole = Statistics.from_table(random[~gone], "ours"), Statistics.from_table(random, "ours")
    assert found.at("a", 0.75) == whole.at("a", 0.75)
    assert found.at("b", None) == whole.at("b", None)
    others = Statistics.from_table(random[random["seed"] != 2], "ours")
    assert found.at("a", 0.5) == others.at("a", 0.5)
    assert found.at("a", None) == others.at("a", None)
    none = Statistics.from_table(random[~((random["recipe"] == "a") & (random["budget"] == 0.5))], "ours")
    assert (none.at("a", 0.5).value, none.at("a", 0.5).difference, none.at("a", None).value) == (None, None, None)
    assert none.comparisons == whole.comparisons - 2


def test_recipes_without_variance_and_single_seeds() -> None:
    """What is the same for all seeds has an interval of no width; a single seed has none."""
    found = Statistics.from_table(table({("a", 0.5): [0.7] * 5, ("ours", 0.5): [0.7] * 5}), "ours")
    assert found.at("a", 0.5).difference == Interval(0, 0, 0, 5)
    assert found.budgets == [0.5]  # nothing to average over
    assert "; 1 comparison with ours, each" in found.caution()
    alone = Statistics.from_table(table({("a", 0.5): [0.7], ("ours", 0.5): [0.8]}), "ours")
    assert "no intervals" in alone.caution()
    assert [(s.value.low if s.value else 0) for s in alone.rows] == [None, None]
    assert alone.frame["low"].isna().all()


def test_order_and_number_of_comparisons(random: pd.DataFrame) -> None:
    found = Statistics.from_table(random, "b")
    assert found.comparisons == 2 * 4
    assert "8 comparisons with b" in found.caution()
    assert found.frame["recipe"].tolist() == ["a", "b", "ours"] * 4
    assert found.frame["budget"].tolist()[:9] == [0.75] * 3 + [0.5] * 3 + [0.4] * 3
    assert found.frame["budget"][9:].isna().all()
    with pytest.raises(UnknownNameError, match=r"unknown recipe to compare against 'c'\. .*Known: a, b, ours"):
        Statistics.from_table(random, "c")


def test_parquet_has_its_columns_and_its_bytes(random: pd.DataFrame) -> None:
    """Columns and types as others have read them since the first comparisons."""
    axes: dict[str, list[object]] = {"recipe": ["a", "b", "ours"], "budget": [0.75, 0.5, 0.4]}
    content = parquet(random, schema(random, axes))
    assert parquet(random.copy(), schema(random, axes)) == content
    kinds = [pa.string(), pa.float64(), pa.int64(), pa.float64(), pa.int64(), pa.float64(), pa.float64(), pa.float64()]
    expected = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
    assert pq.read_schema(io.BytesIO(content)).equals(expected, check_metadata=True)
    read = pd.read_parquet(io.BytesIO(content))
    assert read["latency_ms"].isna().all()
    assert pq.read_table(io.BytesIO(content))["latency_ms"].null_count == len(random)
    pd.testing.assert_frame_equal(read.drop(columns="latency_ms"), random.drop(columns="latency_ms"), check_dtype=False)


def test_a_column_per_axis() -> None:
    rows = [("r", True, 2, "macs=0.5,latency=0.6", 0, 1.0, 1, None, 0.5, 0.9)]
    names = ["mechanism", "label_free", "rounds", "budget", *COLUMNS[2:]]
    labels: dict[str, list[object]] = {name: [label] for name, label in zip(names[:4], rows[0], strict=False)}
    found = schema(pd.DataFrame(rows, columns=names), labels)
    assert [found.field(name).type for name in names[:4]] == [pa.string(), pa.bool_(), pa.int64(), pa.string()]


def along(axes: list[str], values: dict[tuple[object, ...], list[float]]) -> pd.DataFrame:
    """A table of these values by labels, a seed each."""
    rows = [
        (*labels, seed, 1.0, 1, None, value, 0.9) for labels, own in values.items() for seed, value in enumerate(own)
    ]
    return pd.DataFrame(rows, columns=[*axes, *COLUMNS[2:]])


def test_along_another_axis_the_others_are_held_equal() -> None:
    """Hedge against truthful: 3 - 1 and 5 - 2 under A, 10 - 20 and 10 - 22 under B."""
    values: dict[tuple[object, ...], list[float]] = {
        ("A", "truthful"): [1, 2], ("A", "hedge"): [3, 5], ("B", "truthful"): [20, 22], ("B", "hedge"): [10, 10],
    }  # fmt: skip
    found = AnyStatistics.from_table(along(["mechanism", "strategy"], values), Reference("strategy", "truthful"))
    for mechanism, mean, half in (("A", 2.5, 6.3531), ("B", -11.0, 12.7062)):
        apart = found.at(mechanism, "hedge").difference
        assert apart is not None
        assert (apart.mean, apart.count) == (mean, 2)
        assert (apart.low, apart.high) == pytest.approx((mean - half, mean + half), rel=1e-4)
        assert found.at(mechanism, "truthful").difference is None
    assert found.at("B", "hedge").verdict == "not told apart"
    assert (found.comparisons, found.budgets) == (2, [None])
    assert found.frame.columns[:3].tolist() == ["mechanism", "strategy", "seeds"]
    assert [found.is_reference(s) for s in found.series] == [True, False, True, False]


def test_budgets_may_be_compared_with_one_of_them() -> None:
    values: dict[tuple[object, ...], list[float]] = {
        (0.75,): [4, 5, 6], (0.5,): [1, 2, 3], (0.25,): [0, 1, float("nan")]
    }  # fmt: skip
    found = AnyStatistics.from_table(along(["budget"], values), Reference("budget", 0.75))
    half, quarter = found.at(0.5).difference, found.at(0.25).difference
    assert half is not None
    assert quarter is not None
    assert (half.mean, half.count, quarter.mean, quarter.count) == (-3, 3, -4, 2)
    assert found.budgets == [0.75, 0.5, 0.25]  # a mean over what is compared would say nothing


def test_an_axis_that_the_table_has_not(random: pd.DataFrame) -> None:
    with pytest.raises(UnknownNameError, match="unknown axis to compare along 'strategy'"):
        AnyStatistics.from_table(random, Reference("strategy", "a"))

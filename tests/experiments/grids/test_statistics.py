"""Table and statistics of a comparison, against scipy and by hand."""

import io
from itertools import product

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from walras.errors import UnknownNameError
from walras.experiments.grids.statistics import SCHEMA, Interval, Statistics, parquet


def table(values: dict[tuple[str, float], list[float]]) -> pd.DataFrame:
    rows = [
        (recipe, budget, seed, 1e6 * budget, 1000, None, value, 0.9)
        for (recipe, budget), sample in values.items()
        for seed, value in enumerate(sample)
    ]
    return pd.DataFrame(rows, columns=SCHEMA.names)


@pytest.fixture
def random() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    draws = generator.normal(0, 0.02, 6)
    cells = product(("a", "b", "ours"), (0.75, 0.5, 0.4))
    return table({(r, b): [*(0.8 + 0.01 * len(r) * b + draws + generator.normal(0, 0.01, 6))] for r, b in cells})


def test_intervals_by_hand() -> None:
    """[1, 2, 3]: mean 2, deviation 1, and Student's quantile 4.302653 of two degrees of freedom."""
    found = Interval.of([1, 2, 3])
    assert found is not None
    assert (found.mean, found.count) == (2, 3)
    assert (found.low, found.high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-6)
    assert str(found) == "2.0000 ± 2.4841"
    assert Interval.of([7]) == Interval(7, None, None, 1)
    assert str(Interval.of([7])) == "7.0000"
    assert Interval.of([0.1] * 2) == Interval(0.1, 0.1, 0.1, 2)
    assert Interval.of([]) is None


def test_differences_by_hand() -> None:
    """Values 4, 6 against 1, 5: differences 3 and 1, mean 2, deviation 2 ** 0.5, and t(1) = 12.7062."""
    found = Statistics.of(table({("a", 0.5): [4, 6], ("ours", 0.5): [1, 5]}), "ours")
    difference = found.at("a", 0.5).difference
    assert difference is not None
    assert (difference.low, difference.mean, difference.high) == pytest.approx((2 - 12.7062, 2, 2 + 12.7062), rel=1e-5)
    assert found.at("ours", 0.5).difference is None


def test_intervals_are_those_of_scipy(random: pd.DataFrame) -> None:
    found = Statistics.of(random, "ours")
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
    found = Statistics.of(random, "ours").at("a", None)
    means = random.groupby(["recipe", "seed"])["value"].mean()
    paired = ttest_rel(means["a"], means["ours"]).confidence_interval(0.95)
    assert found.value is not None
    assert found.difference is not None
    assert (found.value.count, found.difference.count) == (6, 6)
    assert found.value.mean == pytest.approx(means["a"].mean())
    assert (found.difference.low, found.difference.high) == pytest.approx((paired.low, paired.high))


def test_pairing_takes_out_what_a_draw_does_to_all() -> None:
    shared = np.array([0.0, 0.1, -0.1, 0.2])
    found = Statistics.of(table({("a", 0.5): [*(0.7 + shared)], ("ours", 0.5): [*(0.8 + shared)]}), "ours").at("a", 0.5)
    assert found.difference is not None
    assert (found.difference.low, found.difference.high) == pytest.approx((-0.1, -0.1))


def test_missing_cells_leave_their_seed_out(random: pd.DataFrame) -> None:
    gone = (random["recipe"] == "a") & (random["budget"] == 0.5) & (random["seed"] == 2)
    found, whole = Statistics.of(random[~gone], "ours"), Statistics.of(random, "ours")
    assert found.at("a", 0.75) == whole.at("a", 0.75)
    assert found.at("b", None) == whole.at("b", None)
    others = Statistics.of(random[random["seed"] != 2], "ours")
    assert found.at("a", 0.5) == others.at("a", 0.5)
    assert found.at("a", None) == others.at("a", None)
    none = Statistics.of(random[~((random["recipe"] == "a") & (random["budget"] == 0.5))], "ours")
    assert (none.at("a", 0.5).value, none.at("a", 0.5).difference, none.at("a", None).value) == (None, None, None)
    assert none.comparisons == whole.comparisons - 2


def test_recipes_without_variance_and_single_seeds() -> None:
    """What is the same for all seeds has an interval of no width; a single seed has none."""
    found = Statistics.of(table({("a", 0.5): [0.7] * 5, ("ours", 0.5): [0.7] * 5}), "ours")
    assert found.at("a", 0.5).difference == Interval(0, 0, 0, 5)
    assert [s.budget for s in found.rows] == [0.5, 0.5]  # nothing to average over
    assert "; 1 comparison with ours, each" in found.caution()
    alone = Statistics.of(table({("a", 0.5): [0.7], ("ours", 0.5): [0.8]}), "ours")
    assert "no intervals" in alone.caution()
    assert [(s.value.low if s.value else 0) for s in alone.rows] == [None, None]
    assert alone.frame["low"].isna().all()


def test_order_and_number_of_comparisons(random: pd.DataFrame) -> None:
    found = Statistics.of(random, "b")
    assert found.comparisons == 2 * 4
    assert "8 comparisons with b" in found.caution()
    assert found.frame["recipe"].tolist() == ["a", "b", "ours"] * 4
    assert found.frame["budget"].tolist()[:9] == [0.75] * 3 + [0.5] * 3 + [0.4] * 3
    assert found.frame["budget"][9:].isna().all()
    with pytest.raises(UnknownNameError, match=r"unknown recipe to compare against 'c'\. .*Known: a, b, ours"):
        Statistics.of(random, "c")


def test_parquet_has_its_columns_and_its_bytes(random: pd.DataFrame) -> None:
    content = parquet(random)
    assert parquet(random.copy()) == content
    schema = pq.read_schema(io.BytesIO(content))
    assert schema.equals(SCHEMA, check_metadata=True)
    assert schema.names == ["recipe", "budget", "seed", "macs", "parameters", "latency_ms", "value", "dense"]
    read = pd.read_parquet(io.BytesIO(content))
    assert read["latency_ms"].isna().all()
    assert pq.read_table(io.BytesIO(content))["latency_ms"].null_count == len(random)
    pd.testing.assert_frame_equal(read.drop(columns="latency_ms"), random.drop(columns="latency_ms"), check_dtype=False)

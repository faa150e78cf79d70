"""Indices of functions whose exact values are known, through the cells of a grid as any other comparison."""

import json
import sys
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from functions import FunctionExperiment, Point, ran
from numpy.typing import NDArray
from SALib.analyze import morris as salib_morris
from SALib.analyze import sobol as salib_sobol

from walras.errors import InputError
from walras.experiments.designs import DESIGNS, SampledDesign
from walras.experiments.designs.design import FullGrid
from walras.experiments.designs.factors import Choice, Factor, Range
from walras.experiments.designs.morris import Morris, elementary_effects
from walras.experiments.designs.salib import problem
from walras.experiments.designs.saltelli import Saltelli
from walras.experiments.designs.sample import sampled_grid
from walras.experiments.designs.sensitivity import Sensitivity, sensitivity_of
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import GridResult, run_grid
from walras.experiments.reports.grids.sensitivity_report import sensitivity_lines, write_sensitivity
from walras.experiments.store.grid_folder import GridFolder

CUBE = [Range(name, -pi, pi) for name in "xyz"]
A, B = 7, 0.1
VARIANCE = A**2 / 8 + B * pi**4 / 5 + B**2 * pi**8 / 18 + 0.5
ALONE = (0.5 * (1 + B * pi**4 / 5) ** 2 / VARIANCE, A**2 / 8 / VARIANCE, 0.0)
TOGETHER = 8 * B**2 * pi**8 / 225 / VARIANCE  # of x and z
TOTAL = (ALONE[0] + TOGETHER, ALONE[1], TOGETHER)
ADDITIVE = (9 / 14, 4 / 14, 1 / 14)


def cells(design: str, factors: list[Factor] | None = None, seeds: int = 1, **base: Any) -> Grid[Point]:
    made = DESIGNS.make(design)
    assert isinstance(made, SampledDesign)
    return sampled_grid(FunctionExperiment(), base, factors or [*CUBE], made, seeds, design)


def run(*args: Any, **more: Any) -> GridResult[Point]:
    return run_grid(cells(*args, **more), GridFolder("o"), "serial")


def by(told: Sensitivity, output: str, measure: str) -> list[Any]:
    return [index for index in told.indices if (index.output, index.measure) == (output, measure)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ishigamis(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = (2 * x - 1) * pi
    return np.asarray(np.sin(x[:, 0]) + A * np.sin(x[:, 1]) ** 2 + B * x[:, 2] ** 4 * np.sin(x[:, 0]))


def test_many_points_come_near_the_exact_indices() -> None:
    design = Saltelli(2**12)
    points = design.points(3)
    found = design.indices(points, points, ishigamis(points), [True] * 3)
    assert [i.estimate for i in found if i.measure == "S1"] == pytest.approx(ALONE, abs=0.02)
    assert [i.estimate for i in found if i.measure == "ST"] == pytest.approx(TOTAL, abs=0.02)
    assert all(i.high - i.low < 0.1 for i in found if i.low is not None and i.high is not None)


def test_sobol_indices_of_ishigamis_function_and_of_a_sum() -> None:
    """The same cells hold both: quality is Ishigami's function, and welfare is additive."""
    told = sensitivity_of(run("saltelli:n=64"))
    for output, measure, exact in (
        ("quality", "S1", ALONE), ("quality", "ST", TOTAL), ("welfare", "S1", ADDITIVE), ("welfare", "ST", ADDITIVE),
    ):  # fmt: skip
        found = by(told, output, measure)
        assert [index.setting for index in found] == ["x", "y", "z"]
        assert [index.estimate for index in found] == pytest.approx(exact, abs=0.15), (output, measure)
        assert all(index.low <= value <= index.high for index, value in zip(found, exact, strict=True))
    assert "revenue is the same in all cells: there is nothing to explain." in told.notes
    assert told.blocks == 64
    assert not any("few" in note for note in told.notes)


def test_the_estimates_are_salibs_own() -> None:
    found = run("saltelli:n=8")
    told, y = sensitivity_of(found), found.table["value"].to_numpy()
    own = salib_sobol.analyze(problem(3), y, calc_second_order=False, seed=1)
    assert [index.estimate for index in by(told, "quality", "ST")] == pytest.approx([*own["ST"]])


@pytest.mark.parametrize("n", [8, 16])
def test_intervals_of_few_points_are_wide_and_said_to_be(n: int) -> None:
    told = sensitivity_of(run(f"saltelli:n={n}"))
    assert any(note.startswith(f"{n} base points are few") for note in told.notes)
    assert np.mean([i.high - i.low for i in by(told, "quality", "ST")]) > 0.5
    assert not any("are few" in note for note in sensitivity_of(run("sobol:n=32")).notes)


def test_effects_of_a_sum_are_its_slopes() -> None:
    told = sensitivity_of(run("morris:n=4"))
    for measure, exact in (("mu*", (3, 2, 1)), ("mu", (3, 2, 1)), ("sigma", (0, 0, 0))):
        found = by(told, "welfare", measure)
        assert [index.estimate for index in found] == pytest.approx([2 * pi * one for one in exact], abs=1e-6)


def test_effects_are_salibs() -> None:
    design = Morris(12, seed=3)
    points = design.points(3)
    output = np.sin(7 * points[:, 0]) + points[:, 1] * points[:, 2]
    own = salib_morris.analyze(problem(3), points, output)
    effects = elementary_effects(points, output)
    assert np.abs(effects).mean(0) == pytest.approx(own["mu_star"].filled(np.nan))
    assert effects.std(0, ddof=1) == pytest.approx(own["sigma"])
    told = {(i.factor, i.measure): i for i in design.indices(points, points, output, [True, True, False])}
    assert (2, "mu") not in told  # names have no order
    for i in told.values():
        assert i.low is not None
        assert i.high is not None
        assert i.low < i.estimate < i.high


def test_the_interval_of_sigma_is_no_point_where_effects_are_two_values() -> None:
    """The jackknife alone would say so: each trajectory left out leaves the same spread."""
    points = Morris(10).points(1)
    effects = np.tile([1.0, -1.0], 5)
    output = np.stack([np.zeros(10), effects * np.diff(points.reshape(-1, 2), axis=1)[:, 0]], axis=1).ravel()
    sigma = next(i for i in Morris(10).indices(points, points, output, [True]) if i.measure == "sigma")
    assert sigma.low is not None
    assert sigma.high is not None
    assert sigma.low < 0.8 < 1.2 < sigma.high


@pytest.mark.parametrize("design", ["sobol:n=32", "halton:n=30", "latin:n=30"])
def test_rank_correlations(design: str) -> None:
    found = run(design, rule="additive")
    told = by(sensitivity_of(found), "quality", "rank correlation")
    assert len(found.table) == int(design.partition("=")[2])
    assert told[0].estimate > told[1].estimate > told[2].estimate
    assert all(index.low < index.estimate < index.high for index in told)
    assert told[0].low > 0


def test_names_and_whole_numbers_among_ranges() -> None:
    factors = [Choice("rule", ("additive", "square", "hill")), Range("x", 0, 1), Range("rounds", 1, 4, whole=True)]
    found = run("sobol:n=32", factors)
    assert sorted(found.table["rounds"].unique()) == [1, 2, 3, 4]
    assert found.table["rule"].value_counts().min() >= 9
    told = sensitivity_of(found)
    assert {i.setting for i in told.indices} == {"x", "rounds"}
    assert any(note.startswith("rule: names have no order") for note in told.notes)


def test_equal_places_are_run_once() -> None:
    """Of two whole numbers and two names there are four cells, whatever the number of points."""
    factors = [Choice("rule", ("rounds", "constant")), Range("rounds", 1, 2, whole=True)]
    found = run("saltelli:n=16", factors)
    assert (len(found.table), ran()) == (4, 4)
    told = sensitivity_of(found)
    assert told.blocks == 16
    # rounds (1.5 on the mean, variance 1/4) where the rule says so, and else 2: computed by hand
    variance = np.var([1, 2, 2, 2])
    alone = np.var([1.5, 2]) / variance, np.var([1.5, 2]) / variance
    for index, exact in zip(by(told, "quality", "S1"), alone, strict=True):
        assert index.low <= exact <= index.high


def test_more_points_keep_the_cells_of_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    run("saltelli:n=8")
    assert ran() == 8 * 5
    run("saltelli:n=16")
    assert ran() == 8 * 5
    run("saltelli:n=16")
    assert ran() == 0


def test_outputs_are_means_over_seeds() -> None:
    one = sensitivity_of(run("saltelli:n=16", [Range("x", 0, 1), Range("y", 0, 1)], seeds=2, rule="noisy"))
    assert any(note.startswith("Outputs are means over 2 seeds") for note in one.notes)
    assert [i.estimate for i in by(one, "quality", "ST")] == pytest.approx([1, 0], abs=0.2)  # noise averages out


def test_points_without_a_result_are_left_out_with_their_block() -> None:
    Path("fail").touch()
    factors = [Range("x", 0, 0.55), Range("y", 0, 1)]
    found = run("saltelli:n=16", factors, rule="additive")
    assert 0 < len(found.failed) < 16
    told = sensitivity_of(found)
    assert 8 < told.blocks < 16
    assert any("points lack a result and are left out" in note for note in told.notes)
    for index, exact in zip(by(told, "quality", "ST"), (0.3, 0.7), strict=True):
        assert abs(index.estimate - exact) < 0.6
    Path("fail").unlink()
    assert sensitivity_of(run("saltelli:n=16", factors, rule="additive")).blocks == 16


def test_what_is_written(no_pictures: None) -> None:
    found = run("saltelli:n=8")
    write_sensitivity(found)
    table, told = pd.read_csv("o/indices.csv"), json.loads(Path("o/indices.json").read_text())
    assert table["setting"].tolist() == [index["setting"] for index in told["indices"]]
    assert table["estimate"].to_numpy() == pytest.approx([index["estimate"] for index in told["indices"]], rel=1e-6)
    assert (told["design"], told["blocks"]) == ("saltelli:n=8", 8)
    page = Path("o/report.html").read_text()
    assert all(note.split(":")[0] in page for note in told["notes"])
    assert sensitivity_lines(sensitivity_of(found))[1][2] in page
    assert "design: saltelli:n=8" in Path("o/compare.yaml").read_text()


def test_the_picture_has_a_bar_per_index() -> None:
    from walras.experiments.reports.grids.sensitivity_plot import sensitivity_picture

    told = sensitivity_of(run("morris:n=4"))
    figure = sensitivity_picture(told.indices)
    assert sum(len(axes.patches) for axes in figure.axes) == len(told.indices)
    assert [axes.get_title() for axes in figure.axes] == ["quality", "welfare"]


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ("sobol:n=50", "nearest are 32 and 64"), ("saltelli:n=3", "nearest are 2 and 4"), ("halton:n=1", "at least 2"),
        ("latin:n=0", "at least 2"), ("morris:n=1", "at least 2"), ("morris:levels=3", "even number"),
        ("sobol:seed=-1", "seed of a design is -1"), ("grid:n=1", "at least 2"), ("sobol:n=1.5", "of type int"),
        ("sobl", "Did you mean 'sobol'"),
    ],
)  # fmt: skip
def test_designs_that_are_refused(design: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DESIGNS.make(design)


def test_samples_that_are_refused() -> None:
    with pytest.raises(InputError, match="nothing varies in design sobol"):
        cells("sobol", [Choice("rule", ("hill",))])
    with pytest.raises(InputError, match="rule hill is given twice"):
        cells("sobol", [Choice("rule", ("hill", "step", "hill"))])
    with pytest.raises(InputError, match="seeds is 0"):
        cells("sobol", seeds=0)
    with pytest.raises(InputError, match="morris:levels=6"):
        DESIGNS.make("morris").size([Choice("rule", tuple("abcde"))])
    with pytest.raises(InputError, match="no sample of a design"):
        sensitivity_of(
            run_grid(Grid.from_axes(FunctionExperiment(), {}, {"x": [0.1, 0.2]}, 1), GridFolder("o"), "serial")
        )


def test_sizes_are_known_beforehand() -> None:
    assert [DESIGNS.make(d).size([*CUBE]) for d in ("sobol:n=64", "saltelli:n=64", "morris:n=10", "grid:n=5")] == [
        64, 64 * 5, 10 * 4, 125,
    ]  # fmt: skip
    assert isinstance(DESIGNS.make("grid"), FullGrid)


def test_salib_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SALib.sample.sobol", None)
    with pytest.raises(InputError, match=r"pip install '.\[designs\]'"):
        cells("saltelli:n=8")

"""Designs of runs: settings as they are given become the cells of a full grid, or of a sample."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from walras.errors import InputError
from walras.experiments.designs import DESIGNS
from walras.experiments.designs.design import Design, FullGrid, SampledDesign
from walras.experiments.designs.factors import Choice, Factor, is_range, read_factor
from walras.experiments.designs.sample import sampled_grid
from walras.experiments.grids.axes import axis_name
from walras.experiments.grids.cell import BUDGET
from walras.experiments.grids.grid import Grid, check_seeds
from walras.experiments.grids.runs import RunExperiment, grid_of_runs, settings_for_all
from walras.experiments.spec import RunSpec

MOST_CELLS = 2000
"""Cells of a comparison, unless more are asked for."""
SEEDS = 5  # of a full grid; samples of designs have many points instead


def designed_runs(
    design: Any,
    vary: Mapping[str, Any],
    seeds: int | None,
    settings: Mapping[str, Any] | None = None,
    against: str | None = None,
    most: int = MOST_CELLS,
) -> Grid[RunSpec]:
    """The cells of a comparison by a design.

    Args:
        design: by name with parameters, or as an object; None for the full grid.
        vary: values or a range by setting; without budgets, 0.5 is the only one.
        seeds: draws of the calibration data; by default 5 of a full grid, and 1 of a sample.
        settings: of all cells; they go before a recipe's own.
        against: the reference of a full grid, as `grid_of_runs` has it.
        most: cells that there may be.

    Raises:
        InputError: whatever is wrong, before a network is loaded or a file written; more cells than `most`.
    """
    made = DESIGNS.make("grid" if design is None else design)
    sampled = isinstance(made, SampledDesign)
    number = seeds if seeds is not None else 1 if sampled else SEEDS
    check_seeds(number, vary)
    if not sampled and not any(map(_has_range, vary.values())):
        lists = [Choice(n, tuple(own)) for n, own in vary.items() if isinstance(own, Sequence) and own]
        _check_most(made, lists, number, most)
        return grid_of_runs(vary, number, settings, against)
    factors = read_factors(vary, settings, tuples=sampled)
    _check_most(made, [factor for factor in factors if factor.varies], number, most)
    if isinstance(made, FullGrid):
        return grid_of_runs({f.name: list(f.levels(made.n)) for f in factors}, number, settings, against)
    if against is not None:
        raise InputError(
            f"against is {against!r}; in the sample of design {made.name} no value is compared with another"
        )
    assert isinstance(made, SampledDesign)
    base, told = settings_for_all(settings, vary), str(DESIGNS.spelled(made))
    return sampled_grid(RunExperiment(), base, factors, made, number, told)


def read_factors(vary: Mapping[str, Any], settings: Mapping[str, Any] | None, tuples: bool) -> list[Factor]:
    """Ranges and values by setting, budgets last; without budgets, 0.5 is the only one.

    Args:
        vary: as given.
        settings: of all cells.
        tuples: whether a tuple of two numbers is a range.

    Raises:
        InputError, UnknownNameError: an axis that is no setting, or is given twice; ranges of what is no number.
    """
    experiment, named = RunExperiment(), dict[str, Any]()
    base = settings_for_all(settings, vary)
    for given, values in vary.items():
        name = axis_name(given, experiment.known)
        if name in named:
            raise InputError(f"axis {name} is given twice")
        if name in base:
            raise InputError(f"{name} is {base[name]!r} for all cells, and it is an axis; give it once")
        named[name] = values
    named = {n: v for n, v in named.items() if n != BUDGET} | {BUDGET: named.get(BUDGET, [0.5])}
    firsts = {
        name: values[0]
        for name, values in named.items()
        if isinstance(values, Sequence) and not isinstance(values, str) and values and not _has_range(values)
    }
    return [
        read_factor(
            name, values, tuples,
            partial(experiment.number_type, name, {**base, **{n: v for n, v in firsts.items() if n != name}}),
        )
        for name, values in named.items()
    ]  # fmt: skip


def _has_range(values: Any) -> bool:
    texts = [values] if isinstance(values, str) else values if isinstance(values, Sequence) else []
    return any(isinstance(text, str) and is_range(text) for text in texts)


def _check_most(design: Design, factors: Sequence[Factor], seeds: int, most: int) -> None:
    """Refuse more cells than there may be, before any is made.

    Raises:
        InputError: as said.
    """
    cells = design.size(factors) * seeds
    if cells > most:
        raise InputError(
            f"design {design.name} over {len(factors)} settings with {seeds} seed{'s' * (seeds != 1)} has {cells:,} "
            f"cells; valid: {most:,}, or say that you want them: --most-cells {cells}"
        )

"""The sample of a design: its points, and the cells in which they are run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from walras.errors import InputError
from walras.experiments.designs.design import Floats, SampledDesign
from walras.experiments.designs.factors import Choice, Factor
from walras.experiments.grids.cell import SEED, Cell, S, shown
from walras.experiments.grids.experiment import Experiment
from walras.experiments.grids.grid import Grid, check_seeds
from walras.experiments.grids.table import column

Places = tuple[int | float, ...]


@final
@dataclass(frozen=True, eq=False)
class Sample:
    """Points of a design in the space of the settings that vary.

    Attributes:
        design: that made them.
        factors: the settings that vary.
        points: numbers from 0 to 1 [rows, factors].
        places: values of the settings, or their numbers in lists [rows, factors].
        cells: names of the cells in which each row is run, one per seed; rows with equal settings share them.
        told: the design as a text that makes it.
    """

    design: SampledDesign
    factors: Sequence[Factor]
    points: Floats
    places: Floats
    cells: Sequence[Sequence[str]]
    told: str

    @property
    def plan(self) -> dict[str, Any]:
        """What `compare.yaml` says of it."""
        return {"design": self.told, "vary": {factor.name: str(factor) for factor in self.factors}}


def sampled_grid(
    experiment: Experiment[S], base: Mapping[str, Any], factors: Sequence[Factor], design: SampledDesign, seeds: int,
    told: str,
) -> Grid[S]:  # fmt: skip
    """The cells of a design, each combination of settings once, with as many seeds from 0 on; every one is checked.

    Args:
        experiment: what a cell is.
        base: settings of all cells.
        factors: settings and their ranges or values, those with one value too; they become columns in this order.
        design: chooses the points.
        seeds: how many.
        told: the design as a text.

    Raises:
        InputError, UnknownNameError: whatever is wrong, before a network is loaded or a file written.
    """
    check_seeds(seeds, {factor.name: factor for factor in factors})
    varying = [factor for factor in factors if factor.varies]
    if not varying:
        raise InputError(f"nothing varies in design {told}; give ranges or values: --vary budget=0.3..0.9")
    for factor in factors:
        _check_once(factor)
    points = design.points(len(varying))
    rows = [tuple(f.place(u) for f, u in zip(varying, row, strict=True)) for row in points]
    chosen: dict[Places, tuple[dict[str, int | float], list[S]]] = {}
    for row in dict.fromkeys(rows):
        own = dict(zip((f.name for f in varying), row, strict=True))
        place = {f.name: own.get(f.name, 0) for f in factors}  # that of the only value is 0
        given = {f.name: f.value(place[f.name]) for f in factors}
        chosen[row] = place, [experiment.resolve({**base, **given, SEED: seed}) for seed in range(seeds)]
    labels = {f.name: _labels(experiment, f, [(p[f.name], made[0]) for p, made in chosen.values()]) for f in factors}
    cells = {
        row: [Cell({n: labels[n][at] for n, at in place.items()}, seed, own) for seed, own in enumerate(made)]
        for row, (place, made) in chosen.items()
    }
    _check_distinct([own[0] for own in cells.values()])
    experiment.check([own[0].settings for own in cells.values()])
    names = [tuple(cell.key for cell in cells[row]) for row in rows]
    sample = Sample(design, varying, points, np.asarray(rows, dtype=np.float64), names, told)
    fixed = {factor.name: factor.value(0) for factor in factors if not factor.varies}
    return Grid(experiment, [cell for own in cells.values() for cell in own], None, {**base, **fixed}, sample)


def _labels(
    experiment: Experiment[S], factor: Factor, chosen: Sequence[tuple[int | float, S]]
) -> dict[int | float, Any]:
    """A label per place; values of a list that would have the same one are told apart by their number."""
    found: dict[int | float, Any] = {}
    for place, settings in chosen:
        if place not in found:
            label = experiment.label(factor.name, settings)
            twice = isinstance(factor, Choice) and label in found.values()
            found[place] = f"{shown(label)} #{int(place) + 1}" if twice else label
    return dict(zip(found, column([*found.values()]), strict=True))


def _check_distinct(cells: Sequence[Cell[Any]]) -> None:
    """Refuse two places with equal settings.

    Raises:
        InputError: a value that is given in two spellings.
    """
    seen: dict[str, Cell[Any]] = {}
    for cell in cells:
        other = seen.setdefault(cell.key, cell)
        if other is not cell:
            raise InputError(f"{other} and {cell} have the same settings; each counts once")


def _check_once(factor: Factor) -> None:
    """Refuse a value that is given twice.

    Raises:
        InputError: as said.
    """
    values = factor.values if isinstance(factor, Choice) else ()
    for i, value in enumerate(values):
        if value in values[:i]:
            raise InputError(f"{factor.name} {shown(value)} is given twice; each counts once")

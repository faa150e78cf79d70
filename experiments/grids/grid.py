"""Grids: all combinations of the values of some settings, each with several seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Generic, final

from walras.errors import InputError
from walras.experiments.grids.axes import RECIPE, Axis, Reference, checked_axes, find_reference
from walras.experiments.grids.cell import BUDGET, SEED, Cell, S, shown
from walras.experiments.grids.experiment import Experiment
from walras.experiments.grids.sources import content_key
from walras.experiments.grids.table import column
from walras.files.plain_data import write_yaml

if TYPE_CHECKING:
    from walras.experiments.designs.sample import Sample


@final
@dataclass(frozen=True)
class Grid(Generic[S]):
    """Cells before any of them runs, and the value that the others are compared with.

    `from_axes` makes all combinations. A grid may also be made of chosen cells, in which some combinations are missing;
    where they are the sample of a design, no value is compared with another.
    """

    experiment: Experiment[S]
    cells: Sequence[Cell[S]]
    against: Reference | None
    settings: Mapping[str, Any] = field(default_factory=dict)  # given to all cells
    sample: "Sample | None" = None

    @staticmethod
    def from_axes(
        experiment: Experiment[S],
        base: Mapping[str, Any],
        axes: Mapping[str, Sequence[Any]],
        seeds: int,
        against: str | None = None,
        first_seed: int = 0,
    ) -> "Grid[S]":
        """All combinations of the axes' values, in their order, each with as many seeds; every cell is checked.

        Args:
            experiment: what a cell is.
            base: settings of all cells.
            axes: values by setting.
            seeds: how many, counted on from `first_seed`.
            against: `AXIS=VALUE`, or a value; else the first value of the first axis that has several.
            first_seed: of every combination.

        Raises:
            InputError, UnknownNameError: whatever is wrong, before a network is loaded or a file written.
        """
        check_seeds(seeds, axes)
        axes = checked_axes(axes, base, experiment.known)
        chosen: list[tuple[dict[str, Any], S]] = []
        for values in product(*axes.values()):
            given = dict(zip(axes, values, strict=True))
            chosen.append((given, experiment.resolve({**base, **given, SEED: first_seed})))
        _check_distinct(axes, chosen)
        labels = {name: _labels(experiment, name, axes[name], chosen) for name in axes}
        cells = []
        for (given, settings), own in zip(chosen, product(*labels.values()), strict=True):
            for seed in range(first_seed, first_seed + seeds):
                resolved = settings if seed == first_seed else experiment.resolve({**base, **given, SEED: seed})
                cells.append(Cell(dict(zip(axes, own, strict=True)), seed, resolved))
        experiment.check([settings for _, settings in chosen])
        reference = find_reference(against, [Axis(name, tuple(axes[name]), labels[name]) for name in axes])
        return Grid(experiment, cells, reference, dict(base))

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The labels of every axis that cells have, in order of appearance."""
        names = self.cells[0].labels if self.cells else ()
        return {name: tuple(dict.fromkeys(cell[name] for cell in self.cells)) for name in names}

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds, in order."""
        return tuple(sorted({cell.seed for cell in self.cells}))

    @property
    def shared_budgets(self) -> tuple[Any, ...]:
        """Budgets that every combination of the other axes has; the mean over budgets is over these."""
        budgets: dict[tuple[Any, ...], dict[Any, None]] = {}
        for cell in self.cells:
            others = tuple(label for name, label in cell.labels.items() if name != BUDGET)
            budgets.setdefault(others, {})[cell.labels.get(BUDGET)] = None
        return tuple(b for b in self.axes.get(BUDGET, ()) if all(b in own for own in budgets.values()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What should be known before it runs: axes that have one value, along which nothing is compared.

        Budget and recipe are also given where they are to be the same for all.
        """
        varied = {name: values for name, values in self.axes.items() if name not in (BUDGET, RECIPE)}
        single = [f"{name} has one value, {shown(values[0])}" for name, values in varied.items() if len(values) == 1]
        return tuple(f"{text}: nothing is compared along it" for text in single)

    def as_yaml(self) -> str:
        """The grid as `compare.yaml` has it."""
        axes = {name: list(labels) for name, labels in self.axes.items()}
        told = {
            **({"axes": axes} if self.sample is None else self.sample.plan), "seeds": list(self.seeds),
            **({} if self.against is None else {"against": {self.against.axis: self.against.label}}),
            "settings": {name: _plain(value) for name, value in self.settings.items()},
            "cells": [{**cell.labels, "seed": cell.seed, "cell": cell.key} for cell in self.cells],
        }  # fmt: skip
        return write_yaml(told)


def check_seeds(seeds: int, axes: Mapping[str, Any]) -> None:
    """Refuse a number of seeds that is none, and seeds as an axis.

    Raises:
        InputError: as said.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise InputError(f"seeds is {seeds!r}; it must be a whole number of at least 1")
    if SEED in axes:
        raise InputError("seed is no axis: everything is run with the same seeds; give how many: --seeds 5")


def _check_distinct(axes: Mapping[str, Sequence[Any]], chosen: Sequence[tuple[Mapping[str, Any], S]]) -> None:
    """Refuse two combinations with equal settings.

    Raises:
        InputError: a value that is given twice, or in two spellings.
    """
    for name, values in axes.items():
        for i, value in enumerate(values):
            if value in values[:i]:
                raise InputError(f"{name} {shown(value)} is given twice; each counts once")
    seen: dict[str, Mapping[str, Any]] = {}
    for given, settings in chosen:
        other = seen.setdefault(content_key(settings, exact=True), given)
        for name in axes if other is not given else ():
            if other[name] != given[name]:
                raise InputError(f"{name} {shown(other[name])} and {shown(given[name])} are the same; each counts once")


def _labels(
    experiment: Experiment[S], name: str, values: Sequence[Any], chosen: Sequence[tuple[Mapping[str, Any], S]]
) -> tuple[Any, ...]:
    """A label per value; values that would have the same one are told apart by a number."""
    found: list[Any] = []
    for i, value in enumerate(values):
        settings = next(settings for given, settings in chosen if given[name] is value)
        label = experiment.label(name, settings)
        found.append(f"{shown(label)} #{i + 1}" if label in found else label)
    return tuple(column(found))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__

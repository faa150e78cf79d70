"""Grids of training runs: budgets, prices, recipes, and any other setting, each with several seeds."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from walras.experiments.grids.axes import RECIPE, Axis, Reference, find_reference
from walras.experiments.grids.cell import BUDGET, Cell
from walras.experiments.grids.experiment import Experiment
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.nested_settings import folded, label_of, number_type, typed
from walras.experiments.settings.fields import leaves
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.store.same_settings import CONFIG, same_settings
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.stage import TrainPlan
from walras.experiments.training.train import train

TrainCell = Cell[TrainConfig]
SOURCES = (RECIPE, "pricing", "price")  # settings that one column tells together


def label(config: TrainConfig) -> str:
    """What a row of the tables is called: the recipe, or where the price comes from."""
    if config.recipe is not None:
        return str(config.recipe_name)
    economy = config.economy
    return economy.pricing_text if economy.price is None else f"{economy.pricing_text} {economy.price:g}"


@final
@dataclass(frozen=True)
class TrainExperiment(Experiment[TrainConfig]):
    """Training runs, measured on the network that they end with."""

    @property
    def known(self) -> tuple[str, ...]:
        """All settings of a training run."""
        return tuple(leaves(TrainConfig))

    def resolve(self, given: Mapping[str, Any]) -> TrainConfig:
        """Settings of a training run, numbers and switches also from their texts."""
        return TrainConfig.parse(typed(folded(given, TrainConfig), TrainConfig))

    def number_type(self, axis: str, given: Mapping[str, Any]) -> type[int] | type[float]:
        """By the type of the setting, or of the parameter."""
        return number_type(axis, given, TrainConfig)

    def check(self, settings: Sequence[TrainConfig]) -> None:
        """Resolve all names, and read the data."""
        for config in settings:
            TrainPlan.from_config(config)

    def label(self, axis: str, settings: TrainConfig) -> Any:
        """The setting as it is."""
        return label_of(axis, settings)

    def subject(self, settings: TrainConfig) -> Hashable:
        """The network before training, which may get a new head by its seed."""
        return repr(settings.subject), settings.seed

    def job(self, folder: GridFolder) -> Callable[[TrainCell], object]:
        """A training run."""
        return TrainJob(folder)

    def row(self, cell: TrainCell, result: Mapping[str, Any], timing: Mapping[str, Any]) -> dict[str, Any]:
        """Price, compute, parameters, milliseconds, scores and steps."""
        latency, kept = result["latency_ms"], result.get("kept", result)
        return {
            "taxed": cell.settings.economy.taxed, "cost": cell.settings.economy.cost, "price": result["price"],
            "expected": result["expected"], "used": result["used"],
            "macs": result["macs"], "parameters": result["parameters"],
            "dense_parameters": result["dense_parameters"],
            "sparsity": 1 - result["parameters"] / result["dense_parameters"],
            "heads": kept.get("head", kept.get("heads", 0)), "ffn": kept.get("ffn", 0),
            **{f"latency_ms_{rows}": ms["value"] for rows, ms in latency.items()},
            **{f"latency_share_{rows}": ms["value"] / ms["dense"] for rows, ms in latency.items()},
            "value": result["metric"]["value"], "dense": result["metric"]["dense"],
            **{f"score {name}": value for name, value in result["scores"].items()},
            **{f"untrained {name}": value for name, value in (result["untrained_scores"] or {}).items()},
            "held_out": result["held_out"], "steps": result["steps"], "seconds": result["seconds"],
        }  # fmt: skip


@final
@dataclass(frozen=True)
class TrainJob:
    """The job of a worker: one cell to its run folder, from its last checkpoint on where there is one."""

    folder: GridFolder

    def __call__(self, cell: TrainCell) -> None:
        """Train; an unfinished folder of the same settings is gone on with."""
        cell.check_sources()
        place = self.folder.place(cell)
        done = (place / "result.json").is_file()  # one that cannot be read, or it would not be run
        begun = (place / CONFIG).is_file() and same_settings(place, cell.settings)
        train(cell.settings, place, overwrite=done or not begun)


def grid_of_trainings(
    settings: Mapping[str, Any], vary: Mapping[str, Sequence[Any]], seeds: int, against: str | None = None
) -> Grid[TrainConfig]:
    """All combinations of what is varied; seeds count on from the settings' own.

    The first column, `recipe`, is the recipe or where the price comes from, with the tax; the budget is the last axis.

    Args:
        settings: of all runs.
        vary: values by setting.
        seeds: how many.
        against: the reference, `AXIS=VALUE` or a value; else what comes first in the first column that varies.

    Raises:
        InputError, UnknownNameError: wrong settings, a value that is given twice.
    """
    first = TrainConfig.parse({"seed": settings.get("seed", 0)}).seed
    base = {name: value for name, value in settings.items() if name != "seed"}
    axes = {name: values for name, values in vary.items() if name != BUDGET}
    axes[BUDGET] = vary.get(BUDGET) or [base.pop(BUDGET, TrainConfig().budget)]
    made = Grid.from_axes(TrainExperiment(), base, axes, seeds, first_seed=first)
    return chosen_trainings([_named(cell) for cell in made.cells], against)


def chosen_trainings(cells: Sequence[TrainCell], against: str | None = None) -> Grid[TrainConfig]:
    """The grid of these cells; the first value of the first column that varies, but the budget, is the reference."""
    grid = Grid(TrainExperiment(), cells, Reference(RECIPE, cells[0][RECIPE]))
    axes = [Axis(name, labels, labels) for name, labels in grid.axes.items()]
    first = next((axis for axis in axes if len(axis.labels) > 1 and axis.name != BUDGET), axes[0])
    reference = Reference(first.name, first.labels[0]) if against is None else find_reference(against, axes)
    return Grid(TrainExperiment(), cells, reference)


def _named(cell: TrainCell) -> TrainCell:
    """The cell with the column that tells where its price comes from."""
    others = {name: own for name, own in cell.labels.items() if name not in (*SOURCES, BUDGET)}
    return Cell({RECIPE: label(cell.settings), **others, BUDGET: cell[BUDGET]}, cell.seed, cell.settings)

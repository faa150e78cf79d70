"""Cells that are markets on a network: any setting of a run can be an axis."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from walras.errors import InputError
from walras.experiments.grids.axes import RECIPE
from walras.experiments.grids.cell import BUDGET, SEED, Cell
from walras.experiments.grids.experiment import Experiment
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.nested_settings import folded, label_of, number_type, typed
from walras.experiments.grids.run_cell import RunCell
from walras.experiments.plan import Plan
from walras.experiments.settings.earlier import converted
from walras.experiments.settings.fields import flat, leaves
from walras.experiments.spec import MACS, RunSpec, read_budget
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.subjects.subject import find_task
from walras.models.loading import find, torch_device

ECONOMICS = ("used", "price", "welfare", "revenue", "status")  # of the last round, in the valuation's unit
OPTIONS = {RECIPE: "--recipe", BUDGET: "--budget", SEED: "--seeds"}  # settings in which cells differ


@final
@dataclass(frozen=True)
class RunExperiment(Experiment[RunSpec]):
    """Markets, measured on the sliced network."""

    @property
    def known(self) -> tuple[str, ...]:
        """All settings of a run."""
        return tuple(leaves(RunSpec))

    def resolve(self, given: Mapping[str, Any]) -> RunSpec:
        """Settings of a run, with those of its recipe below them."""
        return RunSpec.parse(typed(folded(given, RunSpec), RunSpec))

    def number_type(self, axis: str, given: Mapping[str, Any]) -> type[int] | type[float]:
        """By the type of the setting, or of the parameter."""
        return number_type(axis, given, RunSpec)

    def check(self, settings: Sequence[RunSpec]) -> None:
        """Resolve all names, read the data, find the networks and devices."""
        for spec in settings:
            Plan.from_spec(spec)
        for subject in {repr(spec.subject): spec.subject for spec in settings}.values():
            find_task(subject)
            find(subject.model)
            torch_device(subject.device)

    def label(self, axis: str, settings: RunSpec) -> Any:
        """The setting in its canonical spelling."""
        return label_of(axis, settings)

    def subject(self, settings: RunSpec) -> Hashable:
        """Network, task and how both are looked at."""
        return repr(settings.subject)

    def job(self, folder: GridFolder) -> Callable[[Cell[RunSpec]], object]:
        """A run."""
        return RunCell(folder)

    def row(self, cell: Cell[RunSpec], result: Mapping[str, Any], timing: Mapping[str, Any]) -> dict[str, Any]:
        """In the columns of `RESULT`, and behind them what the market came to."""
        metric = result["metric"]
        return {
            "macs": result["macs"], "parameters": result["parameters"], "latency_ms": timing.get("latency_ms"),
            "value": metric["value"], "dense": metric["dense"], **{name: result.get(name) for name in ECONOMICS},
        }  # fmt: skip


def grid_of_runs(
    vary: Mapping[str, Sequence[Any]],
    seeds: int,
    settings: Mapping[str, Any] | None = None,
    against: str | None = None,
) -> Grid[RunSpec]:
    """The grid of a comparison: axes in the order given, budgets last and from the largest down, seeds from 0.

    Args:
        vary: values by setting; without budgets, 0.5 is the only one.
        seeds: how many draws of the calibration data.
        settings: of all cells; they go before a recipe's own.
        against: the reference, `AXIS=VALUE` or a value; else our recipe, or the first value of the first axis.

    Raises:
        InputError: whatever is wrong, before a network is loaded or a file written.
    """
    base = settings_for_all(settings, vary)
    budgets = vary.get(BUDGET, [0.5])
    if not [name for name in vary if name != BUDGET] and len(budgets) < 2:
        raise InputError("nothing varies; name recipes or a setting: --recipe walras, --vary mechanism=ShadowPrice,VCG")
    axes = {name: values for name, values in vary.items() if name != BUDGET} | {BUDGET: _falling(budgets)}
    return Grid.from_axes(RunExperiment(), base, axes, seeds, against)


def settings_for_all(settings: Mapping[str, Any] | None, vary: Collection[str]) -> dict[str, Any]:
    """Settings of all cells by their own names.

    Raises:
        InputError: one in which cells differ.
    """
    base = flat(converted(settings or {}), RunSpec)
    for name, option in OPTIONS.items():
        if name in base and (name in vary or name != RECIPE):
            raise InputError(f"{name} is {base[name]!r} among the settings for all cells; give it as {option}")
    return base


def _falling(budgets: Any) -> Any:
    """Budgets from the largest down, where all are shares of MACs."""
    if isinstance(budgets, (str, Mapping)) or not isinstance(budgets, Sequence):
        return budgets  # refused later
    read = [read_budget(BUDGET, value.split(",") if isinstance(value, str) else value) for value in budgets]
    if any([*shares] != [MACS] for shares in read):
        return read
    return sorted((shares[MACS] for shares in read), reverse=True)

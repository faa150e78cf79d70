"""All settings and controls of an observation, one evaluation of the task each, and what came of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from walras.errors import WalrasError
from walras.experiments.grids.axes import Reference
from walras.experiments.grids.cell import BUDGET, Cell
from walras.experiments.grids.grid import Grid
from walras.experiments.grids.runner import reason, run_cells, unfinished
from walras.experiments.observing.config import UNCONSTRAINED, ObserveConfig
from walras.experiments.observing.evaluation import ELIMINATION, NONE, Evaluation, ObserveExperiment
from walras.experiments.observing.layers import RANDOM_KEYS, RANDOM_WEIGHTS
from walras.experiments.observing.network import ObservedNetwork, load_observed
from walras.experiments.observing.tally import Tally
from walras.experiments.progress import Progress
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.store.run_folder import read_result
from walras.models.resources.layer_costs import LayerMacs


@final
@dataclass(frozen=True, eq=False)
class Observation:
    """One setting or control: which layers were constrained, how, and what came of it."""

    constrain: str  # the pattern
    layers: tuple[int, ...]  # that it constrains
    rule: str
    budget: float  # NaN where nothing is scarce
    control: str
    value: float  # the task's metric
    dense: float  # the same of the same weights, unconstrained
    tally: Tally
    costs: LayerMacs
    slack: bool = False  # of a budget: as much as there is, or more, where the rule's setting was sought

    @property
    def changed(self) -> float | None:
        """Share of the constrained layers' rows in which the rule changed anything, or of tokens that left.

        None where nothing is scarce.
        """
        if math.isnan(self.budget):
            return None
        return self.tally.left if self.rule == ELIMINATION else self.tally.mean(self.layers)["active"]

    @property
    def free(self) -> tuple[int, ...]:
        """The other layers."""
        return tuple(layer for layer in range(len(self.tally.rows)) if layer not in self.layers)


def grid_of_evaluations(config: ObserveConfig, can_eliminate: bool) -> Grid[Evaluation]:
    """All evaluations in order: the unconstrained network, budgets with their controls, and the same untrained.

    Args:
        config: the settings.
        can_eliminate: whether tokens can leave the network.
    """
    scarcity = config.scarcity
    counted = scarcity.made.counts_keys
    drawn = RANDOM_KEYS in scarcity.controls and counted
    cells = [_cell(config)]
    for pattern in scarcity.constrain:
        for budget in scarcity.budgets:
            cells.append(_cell(config, pattern, scarcity.rule_text, budget))
            cells += [_cell(config, pattern, scarcity.rule_text, budget, RANDOM_KEYS)] if drawn else []
    if scarcity.eliminate and counted and can_eliminate:
        stay = dict.fromkeys(float(max(round(budget), 1)) for budget in scarcity.budgets)
        cells += [_cell(config, "tokens", ELIMINATION, k) for k in stay]
    if RANDOM_WEIGHTS in scarcity.controls:
        cells.append(_cell(config, control=RANDOM_WEIGHTS))
        for pattern in scarcity.constrain:
            cells += [_cell(config, pattern, scarcity.rule_text, b, RANDOM_WEIGHTS) for b in scarcity.budgets]
    return Grid(ObserveExperiment(), cells, Reference("control", NONE))


def observations(
    grid: Grid[Evaluation],
    folder: GridFolder,
    patterns: Mapping[str, tuple[int, ...]],
    executor: Any,
    progress: Progress,
) -> list[Observation]:
    """Run what has not been evaluated; the unconstrained network is an observation of every pattern.

    Args:
        grid: the evaluations.
        folder: where they are kept.
        patterns: constrained layers by pattern.
        executor: where they run.
        progress: is told of each.

    Raises:
        WalrasError: an evaluation failed; the others are kept.
    """
    run_cells(grid, folder, unfinished(grid, folder), executor, progress)
    failed = unfinished(grid, folder)
    if failed:
        kind, _, why = reason(folder.failure(failed[0]).read_text(encoding="utf-8")).partition(": ")
        told = why if kind.endswith("Error") and why else kind
        raise WalrasError(f"{len(failed)} of {len(grid.cells)} evaluations failed; the first, {failed[0]}: {told}")
    found: list[Observation] = []
    dense: dict[bool, float] = {}
    for cell in grid.cells:
        row = grid.experiment.row(cell, read_result(folder.place(cell)), {})
        if cell.settings.budget is None:
            dense[cell.settings.random_weights] = row["value"]
        network = load_observed(cell.settings.config, cell.settings.random_weights)
        found += _observed(cell.settings, row, dense[cell.settings.random_weights], network, patterns)
    return found


def _observed(
    made: Evaluation, row: Mapping[str, Any], dense: float, network: ObservedNetwork,
    patterns: Mapping[str, tuple[int, ...]],
) -> Sequence[Observation]:  # fmt: skip
    tally = Tally.from_state(row["tally"])
    if made.budget is None:
        control = RANDOM_WEIGHTS if made.random_weights else UNCONSTRAINED
        return [
            Observation(pattern, layers, NONE, math.nan, control, dense, dense, tally, network.costs)
            for pattern, layers in patterns.items()
        ]
    layers = patterns.get(made.constrain, tuple(range(1, network.layers)))
    return [
        Observation(
            made.constrain, layers, made.rule, made.budget, made.control, row["value"], dense, tally, network.costs,
            row["slack"],
        )
    ]  # fmt: skip


def _cell(
    config: ObserveConfig, constrain: str = "", rule: str = NONE, budget: float | None = None, control: str = NONE
) -> Cell[Evaluation]:
    settings = Evaluation(config, constrain, rule, budget, control)
    what = {"constrain": constrain or "no layer", "rule": rule, "control": control}
    return Cell({**what, BUDGET: "all keys" if budget is None else budget}, config.seed, settings)

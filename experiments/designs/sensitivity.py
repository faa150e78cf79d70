"""How much each setting matters for welfare, revenue, quality and the used share: the indices of a design's sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd

from walras.errors import InputError
from walras.experiments.designs.design import Floats
from walras.experiments.designs.sample import Sample
from walras.experiments.grids.runner import GridResult

OUTPUTS = {"quality": "value", "welfare": "welfare", "revenue": "revenue", "used": "used"}
"""What is explained, and the column of a grid's table that holds it; quality is the task's metric."""


@final
@dataclass(frozen=True)
class SettingIndex:
    """One measure of one setting's effect on one output, with its 95 % interval."""

    output: str
    setting: str
    measure: str
    estimate: float
    low: float | None
    high: float | None

    @property
    def may_be_nothing(self) -> bool:
        """Whether its interval holds 0."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.estimate:.3g}"
        return f"{self.estimate:.3g} [{self.low:.3g}, {self.high:.3g}]"


@final
@dataclass(frozen=True)
class Sensitivity:
    """The indices of a sample, and what has to be known to read them.

    Attributes:
        design: as a text.
        vary: ranges and values by setting.
        indices: one per output, setting and measure.
        notes: sentences: few points, points without a result, outputs that are constant.
        blocks: points or trajectories that count.
    """

    design: str
    vary: Mapping[str, str]
    indices: Sequence[SettingIndex]
    notes: Sequence[str]
    blocks: int

    @property
    def frame(self) -> pd.DataFrame:
        """A row per index."""
        columns = ["output", "setting", "measure", "estimate", "low", "high"]
        return pd.DataFrame([vars(index) for index in self.indices], columns=columns)

    def as_dict(self) -> dict[str, Any]:
        """As `indices.json` has it."""
        own = {"design": self.design, "vary": dict(self.vary), "blocks": self.blocks, "notes": list(self.notes)}
        return {**own, "indices": [dict(vars(index)) for index in self.indices]}


def sensitivity_of(found: GridResult[Any]) -> Sensitivity:
    """The indices of a grid that is the sample of a design, of what has finished.

    Raises:
        InputError: it is none.
    """
    sample = found.grid.sample
    if sample is None:
        raise InputError("the cells are no sample of a design, so that there are no indices; give --design saltelli")
    seeds, notes = len(found.grid.seeds), list[str]()
    failed = {cell.key for cell in found.failed}
    done = [cell.key for cell in found.grid.cells if cell.key not in failed]
    indices: list[SettingIndex] = []
    blocks = most = 0
    for output, name in OUTPUTS.items():
        if name in found.table:
            values = dict(zip(done, found.table[name].astype(float), strict=True))
            own, note, blocks = _of_output(sample, output, values)
            indices, notes, most = [*indices, *own], [*notes, *note], max(most, blocks)
    names = {factor.name: str(factor) for factor in sample.factors}
    return Sensitivity(sample.told, names, indices, [*_cautions(sample, most, seeds), *dict.fromkeys(notes)], most)


def _of_output(sample: Sample, output: str, values: Mapping[str, float]) -> tuple[list[SettingIndex], list[str], int]:
    """Indices of an output, what is to be known of them, and of how many blocks they are."""
    y = np.array([np.mean([values.get(key, np.nan) for key in keys]) for keys in sample.cells])
    size = sample.design.block(len(sample.factors))
    whole = np.isfinite(y).reshape(-1, size).all(axis=1)
    rows, kept, notes = np.repeat(whole, size), int(whole.sum()), list[str]()
    if kept == 0:
        return [], [], 0
    if kept < len(whole):
        lost = len(whole) - kept
        notes.append(f"{lost} of {len(whole)} points lack a result and are left out: {output} was not measured in all.")
    if kept < 2:
        return [], [*notes, f"Of {output} there are no indices: one point alone has a result."], kept
    if _constant(y[rows]):
        return [], [*notes, f"{output} is the same in all cells: there is nothing to explain."], kept
    found = sample.design.indices(
        sample.points[rows], sample.places[rows], y[rows], [factor.ordered for factor in sample.factors]
    )
    told = [
        SettingIndex(output, sample.factors[i.factor].name, i.measure, i.estimate, i.low, i.high)
        for i in found
        if np.isfinite(i.estimate)
    ]
    return told, notes, kept


def _constant(y: Floats) -> bool:
    """Whether values differ by no more than rounding does."""
    return bool(np.ptp(y) <= 1e-12 * np.abs(y).max())


def _cautions(sample: Sample, blocks: int, seeds: int) -> list[str]:
    """What has to be known of all indices."""
    notes = []
    if blocks < sample.design.few:
        notes.append(
            f"{blocks} base points are few for design {sample.design.name} (at least {sample.design.few} are advised): "
            "intervals are wide, and hold the truth less often than they say. An estimate below 0 or above 1, or an S1 "
            "above its ST, is noise."
        )
    if seeds == 1:
        notes.append("One seed: what the draw of the calibration data does is part of what the settings seem to do.")
    else:
        notes.append(f"Outputs are means over {seeds} seeds; what the draws leave of noise is part of the intervals.")
    if not all(factor.ordered for factor in sample.factors):
        names = ", ".join(factor.name for factor in sample.factors if not factor.ordered)
        notes.append(f"{names}: names have no order, so that nothing rises or falls along them.")
    return notes

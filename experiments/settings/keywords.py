"""Keywords of `walras.run` and its kin, with their types, so that an editor completes them and a type checker checks.

They are the settings of `RunSpec` by their own names; `tests/experiments/test_spec.py` holds the two together.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, final

if TYPE_CHECKING:
    from walras.agents import Strategy, Valuation
    from walras.experiments.recipes import Recipe
    from walras.experiments.tasks import Task
    from walras.market import Phase, Schedule, Scope
    from walras.mechanisms import Mechanism
    from walras.models.repair import Repair
    from walras.models.units import UnitKind

    Named = str | Mapping[str, Any]


@final
class RunSettings(TypedDict, total=False):
    """Settings of a run; what is left out the recipe says, or is a default. `walras run --help` explains each."""

    recipe: "str | Recipe | None"
    seed: int
    task: "Named | Task"
    length: int
    batch_size: int
    device: str
    trust_remote_code: bool
    budget: float | str | Mapping[str, float] | Sequence[str]
    units: "Sequence[Named | UnitKind] | str"
    block: int
    mechanism: "Named | Mechanism"
    valuation: "Named | Valuation"
    strategy: "Named | Strategy"
    label_free: bool
    sentences: int
    rounds: int
    schedule: "Named | Schedule"
    scope: "Named | Scope"
    repair: "Named | Repair"
    phases: "Sequence[Named | Phase] | str"
    shock: str | None
    probes: int
    reentry: bool
    endowment: float
    latency_batch: int
    latency_table: str | None

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


class TradeSettings(TypedDict, total=False):
    """Settings of the trade itself, which need no network."""

    budget: float | str | Mapping[str, float] | Sequence[str]
    mechanism: "Named | Mechanism"
    strategy: "Named | Strategy"
    rounds: int
    schedule: "Named | Schedule"
    scope: "Named | Scope"
    phases: "Sequence[Named | Phase] | str"
    shock: str | None
    probes: int
    reentry: bool
    endowment: float


class NetworkSettings(TradeSettings, total=False):
    """Settings of a market on a network, all but its seed."""

    recipe: "str | Recipe | None"
    task: "Named | Task"
    length: int
    batch_size: int
    device: str
    dtype: str
    trust_remote_code: bool
    units: "Sequence[Named | UnitKind] | str"
    block: int
    valuation: "Named | Valuation"
    label_free: bool
    sentences: int
    repair: "Named | Repair"
    repair_sentences: int
    latency_batch: int
    latency_table: str | None


@final
class RunSettings(NetworkSettings, total=False):
    """Settings of a run; what is left out the recipe says, or is a default. `walras run --help` explains each."""

    seed: int


@final
class ModelSettings(NetworkSettings, total=False):
    """Settings of a `MarketModel`, whose seed comes as Mesa hands it on; `model` and `data` name the subject."""

    model: str
    data: str | None

"""A market on a network: everything that a run, a notebook and the command line set up in the same way."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from torch import nn

from walras.agents import Calibration, Strategy, UnitAgent, Valuation
from walras.errors import InputError
from walras.experiments.budgets import Budgets
from walras.experiments.config import RunConfig
from walras.market import (
    ComputeMarket,
    Phase,
    Probes,
    RepairWeights,
    Shock,
    SublayerSessions,
    SwapRefinement,
    budget_path,
)
from walras.mechanisms import Mechanism
from walras.models import Inventory, Usage, inventory, macs
from walras.models.objective import Batch, Objective
from walras.models.repair.repair import Repair


def positions(model: nn.Module) -> int | None:
    """The longest sequence that a model of text has positions for.

    RoBERTa and its kin count positions from the number of the padding token on, and cannot use those before.
    """
    most: int | None = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if most is None:
        return None
    tables = (m for name, m in model.named_modules() if name.endswith("position_embeddings"))
    unused = max((m.padding_idx + 1 for m in tables if getattr(m, "padding_idx", None) is not None), default=0)
    return most - unused


def check_length(model: nn.Module, length: int) -> None:
    """Refuse sequences for which a model has no positions.

    Raises:
        InputError: as said.
    """
    longest = positions(model)
    if longest is not None and length > longest:
        raise InputError(f"length is {length}; {type(model).__name__} has positions for at most {longest} tokens")


@final
class Watched(Sequence[Batch]):
    """Batches that tell how far an iteration over them has come."""

    def __init__(self, batches: Sequence[Batch], advance: Callable[[], None]) -> None:
        self._batches, self._advance = batches, advance

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, i: Any) -> Any:
        return self._batches[i]

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            yield batch
            self._advance()


@final
@dataclass(frozen=True)
class Floor:
    """A network's units and what they cost, before anybody trades."""

    model: nn.Module
    units: Inventory
    macs: Usage

    @staticmethod
    def of(model: nn.Module, block: int, length: int) -> "Floor":
        """Count the units of a model, and their compute for one sequence of `length` tokens.

        Raises:
            InputError: the model has no units, or no positions for a sequence of that length.
        """
        units = inventory(model, block=block)
        if len(units) == 0:
            raise InputError(f"{type(model).__name__} has no heads and no FFN neurons to trade")
        check_length(model, length)
        return Floor(model, units, macs(model, units, length))

    def budgets(self, config: RunConfig, tell: Callable[[str], object] = lambda text: None) -> Budgets:
        """The budgets of the settings, checked; latency is measured here, once, and said so to `tell`."""
        return Budgets.of(self.model, self.units, self.macs, config, tell)

    def calibration(
        self, objective: Objective, batches: Sequence[Batch], dense: nn.Module | None = None
    ) -> Calibration:
        """Our network with a loss and data; `dense` is the network that ours is a copy of, if it is one."""
        return Calibration(self.model, self.units, objective, batches, self.macs.share, dense)

    def market(
        self,
        objective: Objective,
        batches: Sequence[Batch],
        valuation: Valuation,
        mechanism: Mechanism,
        *,
        budgets: Budgets,
        rounds: int,
        schedule: str,
        strategy: Strategy | None = None,
        endowment: float = 0.0,
        seed: int = 0,
        agents: Mapping[str, type[UnitAgent]] | None = None,
        reentry: bool = False,
        sublayers: bool = False,
        rearranged: bool = False,
        dense: nn.Module | None = None,
        repair: Repair | None = None,
        record: Callable[..., object] | None = None,
        shocks: Sequence[Shock] = (),
        scope: str = "global",
        probes: int = 0,
    ) -> ComputeMarket:
        """The market, ready for its first `step()`; `dense` is the network that ours is a copy of, if it is one."""
        path, *extra = (budget_path(share, rounds, schedule) for share in budgets.shares)
        phases: list[Phase] = [SublayerSessions()] if sublayers else []
        phases += [SwapRefinement()] if rearranged else []
        phases += [Probes(probes)] if probes else []
        phases += [] if repair is None else [RepairWeights(repair)]
        market = ComputeMarket(
            self.calibration(objective, batches, dense), valuation, mechanism, path,
            strategy=strategy, endowment=endowment, seed=seed, agents=agents, reentry=reentry,
            resources=budgets.resources, extra_budgets=extra, shocks=shocks, scope=scope, phases=phases,
        )  # fmt: skip
        if record is not None:
            market.on("played", record)
        return market

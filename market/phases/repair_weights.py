"""The weights of the units that stay are repaired at the end of every round."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from walras.errors import InputError
from walras.market.phases.phase import Phase, Turn
from walras.models.repair.repair import ModelPair, Repair, check_repairable
from walras.models.repair.table import REPAIRS

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


@final
@dataclass(frozen=True)
class RepairWeights(Phase):
    """Changes the weights of what is left so that the network does again what the dense one does.

    The market's network must be a copy of the dense one. Where a budget is cleared sub-layer by sub-layer only the one
    that traded is repaired, and what enters its layer is kept in `market.memory["repair"]` for the next session.
    """

    name: ClassVar[str] = "repair"
    done: ClassVar[str] = "repaired"
    follows: ClassVar[str | None] = "settle"

    repair: Repair | str
    """The repair, or its name."""

    def __post_init__(self) -> None:
        REPAIRS.make(self.repair)  # refused here if it is none

    def prepare(self, market: "ComputeMarket") -> None:
        """Refuse a market on the dense network itself, or without any, and a network that no repair can be right for.

        Raises:
            InputError: as said.
        """
        calibration = market.calibration.network("phase RepairWeights")
        if REPAIRS.make(self.repair).fits_stream:
            check_repairable(calibration.model, calibration.inventory)
        if calibration.model is calibration.dense:
            raise InputError("a network that is to be repaired must be a copy of the dense one")

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """Repair what the session settled; the turn itself does not change."""
        site, pair = turn.session.site, self._pair(market, turn)
        REPAIRS.make(self.repair)(pair, market.ledger.quantity > 0, None if site is None else (site,))
        if turn.last_session:
            market.memory.pop(self.name).close()
        return turn

    def _pair(self, market: "ComputeMarket", turn: Turn) -> ModelPair:
        """Our network and the dense one, as far as they have been run; from the bottom after a shock."""
        calibration, memory = market.calibration.network("phase RepairWeights"), market.memory
        if turn.shocks and self.name in memory:
            memory.pop(self.name).close()
        if self.name not in memory:
            memory[self.name] = ModelPair.from_models(
                calibration.model, calibration.dense, calibration.inventory, calibration.repair_batches
            )
        pair: ModelPair = memory[self.name]
        return pair

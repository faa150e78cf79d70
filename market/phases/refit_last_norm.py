"""The last norm of a language model is re-fitted to what the dense one predicts, once the weights are repaired."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import torch

from walras.errors import InputError
from walras.market.phases.phase import Phase, Turn
from walras.models.repair.last_norm import refit_last_norm
from walras.models.units.gates import gated, skipping

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


@final
@dataclass(frozen=True)
class RefitLastNorm(Phase):
    """Changes the norm in front of a language model's head so that the next tokens are predicted as by the dense one.

    One step of Fisher scoring on the data that repairs are fitted on (`refit_last_norm`), which costs about as much as
    reading four tokens for every feature of the norm. It comes behind a repair, which fits the residual stream and
    knows nothing of what the head reads from it. Other networks stay as they are.
    """

    name: ClassVar[str] = "refit"
    done: ClassVar[str] = "refitted"
    follows: ClassVar[str | None] = "repair"

    ridge: float = 1.0
    """Pull towards the dense network's norm, in units of the mean curvature."""

    def __post_init__(self) -> None:
        if not 0 < self.ridge < float("inf"):
            raise InputError(f"ridge is {self.ridge!r}; it must be a number above 0")

    def prepare(self, market: "ComputeMarket") -> None:
        """Refuse a market on the dense network itself, or without any.

        Raises:
            InputError: as said.
        """
        calibration = market.calibration.network("phase RefitLastNorm")
        if calibration.model is calibration.dense:
            raise InputError("a network whose last norm is to be re-fitted must be a copy of the dense one")

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """Re-fit it once all of the budget is settled; the turn itself does not change."""
        if not turn.last_session:
            return turn
        calibration, keep = market.calibration.network("phase RefitLastNorm"), market.ledger.quantity > 0
        model, units = calibration.model, calibration.inventory
        gates = torch.tensor(keep, dtype=torch.get_default_dtype(), device=next(model.parameters()).device)
        generator = torch.Generator().manual_seed(market.seed)
        with gated(model, units, gates), skipping(model, units, torch.from_numpy(keep)):
            refit_last_norm(model, calibration.dense, calibration.repair_batches, self.ridge, generator)
        return turn

"""The valuation says what units are worth in a round."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import torch

from walras.agents import Calibration
from walras.errors import InputError
from walras.market.ledger import Column
from walras.market.naming import naming
from walras.market.phases.phase import Phase, Turn

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


@final
@dataclass(frozen=True)
class Value(Phase):
    """Takes the true value of every unit under the present gates, by the market's valuation."""

    name: ClassVar[str] = "value"
    done: ClassVar[str] = "valued"

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """Values are written into the ledger as well, where agents read them."""
        value = true_values(market, turn)
        market.ledger.open(value)
        return replace(turn, value=value)


def true_values(market: "ComputeMarket", turn: Turn) -> Column:
    """Values [n] of all units under the present gates; random draws depend on the seed and the round only.

    Raises:
        InputError: values of another shape, one that is not finite, or all 0 in the first round.
        UserCodeError: a valuation of the user's own raised an error.
    """
    ledger, name = market.ledger, type(market.valuation).__name__
    generator = torch.Generator().manual_seed(market.seed * 1_000_003 + turn.number - 1)
    with naming(f"valuation {name}", market.valuation):
        given = torch.as_tensor(market.valuation.of_units(turn.calibration, market.gates, generator))
        value = given.detach().cpu().double().numpy()
        if value.shape != (len(ledger),):
            raise InputError(f"{name} returned values of shape {value.shape} for {len(ledger)} units")
        if not np.isfinite(value).all():
            bad = int(np.flatnonzero(~np.isfinite(value))[0])
            raise InputError(f"{name} values {ledger.name[bad]} at {value[bad]}; values must be finite numbers")
        if turn.number == 1 and len(value) > 1 and not value.any():
            raise InputError(f"{name} values every unit at 0, so that none is better than another. {_hint(turn)}")
    return np.where(turn.revalued, value, ledger.value)


def _hint(turn: Turn) -> str:
    """Why that may be."""
    if not isinstance(turn.calibration, Calibration):
        return "Give some of them a value above 0"
    kinds = {p.dtype for p in turn.calibration.model.parameters()}
    if torch.float16 in kinds:
        return "The network is in float16, whose gradients of a small loss vanish: scale the loss up, or use float32"
    return "A loss that is very small vanishes when it is squared: scale it up"

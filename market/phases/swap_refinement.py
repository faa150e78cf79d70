"""Exchanging units within sub-layers, once it is known how many of each stay."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walras.errors import InputError
from walras.market.phases.phase import Phase, Turn
from walras.models import Inventory

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket

Matrix = NDArray[np.float64]


@final
@dataclass(frozen=True)
class SwapRefinement(Phase):
    """Swaps units within every sub-layer after clearing, so that those that leave are missed least together.

    Gradients are those of the network as it is with all gates open. Units that are funded pay their price, or what they
    bid where that is less: a swap may bring in a unit that bid less than its price.
    """

    name: ClassVar[str] = "swap"
    done: ClassVar[str] = "swapped"
    follows: ClassVar[str | None] = "clear"
    source: ClassVar[str] = "Kwon et al. 2022, arXiv 2204.09656"

    def prepare(self, market: "ComputeMarket") -> None:
        """Refuse units without a network.

        Raises:
            InputError: as said.
        """
        market.calibration.network("phase SwapRefinement")

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """The round with quantities after the swaps, as many per sub-layer as before."""
        generator = torch.Generator().manual_seed(market.seed)
        calibration = market.calibration.network("phase SwapRefinement")
        gradients = torch.cat(list(calibration.sample_gradients(torch.ones_like(market.gates), generator)))
        keep = refine_by_swaps(gradients, calibration.inventory, turn.quantity > 0)
        payment = np.where(keep, np.minimum(turn.price, turn.report), 0.0) * turn.trading
        return replace(turn, quantity=keep.astype(np.float64), payment=payment)


def refine_by_swaps(gradients: Tensor, inventory: Inventory, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Choose again, in every sub-layer, which units leave, as many as before, by what they cost together.

    Values add up unit by unit; leaving together costs d' I d with I the sub-layer's block of the empirical Fisher
    information and d = 1 for those that leave, that is |sum of their gradients|^2 / samples. Kwon et al. 2022 (arXiv
    2204.09656, section 4.2) lower it greedily:

    1. Start from those that leave; after their search these are the ones with the smallest I_ii.
    2. Walk through those that stay in increasing order of I_ii. Let the next one leave too, then bring back the member
       whose coming back leaves the smallest sum: itself, where no exchange helps.

    No step raises the cost; on small instances it ends at the least cost of all choices in 63 % of the cases, where the
    start is that in 20 % (`tests/market/phases/test_swap_refinement.py`). Blocks narrower than the sub-layer's others
    stay or leave as they are, so that neither the count nor the compute changes. The order of the samples, or a
    rotation of them, makes no difference.

    Args:
        gradients: [samples, n] of the loss with respect to the gates, of every sample or mini-batch, at the dense
            network.
        inventory: its units, n of them.
        keep: bool [n], the units that are to stay.

    Raises:
        InputError: a shape, a type, or a gradient that is not finite.
    """
    n = len(inventory)
    if not isinstance(gradients, Tensor) or gradients.ndim != 2 or gradients.shape[1] != n or len(gradients) == 0:
        given = tuple(gradients.shape) if isinstance(gradients, Tensor) else type(gradients).__name__
        raise InputError(f"gradients of shape {given}; valid: a tensor [samples, {n}] with at least one sample")
    if not isinstance(keep, np.ndarray) or keep.dtype != np.bool_ or keep.shape != (n,):
        what = f"{keep.dtype} of shape {keep.shape}" if isinstance(keep, np.ndarray) else type(keep).__name__
        raise InputError(f"keep is {what}; valid: bool [{n}], one for each unit")
    finite = torch.isfinite(gradients).all(0)
    if not bool(finite.all()):
        raise InputError(f"a gradient of {inventory.name(int((~finite).nonzero()[0]))} is not finite")
    result = keep.copy()
    for site in inventory.sites:
        own = gradients[:, site.units].detach().double()
        whole = inventory.width[site.units] == site.block
        result[site.units] = ~_exchange((own.T @ own).cpu().numpy(), ~keep[site.units], whole)
    return result


def joint_cost(gradients: Tensor, inventory: Inventory, keep: NDArray[np.bool_]) -> Matrix:
    """The objective of `refine_by_swaps` in each sub-layer [sub-layers]: d' I d of the units that do not stay."""
    gone = torch.from_numpy(~keep).to(gradients.device)
    return np.array(
        [
            float(gradients[:, site.units][:, gone[site.units]].double().sum(1).square().mean())
            for site in inventory.sites
        ]
    )


def _exchange(gram: Matrix, gone: NDArray[np.bool_], movable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Step 2: which units leave [k] in the end, from inner products of gradients [k, k]. One step takes O(k)."""
    gone = gone.copy()
    size = gram.diagonal()
    with_sum = gram @ gone  # inner product of each unit's gradients with the sum over those that go
    waiting = np.flatnonzero(~gone & movable)
    if not (gone & movable).any():
        return gone
    for unit in waiting[np.argsort(size[waiting], kind="stable")]:
        gone[unit] = True
        with_sum += gram[:, unit]
        members = np.flatnonzero(gone & movable)
        less = 2 * with_sum[members] - size[members]  # by how much each member's coming back lowers the cost
        back = members[np.argmax(less)]
        if 2 * with_sum[unit] - size[unit] >= less.max():
            back = unit  # of equals, the one that has not left yet
        gone[back] = False
        with_sum -= gram[:, back]
    return gone

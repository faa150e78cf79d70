"""The optimal brain surgeon on whole units: in which order they had best leave, and what becomes of the rest."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walras.errors import InputError
from walras.models.surgeon.elimination import eliminated, rises_in_order

Mask = NDArray[np.bool_]
DAMPING = 0.01


@final
@dataclass(frozen=True, eq=False)
class StructuredOBS:
    """A sub-layer's output projection, from which units are taken one by one, each time the one that is missed least.

    With W [hidden, k] the projection, X [tokens, k] its input and H = X'X + `damping` times the mean square of a
    feature times 1, all of H and W being of the features that are there:

    1. Removing unit S, its features' columns, and moving all other weights to make up for it as well as they can, costs
       tr(W_S (H^-1_SS)^-1 W_S'), the rise of the squared error of the output (and of the pull towards the old weights).
    2. The unit of the least rise leaves: W -= W_S (H^-1_SS)^-1 H^-1_S:, and H^-1 becomes that of the features left.
    3. The rises add up to the error of the set that is kept; so do those of any other order in which a set is lost.
       The weights are those of the least squares that are fitted to the old output at once:
       V = argmin |X V' - X W'|^2 + damping |V - W|^2 over the columns kept.

    Sources: Hassibi & Stork 1993; for whole units Kurtic et al. 2023 (ZipLM, arXiv 2302.04089, section 3.1), and
    Meng et al. 2024 (OSSCAR, arXiv 2403.12983). Both damp by 0.01.

    W and H are kept in the precision of W, in float32 at least; all work is done in float64.

    Attributes:
        weight: W [hidden, k] before anything left.
        curvature: H [k, k], damped.
        block: features of a unit; the last unit may own fewer.
        order: [units] in the order of their leaving.
        errors: [units + 1] of the output, with so many units gone, as shares of that of a sub-layer that writes 0.
    """

    weight: Tensor
    curvature: Tensor
    block: int
    order: NDArray[np.int64]
    errors: NDArray[np.float64]

    @staticmethod
    def from_moment(
        weight: Tensor, moment: Tensor, block: int = 1, damping: float = DAMPING, together: int = 1,
        order: NDArray[np.int64] | None = None,
    ) -> "StructuredOBS":  # fmt: skip
        """From W [hidden, k] and second moments X'X [k, k], in float64.

        With `together` above 1 so many units leave before the next ones are looked for; with an `order` [units] they
        leave in that one, whatever each costs.

        Raises:
            InputError: damping that is not above 0, moments of another shape, an order that has not every unit once.
        """
        kept, weight, curvature = _wide(weight), weight.detach().double(), damped(moment, weight.shape[1], damping)
        if order is None:
            order, rises = eliminated(weight, curvature, block, together)
        else:
            rises = rises_in_order(weight, curvature, block, order)
        whole = float((weight @ curvature * weight).sum())
        errors = np.concatenate([[0.0], np.cumsum(rises)]) / whole if whole > 0 else np.zeros(len(order) + 1)
        return StructuredOBS(weight.to(kept), curvature.to(kept), block, order, errors)

    def __len__(self) -> int:
        """Units."""
        return len(self.order)

    @property
    def rises(self) -> NDArray[np.float64]:
        """By how much the error [units] rises as each leaves in its turn, in the order of the units."""
        found = np.empty(len(self))
        found[self.order] = np.diff(self.errors)
        return found

    def keeping(self, count: int) -> Mask:
        """The units [units] that are left when only so many are.

        Raises:
            InputError: fewer than none, or more than there are.
        """
        if not 0 <= count <= len(self):
            raise InputError(f"{count} units are to stay of {len(self)}; valid: 0 to {len(self)}")
        keep = np.ones(len(self), dtype=bool)
        keep[self.order[: len(self) - count]] = False
        return keep

    def features(self, keep: Mask) -> Tensor:
        """LongTensor of the features of the units in a mask [units]."""
        owner = torch.arange(self.weight.shape[1]) // self.block
        return torch.from_numpy(keep)[owner].nonzero().flatten().to(self.weight.device)

    def refitted(self, keep: Mask) -> Tensor:
        """V [hidden, features kept] in float64, the weights of the units that are kept, whichever these are."""
        return refitted(self.weight, self.curvature, self.features(keep))

    def error(self, keep: Mask) -> float:
        """The error of the output with these weights, as a share of that of a sub-layer that writes 0."""
        written = self.weight.double() @ self.curvature.double()
        whole, kept = float((written * self.weight).sum()), self.features(keep)
        return 1 - float((self.refitted(keep) * written[:, kept]).sum()) / whole if whole > 0 else 0.0


def damped(moment: Tensor, width: int, damping: float) -> Tensor:
    """H [width, width] in float64 from X'X: `damping` times the mean square of a feature is added to the diagonal.

    Raises:
        InputError: damping that is not above 0, or moments of another shape.
    """
    check_damping(damping)
    if moment.shape != (width, width):
        raise InputError(
            f"moments have shape {[*moment.shape]}; a projection of {width} features needs [{width}, {width}]"
        )
    curvature = moment.detach().double().clone()
    curvature.diagonal().add_((damping * curvature.diagonal().mean()).clamp(min=torch.finfo(torch.float64).tiny))
    return curvature


def check_damping(damping: float) -> None:
    """Refuse damping that is not above 0.

    Raises:
        InputError: as said.
    """
    if not 0 < damping < float("inf"):
        raise InputError(f"damping is {damping!r}; it must be a number above 0")


def refitted(weight: Tensor, curvature: Tensor, kept: Tensor) -> Tensor:
    """V [hidden, kept] in float64, `StructuredOBS`'s step 3, from W [hidden, k], H [k, k] and the features kept."""
    if len(kept) == weight.shape[1]:
        return weight.double()
    rows = curvature[kept].double()
    factor = torch.linalg.cholesky(rows[:, kept])
    return torch.cholesky_solve(rows @ weight.double().T, factor).T


def _wide(weight: Tensor) -> torch.dtype:
    """The precision of a weight, or float32 where that is wider."""
    return torch.promote_types(weight.dtype, torch.float32)

"""Units taken out of a quadratic problem one by one: the arithmetic of the optimal brain surgeon."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walras.errors import InputError

PANEL = 64
"""Features that leave before what is kept of them is multiplied out, all at once."""


class _State(NamedTuple):
    """H^-1 and W'W of the features that are left, unit by unit, both [units x block, units x block]."""

    inverse: Tensor
    gram: Tensor


def eliminated(
    weight: Tensor, curvature: Tensor, block: int, together: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """In which order units leave, each time the one whose leaving costs least, and what each costs then.

    As in `StructuredOBS`, steps 1 and 2. Of the weights only G = W'W is needed: with S the features of the one that
    leaves, K = (H^-1_SS)^-1, Q = H^-1_:S K, unit i's cost is tr(K_i G_ii), and

        H^-1 -= Q K^-1 Q',    G -= R Q' + Q R'  with R = G_:S - Q G_SS / 2.

    Both are written out only after a number of units; until then the columns and diagonal blocks that are looked at
    are brought up to date one by one. The work is of order k^3 for k features, in matrix products, whatever a unit is.

    Args:
        weight: W [hidden, k] in float64.
        curvature: H [k, k] in float64, positive definite.
        block: features of a unit; the last unit may own fewer.
        together: units that leave, the cheapest ones, before costs are looked at again; what each costs is what it
            costs once those before it are gone.
    """
    units = -(-weight.shape[1] // block)
    state, names = _padded(weight, curvature, units * block), np.arange(units)
    order, rises = list[int](), list[float]()
    while len(names):
        most = max(PANEL // (block * together), 1) * together
        gone, cost, state = _panel(state, block, min(most, len(names)), together)
        order += names[gone].tolist()
        rises += cost
        names = np.delete(names, gone)
    return np.array(order, dtype=np.int64), np.array(rises)


def rises_in_order(weight: Tensor, curvature: Tensor, block: int, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each unit costs as it leaves, in a given order [units].

    With L L' the Cholesky factors of H^-1 and rows of W', both in that order, the squares of L^-1 W' are the costs of
    single features: factoring is the same elimination.

    Raises:
        InputError: an order that has not every unit once.
    """
    units = -(-weight.shape[1] // block)
    if sorted(order.tolist()) != list(range(units)):
        raise InputError(f"an order of {len(order)} units was given; valid: each of {units} once")
    features = np.arange(weight.shape[1])
    own = np.argsort(np.argsort(order)[features // block], kind="stable")  # features as their units leave
    index = torch.from_numpy(own).to(weight.device)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(curvature))[index][:, index]
    solved = torch.linalg.solve_triangular(torch.linalg.cholesky(inverse), weight.T[index], upper=False)
    costs = solved.square().sum(-1).cpu().numpy()
    found: NDArray[np.float64] = np.array(np.bincount(own // block, costs, units)[order], dtype=np.float64)
    return found


def _padded(weight: Tensor, curvature: Tensor, width: int) -> _State:
    """The first state, a last unit of fewer features filled up with ones that do nothing."""
    k = weight.shape[1]
    inverse, gram = torch.eye(width, dtype=weight.dtype, device=weight.device), weight.new_zeros(width, width)
    inverse[:k, :k] = torch.cholesky_inverse(torch.linalg.cholesky(curvature))
    gram[:k, :k] = weight.T @ weight
    return _State(inverse, gram)


def _panel(state: _State, block: int, count: int, together: int) -> tuple[list[int], list[float], _State]:
    """Take `count` units out: which, what each cost, and the state of those that are left."""
    inverse, gram = state
    units = len(inverse) // block
    own_inverse, own_gram = _diagonal(inverse, units), _diagonal(gram, units)
    there = torch.ones(units, dtype=torch.bool, device=inverse.device)
    scale, change, half = (inverse.new_zeros(len(inverse), count * block) for _ in range(3))  # of H^-1: scale x change'
    gone, cost, next_ones = list[int](), list[float](), list[int]()
    for step in range(count):
        price = _price(own_inverse, own_gram).masked_fill(~there, torch.inf)
        next_ones = next_ones or price.argsort(stable=True)[:together].tolist()
        unit = next_ones.pop(0)
        own, past = slice(unit * block, (unit + 1) * block), slice(0, step * block)
        column = inverse[:, own] - scale[:, past] @ change[own, past].T
        written = gram[:, own] - half[:, past] @ change[own, past].T - change[:, past] @ half[own, past].T
        q = column @ _inverted(own_inverse[unit])
        r = written - q @ own_gram[unit] / 2
        now = slice(step * block, (step + 1) * block)
        scale[:, now], change[:, now], half[:, now] = column, q, r
        columns, qs, rs = (part.view(units, block, block) for part in (column, q, r))
        own_inverse = own_inverse - columns @ qs.transpose(1, 2)
        both = rs @ qs.transpose(1, 2)
        own_gram = own_gram - both - both.transpose(1, 2)
        there[unit] = False
        own_inverse[unit] = torch.eye(block, dtype=q.dtype, device=q.device)  # anything that can be inverted
        gone.append(unit)
        cost.append(max(float(price[unit]), 0.0))
    left = there.repeat_interleave(block).nonzero().flatten()
    scale, change, half = scale[left], change[left], half[left]
    kept = [matrix[left][:, left] for matrix in state]
    both = half @ change.T
    return gone, cost, _State(kept[0] - scale @ change.T, kept[1] - both - both.T)


def _diagonal(matrix: Tensor, units: int) -> Tensor:
    """The blocks [units, block, block] on the diagonal of a matrix."""
    block = len(matrix) // units
    return matrix.view(units, block, units, block).diagonal(dim1=0, dim2=2).permute(2, 0, 1).clone()


def _price(own_inverse: Tensor, own_gram: Tensor) -> Tensor:
    """tr(K_i G_ii) [units]."""
    if own_inverse.shape[-1] == 1:
        return (own_gram / own_inverse).flatten()
    factor = torch.linalg.cholesky(own_inverse)
    return torch.cholesky_solve(own_gram, factor).diagonal(dim1=1, dim2=2).sum(-1)


def _inverted(matrix: Tensor) -> Tensor:
    """The inverse of a small positive definite matrix."""
    return matrix.reciprocal() if len(matrix) == 1 else torch.cholesky_inverse(torch.linalg.cholesky(matrix))

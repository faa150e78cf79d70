"""The price at which a falling demand meets supply: bisection, and one Newton step that makes it differentiable."""

from collections.abc import Callable

import torch
from torch import Tensor

Excess = Callable[[Tensor], Tensor]  # price [...] -> excess demand [...], nonincreasing in the price

_HALVINGS = 200
_DOUBLINGS = 120


def bracket(excess: Excess, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Replace infinite ends of [low, high] by finite ones with excess(low) > 0 >= excess(high), by doubling steps.

    Demand that is satiated at any price never exceeds the supply; low then ends far down, with excess(low) <= 0.
    """
    seek_low, seek_high = low == -torch.inf, high == torch.inf
    if not (seek_low | seek_high).any():
        return low, high
    start = torch.where(seek_low, torch.where(seek_high, 0.0, high), low)
    low, high = start.clone(), torch.where(seek_high, start, high)
    step = torch.ones_like(low)
    for _ in range(_DOUBLINGS):
        up, down = seek_high & (excess(high) > 0), seek_low & (excess(low) <= 0)
        if not (up | down).any():
            break
        high, low = torch.where(up, high + step, high), torch.where(down, low - step, low)
        step = torch.where(up | down, 2 * step, step)
    return low, high


def bisect(excess: Excess, low: Tensor, high: Tensor) -> Tensor:
    """The feasible end [...] of the root in [low, high]: excess <= 0 there, and > 0 one float below."""
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        inside = (low < middle) & (middle < high)
        if not inside.any():
            break
        over = excess(middle) > 0
        low = torch.where(inside & over, middle, low)
        high = torch.where(inside & ~over, middle, high)
    return high


def newton_step(excess: Excess, root: Tensor) -> Tensor:
    """The root [...] as a differentiable function of whatever `excess` closes over.

    By the implicit function theorem d root = -(d excess / d root)^-1 d excess, which is the derivative of one
    Newton step root - excess(root) / slope with the slope held fixed. The value moves by rounding only.
    """
    with torch.enable_grad():
        at = root.detach().requires_grad_()
        (slope,) = torch.autograd.grad(excess(at).sum(), at)
        steep = slope < 0
        step = excess(root.detach()) / torch.where(steep, slope, -1.0)
        return root.detach() - torch.where(steep, step, 0.0).to(root.dtype)

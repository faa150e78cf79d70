"""The last point at which a falling demand still fits the supply, and one Newton step that makes it differentiable."""

from collections.abc import Callable

import torch
from torch import Tensor

# Excess demand [...] at a price (floating point) or at a rank (integer) [...]: monotone; it fits where it is <= 0.
Excess = Callable[[Tensor], Tensor]

_DOUBLINGS = 120
_EVALUATIONS = 400


def bracket(excess: Excess, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Replace infinite ends of prices [low, high] by finite ones with excess(low) > 0 >= excess(high), by doubling.

    Where demand fits at every price, however low, both ends are the price from which the search for `low` began:
    `high`, or 0 where that is infinite.
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
            return low, high
        high, low = torch.where(up, high + step, high), torch.where(down, low - step, low)
        step = torch.where(up | down, 2 * step, step)
    return torch.where(down, start, low), torch.where(down, start, high)


def bracket_near(excess: Excess, guess: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """Prices [low, high] around or beside a positive guess [...]: excess(high) <= 0, and excess(low) > 0 or the floor.

    Steps away from the guess grow eightfold. Demand must fit at the greatest finite price.
    """
    top, step = torch.finfo(guess.dtype).max, 2.0**-10
    at = last = guess.maximum(floor).clamp(torch.finfo(guess.dtype).tiny, top)
    rising = excess(at) > 0
    seeking = rising | (at > floor)
    for _ in range(_DOUBLINGS):
        if not seeking.any():
            break
        further = torch.where(rising, (at * (1 + step)).clamp(max=top), (at * (1 - min(step, 1.0))).maximum(floor))
        last, at = torch.where(seeking, at, last), torch.where(seeking, further, at)
        seeking = seeking & ((excess(at) > 0) == rising) & (rising | (at > floor))
        step *= 8
    return torch.where(rising, last, at), torch.where(rising, at, last)


def search(excess: Excess, fit: Tensor, goal: Tensor, within: float = 0.0) -> Tensor:
    """The point [...] nearest to `goal` at which demand fits, on the way there from `fit`, where it does.

    No float, or no integer, lies between the answer and a point where demand exceeds the supply; `within` a share of
    the answer above 0 is enough where such a share is given. Steps take turns:
    regula falsi; the same from the nearer end at double length, which passes the root and so brings up the other end
    (Alefeld, Potra and Shi 1995, doi 10.1145/210089.210111, section 3); and bisection, where the two have not halved
    the bracket twice. Smooth demand takes about ten evaluations.
    """
    at_goal = excess(goal)
    fit = torch.where(at_goal <= 0, goal, fit)
    if (fit == goal).all():
        return fit
    at_fit, before = excess(fit), (goal - fit).abs()
    for step in range(_EVALUATIONS):
        near, far = _next(fit, goal), _next(goal, fit)
        if ((fit == goal) | (near == goal) | ((goal - fit).abs() <= within * fit)).all():
            break
        share = (at_fit / (at_fit - at_goal)).nan_to_num(0.5)
        if step % 3 == 1:
            share = torch.where(share < 0.5, 2 * share, 2 * share - 1)
            share = torch.where((share - 0.5).abs() < 0.5, share, 0.5)
        elif step % 3 == 2:
            width = (goal - fit).abs()
            share = torch.where(4 * width > before, 0.5, share)
            before = width
        guess = fit + ((goal - fit) * share).to(fit.dtype)
        guess = guess.clamp(torch.minimum(near, far), torch.maximum(near, far))
        value = excess(guess)
        fits = value <= 0
        fit, at_fit = torch.where(fits, guess, fit), torch.where(fits, value, at_fit)
        goal, at_goal = torch.where(fits, goal, guess), torch.where(fits, at_goal, value)
    return fit


def _next(start: Tensor, goal: Tensor) -> Tensor:
    """The neighbour of `start` on the way to `goal`, among the numbers of their dtype."""
    return torch.nextafter(start, goal) if start.is_floating_point() else start + (goal - start).sign()


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

"""Gates that are trained: random ones, 0 or 1 with a chance above 0, and differentiable all the same."""

from math import log
from typing import final

import torch
from torch import Tensor, nn

from walras.errors import InputError

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1
_SHIFT = TEMPERATURE * log(-LOW / HIGH)


@final
class HardConcrete(nn.Module):
    """One gate a unit, `[n]`, from the hard concrete distribution (Louizos et al. 2018, arXiv 1712.01312, section 2.2).

    With u uniform on (0, 1) and a the odds of the gate, b = 2/3, low = -0.1, high = 1.1:

        s = sigmoid((ln u - ln (1 - u) + ln a) / b)
        gate = min(1, max(0, s (high - low) + low))
        P(gate != 0) = sigmoid(ln a - b ln(-low / high))

    In evaluation u = 1/2 and b = 1: gate = min(1, max(0, sigmoid(ln a) (high - low) + low)). A unit may be `fixed` at 0
    or at 1, where it has no gradient.
    """

    fixed: Tensor

    def __init__(self, odds: Tensor) -> None:
        """`odds` are the logarithms ln a `[n]` to begin with."""
        super().__init__()
        if odds.ndim != 1 or not bool(odds.isfinite().all()):
            raise InputError(f"logarithms of odds of shape {[*odds.shape]}; they must be finite numbers [n]")
        self.odds = nn.Parameter(odds.detach().clone())
        self.register_buffer("fixed", torch.full_like(odds, torch.nan))

    def fix(self, units: Tensor, gate: float) -> None:
        """Hold the gates of `units`, bool `[n]`, at 0 or 1 from now on; those that are held already stay so."""
        if gate not in (0.0, 1.0):
            raise InputError(f"a gate is fixed at {gate!r}; valid: 0 and 1")
        self.fixed = torch.where(units & self.fixed.isnan(), torch.full_like(self.fixed, gate), self.fixed)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Gates `[n]` with gradients to the odds; the draw comes from `generator`, on the CPU."""
        uniform = torch.rand(len(self.odds), generator=generator, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
        noise = (uniform.log() - (-uniform).log1p()).to(self.odds)
        return self._held(_stretched(((noise + self.odds) / TEMPERATURE).sigmoid()))

    def gates(self) -> Tensor:
        """Gates `[n]` of evaluation: no chance in them."""
        return self._held(_stretched(self.odds.sigmoid()))

    def chance(self) -> Tensor:
        """P(gate != 0) `[n]`, with gradients to the odds."""
        return self._held((self.odds - _SHIFT).sigmoid())

    def _held(self, gates: Tensor) -> Tensor:
        return torch.where(self.fixed.isnan(), gates, self.fixed)


def odds_of(chance: float) -> float:
    """ln a at which a gate is open with that chance, above 0 and below 1."""
    if not 0 < chance < 1:
        raise InputError(f"chance is {chance!r}; it must be above 0 and below 1")
    return log(chance / (1 - chance)) + _SHIFT


def _stretched(s: Tensor) -> Tensor:
    return (s * (HIGH - LOW) + LOW).clamp(0, 1)

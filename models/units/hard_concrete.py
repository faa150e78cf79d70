"""Gates that are trained: random ones, 0 or 1 with a chance above 0, and differentiable all the same."""

from math import log
from typing import final

import torch
from torch import Tensor, nn

from walras.errors import InputError

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1
SHIFT = TEMPERATURE * log(-LOW / HIGH)


@final
class HardConcrete(nn.Module):
    """One gate a unit, `[n]`, from the hard concrete distribution (Louizos et al. 2018, arXiv 1712.01312, section 2.2).

    With u uniform on (0, 1) and a the odds of the gate, b = 2/3, low = -0.1, high = 1.1:

        s = sigmoid((ln u - ln (1 - u) + ln a) / b)
        gate = min(1, max(0, s (high - low) + low))
        P(gate != 0) = sigmoid(ln a - b ln(-low / high))

    In evaluation u = 1/2 and b = 1: gate = min(1, max(0, sigmoid(ln a) (high - low) + low)). The parameter is the logit
    of P(gate != 0), from which ln a follows by a shift. A unit may be `fixed` at 0 or at 1, where it has no gradient.
    """

    fixed: Tensor

    def __init__(self, logits: Tensor) -> None:
        """`logits` of the chances `[n]` to begin with."""
        super().__init__()
        if logits.ndim != 1 or not bool(logits.isfinite().all()):
            raise InputError(f"logits of shape {[*logits.shape]}; they must be finite numbers [n]")
        self.logits = nn.Parameter(logits.detach().clone())
        self.register_buffer("fixed", torch.full_like(logits, torch.nan))

    def fix(self, units: Tensor, gate: float) -> None:
        """Hold the gates of `units`, bool `[n]`, at 0 or 1 from now on; those that are held already stay so."""
        if gate not in (0.0, 1.0):
            raise InputError(f"a gate is fixed at {gate!r}; valid: 0 and 1")
        self.fixed = torch.where(units & self.fixed.isnan(), torch.full_like(self.fixed, gate), self.fixed)

    def chance(self, logits: Tensor) -> Tensor:
        """P(gate != 0) `[n]` of logits of just that; units that are held have 0 or 1."""
        return self._held(logits.sigmoid())

    def sample(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Gates `[n]` with gradients to the logits of their chance; the draw comes from `generator`, on the CPU."""
        uniform = torch.rand(len(logits), generator=generator, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
        noise = (uniform.log() - (-uniform).log1p()).to(logits)
        return self._held(_stretched(((noise + logits + SHIFT) / TEMPERATURE).sigmoid()))

    def at_rest(self, logits: Tensor) -> Tensor:
        """Gates `[n]` of evaluation: no draw."""
        return self._held(_stretched((logits + SHIFT).sigmoid()))

    @property
    def free(self) -> Tensor:
        """Units that are not held, bool `[n]`."""
        return self.fixed.isnan()

    def _held(self, gates: Tensor) -> Tensor:
        return torch.where(self.free, gates, self.fixed.to(gates))


def _stretched(s: Tensor) -> Tensor:
    return (s * (HIGH - LOW) + LOW).clamp(0, 1)

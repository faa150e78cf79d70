"""Lambert's W on the interval that surge utilities need."""

from math import e, log1p

import numpy as np
import torch
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray
from scipy.special import lambertw
from torch import Tensor


def _start(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """W of exp(t) - 1, over t."""
    found: NDArray[np.float64] = np.real(lambertw(np.expm1(t), 0)) / t
    return found


# For t from 0 to log1p(e), within 1e-6; one step of Halley's method triples its digits.
_START = Chebyshev.interpolate(_start, 9, domain=[0.0, log1p(e)]).convert(kind=Polynomial).coef.tolist()
_BLOCK = 2**15  # numbers that stay in a processor's cache through all steps


def lambert_w(z: Tensor) -> Tensor:
    """The root w >= 0 of w exp(w) = z for z [...] from 0 to e, to the last digits of the dtype.

    A polynomial in log1p(z), then Halley's method (Corless et al. 1996, "On the Lambert W function", eq. 5.9).
    """
    flat = z.reshape(-1)
    return torch.cat([_block(part) for part in torch.split(flat, _BLOCK)]).reshape(z.shape) if flat.numel() else z


def _block(z: Tensor) -> Tensor:
    t = torch.log1p(z)
    w = torch.full_like(t, _START[-1])
    for coefficient in reversed(_START[:-1]):
        w.mul_(t).add_(coefficient)
    w.mul_(t)
    grown = w.exp()
    off = w * grown - z
    return w - off / (grown * (w + 1) - (w + 2) * off / (2 * w + 2))

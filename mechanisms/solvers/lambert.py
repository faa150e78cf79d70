"""Lambert's W on the interval that surge utilities need."""

import torch
from torch import Tensor

# W(exp(t) - 1) / t as a polynomial in t from 0 to log(1 + e), within 1e-6: its interpolation at Chebyshev's points
# (tests/mechanisms/solvers/test_lambert.py). One step of Halley's method triples its digits.
_START = (
    0.99999876654106,
    -0.4998099620472096,
    0.6616086994193271,
    -0.9033262882629349,
    1.1825025711576476,
    -1.2858022992635674,
    1.034168212002873,
    -0.5565577478745284,
    0.17607680683140164,
    -0.02456347961593562,
)
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

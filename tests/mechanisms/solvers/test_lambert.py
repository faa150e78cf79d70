"""Lambert's W against scipy's, and where the coefficients of its first guess come from."""

from math import e, log1p
from typing import Any

import numpy as np
import pytest
import torch
from numpy.polynomial import Chebyshev, Polynomial
from scipy.special import lambertw

from walras.mechanisms.solvers import lambert
from walras.mechanisms.solvers.lambert import lambert_w

W: Any = lambertw  # its types know no real arrays


def test_the_coefficients_interpolate_w_at_chebyshevs_points() -> None:
    def target(t: np.ndarray) -> np.ndarray:
        return np.asarray(np.real(W(np.expm1(t), 0)) / t)

    found = Chebyshev.interpolate(target, 9, domain=[0.0, log1p(e)]).convert(kind=Polynomial).coef
    assert pytest.approx(found.tolist(), rel=1e-9) == lambert._START


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 4e-16), (torch.float32, 3e-7)])
def test_w_to_the_last_digits(dtype: torch.dtype, digits: float) -> None:
    z = torch.linspace(0, e, 100_001, dtype=dtype)
    expected = torch.from_numpy(np.real(W(z.double().numpy()))).to(dtype)
    assert (lambert_w(z) - expected).abs().max().item() <= digits
    assert lambert_w(torch.zeros(0)).shape == (0,)
    assert lambert_w(torch.ones(2, 3)).shape == (2, 3)

from typing import Any

import numpy as np
import pytest

from walras.errors import InputError
from walras.mechanisms.solvers.kwon_latency import StepFit, fit_steps
from walras.models import inventory
from walras.models.resources.latency import Latency
from walras.models.resources.latency_fit import fit_latency
from walras.models.resources.latency_table import LatencyTable, Setting


@pytest.mark.parametrize(
    "fit", [StepFit(1, 2.0, 0.5), StepFit(3, 2.0, 0.5), StepFit(6, 0.0, 1.0), StepFit(8, 4.0, 0.0)]
)
def test_exact_times_are_recovered(fit: StepFit) -> None:
    found = fit_steps(np.array([fit(n) for n in range(1, 9)]))
    assert found.threshold == fit.threshold
    assert [found.base, found.slope] == pytest.approx([fit.base, fit.slope])


def test_least_squares_against_a_grid() -> None:
    times = np.array([2.0, 2.2, 1.9, 3.1, 3.9, 5.2])
    counts = np.arange(1, 7)
    found = fit_steps(times)

    def error(fit: StepFit) -> float:
        return float(sum((fit(int(n)) - t) ** 2 for n, t in zip(counts, times, strict=True)))

    others = [StepFit(t, b, a) for t in counts.tolist() for b in np.linspace(0, 4, 81) for a in np.linspace(0, 2, 81)]
    assert error(found) <= min(error(other) for other in others)
    assert found.threshold == 3


def test_falling_times_have_no_slope() -> None:
    assert fit_steps(np.array([3.0, 2.0, 1.0])) == StepFit(3, 2.0, 0.0)
    assert fit_steps(np.array([2.0])) == StepFit(1, 2.0, 0.0)
    for times in (np.array([]), np.array([-1.0]), np.array([np.nan])):
        with pytest.raises(InputError, match="times are"):
            fit_steps(times)


def test_fit_of_a_table(tiny: Any) -> None:
    units = inventory(tiny("bert").model, block=10)  # 3 layers of 4 heads and 4 blocks
    steps = np.tile([2.0, 0.0, 0.5, 0.5, 1.0, 0.0, 0.0, 0.0], 3)
    table = LatencyTable(Setting("d", "float32", 1, 1, 1, "2"), "", 12.0, 1.0)
    assert fit_latency(Latency(table, steps, units), "head") == StepFit(2, 2.0, 0.5)
    assert fit_latency(Latency(table, steps, units), "ffn") == StepFit(4, 1.0, 0.0)

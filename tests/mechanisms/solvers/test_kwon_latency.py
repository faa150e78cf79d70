"""Kwon's latency search against brute force over everything that it searches, and by hand."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from walras.errors import InputError
from walras.mechanisms.solvers.kwon_latency import StepFit, fit_steps, kwon_latency_search


def latency(keep: NDArray[np.bool_], kinds: Any, layers: Any, heads: StepFit, ffn: StepFit) -> float:
    found = 0.0
    for kind, fit in enumerate((heads, ffn)):
        for layer in np.unique(layers):
            found += fit(int((keep & (kinds == kind) & (layers == layer)).sum()))
    return found


def test_latency_of_a_sublayer_by_hand() -> None:
    fit = StepFit(2, 3.0, 0.5)
    assert [fit(n) for n in range(5)] == [0, 3, 3, 3.5, 4]


def test_by_hand() -> None:
    """Two layers of 3 heads (T 1, base 2, slope 1) and 2 blocks (T 2, base 1, slope 1)."""
    values = np.array([9, 4, 1, 3.0, 3, 5, 5, 5, 1, 1])
    kinds = np.array([0] * 3 + [1] * 2 + [0] * 3 + [1] * 2)
    layers = np.array([0] * 5 + [1] * 5)
    heads, ffn = StepFit(1, 2.0, 1.0), StepFit(2, 1.0, 1.0)

    def kept(budget: float) -> list[int]:
        return np.flatnonzero(kwon_latency_search(values, kinds, layers, (heads, ffn), budget)).tolist()

    assert kept(10) == list(range(10))
    assert kept(0.9) == []
    assert kept(1) == [3, 4]  # an FFN whole, for its base
    assert kept(2) == [0]  # 9 of a head against 8 of both FFNs
    assert kept(3) == [0, 3, 4]
    assert kept(5) == [0, 1, 3, 4, 8, 9]  # 9 + 4 + 6 + 2, against 9 + 5 + 6 with both attentions
    assert kept(6) == [0, 3, 4, 5, 6]  # 9 + 5 + 5 + 6, against 9 + 5 + 6 + 2
    assert kept(7) == [0, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("instance", range(60))
def test_against_brute_force(instance: int) -> None:
    random = np.random.default_rng(instance)
    depth, many = int(random.integers(1, 3)), int(random.integers(1, 4))
    kinds = np.array(([0] * many + [1] * many) * depth)
    layers = np.repeat(np.arange(depth), 2 * many)
    values = random.gamma(1.0, size=len(kinds))
    heads, ffn = (StepFit(int(random.integers(1, 4)), *random.uniform(0, 1, 2).tolist()) for _ in range(2))
    whole = latency(np.ones(len(kinds), dtype=bool), kinds, layers, heads, ffn)
    budget = float(random.uniform(0, 1.1)) * whole
    keep = kwon_latency_search(values, kinds, layers, (heads, ffn), budget)
    assert latency(keep, kinds, layers, heads, ffn) <= budget * (1 + 1e-9)
    order = {
        kind: sorted(
            range(depth),
            key=lambda layer: np.sort(values[(kinds == kind) & (layers == layer)])[::-1][: fit.threshold].sum(),
        )
        for kind, fit in enumerate((heads, ffn))
    }
    searched = everything = 0.0
    for bits in product([False, True], repeat=len(kinds)):
        some = np.array(bits)
        if latency(some, kinds, layers, heads, ffn) > budget * (1 + 1e-12):
            continue
        total = values[some].sum()
        everything = max(everything, total)
        empty = {k: [bool((some & (kinds == k) & (layers == layer)).any()) for layer in order[k]] for k in order}
        if all(e == sorted(e) for e in empty.values()):  # sub-layers are dropped in the order of their best units
            searched = max(searched, total)
    found = values[keep].sum()
    assert found == pytest.approx(searched)
    assert found <= everything + 1e-9
    if depth == 1:
        assert found == pytest.approx(everything)


def test_free_units_and_bad_input() -> None:
    kinds, layers, fit = np.array([0, 0, 1]), np.zeros(3, dtype=np.int64), StepFit(1, 1.0, 0.0)
    assert kwon_latency_search(np.ones(3), kinds, layers, (fit, fit), 1.0).tolist() == [True, True, False]
    two = kwon_latency_search(np.array([2.0, 1, 1]), 0 * kinds, np.array([0, 0, 1]), (fit,), 1.0)
    assert two.tolist() == [True, True, False]  # of one kind
    for values, names, fits, budget in (
        (np.ones(2), kinds, (fit, fit), 1.0),
        (np.ones(3), np.array([0, 2, 1]), (fit, fit), 1.0),
        (np.ones(3), kinds, (fit,), 1.0),
        (np.ones(3), kinds, (), 1.0),
        (np.ones(3), kinds, (fit, fit, fit), 1.0),
        (np.array([1.0, -1, 1]), kinds, (fit, fit), 1.0),
        (np.array([1.0, np.nan, 1]), kinds, (fit, fit), 1.0),
        (np.ones(3), kinds, (fit, fit), -1.0),
        (np.ones(3), kinds, (fit, fit), float("nan")),
    ):
        with pytest.raises(InputError):
            kwon_latency_search(values, names, layers, fits, budget)
    for bad in ((0, 1.0, 1.0), (1, -1.0, 1.0), (1, 1.0, float("nan"))):
        with pytest.raises(InputError, match="threshold"):
            StepFit(*bad)


@pytest.mark.parametrize(
    "fit", [StepFit(1, 2.0, 0.5), StepFit(3, 2.0, 0.5), StepFit(6, 0.0, 1.0), StepFit(8, 4.0, 0.0)]
)
def test_exact_times_are_recovered(fit: StepFit) -> None:
    found = fit_steps(np.array([fit(n) for n in range(1, 9)]))
    assert found.threshold == fit.threshold
    assert [found.base, found.slope] == pytest.approx([fit.base, fit.slope])


@pytest.mark.nightly
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

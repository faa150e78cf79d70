"""The label-free loss: its squared gradient is the Gauss-Newton curvature in expectation."""

import torch
from torch import Tensor

from walras.models.objective import squared_distance


def sample_gradients(weight: Tensor, samples: int, seed: int) -> Tensor:
    """Gradients [samples, n] of outputs gates @ weight, [samples, d], each sample having gates of its own."""
    gates = torch.ones(samples, weight.shape[0], dtype=torch.float64, requires_grad=True)
    loss = squared_distance(gates @ weight, torch.Generator().manual_seed(seed))
    assert loss.shape == ()
    (gradient,) = torch.autograd.grad(loss, gates)
    return gradient * samples


def weights(outputs: int) -> Tensor:
    return torch.randn(5, outputs, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_exact_for_one_output() -> None:
    weight = weights(1)
    squared = sample_gradients(weight, 7, seed=0).square()
    torch.testing.assert_close(squared, weight.square().T.expand(7, -1), rtol=1e-12, atol=0)


def test_unbiased_for_several_outputs() -> None:
    weight, samples = weights(4), 40_000
    gradient = sample_gradients(weight, samples, seed=0)
    curvature = weight.square().sum(1)
    error = gradient.square().std(0) / samples**0.5  # of the mean, from the draws themselves
    assert bool(((gradient.square().mean(0) - curvature).abs() < 4 * error).all())
    assert bool((error < 0.02 * curvature).all())
    assert bool((gradient.mean(0).abs() < 4 * (curvature / samples).sqrt()).all())  # the outputs are a minimum


def test_half_the_number_of_outputs_and_seeded() -> None:
    outputs = torch.zeros(3, 4)
    assert squared_distance(outputs, torch.Generator()).item() == 2.0
    weight = weights(4)
    assert torch.equal(sample_gradients(weight, 3, seed=5), sample_gradients(weight, 3, seed=5))
    assert not torch.equal(sample_gradients(weight, 3, seed=5), sample_gradients(weight, 3, seed=6))

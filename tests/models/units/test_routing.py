import pytest
import torch
from torch import Tensor

from walras.models.units.routing import Routing, routed

WAYS = [Routing(2, True), Routing(2, False), Routing(2, True, True)]
TOKENS, EXPERTS = 7, 5


def _logits() -> Tensor:
    return torch.randn(TOKENS, EXPERTS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _shares(logits: Tensor, gates: Tensor, routing: Routing) -> Tensor:
    """Weight of every expert [tokens, experts], 0 for those that were not chosen."""
    _, weights, index = routed(logits, gates, routing)
    return torch.zeros_like(logits).scatter(1, index, weights)


def _by_hand(logits: Tensor, gates: Tensor, routing: Routing) -> Tensor:
    """The same from the definition: shares g p of the k largest, over the sum of all or of those."""
    share = gates * logits.softmax(-1)
    index = share.topk(routing.top_k).indices
    chosen = torch.zeros_like(share).scatter(1, index, share.gather(1, index))
    return chosen / (chosen if routing.normalised else share).sum(-1, keepdim=True)


@pytest.mark.parametrize("routing", WAYS)
def test_shares_are_multiplied_before_the_largest_are_taken(routing: Routing) -> None:
    logits = _logits()
    gates = torch.rand(TOKENS, EXPERTS, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 1.5
    gates[0, 1] = gates[1, :3] = 0
    torch.testing.assert_close(_shares(logits, gates, routing), _by_hand(logits, gates, routing))
    chosen = _shares(logits, torch.ones(EXPERTS, dtype=torch.float64), routing) > 0
    assert bool(((_shares(logits, gates, routing) > 0) != chosen).any())


@pytest.mark.parametrize("routing", WAYS)
def test_a_gate_of_zero_is_a_router_without_the_row(routing: Routing) -> None:
    logits = _logits()
    gates = torch.tensor([1.0, 0, 1, 0, 1], dtype=torch.float64, requires_grad=True)
    kept = gates.detach().nonzero().flatten()
    expected = torch.zeros_like(logits)
    expected[:, kept] = _shares(logits[:, kept], torch.ones(3, dtype=torch.float64), routing)
    torch.testing.assert_close(_shares(logits, gates, routing).detach(), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("routing", WAYS)
def test_gradients_at_open_gates_by_gradcheck(routing: Routing) -> None:
    gates = torch.rand(TOKENS, EXPERTS, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 0.3
    inputs = (_logits().requires_grad_(), gates.requires_grad_())
    assert torch.autograd.gradcheck(lambda logits, own: _shares(logits, own, routing), inputs)


@pytest.mark.parametrize("routing", WAYS)
def test_gradients_at_closed_gates_are_those_on_the_right(routing: Routing) -> None:
    logits, weight = _logits(), torch.randn(TOKENS, EXPERTS, dtype=torch.float64)
    gates = torch.rand(TOKENS, EXPERTS, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) + 0.3
    gates[:, 1] = gates[3:, 2] = 0
    gates.requires_grad_()
    (slope,) = torch.autograd.grad((_shares(logits, gates, routing) * weight).sum(), gates)
    step, at = 1e-7, gates.detach()
    for token in range(TOKENS):
        for expert in range(EXPERTS):
            moved = at.clone()
            moved[token, expert] += step
            change = _shares(logits, moved, routing) - _shares(logits, at, routing)
            assert float(slope[token, expert]) == pytest.approx(float((change * weight).sum()) / step, abs=1e-5)
    outside = slope[:, 1]  # of an expert that is not chosen only the common denominator tells
    assert bool((outside == 0).all()) == routing.normalised


@pytest.mark.parametrize("routing", WAYS)
def test_a_token_without_an_expert_gets_weights_of_zero_and_no_gradient(routing: Routing) -> None:
    gates = torch.ones(TOKENS, EXPERTS, dtype=torch.float64)
    gates[2] = 0
    gates.requires_grad_()
    logits = _logits().requires_grad_()
    shares = _shares(logits, gates, routing)
    assert bool((shares[2] == 0).all())
    slopes = torch.autograd.grad(shares.square().sum(), [gates, logits])
    for slope in slopes:
        assert bool(slope.isfinite().all())
        assert bool((slope[2] == 0).all())


@pytest.mark.parametrize("routing", WAYS)
def test_fewer_open_gates_than_places(routing: Routing) -> None:
    gates = torch.tensor([0, 0, 0, 1.0, 0], dtype=torch.float64, requires_grad=True)
    shares = _shares(_logits(), gates, routing)
    expected = torch.zeros_like(shares)
    expected[:, 3] = 1
    torch.testing.assert_close(shares, expected)
    (slope,) = torch.autograd.grad(shares[:, 3].sum(), gates)
    assert bool(slope.isfinite().all())
    assert float(slope.sum()) < 0  # others coming would take from its share


def test_logits_far_apart_stay_finite() -> None:
    logits = torch.tensor([[0.0, 300.0, -300.0]])
    gates = torch.tensor([1.0, 0.0, 1.0], requires_grad=True)
    for routing in (Routing(1, True), Routing(2, False), Routing(2, True, True)):
        _, weights, _ = routed(logits, gates, routing)
        (slope,) = torch.autograd.grad(weights.sum(), gates)
        assert bool(weights.isfinite().all() & slope.isfinite().all())

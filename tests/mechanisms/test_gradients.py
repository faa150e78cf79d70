"""Prices and quantities as differentiable functions of scores, costs and supply; the penalty of a clearing."""

from typing import Any, TypeAlias

import pytest
import torch
from torch import Tensor

from walras.mechanisms import (
    Clearing,
    EntropicBids,
    IndivisibleBids,
    LogisticBids,
    Mechanism,
    PostedPrice,
    QuadraticBids,
    ShadowPrice,
    TsallisBids,
    UniformPriceAuction,
)

DOUBLE = torch.float64
Divisible: TypeAlias = type[EntropicBids] | type[QuadraticBids] | type[TsallisBids] | type[LogisticBids]


def differentiable(*values: Any) -> list[Tensor]:
    return [torch.tensor(v, dtype=DOUBLE, requires_grad=True) for v in values]


@pytest.mark.spread
@pytest.mark.parametrize("kind", [EntropicBids, QuadraticBids, TsallisBids, LogisticBids])
@pytest.mark.parametrize("floor", [pytest.param(-torch.inf, marks=pytest.mark.nightly), 0.0])
@pytest.mark.parametrize("supply", [0.4, 1.3, 40.0])  # the last is slack where there is a floor
def test_gradcheck(kind: Divisible, floor: float, supply: float) -> None:
    def clear(score: Tensor, cost: Tensor, supply: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        clearing = ShadowPrice(price_floor=floor)(kind(score, temperature=0.7), supply, cost)
        return clearing.quantity, clearing.price, clearing.payment

    # Away from the kinks of quadratic demand; the last agents of the first row are out, and their slope is 0.
    inputs = differentiable(
        [[1.3, 0.9, -0.8, -2.1], [0.4, 1.1, 0.7, 2.0]], [[1.0], [0.5], [2.0], [0.8]], [[supply], [0.8 * supply]]
    )
    assert torch.autograd.gradcheck(clear, inputs)


def test_the_gradient_of_softmax_is_torchs(device: torch.device) -> None:
    score = torch.randn(5, 12, generator=torch.Generator().manual_seed(3), dtype=DOUBLE).to(device).requires_grad_()
    weight = torch.arange(60.0, dtype=DOUBLE, device=device).view(5, 12)
    market = ShadowPrice(price_floor=-torch.inf)(EntropicBids(score), 1.0).quantity
    (found,) = torch.autograd.grad((market * weight).sum(), score)
    (expected,) = torch.autograd.grad((score.softmax(-1) * weight).sum(), score)
    torch.testing.assert_close(found, expected)


def test_masked_scores_leave_no_nan_in_any_gradient(device: torch.device) -> None:
    for kind in (EntropicBids, QuadraticBids, TsallisBids, LogisticBids):
        score = torch.tensor([[1.0, -torch.inf, 0.5], [-torch.inf] * 3], device=device, requires_grad=True)
        clearing = ShadowPrice(price_floor=-torch.inf)(kind(score), 1.0)
        total = clearing.quantity.square().sum() + clearing.price.sum() + clearing.payment.sum()
        (slope,) = torch.autograd.grad(total, score)
        assert bool(slope.isfinite().all())
        assert slope[score == -torch.inf].tolist() == [0.0] * 4
        assert bool((slope[0, ::2] != 0).all())


def test_nothing_is_tracked_where_nothing_asks() -> None:
    clearing = ShadowPrice()(EntropicBids(torch.tensor([1.0, 2.0])), 1.0)
    assert not clearing.quantity.requires_grad
    assert not clearing.price.requires_grad
    with torch.no_grad():
        quiet = ShadowPrice()(EntropicBids(torch.tensor([1.0, 2.0], requires_grad=True)), 1.0)
    assert not quiet.quantity.requires_grad


@pytest.mark.parametrize("rule", [ShadowPrice(), UniformPriceAuction(), PostedPrice(price=0.5)])
def test_the_penalty_is_the_lagrangian(rule: Mechanism, device: torch.device) -> None:
    cost, supply = torch.tensor([2.0, 4.0, 1.0], device=device), 4.5
    clearing = rule(IndivisibleBids(torch.tensor([6.0, 4.0, 5.0], device=device)), supply, cost)
    price = clearing.price.item()
    gates = torch.tensor([[1.0, 0.5, 0.25], [1.0, 0.0, 1.0]], device=device, requires_grad=True)
    penalty = rule.penalty(clearing, gates, supply, cost)
    by_hand = [price * (2.0 + 2.0 + 0.25 - 4.5), price * (2.0 + 1.0 - 4.5)]
    assert penalty.tolist() == pytest.approx(by_hand)
    (slope,) = torch.autograd.grad(penalty.sum(), gates)
    assert torch.equal(slope, (price * cost).expand(2, 3))


def test_the_penalty_of_several_resources() -> None:
    cost = torch.tensor([[1.0, 0.0], [2.0, 3.0]])
    clearing = Clearing(*(torch.zeros(2), torch.tensor([0.5, 2.0]), torch.zeros(2), torch.tensor(0), torch.zeros(2)))
    gates = torch.tensor([1.0, 0.5], requires_grad=True)
    penalty = ShadowPrice().penalty(clearing, gates, torch.tensor([3.0, 1.0]), cost)
    assert penalty.item() == pytest.approx(0.5 * (1 + 1 - 3) + 2 * (1.5 - 1))
    (slope,) = torch.autograd.grad(penalty, gates)
    assert slope.tolist() == [0.5, 7.0]

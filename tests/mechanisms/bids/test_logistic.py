"""Logistic bidders: at the price that clears, quantities are the chances of saying yes."""

import pytest
import torch

from walras.errors import InputError
from walras.mechanisms import IndivisibleBids, LogisticBids, ShadowPrice

DOUBLE = torch.float64


def test_by_hand() -> None:
    bids = LogisticBids(torch.tensor([0.0, 2.0, -torch.inf], dtype=DOUBLE), temperature=2.0)
    assert bids.demand(torch.zeros(3, dtype=DOUBLE)).tolist() == pytest.approx([0.5, 1 / (1 + torch.e**-1), 0.0])
    half = torch.tensor([0.5, 0.5, 0.0], dtype=DOUBLE)
    assert bids.utility(half).tolist() == pytest.approx([2 * 0.6931471805599453, 1 + 2 * 0.6931471805599453, 0.0])
    assert bids.utility(torch.tensor([1.0, 3.0, 0.0], dtype=DOUBLE)).tolist() == [0.0, 2.0, 0.0]


def test_two_alike_share_one_level_at_their_score() -> None:
    clearing = ShadowPrice()(LogisticBids(torch.tensor([3.0, 3.0], dtype=DOUBLE)), 1.0)
    assert clearing.quantity.tolist() == pytest.approx([0.5, 0.5])
    assert clearing.price.item() == pytest.approx(3.0)


def test_cold_bidders_are_indivisible_ones() -> None:
    score = torch.tensor([5.0, 1.0, 4.0, 2.0], dtype=DOUBLE)
    cold = ShadowPrice()(LogisticBids(score, temperature=1e-3), 2.0)
    assert cold.quantity.round().tolist() == ShadowPrice()(IndivisibleBids(score), 2.0).quantity.tolist()
    assert 2.0 < cold.price.item() < 4.0


def test_slopes_move_along_the_budget() -> None:
    """Quantities of a market that sells out always use its supply: what one gains the others lose."""

    cost = torch.tensor([0.2, 0.3, 0.5], dtype=DOUBLE)

    def clear(score: torch.Tensor, supply: torch.Tensor) -> torch.Tensor:
        return ShadowPrice()(LogisticBids(score, 0.7), supply, cost).quantity

    score = torch.tensor([1.0, 3.0, 2.0], dtype=DOUBLE, requires_grad=True)
    supply = torch.tensor([0.6], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(clear, (score, supply))
    (slope,) = torch.autograd.grad((clear(score, supply) * cost).sum(), score)
    assert slope.tolist() == pytest.approx([0, 0, 0], abs=1e-12)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_temperatures_that_are_none(temperature: float) -> None:
    with pytest.raises(InputError, match="temperature is"):
        LogisticBids(torch.zeros(2), temperature)

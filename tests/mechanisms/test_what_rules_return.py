"""What a rule returns: tensors that can be worked with, codes that there are, levels and prices that it may name."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from walras.errors import ConformanceError
from walras.mechanisms import Bids, Clearing, IndivisibleBids, Mechanism, QuadraticBids, ShadowPrice, Status
from walras.mechanisms.traits import PRICE_FLOOR

THREE = IndivisibleBids(torch.tensor([1.0, 2.0, 3.0]))
TWO_OF_THREE = torch.tensor([0.0, 1.0, 1.0])


@dataclass(frozen=True)
class Returns(Mechanism):
    """Returns a sound answer with some parts replaced."""

    parts: dict[str, Any] = field(default_factory=dict)

    def clear(self, bids: Bids, supply: Tensor, cost: Tensor) -> Clearing:
        sold = ShadowPrice()(bids, supply, cost)
        return replace(Clearing(sold.quantity, sold.price), **self.parts)


@dataclass(frozen=True)
class Floored(Returns):
    """States a price floor of its own."""

    price_floor: float = 0.5


@dataclass(frozen=True)
class Keeps(Returns):
    """Guarantees to keep the floor that all rules have."""

    guarantees: ClassVar[frozenset[str]] = frozenset({PRICE_FLOOR})


CODE = "it must be a code of Status, 0 to 5"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"quantity": TWO_OF_THREE.bool()}, r"quantity is torch\.bool; it must be a real number"),
        ({"quantity": TWO_OF_THREE.to(torch.complex64)}, r"quantity is torch\.complex64; it must be a real number"),
        ({"price": torch.ones(1, dtype=torch.bool)}, r"price is torch\.bool; it must be a real number"),
        ({"quantity": TWO_OF_THREE.to("meta")}, r"quantity is torch\.strided on meta; it must be dense, on cpu"),
        ({"quantity": TWO_OF_THREE.to_sparse()}, r"quantity is torch\.sparse_coo on cpu; it must be dense, on cpu"),
        ({"status": torch.tensor(99)}, f"status holds 99; {CODE}"),
        ({"status": torch.tensor(-7)}, f"status holds -7; {CODE}"),
        ({"status": torch.tensor(0.5)}, r"status is torch\.float32; it must be a whole number, the code of a Status"),
        ({"residual": "x"}, "residual is a str; it must be a Tensor"),
        ({"residual": torch.ones(1, dtype=torch.bool)}, r"residual is torch\.bool; it must be a real number"),
        ({"payment": [1.0]}, "payment is a list; it must be a Tensor"),
        ({"method": 3}, "method is a int; it must be a str"),
        ({"quantity": torch.tensor([0.0, 0.0, 2.0])}, r"a quantity is 2\.0; the bids are indivisible: 0 or 1"),
        ({"quantity": TWO_OF_THREE * 0.25}, r"a quantity is 0\.25; the bids are indivisible: 0 or 1"),
    ],
)
def test_parts_that_cannot_be_are_refused_by_name(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConformanceError, match=f"^Returns: {message}"):
        Returns(parts)(THREE, 2.0)


@pytest.mark.parametrize(
    "parts",
    [
        {"quantity": TWO_OF_THREE.long()},
        {"status": torch.tensor(5, dtype=torch.int8)},
        {"payment": -TWO_OF_THREE},  # a rule may pay agents
        {"price": torch.tensor([-1.0])},  # and says nothing of a floor
    ],
)
def test_what_no_interface_forbids_passes(parts: dict[str, Any]) -> None:
    clearing = Returns(parts)(THREE, 2.0)
    assert torch.equal(clearing.quantity.float(), TWO_OF_THREE)
    assert clearing.word in {status.word for status in Status}


def test_divisible_bids_get_any_level() -> None:
    some = torch.tensor([0.25, 1.5, 0.0])
    assert torch.equal(Returns({"quantity": some})(QuadraticBids(torch.ones(3)), 2.0).quantity, some)


def test_a_rule_keeps_the_price_floor_that_it_states() -> None:
    with pytest.raises(ConformanceError, match=r"^Floored: a price is 0\.25, below its price floor 0\.5"):
        Floored({"price": torch.tensor([0.25])})(THREE, 2.0)
    with pytest.raises(ConformanceError, match=r"^Keeps: a price is -1\.0, below its price floor 0\.0"):
        Keeps({"price": torch.tensor([-1.0])})(THREE, 2.0)
    assert Floored({"price": torch.tensor([0.5])})(THREE, 2.0).price.item() == 0.5


def test_a_detached_clearing_requires_no_gradient() -> None:
    bids = IndivisibleBids(torch.tensor([1.0, 2.0], requires_grad=True))
    clearing = ShadowPrice()(bids, 1.0)
    assert clearing.payment.requires_grad
    free = clearing.detached()
    assert not free.payment.requires_grad
    assert torch.equal(free.payment, clearing.payment)
    assert free.method == clearing.method

"""Gates written into the weights compute what gates on the activations do."""

from collections.abc import Callable
from typing import Any

import torch

from walras.models import gated, inventory
from walras.models.units.weights import fold


def test_folded_weights_are_the_gated_network(family: str, tiny: Callable[..., Any]) -> None:
    made = tiny(family, dtype=torch.float64)
    units = inventory(made.model, block=16)
    gates = torch.rand(len(units), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad(), gated(made.model, units, gates):
        expected = made.logits()
    dense = made.logits()
    fold(made.model, units, gates)
    torch.testing.assert_close(made.logits(), expected, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(dense, expected)

"""The maps of every family, and that their multiplications are those of the network."""

from typing import Any

import pytest
import torch
from torch import nn

from walras.errors import InputError, UnknownNameError
from walras.models import compact, inventory
from walras.models.resources.macs import macs
from walras.models.tokens.account import TokenMacs
from walras.models.tokens.token_map import token_maps

GATED = ["query", "key", "value", "output", "gate", "up", "down"]
NAMES = {
    "bert": ["query", "key", "value", "output", "up", "down"],
    "gpt2": ["query+key+value", "output", "up", "down"],
    "modernbert": ["query+key+value", "output", "up", "down"],
    "gemma3_text": GATED,
    "llama": GATED,
}


@pytest.mark.spread
def test_every_map_of_every_family_is_sold(every_family: str, tiny: Any) -> None:
    """What cannot be sold are scores and mix, as they are counted elsewhere."""
    tested = tiny(every_family)
    maps = token_maps(tested.model)
    if every_family in NAMES:
        assert [m.name for m in maps if m.layer == 0] == NAMES[every_family]
    use = macs(tested.model, inventory(tested.model), tested.length)
    attention = float(use.parts["scores"].sum() + use.parts["mix"].sum()) / tested.length
    account = TokenMacs.from_model(tested.model, maps, tested.length)
    assert account.dense - account.traded == pytest.approx(attention)
    assert account.bids == sum(m.bidders for m in maps)


def test_experts_are_not_sold(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    maps = token_maps(tested.model)
    assert {"query", "output"} <= {m.name for m in maps}
    assert not any("experts." in m.path for m in maps)
    assert TokenMacs.from_model(tested.model, maps, tested.length).floor > 0.1


def test_what_a_slice_left_is_sold(tiny: Any) -> None:
    model = tiny("llama").model
    units = inventory(model)
    keep = torch.ones(len(units), dtype=torch.bool)
    keep[units.sites[0].units] = False  # no head in the first layer
    maps = token_maps(compact(model, units, keep))
    assert [m.name for m in maps if m.layer == 0] == GATED[4:]


def test_budgets() -> None:
    account = TokenMacs(dense=100.0, traded=80.0, bids=4.0)
    assert account.floor == pytest.approx(0.24)
    assert account.for_sale(0.64) == pytest.approx(0.5)
    assert account.for_sale(1.0) == pytest.approx(0.95)
    with pytest.raises(InputError, match=r"budget is 0\.2; attention scores, .* bids alone take 0\.240"):
        account.for_sale(0.2)
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(InputError, match=r"must be a share above 0 and at most 1"):
            account.for_sale(wrong)


def test_networks_without_maps(tiny: Any) -> None:
    with pytest.raises(InputError, match="must hold one Hugging Face transformer"):
        token_maps(nn.Linear(2, 2))
    model = tiny("bert").model
    model.config.model_type = "t5"
    try:
        with pytest.raises(UnknownNameError, match="unknown family 't5'"):
            token_maps(model)
    finally:
        model.config.model_type = "bert"

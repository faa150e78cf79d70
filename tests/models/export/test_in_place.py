"""A network that is cut in place is the one that `compact` leaves, in the same modules."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from walras.errors import InputError
from walras.models import compact, inventory
from walras.models.export.in_place import cut_in_place, cut_to_fit, save_as_export
from walras.models.export.reloading import load_model


def _keeps(units: Any) -> list[Any]:
    draw = np.random.default_rng(2)
    some = draw.random(len(units)) < 0.6
    return [some, some & ~((units.layer == 0) & (units.kind == units.kind[0])), np.zeros(len(units), dtype=bool)]


def _same(one: nn.Module, other: nn.Module) -> None:
    theirs = dict(other.named_parameters())
    for name, parameter in one.named_parameters():
        assert torch.equal(parameter, theirs.pop(name)), name
    assert not theirs


@pytest.mark.parametrize("which", range(3))
def test_equal_to_compact(family: str, which: int, tiny: Any) -> None:
    tested = tiny(family)
    model, units = copy.deepcopy(tested.model), inventory(tested.model, block=7)
    keep = _keeps(units)[which]
    modules = {name: id(module) for name, module in model.named_modules()}
    before = dict(model.named_parameters())
    replaced = cut_in_place(model, units, keep)
    small = compact(tested.model, units, keep)
    _same(model, small)
    with torch.no_grad():
        assert torch.equal(tested.logits(model), tested.logits(small))
    left = {name: id(module) for name, module in model.named_modules()}
    if which == 0:
        assert left == modules
    now = dict(model.named_parameters())
    for name, old in before.items():
        assert replaced.get(old, old) is now.get(name), name
    assert all(old.shape != new.shape for old, new in replaced.items() if new is not None)


@pytest.mark.parametrize("which", range(3))
def test_shapes_of_weights_that_are_to_be_loaded(family: str, which: int, tiny: Any) -> None:
    tested = tiny(family)
    units = inventory(tested.model, block=7)
    small = compact(tested.model, units, _keeps(units)[which])
    model = copy.deepcopy(tested.model)
    assert cut_to_fit(model, units, small.state_dict())
    model.load_state_dict(small.state_dict())
    with torch.no_grad():
        assert torch.equal(tested.logits(model), tested.logits(small))
    assert not cut_to_fit(copy.deepcopy(tested.model), units, tested.model.state_dict())


def test_experts(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    units = inventory(tested.model)
    keep = _keeps(units)[0]
    model, small = copy.deepcopy(tested.model), compact(tested.model, units, keep)
    cut_in_place(model, units, keep)
    _same(model, small)
    other = copy.deepcopy(tested.model)
    assert cut_to_fit(other, units, small.state_dict())
    other.load_state_dict(small.state_dict())
    with torch.no_grad():
        assert torch.equal(tested.logits(other), tested.logits(small))


def test_widths_that_no_cut_leads_to(tiny: Any) -> None:
    tested = tiny("bert")
    units = inventory(tested.model, block=7)
    weights = dict(tested.model.state_dict())
    name = units.sites[-1].path + ".weight"
    weights[name] = weights[name][:, :3]
    with pytest.raises(InputError, match=r"3 of .* features: no whole units"):
        cut_to_fit(copy.deepcopy(tested.model), units, weights)


def test_a_graph_that_somebody_holds_does_no_harm(tiny: Any) -> None:
    """Nodes that add up gradients know parameters by their sizes, and live as long as a graph that they are in."""
    tested = tiny("llama")
    model, units = copy.deepcopy(tested.model), inventory(tested.model, block=7)
    held = tested.logits(model).sum()
    held.backward(retain_graph=True)
    cut_in_place(model, units, _keeps(units)[0])
    tested.logits(model).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters() if p.numel())
    del held


def test_a_network_saves_itself_as_an_export(decoder: str, tiny: Any, tmp_path: Any) -> None:
    tested = tiny(decoder)
    model, units = copy.deepcopy(tested.model), inventory(tested.model, block=7)
    cut_in_place(model, units, _keeps(units)[0])
    save_as_export(model)
    kind = type(model)
    model.save_pretrained(tmp_path)
    assert type(model) is kind
    assert (tmp_path / "modeling_walras.py").is_file()
    with torch.no_grad():
        assert torch.equal(tested.logits(load_model(tmp_path, attn_implementation="eager")), tested.logits(model))
    other = copy.deepcopy(model)
    other.save_pretrained(tmp_path / "copy")
    with torch.no_grad():
        assert torch.equal(
            tested.logits(load_model(tmp_path / "copy", attn_implementation="eager")), tested.logits(other)
        )

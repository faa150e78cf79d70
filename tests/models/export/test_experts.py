"""Exports of mixtures of experts: layers with different numbers of experts, read back with equal logits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from walras.errors import InputError
from walras.models import Inventory, compact, inventory
from walras.models.export.checkpoints import save
from walras.models.export.reloading import load_model

Keep = NDArray[np.bool_]


def masks(units: Inventory) -> list[Keep]:
    """A random set; one in which a layer loses its experts, others keep one or all; and no unit at all."""
    draw, experts = np.random.default_rng(5), units.kind == "expert"
    last = units.layer == units.layer[experts].max()
    few = np.where(experts, ~last & ((units.layer == 1) | (units.index == 3)), draw.random(len(units)) < 0.7)
    return [draw.random(len(units)) < 0.6, few, np.zeros(len(units), dtype=bool)]


def remote(folder: Path, **options: str) -> Any:
    """The model as transformers loads it with the code in the folder."""
    causal: Any = transformers.AutoModelForCausalLM
    return causal.from_pretrained(folder, trust_remote_code=True, **options).eval()


@pytest.mark.spread
def test_what_is_reloaded_gives_the_same_logits(moe: str, kernel: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(moe, kernel)
    units = inventory(tested.model, block=8)
    options = {"attn_implementation": kernel, "experts_implementation": "eager"}
    with torch.no_grad():
        for keep in masks(units):
            small = compact(tested.model, units, keep)
            expected = tested.logits(small)
            save(small, None, tmp_path / "small", overwrite=True)
            ours, theirs = load_model(tmp_path / "small", **options), remote(tmp_path / "small", **options)
            assert torch.equal(tested.logits(ours), expected)
            assert torch.equal(tested.logits(theirs), expected)
            assert not type(theirs).__module__.startswith("walras")
            assert [p.numel() for p in ours.parameters()] == [p.numel() for p in small.parameters()]


def test_from_a_folder_and_saved_again(moe: str, tiny: Any, tmp_path: Path) -> None:
    """Networks that `from_pretrained` read rename and split weights on saving, unless they are told not to."""
    tested = tiny(moe)
    tested.model.save_pretrained(tmp_path / "stock")
    options = {"attn_implementation": "eager", "experts_implementation": "eager"}
    stock = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "stock", **options).eval()  # type: ignore[no-untyped-call]  # transformers' own
    units = inventory(stock, block=8)
    with torch.no_grad():
        assert torch.equal(tested.logits(stock), tested.logits())
        keep = masks(units)[1]
        small = compact(stock, units, keep)
        expected = tested.logits(small)
        save(small, None, tmp_path / "first")
        again = load_model(tmp_path / "first", **options)
        again.save_pretrained(tmp_path / "second")
        assert torch.equal(tested.logits(remote(tmp_path / "second", **options)), expected)
        left = inventory(again, block=8)
        fewer = np.random.default_rng(1).random(len(left)) < 0.7
        save(compact(again, left, fewer), None, tmp_path / "third")
        twice = tested.logits(compact(again, left, fewer))
        assert torch.equal(tested.logits(load_model(tmp_path / "third", **options)), twice)


@pytest.mark.nightly
@pytest.mark.parametrize("experts", ["batched_mm", "grouped_mm"])
def test_however_experts_are_computed(moe: str, experts: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(moe, experts=experts)
    units = inventory(tested.model, block=8)
    small = compact(tested.model, units, masks(units)[1])
    save(small, None, tmp_path / "small")
    with torch.no_grad():
        found = load_model(tmp_path / "small", attn_implementation="eager", experts_implementation=experts)
        assert found.config._experts_implementation == experts
        assert torch.equal(tested.logits(found), tested.logits(small))


def test_what_config_says_of_layers(tiny: Any, tmp_path: Path) -> None:
    model = tiny("qwen2_moe").model
    units = inventory(model)
    keep = np.ones(len(units), dtype=bool)
    keep[np.flatnonzero((units.kind == "expert") & (units.layer == 0))[:4]] = False
    save(compact(model, units, keep), None, tmp_path / "small")
    config = load_model(tmp_path / "small").config
    assert [config.per_layer_config[i].experts for i in range(3)] == [1, 0, 5]
    assert [config.per_layer_config[i].ffn_neurons for i in range(3)] == [20, 40, 20]


def test_changed_by_hand(tiny: Any, tmp_path: Path) -> None:
    tested = tiny("mixtral")
    units = inventory(tested.model)
    save(compact(tested.model, units, np.arange(len(units)) != 4), None, tmp_path / "small")
    config = tmp_path / "small" / "config.json"
    told = config.read_text()
    config.write_text(told.replace('"experts": 4', '"experts": 6'))
    with pytest.raises(InputError, match="layer 0: experts = 6; valid: a whole number from 0 to 5"):
        load_model(tmp_path / "small")
    config.write_text(told.replace('"experts": 4', '"experts": 3'))
    with pytest.raises(InputError, match="was changed: layer 0"):
        load_model(tmp_path / "small")
    config.write_text(told)
    weights = tmp_path / "small" / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.layers.1.mlp.gate.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"layer 1: .*gate\.weight is missing"):
        load_model(tmp_path / "small")

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AlbertConfig, AlbertModel, BertConfig, BertModel

from walras.errors import InputError, UnknownNameError
from walras.models import ARCHITECTURES, Architecture, architecture, gated, inventory
from walras.models.architectures import layer_paths
from walras.registry import Registry


def _albert() -> nn.Module:
    return AlbertModel(
        AlbertConfig(
            vocab_size=9,
            embedding_size=4,
            hidden_size=8,
            num_attention_heads=2,
            intermediate_size=8,
            num_hidden_layers=1,
        )
    )


def _only(monkeypatch: pytest.MonkeyPatch, name: str, row: Architecture) -> None:
    """A table of one row in the place of ours."""
    table: Registry[Architecture] = Registry("family", Architecture, own=False)
    table.add(row, name)
    monkeypatch.setattr("walras.models.architectures.ARCHITECTURES", table)


def test_every_issue_family_has_a_row() -> None:
    asked = "bert roberta electra distilbert mpnet modernbert gpt2 opt gpt_neox llama qwen2 vit"
    assert set(asked.split()) <= set(ARCHITECTURES)


def test_layers_are_found_with_a_head_without_one_and_inside_a_module(family: str, tiny: Any) -> None:
    model = tiny(family).model
    paths = layer_paths(model)
    assert len(paths) == 3
    for other, prefix in ((model.base_model, ""), (nn.ModuleDict({"encoder": model}), "encoder.")):
        found = layer_paths(other)
        assert all(path.startswith(prefix) for path in found)
        assert [other.get_submodule(p) for p in found] == [model.get_submodule(p) for p in paths]
        assert len(inventory(other)) == len(inventory(model))


def test_unknown_family_lists_the_known_ones_and_a_row() -> None:
    with pytest.raises(UnknownNameError) as error:
        inventory(_albert())
    message = str(error.value)
    assert "albert" in message
    assert all(name in message for name in ARCHITECTURES)
    assert all(field.name in message for field in dataclasses.fields(Architecture))
    assert "ARCHITECTURES.add(row, 'albert')" in message


def test_a_new_row_is_enough(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> None:
    tested = tiny("bert")
    tested.model.config.model_type = "bert-of-mine"
    with pytest.raises(UnknownNameError, match="bert-of-mine"):
        inventory(tested.model)
    _only(monkeypatch, "bert-of-mine", ARCHITECTURES["bert"])
    units = inventory(tested.model)
    with torch.no_grad(), gated(tested.model, units, torch.zeros(len(units))):
        gone = tested.logits()
    with torch.no_grad():
        assert not torch.allclose(gone, tested.logits())


def test_a_row_with_a_wrong_path_is_named(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> None:
    model = tiny("bert").model
    _only(monkeypatch, "bert", dataclasses.replace(ARCHITECTURES["bert"], layers="encoder.blocks"))
    with pytest.raises(InputError, match=r"encoder\.blocks"):
        inventory(model)
    _only(monkeypatch, "bert", dataclasses.replace(ARCHITECTURES["bert"], layers="pooler"))
    with pytest.raises(InputError, match=r"should have its layers at 'bert\.pooler'"):
        inventory(model)


def test_exactly_one_transformer(tiny: Any) -> None:
    with pytest.raises(InputError, match="found: none"):
        architecture(nn.Linear(2, 2))
    config = BertConfig(vocab_size=9, hidden_size=8, num_attention_heads=2, intermediate_size=8, num_hidden_layers=1)
    with pytest.raises(InputError, match=r"0 \(BertModel\), 1 \(BertModel\)"):
        architecture(nn.Sequential(BertModel(config), BertModel(config)))

"""Exports that somebody changed, folders that are none, and models that cannot be exported."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from walras.errors import InputError, UnknownNameError
from walras.models import compact, inventory
from walras.models.export.checkpoints import save
from walras.models.export.reloading import load_model
from walras.models.loading import load as load_any


@pytest.fixture
def exported(tiny: Any, tmp_path: Path) -> Callable[[str], Path]:
    """Exports a family's tiny model of which nothing was cut but the first head or group of each layer."""

    def export(family: str) -> Path:
        tested = tiny(family)
        units = inventory(tested.model, block=8)
        save(compact(tested.model, units, (units.kind == "ffn") | (units.index > 0)), None, tmp_path / family)
        return tmp_path / family

    return export


@pytest.mark.spread
@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("llama", {"attention_heads": 3}, r"layer 1: attention_heads = 3 with key_value_heads = 2; valid: 2 for each"),
        ("llama", {"key_value_heads": 1}, r"layer 1: attention_heads = 4 with key_value_heads = 1; valid: 2 for each"),
        ("llama", {"attention_heads": 7}, r"layer 1: attention_heads = 7; valid: a whole number from 0 to 6"),
        ("bert", {"attention_heads": -1}, r"layer 1: attention_heads = -1; valid: a whole number from 0 to 4"),
        ("bert", {"ffn_neurons": "40"}, r"layer 1: ffn_neurons = '40'; valid: a whole number from 0 to 40"),
        ("bert", {"ffn_neurons": 41}, r"layer 1: ffn_neurons = 41; valid: a whole number from 0 to 40"),
        ("bert", {"ffn_neurons": None}, r"missing: \['ffn_neurons'\]|layer 1: ffn_neurons = None"),
        (
            "bert", {"ffn_neurons": 39},
            r"was changed: layer 1: bert\.encoder\.layer\.1\.intermediate\.dense\.bias has shape \[40\] in the "
            r"weights, and \[39\] by config\.json",
        ),
        ("gpt2", {"attention_heads": 2}, r"layer 1: transformer\.h\.1\.attn\.c_attn\.bias has shape \[54\] .* \[36\]"),
        ("llama", {"attention_heads": 2, "key_value_heads": 1}, r"layer 1: model\.layers\.1\.self_attn\.k_proj"),
        ("mpnet", {"position_bias_heads": [0, 9, 1]}, r"layer 1: position_bias_heads = \[0, 9, 1\]; valid: 3 "),
        ("mpnet", {"position_bias_heads": [0]}, r"layer 1: position_bias_heads = \[0\]; valid: 3 .* below 4"),
    ],
)  # fmt: skip
def test_counts_changed_by_hand(
    exported: Callable[[str], Path], kind: str, change: dict[str, Any], message: str, tokenizer: Any
) -> None:
    file = exported(kind) / "config.json"
    config = json.loads(file.read_text())
    config["per_layer_config"]["1"].update(change)
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        load_model(file.parent)
    tokenizer.save_pretrained(file.parent)
    with pytest.raises(InputError, match=r"(layers?|h)[. ]1"):
        load_any(str(file.parent), "auto" if kind in ("llama", "gpt2") else "classification", device="cpu")


@pytest.mark.spread
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("per_layer_config"), "has no attribute 'attention_heads'"),
        (lambda c: c["per_layer_config"].pop("1"), "attention_heads"),
        (lambda c: c.pop("walras"), "is no export of walras: its config.json has no 'walras'"),
        (lambda c: c["walras"].pop("heads"), "cannot load export .*: KeyError: 'heads'"),
        (lambda c: c["walras"].update(family="evil"), "unknown family 'evil'"),
        (lambda c: c["walras"].update(family=[7]), r"walras: family is \[7\]; it must be a text"),
        (lambda c: c["walras"].pop("family"), "unknown family 'walras'"),
        (lambda c: c["walras"]["heads"].update(output="no.where"), "has no attribute `no`"),
        (lambda c: c.update(architectures=["BertModel"]), "cannot be loaded as BertModel; valid: AutoModel, "),
        (lambda c: c.update(architectures=["SlicedNothing"]), "cannot be loaded as SlicedNothing; valid: AutoModel, "),
    ],
)  # fmt: skip
def test_configurations_changed_by_hand(exported: Callable[[str], Path], change: Any, message: str) -> None:
    file = exported("bert") / "config.json"
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        load_model(file.parent)


def test_weights_changed_by_hand(exported: Callable[[str], Path]) -> None:
    file = exported("bert") / "model.safetensors"
    good = load_file(file)
    name = "bert.encoder.layer.2.attention.self.key.weight"
    for change, message in (
        ({name: good[name][:-6].contiguous()}, r"layer 2: bert\S+key\.weight has shape \[12, 24\] .* \[18, 24\] by"),
        ({name: None}, r"layer 2: bert\S+key\.weight is missing in the weights"),
        ({"bert.encoder.layer.0.more": torch.ones(2)}, r"layer 0: bert\S+more is unexpected in the weights"),
        ({"classifier.bias": None}, r"was changed: classifier\.bias is missing in the weights"),
    ):
        save_file({k: v for k, v in {**good, **change}.items() if v is not None}, file, metadata={"format": "pt"})
        with pytest.raises(InputError, match=message):
            load_model(file.parent)
    file.write_bytes(b"x" * 99)
    with pytest.raises(InputError, match="cannot load export"):
        load_model(file.parent)
    file.unlink()
    with pytest.raises(InputError, match=r"cannot load export .*model\.safetensors"):
        load_model(file.parent)


def test_what_is_no_export(tmp_path: Path, tiny: Any) -> None:
    with pytest.raises(InputError, match=r"is no export: cannot read its config\.json"):
        load_model(tmp_path)
    tiny("bert").model.save_pretrained(tmp_path / "stock")
    with pytest.raises(InputError, match=r"is no export of walras: .*AutoModel loads it"):
        load_model(tmp_path / "stock")


def test_what_cannot_be_exported(tmp_path: Path, tiny: Any) -> None:
    class Own(transformers.BertModel):  # type: ignore[no-untyped-call]  # transformers has no types here
        pass

    config = copy.deepcopy(tiny("bert").model.config)
    t5 = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    )
    for model in (nn.Sequential(tiny("bert").model), Own(config)):
        with pytest.raises(InputError, match=r"cannot export a (Sequential|Own); it must be of a model class"):
            save(model, None, tmp_path / "out")
    with pytest.raises(UnknownNameError, match=r"unknown family 't5'.* Known: bert, "):
        save(t5, None, tmp_path / "out")
    encoder: Any = transformers.models.whisper.modeling_whisper.WhisperEncoder
    small: dict[str, Any] = {"d_model": 8, "encoder_layers": 1, "encoder_attention_heads": 2, "num_mel_bins": 4}
    small["encoder_ffn_dim"] = 8
    with pytest.raises(
        InputError, match="cannot export a WhisperEncoder: in transformers it is a part of other models"
    ):
        save(encoder(transformers.WhisperConfig(**small)), None, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []

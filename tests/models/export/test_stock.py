"""Exports as a configuration of transformers alone: of what is even, and refused with the reason where it is not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from walras.errors import InputError
from walras.models import compact, inventory
from walras.models.export.checkpoints import save
from walras.models.export.reloading import load_model
from walras.models.loading import load as load_any

OWN_HEAD_SIZE = (
    "llama", "vit", "mistral", "qwen2", "qwen3", "mixtral", "qwen2_moe", "qwen3_moe", "granitemoe", "gemma3_text",
    "deit", "dinov2",
)  # fmt: skip
"""Families whose heads have a size that does not follow from their number."""


def loaded(tested: Any, folder: Path) -> Any:
    """As transformers loads it, with no code but its own."""
    kind: Any = transformers.AutoModelForCausalLM
    if not tested.decoder:
        kind = transformers.AutoModelForSequenceClassification
    if "pixel_values" in tested.batch:
        kind = transformers.AutoModelForImageClassification
    if "input_features" in tested.batch:
        kind = transformers.AutoModelForSpeechSeq2Seq
    return kind.from_pretrained(folder, trust_remote_code=False, **options(tested)).eval()


def options(tested: Any) -> dict[str, str]:
    """Attention and experts are computed as in the model in memory."""
    mixed = hasattr(tested.model.config, "num_experts_per_tok")
    return {"attn_implementation": "eager", **({"experts_implementation": "eager"} if mixed else {})}


def without(units: Any, kind: str, *gone: int) -> Any:
    """All units but those of a kind that have these places in their layer."""
    return ~((units.kind == kind) & np.isin(units.index, gone))


def check(tested: Any, folder: Path, keep: Any, units: Any) -> None:
    small = compact(tested.model, units, keep)
    save(small, None, folder, overwrite=True, stock=True)
    names = {path.name for path in folder.iterdir()}
    assert not [name for name in names if name.endswith(".py")]
    told = json.loads((folder / "config.json").read_text())
    assert "auto_map" not in told
    assert "per_layer_config" not in told
    with torch.no_grad():
        expected = tested.logits(small)
        assert torch.equal(tested.logits(loaded(tested, folder)), expected)
        ours = load_model(folder, **options(tested))
        assert torch.equal(tested.logits(ours), expected)
        assert type(ours).__module__.startswith("transformers.")


@pytest.mark.spread
def test_ffn_alone_in_every_family(every_family: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(every_family)
    units = inventory(tested.model, block=8)
    if every_family == "dinov2":  # its FFN is a whole multiple of the hidden size
        with pytest.raises(InputError, match=r"Dinov2ForImageClassification cannot hold these weights: .*mlp\.fc1"):
            check(tested, tmp_path / "small", without(units, "ffn", 0, 3), units)
        return
    check(tested, tmp_path / "small", without(units, "ffn", 0, 3), units)


@pytest.mark.parametrize(
    "kind", [*OWN_HEAD_SIZE[:2], *(pytest.param(k, marks=pytest.mark.nightly) for k in OWN_HEAD_SIZE[2:])]
)
def test_heads_too_where_they_have_a_size_of_their_own(kind: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(kind)
    units = inventory(tested.model, block=8)
    keep = without(units, "head", 1) & without(units, "expert", 2, 4)
    if kind not in ("qwen2_moe", "qwen3_moe", "dinov2"):
        keep &= without(units, "ffn", 1)
    check(tested, tmp_path / "small", keep, units)


@pytest.mark.nightly
def test_experts(moe: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(moe)
    units = inventory(tested.model, block=8)
    check(tested, tmp_path / "small", without(units, "expert", 0), units)


@pytest.mark.parametrize(
    ("kind", "gone", "message"),
    [
        ("bert", "L1.F0", r"layer 1 has 32 FFN neurons and a layer before it 40; BertForSequenceClass.* has one"),
        ("bert", "L0.H0 L1.H0 L2.H0", r"3 heads are left of each layer, and BertFor.* takes the size of a head from"),
        ("gpt2", "L0.H1 L1.H2 L2.H0", r"3 heads are left of each layer, and GPT2LMHeadModel takes the size of a head"),
        ("llama", "L2.H1", r"layer 2 has 4 attention heads and a layer before it 6"),
        ("llama", "L0.H0 L0.H1 L0.H2", r"layer 0 has no attention heads left, which LlamaForCausalLM must have"),
        ("bert", "L0.F0 L0.F1 L0.F2 L0.F3 L0.F4", r"layer 0 has no FFN neurons left"),
    ],
)  # fmt: skip
def test_refused_before_anything_is_written(kind: str, gone: str, message: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(kind)
    units = inventory(tested.model, block=8)
    keep = np.array([units.name(i) not in gone.split() for i in range(len(units))])
    with pytest.raises(InputError, match=f"{message}.*without --stock it is exported with a file of code"):
        save(compact(tested.model, units, keep), None, tmp_path / "small", stock=True)
    assert not (tmp_path / "small").exists()


def test_an_export_goes_on_as_stock_and_back(tiny: Any, tmp_path: Path, tokenizer: Any) -> None:
    tested = tiny("llama")
    units = inventory(tested.model, block=8)
    save(compact(tested.model, units, without(units, "ffn", 0)), None, tmp_path / "first")
    first = load_model(tmp_path / "first", attn_implementation="eager")
    save(first, tokenizer, tmp_path / "stock", stock=True)
    with torch.no_grad():
        expected = tested.logits(first)
        assert torch.equal(tested.logits(loaded(tested, tmp_path / "stock")), expected)
        again = load_any(str(tmp_path / "stock"), "causal", device="cpu").model
        assert type(again).__name__ == "LlamaForCausalLM"
        save(again, tokenizer, tmp_path / "stock", overwrite=True)  # the files of the other kind of export are known
        assert torch.equal(tested.logits(load_model(tmp_path / "stock", attn_implementation="eager")), expected)
    save(again, None, tmp_path / "stock", overwrite=True, stock=True)
    with pytest.raises(InputError, match="cannot be loaded as Nothing; valid: a class of transformers"):
        load_model(tmp_path / "stock", "Nothing")

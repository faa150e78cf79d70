"""GGUF files of even and uneven decoders, as far as the reader of the package `gguf`, and transformers', can check."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel

from walras.errors import InputError
from walras.models import compact, inventory
from walras.models.export.gguf_file import check_gguf, write_gguf
from walras.models.export.modeling_walras import add_bias

gguf = pytest.importorskip("gguf")
BARE = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def sliced(tested: Any, *gone: str) -> Any:
    """The model without some units."""
    units = inventory(tested.model, block=8)
    return compact(tested.model, units, np.array([units.name(i) not in gone for i in range(len(units))]))


def read(file: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Settings and tensors, queries and keys in transformers' order."""
    reader = gguf.GGUFReader(file)
    told = {name: field.contents() for name, field in reader.fields.items()}
    size = told[f"{told['general.architecture']}.attention.key_length"]
    found = {}
    for tensor in reader.tensors:
        values: Any = torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type).copy())
        if ".attn_q." in tensor.name or ".attn_k." in tensor.name:
            values = values.unflatten(0, (-1, size // 2, 2)).transpose(1, 2).flatten(0, 2)
        found[tensor.name] = values
    return told, found


NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def expected(small: Any) -> dict[str, torch.Tensor]:
    """The weights by GGUF's names, but for matrices without numbers."""
    found = {}
    for name, tensor in small.state_dict().items():
        part = name.removeprefix("model.").replace("layers.", "blk.").replace("embed_tokens", "token_embd")
        for ours, theirs in NAMES.items():
            part = part.replace(f".{ours}.", f".{theirs}.")
        part = part.replace("lm_head", "output")
        found["output_norm.weight" if part == "norm.weight" else part] = tensor
    return {name: tensor for name, tensor in found.items() if tensor.numel()}


@BARE
def test_an_uneven_one(tiny: Any, tmp_path: Path) -> None:
    """Layer 0 without heads, layer 1 without neurons, layer 2 with fewer of both: arrays, and blocks of zeros."""
    small = sliced(tiny("llama"), "L0.H0", "L0.H1", "L0.H2", *(f"L1.F{i}" for i in range(5)), "L2.H1", "L2.F0", "L2.F4")
    check_gguf(small)
    assert write_gguf(small, None, tmp_path / "m.gguf") == {"architecture": "deci", "pre_tokenizer": ""}
    told, tensors = read(tmp_path / "m.gguf")
    assert told["general.architecture"] == "deci"
    assert told["deci.attention.head_count"] == [2, 6, 4]
    assert told["deci.attention.head_count_kv"] == [1, 3, 2]
    assert told["deci.feed_forward_length"] == [40, 32, 24]
    assert told["deci.block_count"] == 3
    wanted = expected(small)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in wanted.items())
    zeros = {name: tensor for name, tensor in tensors.items() if name not in wanted}
    assert {name: [*tensor.shape] for name, tensor in zeros.items()} == {
        "blk.0.attn_q.weight": [8, 24], "blk.0.attn_k.weight": [4, 24], "blk.0.attn_v.weight": [4, 24],
        "blk.0.attn_output.weight": [24, 8],
        "blk.1.ffn_gate.weight": [32, 24], "blk.1.ffn_up.weight": [32, 24], "blk.1.ffn_down.weight": [24, 32],
    }  # fmt: skip
    assert not any(bool(tensor.any()) for tensor in zeros.values())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.DECI, 3).mapping.values()
    assert {name.rpartition(".")[0] for name in tensors} <= {name for _, name in names}


@BARE
@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_an_even_one_is_read_by_transformers(kind: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny(kind)
    if kind == "llama":  # transformers' reader takes no biases
        config = type(tested.model.config)(
            **{**tested.model.config.to_dict(), "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True}
        )
        tested = type(tested)(type(tested.model)(config).eval(), tested.batch, tested.length, True)
    small = sliced(tested, *(f"L{layer}.{unit}" for layer in range(3) for unit in ("H1", "F0")))
    check_gguf(small)
    assert write_gguf(small, None, tmp_path / "m.gguf")["architecture"] == "llama"
    told, tensors = read(tmp_path / "m.gguf")
    assert told["llama.attention.head_count"] == 4
    assert told["llama.context_length"] == (6 if kind == "mistral" else 64)
    wanted = expected(small)
    if kind == "llama":
        assert wanted.pop("output.weight") is not None  # tied
    assert wanted.keys() == tensors.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in wanted.items())
    if kind == "llama":
        again: Any = transformers.AutoModelForCausalLM
        model = again.from_pretrained(tmp_path, gguf_file="m.gguf", attn_implementation="eager").eval()
        with torch.no_grad():
            torch.testing.assert_close(tested.logits(model), tested.logits(small), rtol=0, atol=1e-5)


@BARE
def test_half_precision_and_slower_angles(tiny: Any, tmp_path: Path) -> None:
    tested = tiny("llama", dtype=torch.bfloat16)
    config = tested.model.config.to_dict()
    rope = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }  # fmt: skip
    model = type(tested.model)(type(tested.model.config)(**{**config, "rope_parameters": rope})).to(torch.bfloat16)
    check_gguf(model)
    write_gguf(model, None, tmp_path / "m.gguf")
    told, tensors = read(tmp_path / "m.gguf")
    assert told["general.file_type"] == gguf.LlamaFileType.MOSTLY_BF16
    assert torch.equal(tensors["blk.0.ffn_up.weight"], model.model.layers[0].mlp.up_proj.weight.float())
    own: Any = type(model.model.rotary_emb)(model.config)
    angles = 10000.0 ** -(torch.arange(0, 4, 2) / 4) / tensors["rope_freqs.weight"]
    torch.testing.assert_close(angles, own.inv_freq)
    assert float(tensors["rope_freqs.weight"].max()) > 1


def byte_level(vocabulary: int) -> Any:
    """A byte-pair tokenizer of single bytes, two merges, and an end of text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())[: vocabulary - 4]
    vocab = {text: i for i, text in enumerate([*alphabet, "ab", "abc"])}
    raw: Any = Tokenizer(models.BPE(vocab=vocab, merges=[("a", "b"), ("ab", "c")]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = ByteLevel()
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(tokenizer_object=raw, eos_token="<end>")


@BARE
def test_its_tokenizer(tiny: Any, tmp_path: Path, tokenizer: Any) -> None:
    model = tiny("llama").model
    own = byte_level(100)
    model.resize_token_embeddings(104)
    assert write_gguf(model, own, tmp_path / "m.gguf")["pre_tokenizer"] == "gpt-2"
    told, _ = read(tmp_path / "m.gguf")
    assert told["tokenizer.ggml.model"] == "gpt2"
    assert told["tokenizer.ggml.merges"] == ["a b", "ab c"]
    assert len(told["tokenizer.ggml.tokens"]) == 104
    words = own.convert_ids_to_tokens(range(len(own)))
    assert told["tokenizer.ggml.tokens"][: len(words)] == words
    assert told["tokenizer.ggml.tokens"][-1] == "[PAD103]"
    assert told["tokenizer.ggml.eos_token_id"] == own.eos_token_id
    with pytest.raises(InputError, match="writes byte-pair tokenizers; BertTokenizer is of another kind"):
        write_gguf(model, tokenizer, tmp_path / "other.gguf")


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("bert", {}, r"this is a BertForSequenceClassification; valid: LlamaForCausalLM, MistralForCausalLM"),
        ("qwen2", {}, r"this is a Qwen2ForCausalLM"),
        ("llama", {"hidden_act": "gelu"}, r"this model has gelu and default"),
        ("llama", {"rope_parameters": {"rope_type": "yarn"}}, r"this model has silu and yarn"),
    ],
)
def test_refused(kind: str, changes: dict[str, Any], message: str, tiny: Any) -> None:
    model = tiny(kind).model
    for name, value in changes.items():
        setattr(model.config, name, value)
    with pytest.raises(InputError, match=message):
        check_gguf(model)


def test_biases_that_were_added_are_refused(tiny: Any) -> None:
    model = tiny("llama").model
    check_gguf(model)
    add_bias(model.model.layers[0].mlp.down_proj)
    with pytest.raises(InputError, match=r"were given biases, which llama\.cpp does not look for"):
        check_gguf(model)


def test_without_the_package(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walras.models.export.gguf_file.importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"--gguf needs gguf: pip install '.\[gguf\]'"):
        check_gguf(tiny("llama").model)

"""SliceGPT: a rotation changes nothing, a stream of few dimensions is sliced to them, MACs are what is counted."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from walras.errors import InputError
from walras.experiments.benchmarks.kept_rows import read_rows
from walras.experiments.benchmarks.peers.peer import counted_macs
from walras.experiments.benchmarks.peers.peer_slicegpt import main
from walras.experiments.benchmarks.peers.slicegpt import sliced, width_for


def decoder(family: str = "llama", **more: Any) -> Any:
    """A tiny decoder in float64 with random scales and biases, and two batches."""
    config = AutoConfig.for_model(family, **{
        "vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 6, "intermediate_size": 36, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3, **more,
    })  # fmt: skip
    torch.manual_seed(0)
    auto: Any = AutoModelForCausalLM
    model = auto.from_config(config)
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            weight.data = torch.randn(weight.shape) * 0.3 + float("norm" in name)
    batches = [{"input_ids": torch.randint(3, 50, (3, 8)), "attention_mask": torch.ones(3, 8, dtype=torch.long)}]
    batches[0]["attention_mask"][1, 5:] = 0
    batches.append({"input_ids": torch.randint(3, 50, (2, 8)), "attention_mask": torch.ones(2, 8, dtype=torch.long)})
    return model.double().eval(), batches


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_with_all_features_it_is_the_same_function(family: str) -> None:
    model, batches = decoder(family, **({"attention_bias": True, "mlp_bias": True} if family == "llama" else {}))
    small = sliced(model, batches, 24)
    with torch.no_grad():
        for batch in batches:
            torch.testing.assert_close(
                small(**batch).logits, model(**batch).logits, rtol=1e-4, atol=1e-5
            )  # the stock norm is in float32


def test_a_stream_of_few_dimensions_can_be_sliced_to_them() -> None:
    """Whatever writes to the stream writes in 9 of 24 dimensions."""
    model, batches = decoder()
    basis = torch.linalg.qr(torch.randn(24, 9, dtype=torch.float64)).Q
    within = basis @ basis.T
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(model.model.embed_tokens.weight @ within)
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.copy_(within @ layer.self_attn.o_proj.weight)
            layer.mlp.down_proj.weight.copy_(within @ layer.mlp.down_proj.weight)
        small = sliced(model, batches, 9)
        for batch in batches:
            torch.testing.assert_close(
                small(**batch).logits, model(**batch).logits, rtol=1e-4, atol=1e-5
            )  # the stock norm is in float32
        apart = sliced(model, batches, 8)(**batches[0]).logits - model(**batches[0]).logits
        assert float(apart.abs().max()) > 1e-3


def test_the_error_falls_with_the_width() -> None:
    model, batches = decoder()
    with torch.no_grad():
        dense = torch.cat([model(**batch).logits[:, 0] for batch in batches])
        errors = [
            float((torch.cat([sliced(model, batches, w)(**b).logits[:, 0] for b in batches]) - dense).square().mean())
            for w in (4, 12, 20, 24)
        ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-12


@pytest.mark.parametrize("share", [0.5, 0.8, 1.0])
def test_the_width_is_the_largest_within_the_macs_that_are_counted(share: float) -> None:
    model, batches = decoder()
    dense = counted_macs(model, 8)
    width = width_for(model, 8, share * dense)
    assert counted_macs(sliced(model, batches, width), 8) <= share * dense * (1 + 1e-9)
    assert counted_macs(sliced(model, batches, width + 1), 8) > share * dense
    assert width < 24  # even at 1: what passes by a sub-layer costs as well


def test_what_is_refused() -> None:
    model, batches = decoder()
    with pytest.raises(InputError, match="width is 25; valid: 1 to 24"):
        sliced(model, batches, 25)
    with pytest.raises(InputError, match="are not enough for a stream of one feature"):
        width_for(model, 8, 10.0)
    auto: Any = AutoModelForCausalLM
    gpt2 = auto.from_config(AutoConfig.for_model("gpt2", n_embd=8, n_layer=1, n_head=2, vocab_size=9))
    with pytest.raises(InputError, match="written here for llama, mistral, qwen2, qwen3; this is a gpt2"):
        sliced(gpt2, batches, 4)


def test_rows_of_a_text_of_ones_own(models: Path, tmp_path: Path) -> None:
    """Once; what is finished is not run again."""
    text = tmp_path / "text"
    text.mkdir()
    for split in ("train", "valid", "test"):
        (text / f"wiki.{split}.raw").write_text(
            "the cat sat on the mat . a dog ran in the house ! " * 8, encoding="utf-8"
        )
    given: dict[str, Any] = {
        "model": str(models / "llama"), "task": "wikitext2-raw", "data": str(text), "length": 32, "sentences": 4,
        "batch_size": 2, "budget": [0.8], "seed": 0, "out": tmp_path / "rows.jsonl",
    }  # fmt: skip
    main(**given)
    (row,) = read_rows(tmp_path / "rows.jsonl")
    assert row["used"] <= 0.8
    assert row["value"] > 1
    main(**given)
    assert read_rows(tmp_path / "rows.jsonl") == [row]

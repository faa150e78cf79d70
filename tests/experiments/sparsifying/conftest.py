"""A tiny gated decoder in a folder, and a document of a few hundred tokens."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM


@pytest.fixture(scope="session")
def llama(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights, wide enough that its tokens say different things."""
    folder = tmp_path_factory.mktemp("llama")
    kind: Any = AutoTokenizer
    tokenizer = kind.from_pretrained(models / "gpt2")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn(weight.shape) * weight.shape[-1] ** -0.5)
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def document(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dozen lines, again and again."""
    path = tmp_path_factory.mktemp("document") / "document.txt"
    path.write_text(lines.read_text(encoding="utf-8") * 20, encoding="utf-8")
    return path

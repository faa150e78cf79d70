"""A tiny encoder in a folder, in the place of the pretrained model that pages name."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from walras.experiments.tasks.pairs.pairs_file import read_pairs


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a small encoder of random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    letters = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", ".", ",")
    words = tuple(f"##{letter}" for letter in letters[5:])
    config = BertConfig(
        vocab_size=len(letters + words), hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=192, max_position_embeddings=128,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    BertTokenizer(vocab={word: i for i, word in enumerate(letters + words)}).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def own_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in, with `my.txt`."""
    monkeypatch.chdir(tmp_path)
    Path("my.txt").write_text("\n".join(e.first for e in read_pairs("train")[:24]), encoding="utf-8")

"""The guide to a price in one's own training, run as it stands there but for shorter trainings."""

from pathlib import Path
from typing import Any

import pytest
import torch
from doc_pages import block
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig, LlamaForCausalLM

import walras
from walras.experiments.tasks.pairs.pairs_file import read_pairs

SHORT: dict[str, Any] = {"max_steps": 8, "per_device_train_batch_size": 4, "use_cpu": True, "report_to": []}
PAGE = "guides/own-training.md"


@pytest.fixture
def scope(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the guide takes as given."""
    monkeypatch.chdir(tmp_path)
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny)
    torch.manual_seed(0)
    model: Any = AutoModelForSequenceClassification.from_pretrained(tiny)
    pairs = read_pairs("train")[:32]
    texts = [pair.first for pair in pairs]
    rows = [
        {**tokenizer(text, padding="max_length", max_length=24, truncation=True), "labels": number % 2}
        for number, text in enumerate(texts)
    ]
    return {"tokenizer": tokenizer, "model": model, "rows": rows, "texts": texts, "pairs": pairs, "tiny": tiny}


def _shrunk(model: Any, folder: str) -> bool:
    return bool(walras.load_model(folder).num_parameters() < model.num_parameters())


def test_in_trainer(scope: dict[str, Any]) -> None:
    text = block(PAGE, 'save_model("half")').replace("num_train_epochs=3", "**SHORT")
    exec(text, scope | {"SHORT": SHORT})
    dense = AutoModelForSequenceClassification.from_pretrained(scope["tiny"])
    assert _shrunk(dense, "half")


def test_in_sentence_transformers(scope: dict[str, Any]) -> None:
    library, datasets = pytest.importorskip("sentence_transformers"), pytest.importorskip("datasets")
    encoder = library.SentenceTransformer(scope["tiny"], device="cpu")
    dense = sum(p.numel() for p in encoder.parameters())
    columns = [(pair.first, pair.second, pair.label) for pair in scope["pairs"]]
    given = dict(zip(("sentence1", "sentence2", "score"), map(list, zip(*columns, strict=True)), strict=True))
    home = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    arguments = library.SentenceTransformerTrainingArguments("runs/encoder", **SHORT)
    text = block(PAGE, "half-encoder").replace("    encoder, ", "    encoder, args=arguments, ")
    own = {
        "encoder": encoder, "pairs": datasets.Dataset.from_dict(given), "loss": home.CosineSimilarityLoss(encoder),
        "arguments": arguments, "walras": walras,
    }  # fmt: skip
    exec(text, own)
    found = library.SentenceTransformer("half-encoder", trust_remote_code=True, device="cpu")
    assert sum(p.numel() for p in found.parameters()) < dense


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")  # peft asks by the former name
def test_with_an_adapter(scope: dict[str, Any]) -> None:
    trl, datasets, peft = (pytest.importorskip(name) for name in ("trl", "datasets", "peft"))
    tokenizer = scope["tokenizer"]
    tokenizer.eos_token = "[SEP]"
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    decoder = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=3, **sizes))
    arguments = trl.SFTConfig("runs/decoder", max_length=16, bf16=False, activation_checkpointing=False, **SHORT)
    text = block(PAGE, "cut_from").replace("(decoder, ", "(decoder, args=arguments, processing_class=tokenizer, ")
    own = {
        "decoder": decoder, "dialogues": datasets.Dataset.from_dict({"text": scope["texts"]}), "arguments": arguments,
        "lora": peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "v_proj"]),
        "tokenizer": tokenizer, "walras": walras, "SFTTrainer": trl.SFTTrainer,
    }  # fmt: skip
    before = decoder.num_parameters()
    exec(text, own)
    assert walras.load_model("half-decoder").num_parameters() < before


def test_in_plain_pytorch(scope: dict[str, Any]) -> None:
    model, rows = scope["model"], scope["rows"]
    loader = [{name: torch.tensor([row[name] for row in rows[i : i + 4]]) for name in rows[0]} for i in range(0, 32, 4)]
    own = {
        "model": model.train(), "loader": loader, "batches": loader[:2], "walras": walras,
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-4),
    }  # fmt: skip
    before = model.num_parameters()
    text = block(PAGE, "price.step()")
    assert text.count("price.") == 2
    exec(text, own)
    assert walras.load_model("half").num_parameters() < before

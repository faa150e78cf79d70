"""A price in the trainers that descend from transformers': sentence-transformers', TRL's with an adapter."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.experiments.training.price.conftest import SETTINGS, SIZES
from walras.errors import InputError
from walras.experiments.training.price.callback import PriceCallback
from walras.models import inventory, macs
from walras.models.export.reloading import load_model

WORDS = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(37))]
ARGUMENTS: dict[str, Any] = {
    "max_steps": 8, "per_device_train_batch_size": 4, "report_to": [], "use_cpu": True, "bf16": False,
    "disable_tqdm": True, "logging_steps": 2, "save_strategy": "no",
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Of a vocabulary of words."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    kind: Any = PreTrainedTokenizerFast
    return kind(tokenizer_object=made, eos_token="[SEP]", bos_token="[CLS]", **special)


def _texts(count: int) -> list[str]:
    draw = np.random.default_rng(0)
    return [" ".join(f"w{i}" for i in draw.integers(0, 37, draw.integers(4, 9))) for _ in range(count)]


def test_sentence_transformers(tokenizer: Any, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    datasets = pytest.importorskip("datasets")
    torch.manual_seed(0)
    kind: Any = AutoModel
    kind.from_config(AutoConfig.for_model("bert", **SIZES)).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    model = library.SentenceTransformer(str(tmp_path / "bert"), device="cpu")
    pairs = datasets.Dataset.from_dict(
        {"sentence1": _texts(32), "sentence2": _texts(64)[32:], "score": list(np.linspace(0, 1, 32))}
    )
    callback = PriceCallback(**SETTINGS, distil=0.5)
    training = library.SentenceTransformerTrainer(
        model, library.SentenceTransformerTrainingArguments(str(tmp_path / "out"), **ARGUMENTS),
        train_dataset=pairs, loss=_cosine_loss(model), callbacks=[callback],
    )  # fmt: skip
    training.train()
    price: Any = callback.price
    assert price.settled
    assert price.figures()["share_of_macs"] <= 0.5
    training.save_model(str(tmp_path / "saved"))
    reloaded = library.SentenceTransformer(str(tmp_path / "saved"), trust_remote_code=True, device="cpu")
    assert np.allclose(reloaded.encode(_texts(3)), model.encode(_texts(3)), atol=1e-6)
    assert _numbers(reloaded) == _numbers(model) < _numbers(price.priced.dense)


def _cosine_loss(model: Any) -> Any:
    """The library's, wherever this version has it."""
    try:
        home = importlib.import_module("sentence_transformers.sentence_transformer.losses")
    except ModuleNotFoundError:  # up to its version 5
        home = importlib.import_module("sentence_transformers.losses")
    return home.CosineSimilarityLoss(model)


def _decoder() -> Any:
    torch.manual_seed(0)
    kind: Any = AutoModelForCausalLM
    return kind.from_config(AutoConfig.for_model("llama", **SIZES))


def _fine_tuning(model: Any, tokenizer: Any, out: Path, callback: PriceCallback, **more: Any) -> Any:
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    arguments = trl.SFTConfig(str(out), max_length=16, activation_checkpointing=False, **ARGUMENTS)
    rows = datasets.Dataset.from_dict({"text": _texts(32)})
    return trl.SFTTrainer(
        model, args=arguments, train_dataset=rows, processing_class=tokenizer, callbacks=[callback], **more
    )


def test_a_decoder_in_supervised_fine_tuning(tokenizer: Any, tmp_path: Path) -> None:
    model, callback = _decoder(), PriceCallback(**SETTINGS)
    training = _fine_tuning(model, tokenizer, tmp_path / "out", callback)
    training.train()
    training.save_model(str(tmp_path / "saved"))
    ids = torch.arange(4, 16)[None]
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "saved")(input_ids=ids).logits, model.eval()(input_ids=ids).logits)
    dense = macs(_decoder(), inventory(_decoder()), 16).dense
    assert macs(model, inventory(model), 16).dense <= 0.5 * dense


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")  # peft asks by the former name
def test_an_adapter_is_trained_under_gates_and_merged(tokenizer: Any, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "v_proj", "o_proj"])
    callback = PriceCallback(**SETTINGS, cut=False, repair="none")
    training = _fine_tuning(_decoder(), tokenizer, tmp_path / "out", callback, peft_config=lora)
    training.train()
    price: Any = callback.price
    ids = torch.arange(4, 16)[None]
    with torch.no_grad():
        gated = training.model.eval()(input_ids=ids).logits
    merged = training.model.merge_and_unload()
    price.cut_from(merged)
    with torch.no_grad():
        assert torch.allclose(merged(input_ids=ids).logits, gated, atol=1e-5)
    assert _numbers(merged) < _numbers(_decoder())
    merged.save_pretrained(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "saved")(input_ids=ids).logits, merged(input_ids=ids).logits)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
def test_an_adapter_whose_network_was_to_be_cut(tokenizer: Any, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"])
    with pytest.raises(InputError, match=r"has an adapter at .*q_proj.*cut=False"):
        _fine_tuning(_decoder(), tokenizer, tmp_path / "out", PriceCallback(**SETTINGS), peft_config=lora)


def _numbers(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())

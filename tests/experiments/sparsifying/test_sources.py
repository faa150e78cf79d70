"""What is sparsified: networks in half precision keep their type, those that are sparse already are refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

import walras
from walras.errors import InputError
from walras.experiments.sparsifying.from_python import sparsify
from walras.models.loading import load
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.rules import PriceRule
from walras.models.tokens.trading import token_markets

AUTO: Any = AutoModelForCausalLM


@pytest.fixture
def settings(llama: Path, document: Path) -> dict[str, Any]:
    return {"texts": str(document), "length": 16, "device": "cpu", "budget": 0.6, "sequences": 4, "limit": 2}


def hooked(network: Calibrated, prices: dict[str, float], ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), token_markets(network.model, network.maps, network.worths, PriceRule(prices)):
        logits: torch.Tensor = network.model(input_ids=ids).logits
    return logits


@pytest.mark.parametrize("dtype", [torch.float16, pytest.param(torch.bfloat16, marks=pytest.mark.nightly)])
def test_half_precision_stays(dtype: torch.dtype, llama: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    """The folder computes what the network does whose tokens buy by hooks, and worths and prices stay float32."""
    model, tokenizer = load(str(llama), "causal", device="cpu")
    model.to(dtype).save_pretrained(tmp_path / "half")  # type: ignore[operator]  # of a PreTrainedModel
    tokenizer.save_pretrained(tmp_path / "half")
    found = sparsify(str(tmp_path / "half"), **settings)
    found.save(tmp_path / "x")
    ids = torch.tensor([[7]])
    expected = hooked(found.network, found.calibration.prices, ids)
    again = walras.load_model(tmp_path / "x")
    assert {p.dtype for p in again.parameters()} == {dtype}
    assert {b.dtype for name, b in again.named_buffers() if name.endswith(("worth", "price"))} == {torch.float32}
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, expected, rtol=0, atol=0.02 if dtype == torch.float16 else 0.3)


def test_what_is_sparse_already(llama: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    """By its folder, as an object, and as transformers loads it, with the class of the folder."""
    found = sparsify(str(llama), **settings)
    found.save(tmp_path / "x")
    text = Path(settings["texts"]).read_text(encoding="utf-8")
    by_code = AUTO.from_pretrained(tmp_path / "x", trust_remote_code=True)
    with pytest.raises(InputError, match="buy what they are computed with already"):
        sparsify(str(tmp_path / "x"), **settings)
    for model in (found.model, by_code):
        with pytest.raises(InputError, match="buy what they are computed with already"):
            sparsify(model, found.tokenizer, text, budget=0.6, length=16)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated")  # peft asks for it
def test_an_adapter_and_an_encoder_are_told_what_to_do(llama: Path, models: Path) -> None:
    peft = pytest.importorskip("peft")
    model, tokenizer = load(str(llama), "causal", device="cpu")
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj"]))
    with pytest.raises(InputError, match="merge the adapter into the model first"):
        sparsify(adapted, tokenizer, "a long text " * 99, budget=0.6, length=16)
    encoder, tokenizer = load(str(models / "bert"), device="cpu")
    with pytest.raises(InputError, match="texts is one text, and BertModel no decoder; give a list of texts"):
        sparsify(encoder, tokenizer, "a long text " * 99, budget=0.6, length=16)

"""The table of decoding speed has every form, and its network with everything kept is the dense one."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from walras.experiments.benchmarks.token_markets import decoding
from walras.experiments.sparsifying.from_python import sparsify
from walras.models.export.reloading import load_model
from walras.models.loading import load


@pytest.fixture
def half(llama: Path, document: Path, tmp_path: Path) -> Path:
    sparsify(str(llama), None, str(document), budget=0.6, length=16, device="cpu").save(tmp_path / "half")
    return tmp_path / "half"


def test_the_table(llama: Path, half: Path, tmp_path: Path) -> None:
    decoding.main(
        str(llama), [half], tmp_path / "out", tokens=3, rounds=1, threads=[1], batch=[1, 2], dtype=["float32"]
    )
    table = pd.read_csv(tmp_path / "out" / "token_markets_decoding.csv")
    rows = table.groupby(["what", "batch"])["form"].apply(list).to_dict()
    every = ["transformers", "again", "everything", "half"]
    assert rows == {
        ("generate", 1): every, ("generate", 2): every, ("head", 1): ["transformers"],
        ("maps", 1): ["transformers", "everything", "half"], ("prompt, dense", 1): every,
        ("prompt, market", 1): ["everything", "half"],
    }  # fmt: skip
    assert (table["tokens_a_second"] > 0).all()
    assert (table[table["form"] == "transformers"]["times_transformers"] == 1).all()


@torch.no_grad()
def test_what_is_timed_is_what_the_network_computes(llama: Path, half: Path) -> None:
    dense, tokenizer = load(str(llama), "causal", device="cpu")
    everything: Any = decoding._all_kept(load_model(half))
    ids = tokenizer(decoding.PROMPT, return_tensors="pt")["input_ids"][:, :1]
    torch.testing.assert_close(everything(ids).logits, dense(ids).logits, rtol=0, atol=2e-5)
    assert not torch.allclose(load_model(half)(ids).logits, dense(ids).logits, atol=1e-4)
    calls = list(decoding._calls(everything, tokenizer))
    assert len(calls) == 7 * 2
    for (market, given), (linear, states) in zip(calls, decoding._dense(calls), strict=True):
        torch.testing.assert_close(market(*given), linear(*states), rtol=0, atol=2e-5)

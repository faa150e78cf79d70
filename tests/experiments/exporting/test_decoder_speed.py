"""Speed of exported decoders: multiply-accumulates are what is counted, and rows are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from walras.errors import InputError
from walras.experiments.benchmarks.kept_rows import read_rows
from walras.experiments.benchmarks.speed.decoder_speed import GENERATE, PROMPT, decoder_macs, head, main, work
from walras.models.export.reloading import load_model
from walras.models.loading import load

Walras = Callable[..., Any]


@pytest.fixture
def export(run: Callable[..., Path], walras: Walras) -> Path:
    assert walras("export", run("llama", "--batch-size", 4), "--out", "small").code == 0
    return Path("small")


@torch.no_grad()
def test_macs_are_those_that_torch_counts_and_rows_are_kept(export: Path, models: Path) -> None:
    dense = load(str(models / "llama"), "causal", device="cpu").model
    for model in (dense, load_model(export)):
        decoder: Any = model
        decoder.set_attn_implementation("eager")
        for what, count in ((PROMPT, 7), (GENERATE, 5)):
            with FlopCounterMode(display=False) as counter:
                work(model, what, count)()
            assert counter.get_total_flops() / 2 == pytest.approx(decoder_macs(model, what, count), rel=0.02)

    given: dict[str, Any] = {"model": str(models / "llama"), "new": 3, "prompt": 8, "passes": 1, "out": Path("t.csv")}
    main([export], **given)
    rows = read_rows(Path("t_cells.jsonl"))
    assert [(row["what"], row["tokens"]) for row in rows] == [("generate", 3), ("prompt", 8)]
    for row in rows:
        assert row["ideal"] == row["dense_macs"] / row["macs"] > 1
        assert row["share"] == pytest.approx(row["dense_ms"] / row["small_ms"] / row["ideal"])
    main([export], **given)
    assert read_rows(Path("t_cells.jsonl")) == rows
    main([export], **{**given, "new": 4})
    assert pd.read_csv("t.csv")["tokens"].tolist() == [3, 8, 4]


def test_encoders_are_refused(models: Path) -> None:
    model = load(str(models / "bert"), "base", device="cpu").model
    with pytest.raises(InputError, match="is no decoder"):
        head(model)

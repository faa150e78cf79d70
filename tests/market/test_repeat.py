"""Same seed, same trace: byte for byte, in another process with other hashes too."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

SCRIPT = """
import sys
import torch
from transformers import AutoModelForSequenceClassification, BertConfig
from walras.agents import Calibration, Fisher
from walras.market import ComputeMarket, TraceWriter
from walras.mechanisms import ShadowPrice
from walras.models import macs
from walras.models import inventory
from walras.models.objective import Objective, squared_distance

torch.manual_seed(0)
model = AutoModelForSequenceClassification.from_config(BertConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40,
    max_position_embeddings=16, num_labels=3,
))
class Movement(Objective):
    unit = "squared output"
    def __call__(self, model, batch, generator):
        return squared_distance(model(**batch).logits, generator)
batches = [{"input_ids": torch.randint(0, 50, (8, 10)), "attention_mask": torch.ones(8, 10)} for _ in range(3)]
units = inventory(model, block=4)
calibration = Calibration(model, units, Movement(), batches, macs(model, units, 10).share)
for folder, seed in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    market = ComputeMarket(calibration, Fisher(), ShadowPrice(), [0.8, 0.6, 0.4], seed=int(seed))
    market.on("played", TraceWriter(folder))
    for _ in market.remaining():
        market.step()
"""


def start(hashes: int, *runs: tuple[Path, int]) -> subprocess.Popen[str]:
    """A process that plays a market into each folder, with its seed."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hashes), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", SCRIPT, *arguments(runs)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def arguments(runs: Iterable[tuple[Path, int]]) -> list[str]:
    return [str(a) for run in runs for a in run]


@pytest.mark.nightly  # another process imports everything anew
def test_same_seed_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    process = start(12345, (other, 2), (second, 1))
    monkeypatch.setattr(sys, "argv", ["-c", *arguments([(first, 1)])])
    exec(SCRIPT, {"__name__": __name__})
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    parts = {folder: [p.read_bytes() for p in sorted(folder.iterdir())] for folder in (first, second, other)}
    assert len(parts[first]) == 3
    assert parts[first] == parts[second]
    assert all(a != b for a, b in zip(parts[first], parts[other], strict=True))

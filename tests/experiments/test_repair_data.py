"""How many sentences repairs are fitted on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pytest
import torch
from torch import nn
from transformers import AutoModel

from walras.experiments.repair_data import minutes_of_repair, repair_batches, widest_projection
from walras.experiments.spec import MarketSpec
from walras.experiments.subjects.data import SubjectData
from walras.models import inventory
from walras.models.objective import Batch, ModelLoss, Objective

ROWS = 40  # that there are
REAL = 5  # tokens of a sentence, beside one of padding


@final
@dataclass(frozen=True)
class Sentences(SubjectData):
    """Forty sentences of five tokens."""

    name: str = "sentences"
    metric: str = "nothing"
    higher_is_better: bool | None = None

    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        return ModelLoss()

    def batches(self, sentences: int, seed: int) -> Sequence[Batch]:
        mask = torch.ones(1, REAL + 1, dtype=torch.long)
        mask[0, -1] = 0
        return [{"input_ids": torch.full((1, REAL + 1), seed), "attention_mask": mask}] * min(sentences, ROWS)

    def evaluate(self, model: nn.Module) -> float:
        return math.nan


@pytest.mark.parametrize(
    ("sentences", "wanted", "expected"),
    [
        (0, 0, None),
        (7, 0, 7),
        (7, 300, 7),  # a number of sentences goes before
        (0, 100, 20),  # of five tokens each
        (0, 101, 21),
        (0, 50, None),  # the ten sentences that units are valued on are enough
        (0, 51, 11),
        (0, 900, ROWS),  # no more than there are
    ],
)
def test_sentences(sentences: int, wanted: int, expected: int | None) -> None:
    data, market = Sentences(), MarketSpec(sentences=10, repair_sentences=sentences)
    found = repair_batches(data, market, 3, data.batches(10, 3), wanted)
    assert (None if found is None else len(found)) == expected
    assert found is None or int(found[0]["input_ids"][0, 0]) == 3


def test_at_the_end_of_the_text_there_are_no_more() -> None:
    data, market = Sentences(), MarketSpec(sentences=ROWS)
    assert repair_batches(data, market, 0, data.batches(ROWS, 0), 1000) is None


def test_the_widest_projection_that_can_be_re_fitted(models: Path) -> None:
    model = AutoModel.from_pretrained(models / "bert")
    units = inventory(model, block=8)
    assert widest_projection(model, units) == max(site.width for site in units.sites)
    assert widest_projection(model, inventory(model, ["head"])) < widest_projection(model, units)


def test_minutes_grow_with_tokens_and_rounds(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("walras.experiments.repair_data.time.monotonic", lambda: float(next(clock)))  # a second a pass
    model, batch = AutoModel.from_pretrained(models / "bert").eval(), {"input_ids": torch.ones(2, 5, dtype=torch.long)}
    one = minutes_of_repair(model, [batch], 1)
    assert one > 0
    assert minutes_of_repair(model, [batch] * 3, 1) == pytest.approx(3 * one)
    assert minutes_of_repair(model, [batch], 2) == pytest.approx(2 * one)

"""Batches as work on the rows of a network wants them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from walras.models.repair.streams import by_length, inputs


def _halves(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Two batches of unequal length of memory."""
    return [{k: v[:3] for k, v in batch.items()}, {k: v[3:] for k, v in batch.items()}]


def test_labels_are_left_out(tiny: Any) -> None:
    tested = tiny("bert")
    assert set(inputs(tested.model, {**tested.batch, "labels": torch.zeros(4)})) == set(tested.batch)


def test_rows_by_length(tiny: Any) -> None:
    tested = tiny("bert")
    batches = [{**half, "labels": torch.zeros(len(half["input_ids"]))} for half in _halves(tested.batch)]
    found = by_length(batches)
    assert [tuple(batch["input_ids"].shape) for batch in found] == [(3, 9), (1, 9)]
    assert [int(batch["attention_mask"].sum()) for batch in found] == [4 + 6 + 9, 9]
    assert all(set(batch) == set(tested.batch) for batch in found)
    rows = sorted(tuple(row[mask == 1].tolist()) for row, mask in zip(*tested.batch.values(), strict=True))
    again = [tuple(r[m == 1].tolist()) for batch in found for r, m in zip(*batch.values(), strict=True)]
    assert sorted(again) == rows


def test_a_batch_of_short_rows_is_cut(tiny: Any) -> None:
    batch = tiny("bert").batch
    found = by_length([{k: v[i : i + 1] for k, v in batch.items()} for i in range(4)])
    assert [batch["input_ids"].shape[1] for batch in found] == [4, 6, 9, 9]


@pytest.mark.parametrize("change", ["left", "hidden", "mask"])
def test_what_cannot_be_regrouped_stays(change: str, tiny: Any) -> None:
    batch = dict(tiny("bert").batch)
    if change == "left":
        batch = {name: tensor.flip(-1) for name, tensor in batch.items()}
    elif change == "hidden":
        batch["inputs_embeds"] = torch.zeros(4, 9, 24)
    else:
        del batch["attention_mask"]
    given = [batch]
    assert by_length(given) is given

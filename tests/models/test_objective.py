"""What is asked of batches."""

import torch

from walras.models.objective import tokens_of


def test_tokens() -> None:
    ids = torch.zeros(2, 3, dtype=torch.long)
    assert tokens_of({"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 0], [1, 0, 0]])}) == 3
    assert tokens_of({"input_ids": ids, "labels": torch.zeros(2)}) == 6
    assert tokens_of({"pixel_values": torch.zeros(2, 3, 4, 4)}) == 2
    assert tokens_of({"pixel_values": torch.zeros(2, 3, 4, 4)}, 17) == 34

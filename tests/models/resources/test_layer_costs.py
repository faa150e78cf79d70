"""Costs by layer and part, from tokens and pairs: against `macs`, and against paper 1's own setting."""

from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from walras.models import inventory, macs
from walras.models.resources.layer_costs import LayerMacs
from walras.models.resources.macs import PARTS


def test_equal_to_the_cost_of_a_dense_sequence(family: str, tiny: Any) -> None:
    tested = tiny(family)
    n = tested.length
    found = LayerMacs.from_model(tested.model)(n, n * n, n * n)
    units = inventory(tested.model)
    dense = macs(tested.model, units, n)
    for i, part in enumerate(PARTS):
        for layer in range(3):
            assert found[layer, i] == dense.parts[part][units.layer == layer].sum(), (layer, part)


def test_each_number_moves_its_own_part(tiny: Any) -> None:
    costs = LayerMacs.from_model(tiny("bert").model)  # hidden 24, 40 neurons
    projection, ffn = 24 * 24, 24 * 40
    assert costs(1, 0, 0)[0].tolist() == [projection] * 3 + [0, 0, projection, ffn, ffn]
    assert costs(0, 1, 0).sum(-1).tolist() == [24] * 3
    layered = costs(torch.tensor([0.0, 0.0, 0.0]).numpy(), 0, torch.tensor([1.0, 2.0, 3.0]).numpy())
    assert layered[:, PARTS.index("mix")].tolist() == [24, 48, 72]
    assert layered.sum() == 144


@pytest.mark.parametrize(
    ("n", "k", "total"), [(128, 128, 11.174), (512, 512, 48.318), (512, 32, 46.053), (128, 32, 11.174 * (1 - 0.0101))]
)
def test_paper_1_with_kept_keys(n: int, k: int, total: float) -> None:
    """papers.md, D5: top-k must see all scores, so only the mix shrinks."""
    with torch.device("meta"):
        bert = BertModel(BertConfig())
    found = LayerMacs.from_model(bert)(n, n * n, n * k) / 1e9
    assert found.sum() == pytest.approx(total, abs=1.1e-3)  # as many digits as are given there
    if n == k == 512:
        by_part = dict(zip(PARTS, found.sum(0), strict=True))
        assert by_part["query"] + by_part["key"] + by_part["value"] == pytest.approx(10.872, abs=5e-4)
        assert by_part["scores"] == by_part["mix"] == pytest.approx(2.416, abs=5e-4)
        assert by_part["ffn_in"] + by_part["ffn_out"] == pytest.approx(28.991, abs=5e-4)

from typing import Any

import numpy as np
import pytest

from walras.errors import InputError
from walras.models import compact, inventory
from walras.models.resources.parameters import parameters
from walras.models.resources.resource import ranks


def _count(model: Any) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.spread
@pytest.mark.parametrize("block", [pytest.param(1, marks=pytest.mark.nightly), 7])
def test_equal_to_what_compaction_removes(every_family: str, block: int, tiny: Any) -> None:
    model = tiny(every_family).model
    units = inventory(model, block=block)
    counted = parameters(model, units)
    draw = np.random.default_rng(2)
    n = len(units)
    masks = [*(draw.random((3, n)) < [[0.8], [0.5], [0.15]]), units.kind == "ffn", units.kind == "head"]
    for keep in (*masks, units.layer != 1, np.zeros(n, dtype=bool)):
        removed = _count(model) - _count(compact(model, units, keep))
        assert counted.dense - counted.used(keep) == removed
    assert counted.used(np.ones(n, dtype=bool)) == counted.dense
    assert counted.additive == (every_family not in ("qwen3", "gemma3_text"))


def test_bert_by_hand(tiny: Any) -> None:
    """Hidden 24, 4 heads of 6, 40 neurons in blocks of 16, 16 and 8."""
    model = tiny("bert").model
    units = inventory(model, block=16)
    own = parameters(model, units).own
    assert own[:4].tolist() == [3 * 6 * (24 + 1) + 6 * 24] * 4
    assert own[4:7].tolist() == [w * (24 + 1) + w * 24 for w in (16, 16, 8)]
    with pytest.raises(InputError):
        parameters(tiny("gpt2").model, units)


def test_ranks_by_key_within_each_sublayer(tiny: Any) -> None:
    units = inventory(tiny("bert").model, block=16)  # 4 heads and 3 blocks a layer
    key = np.zeros(len(units))
    key[:7] = [3, 1, 1, 2, 5, 4, 4]
    assert ranks(units, key)[:7].tolist() == [3, 0, 1, 2, 2, 0, 1]
    assert ranks(units, key)[7:14].tolist() == [0, 1, 2, 3, 0, 1, 2]

from typing import Any

import numpy as np
import pytest
import torch

from walras.errors import InputError
from walras.models import compact, inventory
from walras.models.units.inventory import members


def test_bert_by_hand(tiny: Any) -> None:
    units = inventory(tiny("bert").model, block=16)  # 4 heads of 6, 40 neurons
    names = [units.name(i) for i in range(7)]
    assert names == ["L0.H0", "L0.H1", "L0.H2", "L0.H3", "L0.F0", "L0.F1", "L0.F2"]
    assert units.name(len(units) - 1) == "L2.F2"
    assert len(units) == 21
    assert units.width[:7].tolist() == [6, 6, 6, 6, 16, 16, 8]
    head, ffn = units.sites[2:4]
    assert (head.path, head.layer, head.kind.name) == ("bert.encoder.layer.1.attention.output.dense", 1, "head")
    assert (head.sublayer, ffn.sublayer) == ("heads", "ffn")
    assert (ffn.path, ffn.units) == ("bert.encoder.layer.1.output.dense", slice(11, 14))
    assert ffn.owner.tolist() == [0] * 16 + [1] * 16 + [2] * 8


def test_a_head_unit_of_grouped_queries_is_the_group(tiny: Any) -> None:
    units = inventory(tiny("llama").model, block=40)  # 6 query heads of 4 in 3 groups
    assert [units.name(i) for i in range(4)] == ["L0.H0", "L0.H1", "L0.H2", "L0.F0"]
    assert units.width[:4].tolist() == [8, 8, 8, 40]


@pytest.mark.parametrize("block", [1, 7, pytest.param(32, marks=pytest.mark.nightly), 100])
def test_columns_agree_with_sites(every_family: str, block: int, tiny: Any) -> None:
    units = inventory(tiny(every_family).model, block=block)
    order = list(zip(units.layer, units.kind != "head", units.index, strict=True))
    assert order == sorted(order)
    assert len(set(map(units.name, range(len(units))))) == len(units)
    assert units.sites[-1].units.stop == len(units)
    for site in units.sites:
        own = site.units
        assert set(units.kind[own]) == {site.kind.name}
        assert set(units.layer[own]) == {site.layer}
        assert units.index[own].tolist() == list(range(own.stop - own.start))
        assert site.owner.dtype == torch.long
        assert np.bincount(site.owner).tolist() == units.width[own].tolist()
    neurons, wide = units.width[units.kind == "ffn"], 48 if every_family == "dinov2" else 40
    assert neurons.sum() == 3 * wide
    assert neurons.max() == min(block, wide)


def test_a_compacted_model_is_counted_as_it_is(family: str, tiny: Any) -> None:
    model = tiny(family).model
    units = inventory(model, block=8)
    keep = np.ones(len(units), dtype=bool)
    keep[(units.layer == 0) & (units.kind == "head")] = False  # a layer without heads
    keep[(units.layer == 1) & (units.index == 1)] = False  # one head and one block fewer
    keep[(units.layer == 2) & (units.kind == "ffn")] = False  # a layer without neurons
    left = inventory(compact(model, units, keep), block=8)
    assert len(left) == keep.sum()
    for column in ("kind", "layer", "width"):
        assert getattr(left, column).tolist() == getattr(units, column)[keep].tolist()


@pytest.mark.parametrize("block", [0, -3, 2.5, True])
def test_block_is_a_positive_whole_number(block: Any, tiny: Any) -> None:
    with pytest.raises(InputError, match=f"block = {block!r}"):
        inventory(tiny("bert").model, block=block)


def test_query_heads_of_the_groups_that_stay(tiny: Any) -> None:
    """Six query heads in three groups of a layer; elsewhere a unit is one head."""
    model = tiny("llama").model
    units = inventory(model)
    keep = ~((units.kind == "head") & (units.index == 1))
    assert units.counts(keep)["head"] == 6
    assert members(model, units, keep) == {"head": 12}
    bert = tiny("bert").model
    assert members(bert, inventory(bert), np.ones(len(inventory(bert)), dtype=bool)) == {}

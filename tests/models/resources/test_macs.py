from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from walras.errors import InputError
from walras.models import ARCHITECTURES, Usage, compact, inventory, macs
from walras.models.architectures import layer_paths
from walras.models.resources.macs import PARTS


def _counted(tested: Any, model: nn.Module) -> dict[str, float]:
    """Multiply-accumulates of one full sequence by path below the layer, summed over layers; `scores and mix`."""
    family = ARCHITECTURES[model.config.model_type]  # type: ignore[union-attr,index]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        tested.logits(model, **{name: x[:1] for name, x in tested.batch.items()})
    counts = counter.get_flop_counts()
    result: dict[str, float] = {}
    for path in layer_paths(model):
        where = f"{type(model).__name__}.{path}"
        layer = 0
        for sublayer in (family.heads, family.ffn):
            for part in (*(p.path for p in sublayer.inputs), sublayer.output):
                own = sum(counts.get(f"{where}.{part}", {}).values())
                result[part] = result.get(part, 0) + own / 2
                layer += own
        rest = sum(counts[where].values()) - layer if where in counts else 0
        result["scores and mix"] = result.get("scores and mix", 0) + rest / 2
    return result


def _expected(tested: Any, costs: Usage, keep: NDArray[np.bool_]) -> dict[str, float]:
    """The same table from the cost model's columns."""
    family = ARCHITECTURES[tested.model.config.model_type]
    total = {part: float(column[keep].sum()) for part, column in costs.parts.items()}
    result = {
        family.heads.output: total["output"],
        family.ffn.output: total["ffn_out"],
        "scores and mix": total["scores"] + total["mix"],
    }
    ffn_maps = sum(len(projection.parts) for projection in family.ffn.inputs)
    for projection in family.heads.inputs:
        result[projection.path] = sum(total[part] for part in projection.parts)
    for projection in family.ffn.inputs:
        result[projection.path] = total["ffn_in"] * len(projection.parts) / ffn_maps
    return result


@pytest.mark.spread
@pytest.mark.parametrize("block", [pytest.param(1, marks=pytest.mark.nightly), 8])
def test_equal_to_the_flop_counter_by_part(every_family: str, block: int, tiny: Any) -> None:
    tested = tiny(every_family)
    units = inventory(tested.model, block=block)
    costs = macs(tested.model, units, tested.length)
    draw = np.random.default_rng(5)
    everything = np.ones(len(units), dtype=bool)
    for keep in (everything, *(draw.random((3, len(units))) < [[0.8], [0.5], [0.15]])):
        model = compact(tested.model, units, keep) if not keep.all() else tested.model
        counted, expected = _counted(tested, model), _expected(tested, costs, keep)
        assert counted.keys() == expected.keys()
        for part in expected:
            assert counted[part] == pytest.approx(expected[part], rel=0.005), part
        assert sum(counted.values()) == pytest.approx(costs.own[keep].sum(), rel=1e-9)
        if not keep.all():
            left = inventory(model, block=block)
            assert macs(model, left, tested.length).dense == pytest.approx(costs.own[keep].sum(), rel=1e-9)
    assert min(_counted(tested, tested.model).values()) > 0


def test_bert_by_hand(tiny: Any) -> None:
    model = tiny("bert").model  # hidden 24, 4 heads of 6, 40 neurons
    costs = macs(model, inventory(model, block=16), length=10)
    assert {part: costs.parts[part][0] for part in PARTS} == {
        "query": 1440,
        "key": 1440,
        "value": 1440,
        "scores": 600,
        "mix": 600,
        "output": 1440,
        "ffn_in": 0,
        "ffn_out": 0,
    }
    assert costs.own[0] == 6960
    assert costs.own[4:7].tolist() == [2 * 10 * 24 * 16, 2 * 10 * 24 * 16, 2 * 10 * 24 * 8]
    assert costs.dense == 3 * (4 * 6960 + 2 * 10 * 24 * 40)
    assert costs.own.dtype == costs.share.dtype == np.float64
    assert costs.share.sum() == pytest.approx(1, abs=1e-15)
    with pytest.raises(ValueError, match="read-only"):
        costs.parts["query"][0] = 1


def test_scores_are_quadratic_and_the_rest_linear_in_length(family: str, tiny: Any) -> None:
    model = tiny(family).model
    units = inventory(model)
    short, long = (macs(model, units, length) for length in (8, 16))
    for part in PARTS:
        factor = 4 if part in ("scores", "mix") else 2
        assert (long.parts[part] == factor * short.parts[part]).all()


@pytest.mark.parametrize("length", [0, -1, 2.5, True])
def test_length_is_a_positive_whole_number(length: Any, tiny: Any) -> None:
    model = tiny("bert").model
    with pytest.raises(InputError, match=f"length = {length!r}"):
        macs(model, inventory(model), length)

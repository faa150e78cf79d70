"""What experts cost: of multiply-accumulates only the first k of a layer, of parameters and bytes each its own."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from walras.models import RESOURCES, Inventory, Workload, compact, inventory, macs
from walras.models.architectures import layers_of

LENGTH = 9


def _masks(units: Inventory) -> list[NDArray[np.bool_]]:
    """All units; random sets; few experts and none."""
    draw, experts = np.random.default_rng(5), units.kind == "expert"
    n = len(units)
    random = [*(draw.random((2, n)) < [[0.8], [0.5]])]
    return [np.ones(n, dtype=bool), *random, ~experts | (units.index == 1), ~experts & (draw.random(n) < 0.7)]


def _counted(tested: Any, model: nn.Module) -> float:
    """Multiply-accumulates of one full sequence in the layers, but for the gate of a shared expert."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        tested.logits(model, **{name: x[:1] for name, x in tested.batch.items()})
    counts = counter.get_flop_counts()
    total = 0.0
    for layer in layers_of(model):
        where = f"{type(model).__name__}.{layer.path}"
        total += sum(counts.get(where, {}).values()) - sum(counts.get(f"{where}.mlp.shared_expert_gate", {}).values())
    return total / 2


def test_macs_equal_the_flop_counter(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    units = inventory(tested.model, block=8)
    use = macs(tested.model, units, LENGTH)
    assert not use.additive
    for keep in _masks(units):
        small = compact(tested.model, units, keep)
        assert _counted(tested, small) == pytest.approx(use.used(keep), rel=1e-9)
        assert macs(small, inventory(small, block=8), LENGTH).dense == pytest.approx(use.used(keep), rel=1e-9)


def test_macs_by_part_equal_the_flop_counter(moe: str, tiny: Any) -> None:
    tested = tiny(moe)
    units = inventory(tested.model, block=8)
    use = macs(tested.model, units, LENGTH)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        tested.logits(**{name: x[:1] for name, x in tested.batch.items()})
    found = dict.fromkeys(("router", "experts"), 0.0)
    for layer in layers_of(tested.model):
        if layer.mixture is not None:
            for part, path in (("router", layer.mixture.router), ("experts", layer.mixture.experts)):
                where = f"{type(tested.model).__name__}.{layer.path}.{path}"
                found[part] += sum(counter.get_flop_counts()[where].values()) / 2
    assert found == {part: pytest.approx(float(use.parts[part].sum())) for part in found}


def test_mixtral_by_hand(tiny: Any) -> None:
    model = tiny("mixtral").model  # hidden 24, 5 experts of 40 neurons, 2 for each token
    units = inventory(model, ["expert"])
    use = macs(model, units, length=10)
    one, row = 10 * 3 * 24 * 40, 10 * 24
    assert use.marginal(np.tile(np.arange(5), 3))[:5].tolist() == [one + row, one + row, row, row, row]
    assert use.fixed == macs(model, inventory(model, ["head"]), length=10).own.sum()  # attention is not traded
    keep = np.ones(15, dtype=bool)
    keep[:3] = False
    assert use.dense - use.used(keep) == 3 * row  # two are left, and each token still gets two
    keep[:4] = False
    assert use.dense - use.used(keep) == one + 4 * row
    parameters = RESOURCES.make("parameters").measure(model, units, Workload())
    assert parameters.additive
    assert parameters.own.tolist() == [3 * 24 * 40 + 24] * 15


@pytest.mark.spread
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_parameters_and_bytes_are_what_the_sliced_network_lacks(moe: str, dtype: torch.dtype, tiny: Any) -> None:
    model = tiny(moe, dtype=dtype).model
    units = inventory(model, block=8)
    parameters = RESOURCES.make("parameters").measure(model, units, Workload())
    memory = RESOURCES.make("bytes").measure(model, units, Workload())
    for keep in _masks(units)[1:]:
        small = compact(model, units, keep)
        gone = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in small.parameters())
        assert parameters.dense - parameters.used(keep) == gone
        assert memory.dense - memory.used(keep) == gone * dtype.itemsize

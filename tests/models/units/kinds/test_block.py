"""Whole sub-layers as units: all that heads and FFN blocks are held to, for every family."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from walras.errors import InputError
from walras.models import ARCHITECTURES, Inventory, compact, gated, inventory, macs
from walras.models.architectures import layer_paths
from walras.models.export.checkpoints import save
from walras.models.export.reloading import load_model
from walras.models.repair.streams import features
from walras.models.resources.parameters import Bytes, parameters
from walras.models.resources.resource import Workload
from walras.models.units.weights import fold, output_weights

FAMILIES = [*ARCHITECTURES]
PAIRS = [(name, kind) for name in FAMILIES for kind in ("eager", "sdpa") if (name, kind) != ("mpnet", "sdpa")]
SAMPLE = ("bert", "gpt2", "llama", "mixtral", "vit")  # one family per layout of weights; others nightly


def nightly(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.nightly)


each_family = pytest.mark.parametrize("name", [n if n in SAMPLE else nightly(n) for n in FAMILIES])
short_and_long = pytest.mark.parametrize("long", [False, pytest.param(True, marks=pytest.mark.nightly)])
each_pair = pytest.mark.parametrize(
    ("name", "attention"), [pair if pair[1] == "eager" or pair[0] in SAMPLE else nightly(*pair) for pair in PAIRS]
)


def _elements(tensor: torch.Tensor) -> int:
    return tensor.numel()


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.nbytes


def masks(units: Inventory, long: bool = False) -> list[NDArray[np.bool_]]:
    """A layer without attention, one with nothing else and one whole; nothing at all; `long`: single sub-layers too."""
    attention = np.array([units.name(unit).endswith("attention") for unit in range(len(units))])
    mixed = np.where(units.layer == 0, ~attention, (units.layer == 2) | attention)
    lone = [np.arange(len(units)) != unit for unit in range(len(units))] if long else []
    return [mixed, *lone, np.zeros(len(units), dtype=bool)]


def test_names_and_columns(tiny: Any) -> None:
    units = inventory(tiny("bert").model, ["block"])
    assert [units.name(i) for i in range(4)] == ["L0.attention", "L0.ffn", "L1.attention", "L1.ffn"]
    assert units.kind.tolist() == ["block"] * 6
    assert units.index.tolist() == [0, 1] * 3
    assert units.width.tolist() == [24, 40] * 3
    assert units.counts(np.arange(6) < 2) == {"block": 2}
    mixture = inventory(tiny("qwen2_moe").model, ["block"])  # its middle layer is dense
    assert [mixture.name(i) for i in range(5)] == [
        "L0.attention", "L0.ffn", "L0.experts", "L1.attention", "L1.ffn"
    ]  # fmt: skip


def test_a_sublayer_that_is_gone_has_no_unit(tiny: Any) -> None:
    model = tiny("bert").model
    units = inventory(model, ["block"])
    left = inventory(compact(model, units, np.arange(6) != 0), ["block"])
    assert [left.name(i) for i in range(5)] == ["L0.ffn", "L1.attention", "L1.ffn", "L2.attention", "L2.ffn"]
    assert left.index.tolist() == [1, 0, 1, 0, 1]


@pytest.mark.spread
@each_pair
def test_gates_of_one_are_bit_equal(name: str, attention: str, tiny: Any) -> None:
    tested = tiny(name, attention)
    units = inventory(tested.model, ["block"])
    with torch.no_grad():
        dense = tested.logits()
        for gates, rows in (
            (torch.ones(len(units)), 1),
            (torch.ones(4, len(units)), 1),
            (torch.ones(2, len(units)), 2),
        ):
            with gated(tested.model, units, gates, rows):
                assert torch.equal(tested.logits(), dense)


@pytest.mark.spread
@short_and_long
@each_pair
def test_gates_of_zero_are_slicing(name: str, attention: str, long: bool, tiny: Any) -> None:
    tested = tiny(name, attention)
    units = inventory(tested.model, ["block"])
    with torch.no_grad():
        for keep in masks(units, long):
            with gated(tested.model, units, torch.from_numpy(keep).float()):
                zeroed = tested.logits()
            torch.testing.assert_close(tested.logits(compact(tested.model, units, keep)), zeroed, rtol=0, atol=1e-5)
            with gated(tested.model, units, torch.from_numpy(np.roll(keep, 1)).float()):
                other = tested.logits()
            assert not keep.any() or float((other - zeroed).abs().max()) > 1e-3


@each_family
def test_gates_of_their_own_and_their_gradients(name: str, tiny: Any) -> None:
    tested = tiny(name, dtype=torch.float64)
    units = inventory(tested.model, ["block"])
    gates = 0.5 + torch.rand(4, len(units), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gates.requires_grad_()
    with gated(tested.model, units, gates):
        together = tested.logits()
    (slopes,) = torch.autograd.grad(together.square().sum(), gates)
    assert bool((slopes != 0).all())
    for sample in range(4):
        own = gates[sample].detach().requires_grad_()
        with gated(tested.model, units, own):
            alone = tested.logits(**tested.row(sample))
        (slope,) = torch.autograd.grad(alone.square().sum(), own)
        torch.testing.assert_close(together[sample : sample + 1], alone, rtol=0, atol=2e-6)
        torch.testing.assert_close(slopes[sample], slope, rtol=1e-5, atol=1e-5)


def counted(tested: Any, model: Any) -> float:
    """Multiply-accumulates within the layers, by PyTorch's counter, but for what no unit's leaving changes."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        tested.logits(model, **tested.row(0))
    counts = counter.get_flop_counts()
    paths = [f"{type(model).__name__}.{path}" for path in layer_paths(model)]
    total = sum(sum(counts.get(path, {}).values()) for path in paths)
    return (total - sum(sum(counts.get(f"{path}.mlp.shared_expert_gate", {}).values()) for path in paths)) / 2


@short_and_long
@each_family
def test_costs_are_those_of_the_flop_counter_and_the_state_dict(name: str, long: bool, tiny: Any) -> None:
    tested = tiny(name)
    units = inventory(tested.model, ["block"])
    fine = inventory(tested.model)
    resources = (parameters(tested.model, units), Bytes().measure(tested.model, units, Workload()))
    compute = macs(tested.model, units, tested.length)
    assert compute.dense == macs(tested.model, fine, tested.length).dense
    assert compute.parts.keys() == macs(tested.model, fine, tested.length).parts.keys()
    assert counted(tested, tested.model) == pytest.approx(compute.dense, rel=1e-9)
    for keep in masks(units, long):
        small = compact(tested.model, units, keep)
        assert counted(tested, small) == pytest.approx(compute.used(keep), rel=1e-9)
        for resource, size in zip(resources, (_elements, _bytes), strict=True):
            before, after = (sum(size(p) for p in model.parameters()) for model in (tested.model, small))
            assert resource.dense - resource.used(keep) == before - after


@pytest.mark.spread
@short_and_long
@each_pair
def test_what_is_reloaded_gives_the_same_logits(
    name: str, attention: str, long: bool, tiny: Any, tmp_path: Path
) -> None:
    tested = tiny(name, attention)
    units = inventory(tested.model, ["block"])
    options = {"attn_implementation": attention}
    if ARCHITECTURES[name].mixture is not None:
        options["experts_implementation"] = "eager"  # as the tiny models are made; from_pretrained takes another
    with torch.no_grad():
        for keep in masks(units, long)[1 if long else 0 :: 2]:
            small = compact(tested.model, units, keep)
            save(small, None, tmp_path / "small", overwrite=True)
            again = load_model(tmp_path / "small", **options)
            assert torch.equal(tested.logits(again), tested.logits(small))


@each_family
def test_features_and_weights_are_those_of_the_finer_units(name: str, tiny: Any) -> None:
    tested = tiny(name)
    dense = ARCHITECTURES[name].mixture is None
    units, fine = inventory(tested.model, ["block"]), inventory(tested.model)
    coarse, finer = (dict(_by_path(tested.model, u)) for u in (units, fine))
    assert coarse.keys() == finer.keys()
    assert all(torch.equal(coarse[path], finer[path]) for path in finer)
    if not dense:
        return
    with torch.no_grad(), features(tested.model, units) as seen, features(tested.model, fine) as expected:
        tested.logits()
        assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))
    gates = torch.linspace(0.2, 1.4, len(units))
    with torch.no_grad(), gated(tested.model, units, gates):
        wanted = tested.logits()
    folded = copy.deepcopy(tested.model)
    fold(folded, units, gates)
    torch.testing.assert_close(tested.logits(folded), wanted, rtol=0, atol=1e-5)


def _by_path(model: Any, units: Inventory) -> list[tuple[str, Tensor]]:
    return [(site.path, weight) for site, weight in output_weights(model, units)]


def test_kinds_that_overlap_and_bad_kinds_are_refused(tiny: Any) -> None:
    model = tiny("bert").model
    with pytest.raises(InputError, match="kinds block and head overlap in the sub-layer bert"):
        inventory(model, ["block", "head"])
    with pytest.raises(InputError, match=r"unknown unit kind 'heads'\. Did you mean 'head'"):
        inventory(model, ["heads"])
    with pytest.raises(InputError, match="valid: a list of unit kinds"):
        inventory(model, "block")
    units = inventory(model, ["block"])
    with pytest.raises(InputError, match="it was taken from another model, or before slicing"):
        compact(compact(model, units, np.arange(6) != 0), units, np.arange(6) != 1)

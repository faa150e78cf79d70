import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from walras.errors import InputError
from walras.models import Inventory, compact, gated, inventory

Keep = NDArray[np.bool_]


def nightly(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.nightly)


def _masks(units: Inventory) -> list[Keep]:
    """Three random sets, then sets in which sub-layers lose everything."""
    draw = np.random.default_rng(3)
    n = len(units)
    masks = list(draw.random((3, n)) < [[0.85], [0.5], [0.2]])
    for gone in (
        (units.layer == 0) & (units.kind == "head"),
        (units.layer == 1) & (units.kind == "ffn"),
        units.layer == 2,
        units.kind == "head",
        np.ones(n, dtype=bool),
    ):
        masks.append((draw.random(n) < 0.7) & ~gone)
    return masks


@pytest.mark.spread
# float32: a few roundings of logits of about 4; how many depends on how the processor's matrix product sums.
@pytest.mark.parametrize(("dtype", "tolerance"), [nightly(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_equal_to_gates_of_zero(
    every_family: str, kernel: str, dtype: torch.dtype, tolerance: float, tiny: Any
) -> None:
    tested = tiny(every_family, kernel, dtype)
    if every_family == "modernbert" and dtype == torch.float64:
        tolerance = 1e-6  # its rotary embedding and softmax are float32 whatever the model is
    with torch.no_grad():
        for block, masks in ((7, slice(None)), (1, slice(1)), (32, slice(1))):
            units = inventory(tested.model, block=block)
            for keep in _masks(units)[masks]:
                with gated(tested.model, units, torch.from_numpy(keep).to(dtype)):
                    zeroed = tested.logits()
                sliced = tested.logits(compact(tested.model, units, keep))
                assert bool(torch.isfinite(zeroed).all())
                torch.testing.assert_close(sliced, zeroed, rtol=0, atol=tolerance)


def test_one_wrong_unit_is_far_off(family: str, kernel: str, tiny: Any) -> None:
    tested = tiny(family, kernel)
    units = inventory(tested.model, block=8)
    with torch.no_grad():
        for site in units.sites:
            keep = np.ones(len(units), dtype=bool)
            keep[site.units.start] = False
            with gated(tested.model, units, torch.from_numpy(keep).float()):
                zeroed = tested.logits()
            wrong = np.ones(len(units), dtype=bool)
            wrong[site.units.start + 1] = False
            sliced = tested.logits(compact(tested.model, units, wrong))
            assert float((sliced - zeroed).abs().max()) > 1e-3


def test_the_model_given_is_untouched_and_weights_are_really_gone(family: str, tiny: Any) -> None:
    tested = tiny(family)
    units = inventory(tested.model, block=8)
    before = copy.deepcopy(tested.model.state_dict())
    small = compact(tested.model, units, _masks(units)[1])
    after = tested.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in tested.model.parameters())
    kept = compact(tested.model, units, np.ones(len(units), dtype=bool))
    assert torch.equal(tested.logits(kept), tested.logits())


def test_slicing_twice_equals_slicing_once(family: str, tiny: Any) -> None:
    tested = tiny(family)
    units = inventory(tested.model, block=8)
    keep, fewer = _masks(units)[0], _masks(units)[3]
    first = compact(tested.model, units, keep)
    second = compact(first, inventory(first, block=8), fewer[keep])
    once = compact(tested.model, units, keep & fewer)
    with torch.no_grad():
        torch.testing.assert_close(tested.logits(second), tested.logits(once), rtol=0, atol=1e-5)


def test_small_weights_load_into_a_skeleton_of_the_stock_model(family: str, tiny: Any) -> None:
    tested = tiny(family)
    units = inventory(tested.model, block=8)
    for keep in _masks(units)[2:6]:
        small = compact(tested.model, units, keep)
        assert small.state_dict().keys() <= tested.model.state_dict().keys()
        stock = type(tested.model)(copy.deepcopy(tested.model.config)).eval()
        skeleton = compact(stock, inventory(stock, block=8), keep)
        skeleton.load_state_dict(small.state_dict(), strict=True)
        with torch.no_grad():
            assert torch.equal(tested.logits(skeleton), tested.logits(small))


def test_a_sliced_model_trains(family: str, tiny: Any) -> None:
    tested = tiny(family)
    tested.model.requires_grad_(False)
    frozen = compact(tested.model, inventory(tested.model, block=8), _masks(inventory(tested.model, block=8))[5])
    assert not any(p.requires_grad for p in frozen.parameters())
    frozen.requires_grad_(True).train()
    tested.logits(frozen).square().mean().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in frozen.parameters() if p.grad is not None)


def test_generation_with_a_cache_and_a_first_layer_without_heads(decoder: str, tiny: Any) -> None:
    tested = tiny(decoder)
    units = inventory(tested.model, block=8)
    prompt = {name: x[:1, :5] for name, x in tested.batch.items()}
    told = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    for keep in _masks(units):
        small: Any = compact(tested.model, units, keep)
        with gated(tested.model, units, torch.from_numpy(keep).float()):
            expected = tested.model.generate(**prompt, **told, use_cache=False)
        assert torch.equal(small.generate(**prompt, **told, use_cache=True), expected)
        assert torch.equal(small.generate(**prompt, **told, use_cache=False), expected)


def test_a_cache_counts_tokens_though_the_first_layer_has_no_heads(decoder: str, tiny: Any) -> None:
    tested = tiny(decoder)
    units = inventory(tested.model, block=8)
    ids = tested.batch["input_ids"][:1]
    for keep in _masks(units)[3:]:
        small = compact(tested.model, units, keep)
        with torch.no_grad():
            whole = small(input_ids=ids).logits
            begun = small(input_ids=ids[:, :5], use_cache=True)
            rest = small(input_ids=ids[:, 5:], past_key_values=begun.past_key_values).logits
        assert begun.past_key_values.get_seq_length() == len(ids[0])
        torch.testing.assert_close(rest, whole[:, 5:], rtol=0, atol=1e-5)


def test_bad_keep_sets_and_projections_are_refused(tiny: Any) -> None:
    class Quantised(nn.Linear):
        pass

    model = tiny("bert").model
    units = inventory(model)
    n = len(units)
    for keep in (torch.ones(n), np.ones(n + 1, dtype=bool), torch.ones(1, n, dtype=torch.bool)):
        with pytest.raises(InputError, match=rf"valid: bool \[{n}\]"):
            compact(model, units, keep)
    with pytest.raises(InputError, match="no module"):
        compact(tiny("gpt2").model, units, np.ones(n, dtype=bool))
    model.bert.encoder.layer[0].intermediate.dense = Quantised(24, 40)
    with pytest.raises(InputError, match="cannot slice a Quantised"):
        compact(model, units, np.arange(n) != 4)

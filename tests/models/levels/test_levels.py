"""Levels of the sub-layers of real families, put on them and taken off."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from walras.errors import InputError
from walras.models import compact, inventory, macs
from walras.models.levels import NetworkLevels, equal_steps
from walras.models.levels.moments import input_moments
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.repair.normal_equations import second_moments
from walras.models.repair.streams import features, real_tokens


def levels_of(tested: Any, block: int = 8, **more: Any) -> NetworkLevels:
    usage = macs(tested.model, inventory(tested.model, block=block), tested.length)
    return NetworkLevels.from_model(tested.model, usage, [tested.batch], **more)


def test_levels_put_on_and_taken_off(family: str, tiny: Any) -> None:
    tested = tiny(family, dtype=torch.float64)
    found = levels_of(tested)
    before = copy.deepcopy(tested.model.state_dict())
    with torch.no_grad():
        dense = tested.logits()
    choice = tuple(max(level - 1 - place % 2, 0) for place, level in enumerate(found.full))
    other = copy.deepcopy(tested.model)
    with found.placed(tested.model, choice), torch.no_grad():
        placed = tested.logits()
        other.load_state_dict(tested.model.state_dict())  # its weights, without the gates
        assert not torch.allclose(placed, dense)
    small = compact(other, found.inventory, found.keep(choice))
    with torch.no_grad():
        torch.testing.assert_close(tested.logits(small), placed, rtol=1e-9, atol=1e-10)
        assert torch.equal(tested.logits(), dense)
    for name, weight in tested.model.state_dict().items():
        assert torch.equal(weight, before[name]), name
    left = macs(small, inventory(small, block=8), tested.length)
    assert left.dense == pytest.approx(found.cost(choice))


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_weights_are_least_squares_on_what_enters_the_sub_layer(name: str, tiny: Any) -> None:
    """The normal equations, with the pull towards the old weights, hold on the features that truly enter."""
    tested = tiny(name, dtype=torch.float64)
    found = levels_of(tested, damping=0.02)
    for sublayer in found.sublayers[:3]:
        with LayerwiseRunner(tested.model, [tested.batch]) as runner:
            (stream,) = runner.read(sublayer.site)
        x, level = stream.whole, len(sublayer) // 2
        old, kept, new = sublayer.surgeon.weight, sublayer.features(level), sublayer.weights(level)
        assert new.shape == (len(old), len(kept))
        missing = x @ old.T - x[:, kept] @ new.T
        pull = 0.02 * x.square().sum(0).mean() * (old[:, kept] - new)
        torch.testing.assert_close(x[:, kept].T @ missing + pull.T, torch.zeros(len(kept), len(old)).double(),
                                   rtol=0, atol=1e-8 * float(x.square().sum()))  # fmt: skip
        away = float(missing.square().sum()) + 0.02 * float(x.square().sum(0).mean()) * float(
            (old - torch.zeros_like(old).index_copy(1, kept, new)).square().sum()
        )
        whole = (x @ old.T).square().sum() + 0.02 * x.square().sum(0).mean() * old.square().sum()
        assert sublayer.errors[level] == pytest.approx(away / float(whole), rel=1e-6)


def test_moving_from_choice_to_choice_is_as_beginning_anew(tiny: Any) -> None:
    tested = tiny("llama")
    found = levels_of(tested)
    first, second = (0,) * len(found), tuple(level // 2 for level in found.full)
    with found.placed(tested.model, second), torch.no_grad():
        wanted = tested.logits()
    with found.placing(tested.model) as place, torch.no_grad():
        place(first)
        place(found.full)
        place(second)
        assert torch.equal(tested.logits(), wanted)


def test_levels_come_off_after_an_error(tiny: Any) -> None:
    tested = tiny("bert")
    found, before = levels_of(tested), copy.deepcopy(tested.model.state_dict())
    with pytest.raises(RuntimeError), found.placed(tested.model, (0,) * len(found)):
        raise RuntimeError
    assert all(torch.equal(weight, before[name]) for name, weight in tested.model.state_dict().items())


def test_levels_ascend_in_units_and_cost_and_fall_in_error(tiny: Any) -> None:
    found = levels_of(tiny("llama"), block=1, counts=equal_steps(5))
    for sublayer in found.sublayers:
        assert (sublayer.kept[0], sublayer.kept[-1]) == (0, len(sublayer.site))
        assert (np.diff(sublayer.cost) > 0).all()
        assert (np.diff(sublayer.errors) < 0).all()
        assert sublayer.errors[[0, -1]] == pytest.approx([1, 0])
        assert not (sublayer.keep(1) & ~sublayer.keep(2)).any()
    assert {len(sublayer) for sublayer in found.sublayers} == {4, 6}  # 3 groups of heads, 40 neurons
    assert found.cost(found.full) == pytest.approx(found.dense)
    assert found.cost((0,) * len(found)) == pytest.approx(found.fixed)


def test_bad_input(tiny: Any) -> None:
    tested = tiny("bert")
    with pytest.raises(InputError, match=r"levels of .*output\.dense keep \(3, 1\); valid: ascending numbers"):
        levels_of(tested, counts=lambda site: (3, 1))
    with pytest.raises(InputError, match="levels is 0; it must be a number of at least 1"):
        equal_steps(0)
    found = levels_of(tested)
    with pytest.raises(InputError, match=r"levels chosen are .*; valid: one of each sub-layer"):
        found.keep((0,))
    with pytest.raises(InputError, match="levels chosen are"):
        found.cost((99,) * len(found))
    mixture = tiny("mixtral")
    with pytest.raises(InputError, match="own no features"):
        levels_of(mixture)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_moments_of_half_precision_are_those_of_its_features(tiny: Any, dtype: torch.dtype) -> None:
    """A product in half precision has errors larger than any ridge, so that its inverse is no inverse of moments."""
    tested = tiny("llama", dtype=dtype)
    model = tested.model
    units = inventory(model, block=1)
    moments = input_moments(model, units, [tested.batch], torch.ones(len(units)))
    with torch.no_grad(), features(model, units) as seen:
        model(**tested.batch)
    for place, moment in moments.items():
        rows = real_tokens(seen[place], tested.batch).double()
        torch.testing.assert_close(moment, rows.T @ rows, rtol=1e-5, atol=1e-5 * float(rows.square().sum()))


def test_moments_of_float16_stay_finite() -> None:
    assert second_moments(torch.full((300, 2), 20.0, dtype=torch.float16)).tolist() == [[120_000.0] * 2] * 2

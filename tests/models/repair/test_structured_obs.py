"""A sub-layer writes again what it wrote by itself, on the dense network's inputs or on those of now."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from walras.errors import InputError
from walras.models import inventory, macs
from walras.models.levels import NetworkLevels
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.repair.repair import ModelPair
from walras.models.repair.structured_obs import StructuredOBSUpdate
from walras.models.units.gates import gated


def repaired(tested: Any, units: Any, keep: Any, repair: StructuredOBSUpdate) -> Any:
    model = copy.deepcopy(tested.model)
    with ModelPair.from_models(model, tested.model, units, [tested.batch]) as pair:
        repair(pair, keep)
    return model


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "gemma3_text"])
def test_on_dense_inputs_weights_are_those_of_the_levels(name: str, tiny: Any) -> None:
    tested = tiny(name, dtype=torch.float64)
    units = inventory(tested.model, block=4)
    levels = NetworkLevels.from_model(tested.model, macs(tested.model, units, tested.length), [tested.batch])
    choice = tuple(len(s) // 2 + i % 2 for i, s in enumerate(levels.sublayers))
    model = repaired(tested, units, levels.keep(choice), StructuredOBSUpdate(sequential=False))
    gates = torch.from_numpy(levels.keep(choice)).double()
    with torch.no_grad():
        with levels.placed(tested.model, choice):
            wanted = tested.logits()
        with gated(model, units, gates):
            torch.testing.assert_close(tested.logits(model), wanted, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ["bert", "llama", "gemma3_text"])
def test_one_after_the_other_weights_are_fitted_to_what_comes_from_below_now(name: str, tiny: Any) -> None:
    tested = tiny(name, dtype=torch.float64)
    units = inventory(tested.model, block=4)
    keep = np.arange(len(units)) % 3 > 0
    model = repaired(tested, units, keep, StructuredOBSUpdate(damping=0.05))
    gates = torch.from_numpy(keep).double()
    with gated(model, units, gates), LayerwiseRunner(model, [tested.batch]) as runner:
        for site in units.sites:
            (x,) = runner.read_inputs(site)
            kept = torch.from_numpy(keep[site.units])[site.owner]
            old = tested.model.get_submodule(site.path).weight.detach()
            new = model.get_submodule(site.path).weight.detach()[:, kept]
            missing = x @ old.T - x[:, kept] @ new.T
            pull = 0.05 * x.square().sum(0).mean() * (old[:, kept] - new)
            slope = x[:, kept].T @ missing + pull.T
            assert float(slope.abs().max()) < 1e-8 * float(x.square().sum())


def test_a_sub_layer_that_lost_nothing_or_everything_stays_as_it_is(tiny: Any) -> None:
    tested = tiny("bert")
    units = inventory(tested.model, block=8)
    keep = np.ones(len(units), dtype=bool)
    keep[units.sites[0].units] = False
    model = repaired(tested, units, keep, StructuredOBSUpdate())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), tested.model.parameters(), strict=True))


def test_damping_is_above_zero() -> None:
    with pytest.raises(InputError, match=r"damping is 0\.0; it must be a number above 0"):
        StructuredOBSUpdate(damping=0.0)

"""What has left is replaced by its mean."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from walras.errors import InputError
from walras.models import gated, inventory
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.repair.means import Means
from walras.models.repair.repair import ModelPair


def test_the_mean_of_what_a_sub_layer_adds_stays(tiny: Any) -> None:
    """In the lowest sub-layer, into which the same goes as before."""
    tested = tiny("bert", dtype=torch.float64)
    units = inventory(tested.model, block=8)
    keep = np.ones(len(units), dtype=bool)
    site = units.sites[0]
    keep[site.units.start + 1] = False
    gone = torch.from_numpy(~keep[site.units])[site.owner]
    with LayerwiseRunner(tested.model, [tested.batch]) as dense:
        (before,) = dense.read(site)
    projection = tested.model.get_submodule(site.path)
    wanted = projection.bias.detach() + (before.features[:, gone] @ projection.weight.detach()[:, gone].T).mean(0)
    model = copy.deepcopy(tested.model)
    with ModelPair.from_models(model, tested.model, units, [tested.batch]) as pair:
        Means()(pair, keep)
    repaired = model.get_submodule(site.path)
    torch.testing.assert_close(repaired.get_parameter("bias").detach(), wanted, rtol=1e-10, atol=1e-12)
    assert torch.equal(repaired.get_parameter("weight"), projection.weight)
    with gated(model, units, torch.tensor(keep).double()), LayerwiseRunner(model, [tested.batch]) as now:
        (after,) = now.read(site)
    torch.testing.assert_close(after.output.mean(0), before.output.mean(0), rtol=1e-10, atol=1e-12)


def test_sub_layers_that_lost_nothing_stay_as_they_are(tiny: Any) -> None:
    tested = tiny("bert")
    units = inventory(tested.model, block=8)
    keep = np.ones(len(units), dtype=bool)
    keep[units.sites[0].units.start] = False
    model = copy.deepcopy(tested.model)
    with ModelPair.from_models(model, tested.model, units, [tested.batch]) as pair:
        Means()(pair, keep)
    changed = {
        name
        for (name, a), b in zip(model.named_parameters(), tested.model.parameters(), strict=True)
        if not torch.equal(a, b)
    }
    assert changed == {f"{units.sites[0].path}.bias"}


def test_a_projection_without_a_bias_is_named(tiny: Any) -> None:
    tested = tiny("qwen2")
    units = inventory(tested.model, block=8)
    keep = np.ones(len(units), dtype=bool)
    keep[units.sites[1].units.start] = False
    model = copy.deepcopy(tested.model)
    with (
        ModelPair.from_models(model, tested.model, units, [tested.batch]) as pair,
        pytest.raises(InputError, match=r"repair means: .* has no bias that a mean could be added to"),
    ):
        Means()(pair, keep)

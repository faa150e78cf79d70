"""What has left is replaced by its mean."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from walras.errors import InputError
from walras.models import compact, gated, inventory
from walras.models.export.checkpoints import per_layer, save
from walras.models.export.reloading import load_model
from walras.models.export.stock import as_stock
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


@pytest.mark.parametrize("gone", ["one unit", "a whole sub-layer"])
def test_a_projection_without_a_bias_gets_one_that_an_export_carries(gone: str, tiny: Any, tmp_path: Path) -> None:
    tested = tiny("qwen2")
    units = inventory(tested.model, block=8)
    keep, site = np.ones(len(units), dtype=bool), units.sites[1]
    keep[site.units if gone != "one unit" else site.units.start] = False
    model = copy.deepcopy(tested.model)
    with ModelPair.from_models(model, tested.model, units, [tested.batch]) as pair:
        Means()(pair, keep)
    assert tested.model.get_submodule(site.path).bias is None
    assert float(model.get_submodule(site.path).get_parameter("bias").detach().abs().max()) > 0
    with gated(model, units, torch.tensor(keep).float()), torch.no_grad():
        wanted = tested.logits(model)
    save(compact(model, units, keep), None, tmp_path / "small")
    save(load_model(tmp_path / "small"), None, tmp_path / "again")
    for folder in ("small", "again"):
        assert json.loads((tmp_path / folder / "config.json").read_text())["walras"]["biases"] == [[0, "mlp.down_proj"]]
        found = load_model(tmp_path / folder, attn_implementation=tested.model.config._attn_implementation)
        with torch.no_grad():
            torch.testing.assert_close(tested.logits(found), wanted, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match=r"cannot hold these weights: model\.layers\.0\.mlp\.down_proj\.bias is"):
        as_stock(compact(model, units, np.ones(len(units), dtype=bool)), per_layer(model))

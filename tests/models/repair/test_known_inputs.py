"""A sub-layer that was read is not run again, and no change of weights goes unseen."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from walras.models import gated, inventory
from walras.models.architectures import layers_of
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.units.projections import outputs_first


def _computed(model: nn.Module) -> tuple[list[str], Callable[[], set[str]]]:
    """Paths of the maps into sub-layers of the lowest layer; and which of them computed anything since it was asked."""
    layer, seen = layers_of(model)[0], set[str]()
    assert layer.ffn is not None
    paths = [projection.path for sublayer in (layer.row.heads, layer.ffn) for projection in sublayer.inputs]

    def note(path: str, output: Tensor) -> None:
        if bool(output.any()):
            seen.add(path)

    for path in paths:
        layer.at(path).register_forward_hook(lambda _, __, output, path=path: note(path, output))

    def since() -> set[str]:
        found = set(seen)
        seen.clear()
        return found

    return paths, since


def test_what_has_been_read_is_not_computed_again(family: str, tiny: Any) -> None:
    tested = tiny(family)
    units = inventory(tested.model, block=8)
    heads, ffn = (site for site in units.sites if site.layer == 0)
    paths, since = _computed(tested.model)
    attention = {p.path for p in layers_of(tested.model)[0].row.heads.inputs}
    with LayerwiseRunner(tested.model, [tested.batch]) as runner, torch.no_grad():
        list(runner.read(heads))
        assert attention <= since()
        list(runner.read(ffn))
        assert since() == set(paths) - attention
        list(runner.read(ffn))
        runner.advance_to(1)
        assert since() == set()
        runner.advance_to(0)
        assert since() == set()  # the bottom is entered, and not passed
        list(runner.read(heads))
        assert attention <= since()


@pytest.mark.parametrize("changed", ["an input map", "the lower projection", "nothing", "the upper projection"])
def test_a_changed_weight_is_seen(changed: str, family: str, tiny: Any) -> None:
    """What goes into the layer above is what a whole pass says, whichever weight was written to after reading."""
    tested = tiny(family)
    units = inventory(tested.model, block=8)
    gates = torch.rand(len(units), generator=torch.Generator().manual_seed(0))
    heads, ffn, above, *_ = units.sites
    layer = layers_of(tested.model)[0]
    weights: dict[str, Tensor] = {
        "an input map": next(layer.at(layer.row.heads.inputs[0].path).parameters()),
        "the lower projection": outputs_first(tested.model.get_submodule(heads.path)),
        "the upper projection": outputs_first(tested.model.get_submodule(ffn.path)),
        "nothing": torch.zeros(1),
    }
    with gated(tested.model, units, gates), torch.no_grad():
        with LayerwiseRunner(tested.model, [tested.batch]) as runner:
            for site in (heads, ffn):
                (before,) = runner.read(site)
            weights[changed].mul_(0.5)
            (again,) = runner.read(ffn)
            (found,) = runner.read(above)
        with LayerwiseRunner(tested.model, [tested.batch]) as fresh:
            (ffn_anew,) = fresh.read(ffn)
            (anew,) = fresh.read(above)
    torch.testing.assert_close(again.total, ffn_anew.total, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.total, anew.total, rtol=0, atol=1e-6)
    assert torch.allclose(before.total, again.total, rtol=0, atol=1e-6) == (changed == "nothing")

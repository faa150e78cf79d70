"""What closed units compute is left out, and nothing else changes."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from walras.models import gated, inventory
from walras.models.architectures import layers_of
from walras.models.objective import inputs_of
from walras.models.units.gates import skipping
from walras.models.units.inventory import Inventory
from walras.models.units.site import Site


def _half(units: Inventory) -> torch.Tensor:
    """Every second unit, and no unit of the lowest sub-layer but one."""
    keep = torch.arange(len(units)) % 2 == 0
    keep[units.sites[1].units] = False
    return keep


@torch.no_grad()
def test_the_output_stays_what_it_is(family: str, tiny: Any) -> None:
    tested = tiny(family)
    units = inventory(tested.model, block=8)
    keep, batch = _half(units), inputs_of(tested.batch)
    with gated(tested.model, units, keep.float()):
        expected = tested.model(**batch)[0]
        with skipping(tested.model, units, keep):
            found = tested.model(**batch)[0]
        torch.testing.assert_close(tested.model(**batch)[0], expected, rtol=0, atol=0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with gated(tested.model, units, (~keep).float()), skipping(tested.model, units, ~keep):
        assert not torch.allclose(tested.model(**batch)[0], expected, atol=1e-4)


@torch.no_grad()
def test_it_costs_less(family: str, tiny: Any) -> None:
    """Half of every sub-layer's units cost about half of its maps; experts are left as they are."""
    tested = tiny(family)
    units = inventory(tested.model, block=8)
    keep, batch = torch.zeros(len(units), dtype=torch.bool), inputs_of(tested.batch)

    def flops() -> float:
        with FlopCounterMode(display=False) as counter:
            tested.model(**batch)
        return float(counter.get_total_flops())

    whole = flops()
    with skipping(tested.model, units, ~keep):
        assert flops() == whole
    with gated(tested.model, units, keep.float()), skipping(tested.model, units, keep):
        assert flops() < whole
    assert flops() == whole


@torch.no_grad()
def test_features_of_a_head_leave_the_others_their_queries(family: str, tiny: Any) -> None:
    """Units that are finer than heads: scores come from all features, also from those that are closed."""
    tested, sites, start = tiny(family), list[Site](), 0
    for site in inventory(tested.model, block=1).sites:
        block = 1 if site.sublayer == "heads" else site.block
        count = -(-site.width // block) if site.sublayer == "heads" else len(site)
        sites.append(replace(site, block=block, units=slice(start, start + count)))
        start += count
    counts, none = [len(site) for site in sites], np.zeros(start, np.int64)
    kinds, layers = np.repeat([s.kind.name for s in sites], counts), np.repeat([s.layer for s in sites], counts)
    units = Inventory(kinds, layers, none, none + 1, tuple(sites))
    keep, batch = torch.arange(start) % 3 > 0, inputs_of(tested.batch)
    with gated(tested.model, units, keep.float()):
        expected = tested.model(**batch)[0]
        with skipping(tested.model, units, keep):
            torch.testing.assert_close(tested.model(**batch)[0], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_weights_may_change_within(family: str, tiny: Any) -> None:
    """They are read at each call."""
    tested = tiny(family)
    units = inventory(tested.model, block=8)
    keep, batch = _half(units), inputs_of(tested.batch)
    site = next(s for s in units.sites if s.kind.projection(layers_of(tested.model)[s.layer], s) is not None)
    with gated(tested.model, units, keep.float()), skipping(tested.model, units, keep):
        before = tested.model(**batch)[0]
        tested.model.get_submodule(site.path).get_parameter("weight").mul_(3.0)
        after = tested.model(**batch)[0]
    with gated(tested.model, units, keep.float()):
        torch.testing.assert_close(after, tested.model(**batch)[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before, after, atol=1e-5)

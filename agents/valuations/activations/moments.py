"""Means and squares of what goes into output projections, over the tokens of the calibration data."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import final

import torch
from torch import Tensor

from walras.agents.calibration import Calibration, at_rest
from walras.models import gated
from walras.models.objective import Batch, inputs_of
from walras.models.repair.streams import real_tokens
from walras.models.units.gates import hooked
from walras.models.units.inventory import sites_and_layers


@final
@dataclass(eq=False)
class Moments:
    """Sums [width] in float64 of one site's features, and of their squares, over the real tokens so far."""

    sums: Tensor
    squares: Tensor
    tokens: int = 0

    def add(self, batch: Batch, x: Tensor) -> None:
        """Add the features [..., width] of a batch."""
        rows = real_tokens(x.detach(), batch).double()
        self.sums = self.sums.to(rows) + rows.sum(0)
        self.squares = self.squares.to(rows) + rows.square().sum(0)
        self.tokens += len(rows)

    @property
    def variance(self) -> Tensor:
        """Of every feature [width], divided by tokens - 1; 0 of a single token."""
        spread = self.squares - self.sums.square() / max(self.tokens, 1)
        return spread.clamp(min=0) / max(self.tokens - 1, 1)


@torch.no_grad()
def feature_moments(calibration: Calibration, gates: Tensor) -> list[Moments]:
    """Those of every site, in the gated network, before the site's own gates.

    Raises:
        InputError: units without features of their own, such as experts.
    """
    model, inventory = calibration.model, calibration.inventory
    found = [Moments(*torch.zeros(2, site.width, dtype=torch.float64)) for site in inventory.sites]
    with at_rest(model):
        for batch in calibration.batches:
            with _watched(calibration, batch, found), gated(model, inventory, gates):
                model(**{name: tensor.to(calibration.device) for name, tensor in inputs_of(batch).items()})
    return found


@contextmanager
def _watched(calibration: Calibration, batch: Batch, found: list[Moments]) -> Iterator[None]:
    """Add what a forward pass shows; entered before gates are attached, it sees features before them."""
    places = zip(sites_and_layers(calibration.model, calibration.inventory), found, strict=True)
    with hooked(site.kind.watch(layer, site, partial(seen.add, batch)) for (site, layer), seen in places):
        yield

"""Units that are groups of a finer kind's units, which do all the work."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from walras.errors import InputError
from walras.models.architectures import Layer
from walras.models.units.kinds.feature_kind import FeatureKind, by_row
from walras.models.units.kinds.kind import Amounts, Column, Removable, UnitKind, WeightShare
from walras.models.units.site import Site


class CoarserKind(UnitKind):
    """Units each of which is a number of neighbouring units of a finer kind, kept or lost together.

    A kind says which sites it has, mostly by `grouped`, and by `finer` whose units its own are made of.
    """

    @abstractmethod
    def finer(self, site: Site) -> UnitKind:
        """The kind of which the site's units are groups."""

    def grouped(self, fine: Site, size: int, first: int = 0) -> Site:
        """The site of groups of `size` units of a finer kind's site; the last group may be smaller."""
        block = min(size * fine.block, fine.width)
        count = -(-fine.width // block)
        return Site(fine.path, fine.layer, self, slice(0, count), block, fine.width, fine.sublayer, first)

    def check(self, layer: Layer, site: Site) -> None:
        """The finer kind must have a site there, of the width that the site says."""
        self._fine(layer, site)

    def attach(self, layer: Layer, site: Site, gates: Tensor, rows: int) -> RemovableHandle:
        """Multiply the features of every unit, or what the module at the path returns where there are none."""
        finer = self.finer(site)
        if isinstance(finer, FeatureKind):
            return finer.attach(layer, site, gates, rows)
        if len(site) > 1:
            raise InputError(f"units of kind {self.name!r} must be whole sub-layers here: {site.path}")
        return layer.at(layer.below(site.path)).register_forward_hook(_OutputGate(gates, site, rows))

    def attach_in_training(self, layer: Layer, site: Site, gates: Tensor) -> Removable:
        """As kinds whose units are features do, where they are; as `attach` elsewhere."""
        finer = self.finer(site)
        if isinstance(finer, FeatureKind):
            return finer.attach_in_training(layer, site, gates)
        return super().attach_in_training(layer, site, gates)

    def projection(self, layer: Layer, site: Site) -> nn.Module | None:
        """That of the finer kind."""
        return self.finer(site).projection(layer, site)

    def repaired(self, layer: Layer, site: Site) -> Iterable[Tensor]:
        """Those of the finer kind."""
        return self.finer(site).repaired(layer, site)

    def output_weight(self, layer: Layer, site: Site) -> Tensor:
        """That of the finer kind."""
        return self.finer(site).output_weight(layer, site)

    def watch(self, layer: Layer, site: Site, take: Callable[[Tensor], None]) -> RemovableHandle:
        """As the finer kind."""
        return self.finer(site).watch(layer, site, take)

    def fold(self, layer: Layer, site: Site, gates: Tensor) -> None:
        """As the finer kind."""
        fine = self._fine(layer, site)
        fine.kind.fold(layer, fine, gates[torch.from_numpy(_group(fine, site)).to(gates.device)])

    def cut(self, layer: Layer, site: Site, keep: Tensor) -> None:
        """Cut the finer kind's units."""
        fine = self._fine(layer, site)
        fine.kind.cut(layer, fine, keep[torch.from_numpy(_group(fine, site))])

    def macs(self, layer: Layer, site: Site, length: int) -> Mapping[str, Amounts]:
        """Those of the finer kind's units; steps are taken as if units were lost from the last one on."""
        fine = self._fine(layer, site)
        found = fine.kind.macs(layer, fine, length)
        return {part: Amounts(_summed(a.own, fine, site), _summed(a.steps, fine, site)) for part, a in found.items()}

    def weights(self, layer: Layer, site: Site) -> Iterable[WeightShare]:
        """Those of the finer kind's units."""
        fine = self._fine(layer, site)
        for part in fine.kind.weights(layer, fine):
            yield WeightShare(part.tensor, _summed(part.own, fine, site), part.rest)

    def shape(self, layer: Layer, site: Site) -> str:
        """That of the finer kind, so that its curves of a latency table serve."""
        fine = self._fine(layer, site)
        return fine.kind.shape(layer, fine)

    def _fine(self, layer: Layer, site: Site) -> Site:
        """The finer kind's site at the same place."""
        found = next((fine for fine in self.finer(site).sites(layer) if fine.path == site.path), None)
        width = 0 if found is None else found.width
        if found is None or width != site.width:
            raise InputError(
                f"{site.path} has {width} input features where the inventory has {site.width}: "
                "it was taken from another model, or before slicing"
            )
        return found


@final
@dataclass(frozen=True, eq=False)
class _OutputGate:
    """Multiplies what a module returns, `[tokens, hidden]`, by the gate of the site's one unit."""

    gates: Tensor
    site: Site
    rows: int

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        del module, args
        own = self.gates[..., self.site.units].to(device=output.device, dtype=output.dtype)
        return output * own if own.ndim == 1 else by_row(output, own, self.rows)


def _group(fine: Site, site: Site) -> NDArray[np.int64]:
    """For each unit of the finer site, the unit of the site that it is in, counted from 0."""
    found: NDArray[np.int64] = np.arange(len(fine), dtype=np.int64) * fine.block // site.block
    return found


def _summed(column: Column, fine: Site, site: Site) -> Column:
    """What each unit of a site has together."""
    total: Column = np.bincount(_group(fine, site), weights=column, minlength=len(site)).astype(np.float64)
    return total

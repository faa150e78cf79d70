"""Blocks of FFN neurons as units."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from torch import nn

from walras.errors import InputError
from walras.models.architectures import Layer
from walras.models.families import Architecture, SubLayer
from walras.models.units.kinds.feature_kind import FeatureKind, single_site
from walras.models.units.kinds.kind import Amounts
from walras.models.units.layouts import sublayer_layout
from walras.models.units.projections import features
from walras.models.units.site import Site


@final
@dataclass(frozen=True)
class FFN(FeatureKind):
    """A block of `neurons` consecutive FFN neurons; the last block of a layer may be narrower."""

    neurons: int = 32
    name: ClassVar[str] = "ffn"
    plural: ClassVar[str] = "ffn"
    letter: ClassVar[str] = "F"
    finest: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.neurons, bool) or not isinstance(self.neurons, int) or self.neurons < 1:
            raise InputError(f"block = {self.neurons!r}; valid: a whole number of neurons, 1 or more")

    def sublayer(self, layer: Layer) -> SubLayer:
        """The FFN that every token passes: in a mixture of experts the shared one."""
        return layer.ffn or layer.row.ffn

    def sites(self, layer: Layer) -> Iterable[Site]:
        """One, or none in a mixture of experts without a shared one."""
        return () if layer.ffn is None else single_site(self, layer, "ffn", self.neurons)

    def projection(self, layer: Layer, site: Site) -> nn.Module | None:
        """The output projection; of a shared expert none, since a gate multiplies what it writes before it is added."""
        return super().projection(layer, site) if layer.mixture is None else None

    def macs(self, layer: Layer, site: Site, length: int) -> Mapping[str, Amounts]:
        """The maps into the FFN and the one out of it."""
        width = site.widths.astype(np.float64)
        inside = np.zeros(len(site))
        for projection in self.sublayer(layer).inputs:
            read, wrote = features(layer.at(projection.path))
            rows = wrote // len(projection.parts) * width / site.width
            for _ in projection.parts:
                inside += length * read * rows
        out = length * width * self.output_weight(layer, site).shape[0]
        return {"ffn_in": Amounts.of_own(inside), "ffn_out": Amounts.of_own(out)}

    def layout(self, row: Architecture) -> Mapping[str, Any]:
        """Where the FFN is."""
        return {"ffn": sublayer_layout(row.ffn)}

    def counts(self, layer: Layer, config: Any) -> Mapping[str, Any]:
        """Neurons; 0 in a mixture of experts without a shared one."""
        del config
        return {"ffn_neurons": 0 if layer.ffn is None else features(layer.at(layer.ffn.output))[0]}

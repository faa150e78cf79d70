"""Experts of mixture-of-experts layers as units."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from walras.errors import InputError
from walras.models.architectures import Layer
from walras.models.export.modeling_walras import tell_experts
from walras.models.families import Architecture, Mixture
from walras.models.units.kinds.kind import Amounts, UnitKind, WeightShare
from walras.models.units.layouts import sublayer_layout
from walras.models.units.mixtures import MixtureLayer
from walras.models.units.routing import Routing, routed, router_routing
from walras.models.units.site import Site


@final
@dataclass(frozen=True)
class Experts(UnitKind):
    """An expert of a mixture: its slices of the 3-D weights and its row of the router.

    The gate multiplies the expert's share of the router's output before the k largest shares are taken (`routed`), so
    that with a gate of 0 the router chooses among the others. A layer that keeps fewer than k experts gives each token
    all of them. Removing an expert saves its parameters and its row of the router; it saves the multiply-accumulates of
    an expert only where fewer than k stay, since each token is given k as long as there are so many.
    """

    name: ClassVar[str] = "expert"
    letter: ClassVar[str] = "E"
    finest: ClassVar[bool] = True

    def sites(self, layer: Layer) -> Iterable[Site]:
        """One in a layer whose FFN is a mixture; none in a dense one."""
        mixture = layer.mixture
        if mixture is None:
            return
        count = _count(layer, mixture)
        if count:
            experts: Any = layer.at(mixture.experts)
            MixtureLayer.of_layer(layer).check(f"{layer.path}.{mixture.router}")
            neurons = int(experts.intermediate_dim)
            path = f"{layer.path}.{mixture.experts}"
            yield Site(path, layer.index, self, slice(0, count), neurons, count * neurons, "mixture")

    def check(self, layer: Layer, site: Site) -> None:
        """The layer must have as many experts as the site says."""
        mixture = layer.mixture
        count = 0 if mixture is None else _count(layer, mixture)
        if count != len(site):
            raise InputError(
                f"{site.path} has {count} experts where the inventory has {len(site)}: "
                "it was taken from another model, or before slicing"
            )

    def attach(self, layer: Layer, site: Site, gates: Tensor, rows: int) -> RemovableHandle:
        """Route anew from the router's logits.

        Raises:
            InputError: a gate below 0.
        """
        own = gates.detach()[..., site.units]
        if bool((own < 0).any()):
            place = int((own < 0).nonzero()[0, -1])
            name = f"L{site.layer}.{self.unit_name(site, place)}"
            raise InputError(f"the gate of {name} is {float(own[..., place].min())}; valid for experts: 0 or more")
        mixture = _mixture(layer)
        router: Any = layer.at(mixture.router)
        hook = _Gate(gates, site, rows, router_routing(router, mixture))
        # Before other hooks, so that the logits that transformers records for its auxiliary loss are the gated ones.
        handle: RemovableHandle = router.register_forward_hook(hook, prepend=True)
        return handle

    def watch(self, layer: Layer, site: Site, take: Callable[[Tensor], None]) -> RemovableHandle:
        """Refuse: a token passes through k experts only, so that the neurons of all are nobody's features."""
        del layer, take
        raise InputError(
            f"experts have no features for each token (layer {site.layer}), which this valuation or repair needs; "
            "valuations without: fisher, partial-fisher, gradient, magnitude, leave-one-out, shapley, random"
        )

    def repaired(self, layer: Layer, site: Site) -> Iterable[Tensor]:
        """The router's rows, and what experts write with."""
        del site
        mixture = MixtureLayer.of_layer(layer)
        return mixture.router_weight, mixture.output_weight

    def output_weight(self, layer: Layer, site: Site) -> Tensor:
        """What the neurons of all experts write, `[hidden, experts * neurons]`; a token uses those of its k experts."""
        weight = layer.at(_mixture(layer).experts).get_parameter(_mixture(layer).outputs)
        return weight.transpose(0, 1).flatten(1)

    def cut(self, layer: Layer, site: Site, keep: Tensor) -> None:
        """Cut slices of the weights and rows of the router; without any expert, stand-ins contribute nothing."""
        mixture, index = _mixture(layer), keep.nonzero().flatten()
        for module, name in _tensors(layer, mixture):
            old = module.get_parameter(name)
            kept = old.detach().index_select(0, index.to(old.device))
            setattr(module, name, nn.Parameter(kept, requires_grad=old.requires_grad))
        tell_experts(layer.module, _layout(mixture), len(index))

    def macs(self, layer: Layer, site: Site, length: int) -> Mapping[str, Amounts]:
        """A row of the router per expert, and what k experts compute: steps of the first k that stay.

        Each token is given exactly k experts whichever they are, so that the number does not depend on the data.
        """
        mixture = _mixture(layer)
        router: Any = layer.at(mixture.router)
        experts = layer.at(mixture.experts)
        one = length * float(sum(experts.get_parameter(name)[0].numel() for name in mixture.weights))
        steps = np.where(np.arange(len(site)) < router.top_k, one, 0.0)
        rows = np.full(len(site), length * float(router.weight.shape[1]))
        return {"router": Amounts.of_own(rows), "experts": Amounts(np.zeros(len(site)), steps)}

    def weights(self, layer: Layer, site: Site) -> Iterable[WeightShare]:
        """Slices of the experts' weights, and rows of the router."""
        for module, name in _tensors(layer, _mixture(layer)):
            tensor = module.get_parameter(name)
            yield WeightShare(tensor, np.full(len(site), float(tensor[0].numel())))

    def shape(self, layer: Layer, site: Site) -> str:
        """Sizes of an expert, how many there are, and of how many a token gets."""
        router: Any = layer.at(_mixture(layer).router)
        return f"{super().shape(layer, site)} top {router.top_k}"

    def layout(self, row: Architecture) -> Mapping[str, Any]:
        """Where router and experts are."""
        return {} if row.mixture is None else {"mixture": _layout(row.mixture)}

    def counts(self, layer: Layer, config: Any) -> Mapping[str, Any]:
        """Experts, where the family has any; 0 in a layer that is dense."""
        del config
        if layer.row.mixture is None:
            return {}
        return {"experts": 0 if layer.mixture is None else _count(layer, layer.mixture)}


@final
@dataclass(frozen=True, eq=False)
class _Gate:
    """Replaces what a router returns: logits, weights and indices of the experts chosen."""

    gates: Tensor
    site: Site
    rows: int
    routing: Routing

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        del module, args
        logits, weights, _ = output
        own = self.gates[..., self.site.units].to(device=logits.device, dtype=torch.float32)
        if own.ndim == 2:
            batch, tokens = len(own) * self.rows, len(logits)
            if tokens % batch:
                raise InputError(f"{len(own)} samples of {self.rows} rows are {batch} rows, not {tokens} tokens")
            own = own.repeat_interleave(self.rows, 0).repeat_interleave(tokens // batch, 0)
        gated, shares, index = routed(logits.float(), own, self.routing)
        return gated.to(logits.dtype), shares.to(weights.dtype), index


def _layout(mixture: Mixture) -> dict[str, Any]:
    """A mixture as the plain data that `modeling_walras` works from."""
    shared = None if mixture.shared is None else sublayer_layout(mixture.shared)
    return {
        "router": mixture.router, "experts": mixture.experts, "weights": list(mixture.weights), "shared": shared,
    }  # fmt: skip


def _mixture(layer: Layer) -> Mixture:
    """The mixture of a layer that has one."""
    if layer.mixture is None:
        raise InputError(f"{layer.path} has no mixture of experts")
    return layer.mixture


def _count(layer: Layer, mixture: Mixture) -> int:
    """Experts of a layer as it is."""
    experts: Any = layer.at(mixture.experts)
    return int(experts.num_experts)


def _tensors(layer: Layer, mixture: Mixture) -> Iterable[tuple[nn.Module, str]]:
    """Modules and names of the parameters whose first dimension is the expert."""
    yield layer.at(mixture.router), "weight"
    for name in mixture.weights:
        yield layer.at(mixture.experts), name

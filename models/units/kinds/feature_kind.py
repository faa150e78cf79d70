"""Units that own input features of a sub-layer's output projection: what heads and FFN neurons have in common."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from walras.errors import InputError
from walras.models.architectures import Layer
from walras.models.export.modeling_walras import empty
from walras.models.families import Projection, SubLayer
from walras.models.replaced_forward import ReplacedForward
from walras.models.units.kinds.kind import Removable, UnitKind, WeightShare
from walras.models.units.projections import cut, features, narrowed, plain_map, written
from walras.models.units.site import Site


class FeatureKind(UnitKind):
    """Units each of which owns consecutive input features of the output projection of attention or of an FFN.

    The gate stands on the projection's input. It sits outside the attention kernel, so that it works under every
    attention implementation.
    """

    @abstractmethod
    def sublayer(self, layer: Layer) -> SubLayer:
        """The maps of the sub-layer."""

    def attach(self, layer: Layer, site: Site, gates: Tensor, rows: int) -> RemovableHandle:
        """Multiply the input of the output projection."""
        return _output(layer, site).register_forward_pre_hook(_Gate(gates, site, rows))

    def attach_in_training(self, layer: Layer, site: Site, gates: Tensor) -> Removable:
        """Multiply the weight of the output projection, or its input where that has fewer numbers."""
        output = _output(layer, site)
        if not plain_map(output):  # its weight is not all that it multiplies by
            return super().attach_in_training(layer, site, gates)
        return ReplacedForward(output, partial(_gated_map, output, gates, site))

    def check(self, layer: Layer, site: Site) -> None:
        """The output projection must be as wide as the site says."""
        width = features(layer.at(layer.below(site.path)))[0]
        if width != site.width:
            raise InputError(
                f"{site.path} has {width} input features where the inventory has {site.width}: "
                "it was taken from another model, or before slicing"
            )

    @contextmanager
    def skipping(self, layer: Layer, site: Site, keep: Tensor) -> Iterator[None]:
        """Rows of the maps into the sub-layer, and columns of the output projection, are left out.

        Where units are finer than the kind's own, as features of a head are, maps into the sub-layer serve others too,
        and columns alone are left out.
        """
        own = any(site.block == other.block for other in self.sites(layer) if other.sublayer == site.sublayer)
        with ExitStack() as stack:
            for projection in self.sublayer(layer).inputs if own else ():
                module = layer.at(projection.path)
                stack.enter_context(narrowed(module, outputs=_rows(projection, features(module)[1], site, keep)))
            output = _output(layer, site)
            stack.enter_context(narrowed(output, inputs=keep[site.owner].nonzero().flatten()))
            yield

    def projection(self, layer: Layer, site: Site) -> nn.Module | None:
        """The output projection."""
        return _output(layer, site)

    def output_weight(self, layer: Layer, site: Site) -> Tensor:
        """The output projection's weight."""
        return written(_output(layer, site))

    def watch(self, layer: Layer, site: Site, take: Callable[[Tensor], None]) -> RemovableHandle:
        """Hand on what goes into the output projection."""

        def hand_on(_: nn.Module, args: tuple[Any, ...]) -> None:
            take(args[0])

        return _output(layer, site).register_forward_pre_hook(hand_on)

    @torch.no_grad()
    def fold(self, layer: Layer, site: Site, gates: Tensor) -> None:
        """Multiply every unit's columns of the output projection."""
        weight = self.output_weight(layer, site)
        weight.mul_(gates.to(weight).repeat_interleave(site.block)[: site.width])

    def cut(self, layer: Layer, site: Site, keep: Tensor) -> None:
        """Cut rows of the maps into the sub-layer, and columns of the output projection.

        A sub-layer that loses all its units contributes its output projection's bias and computes nothing else.
        """
        inputs = self.sublayer(layer).inputs
        for projection in inputs:
            module = layer.at(projection.path)
            cut(module, outputs=_rows(projection, features(module)[1], site, keep))
        cut(_output(layer, site), inputs=keep[site.owner].nonzero().flatten())
        if not bool(keep.any()):
            empty(layer.module, [projection.path for projection in inputs], layer.below(site.path))

    def weights(self, layer: Layer, site: Site) -> Iterable[WeightShare]:
        """Rows of the maps into the sub-layer with their biases, and columns of the output projection."""
        width = site.widths.astype(np.float64)
        output = _output(layer, site)
        yield WeightShare(output.get_parameter("weight"), width * features(output)[1])
        for projection in self.sublayer(layer).inputs:
            module: Any = layer.at(projection.path)
            read, wrote = features(module)
            yield WeightShare(module.weight, wrote * width / site.width * read)
            if module.bias is not None:
                yield WeightShare(module.bias, wrote * width / site.width)

    def shape(self, layer: Layer, site: Site) -> str:
        """Sizes of all its maps."""
        sublayer = self.sublayer(layer)
        paths = [*(projection.path for projection in sublayer.inputs), sublayer.output]
        sizes = ["x".join(map(str, layer.at(path).get_parameter("weight").shape)) for path in paths]
        return f"{self.name} {' '.join(sizes)}"


@final
@dataclass(frozen=True, eq=False)
class _Gate:
    """Multiplies the input of one output projection."""

    gates: Tensor
    site: Site
    rows: int

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The projection's arguments, the first one multiplied."""
        del module
        x: Tensor = args[0]
        factor = _of_features(self.gates, self.site, x)
        if factor.ndim == 1:
            return (_scaled(x, factor), *args[1:])
        return (by_row(x, factor, self.rows), *args[1:])


def _of_features(gates: Tensor, site: Site, like: Tensor) -> Tensor:
    """The gate of every feature `[..., width]`, from those of all units `[..., n]`."""
    # Repeating rather than indexing: its gradient is a plain sum, deterministic on every device.
    own = gates[..., site.units].to(device=like.device, dtype=like.dtype)
    return own.repeat_interleave(site.block, -1)[..., : site.width]


def _gated_map(module: Any, gates: Tensor, site: Site, x: Tensor) -> Tensor:
    """A linear map with gates `[n]` on its input features."""
    weight: Tensor = written(module)  # [outputs, width]
    if x.numel() <= weight.numel() or not weight.requires_grad:  # the gradient of a weight costs a product of its own
        return F.linear(_scaled(x, _of_features(gates, site, x)), weight, module.bias)
    return F.linear(x, weight * _of_features(gates, site, weight), module.bias)


def by_row(x: Tensor, factor: Tensor, rows: int) -> Tensor:
    """Multiply each row by the factors of its sample; `rows` consecutive batch rows make one sample.

    Args:
        x: `[batch, positions, width]` or `[batch * positions, width]`.
        factor: `[samples, width]` or `[samples, 1]`.
        rows: as said.

    Raises:
        InputError: a batch that is not `samples * rows` rows long.
    """
    batch = len(factor) * rows
    # Some families (OPT) join batch and positions before the FFN: [batch * positions, width].
    if (len(x) != batch) if x.ndim > 2 else (len(x) % batch):
        raise InputError(f"{len(factor)} samples of {rows} rows are {batch} rows, not {len(x)}")
    own = factor.repeat_interleave(rows, 0).unsqueeze(1)
    return _scaled(x.reshape(batch, -1, x.shape[-1]), own).reshape(x.shape)


def _scaled(x: Tensor, factor: Tensor) -> Tensor:
    """The product. Without gradients it is written over `x`, which only the projection was to read: a new tensor of
    that size costs more in page faults than in arithmetic."""
    return x * factor if torch.is_grad_enabled() else x.mul_(factor)


def _rows(projection: Projection, total: int, site: Site, keep: Tensor) -> Tensor:
    """Output features of an input projection that belong to the units that stay, in their order."""
    parts = len(projection.parts)
    # Under grouped-query attention a unit has fewer features in key and value than in the output's input.
    block = site.block * (total // parts) // site.width
    if projection.interleaved:
        return keep[torch.arange(total) // (parts * block)].nonzero().flatten()
    return keep[torch.arange(total // parts) // block].repeat(parts).nonzero().flatten()


def single_site(kind: FeatureKind, layer: Layer, sublayer: str, block: int) -> Iterator[Site]:
    """The site of a layer whose sub-layer is cut into units of `block` features; none where no feature is left."""
    output = kind.sublayer(layer).output
    width = features(layer.at(output))[0]
    count = -(-width // block)
    if count:
        yield Site(f"{layer.path}.{output}", layer.index, kind, slice(0, count), block, width, sublayer)


def _output(layer: Layer, site: Site) -> nn.Module:
    """The output projection."""
    return layer.at(layer.below(site.path))

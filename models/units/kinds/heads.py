"""Attention heads as units."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from torch import Tensor

from walras.errors import InputError
from walras.models.architectures import Layer
from walras.models.export.modeling_walras import tell_attention
from walras.models.families import Architecture, SubLayer
from walras.models.units.kinds.feature_kind import FeatureKind, single_site
from walras.models.units.kinds.kind import Amounts, WeightShare
from walras.models.units.layouts import sublayer_layout
from walras.models.units.projections import features
from walras.models.units.site import Site

_MOST = 16  # up to so many units a latency table has every count


@final
@dataclass(frozen=True)
class Heads(FeatureKind):
    """A query head or, under grouped-query attention, a group of query heads with the key and value that they share.

    Only whole groups can be removed. Where a norm spans the queries of all heads (OLMoE), leaving one out would change
    the others: the unit is the whole attention.
    """

    name: ClassVar[str] = "head"
    letter: ClassVar[str] = "H"
    finest: ClassVar[bool] = True

    def sublayer(self, layer: Layer) -> SubLayer:
        """Attention."""
        return layer.row.heads

    def sites(self, layer: Layer) -> Iterable[Site]:
        """One, of as many features a unit as the queries of one key-value head make up."""
        return single_site(self, layer, "heads", _group_width(layer))

    def members(self, layer: Layer, site: Site) -> int:
        """Query heads of a unit."""
        return site.block // head_size(layer)

    def cut(self, layer: Layer, site: Site, keep: Tensor) -> None:
        """As other features; then the attention module is told of the heads that are left."""
        super().cut(layer, site, keep)
        attention: Any = layer.at(layer.row.attention)
        heads = keep.repeat_interleave(site.block // head_size(layer)).nonzero().flatten()
        bias_heads: list[int] | None = None
        if layer.row.head_bias:
            stock = range(site.width // head_size(layer))
            before = getattr(attention, "bias_heads", stock)  # where heads have been cut before
            bias_heads = [before[i] for i in heads.tolist()]
        tell_attention(layer.module, attention_layout(layer.row), site.layer, len(heads), bias_heads)

    def macs(self, layer: Layer, site: Site, length: int) -> Mapping[str, Amounts]:
        """Projections, and both products of pairs of tokens.

        Causal masks and sliding windows save nothing under eager attention, so that scores and mix are quadratic in
        `length` for every family. Biases, softmax and norms are no multiply-accumulates of a matrix product.
        """
        width = site.widths.astype(np.float64)
        found: dict[str, Amounts] = {}
        for projection in layer.row.heads.inputs:
            read, wrote = features(layer.at(projection.path))
            rows = wrote // len(projection.parts) * width / site.width
            found |= {part: Amounts.of_own(length * read * rows) for part in projection.parts}
        for part in ("scores", "mix"):
            found[part] = Amounts.of_own(length * length * width)
        return found | {"output": Amounts.of_own(length * width * self.output_weight(layer, site).shape[0])}

    def weights(self, layer: Layer, site: Site) -> Iterable[WeightShare]:
        """As other features; norms of queries and keys, which Qwen3 keeps inside attention, go with the last head."""
        yield from super().weights(layer, site)
        maps = [layer.at(path) for path in (*(p.path for p in layer.row.heads.inputs), layer.row.heads.output)]
        known = {id(p) for module in maps for p in module.parameters()}
        for p in layer.at(layer.row.attention).parameters():
            if id(p) not in known:
                yield WeightShare(p, np.zeros(len(site)), p.numel())

    def timed_counts(self, site: Site) -> Sequence[int]:
        """Every number of heads where there are few, else one in so many."""
        count = len(site)
        shares: Sequence[float] = np.linspace(0, 1, _MOST + 1)[1:].tolist()
        return range(1, count + 1) if count <= _MOST else sorted({1, *(round(count * s) for s in shares)})

    def layout(self, row: Architecture) -> Mapping[str, Any]:
        """Where attention is and what repeats its sizes."""
        return attention_layout(row)

    def counts(self, layer: Layer, config: Any) -> Mapping[str, Any]:
        """Heads, key-value heads where the family has them, and which heads a bias is of where attention adds one."""
        size, row = head_size(layer), layer.row
        heads = features(layer.at(row.heads.output))[0] // size
        told: dict[str, Any] = {"attention_heads": heads}
        if hasattr(config, "num_key_value_heads"):
            key = _key(row)
            told["key_value_heads"] = features(layer.at(key.path))[1] // len(key.parts) // size if heads else 0
        if row.head_bias:
            told["position_bias_heads"] = list(getattr(layer.at(row.attention), "bias_heads", range(heads)))
        return told


def head_size(layer: Layer) -> int:
    """Features of one query head."""
    return int(getattr(layer.at(layer.row.attention), layer.row.head_size))


def attention_layout(row: Architecture) -> dict[str, Any]:
    """The attention of a family as the plain data that `modeling_walras` works from."""
    return {
        "layers": row.layers,
        "attention": row.attention,
        "head_size": row.head_size,
        "counters": dict(row.counters),
        "cache": row.cache,
        "head_bias": row.head_bias,
        "heads": sublayer_layout(row.heads),
    }


def _group_width(layer: Layer) -> int:
    """Input features of the output projection that the queries of one key-value head make up."""
    head = head_size(layer)
    queries = features(layer.at(layer.row.heads.output))[0]
    if queries == 0:
        return head
    if layer.row.joined:
        return queries
    key = _key(layer.row)
    groups = features(layer.at(key.path))[1] // len(key.parts) // head
    if groups == 0 or queries % (groups * head):
        raise InputError(f"{layer.path}: {queries} features in heads of {head} do not divide among {groups} keys")
    return queries // groups


def _key(row: Architecture) -> Any:
    return next(p for p in row.heads.inputs if "key" in p.parts)

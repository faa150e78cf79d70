"""Rules in place of softmax in a real model, for the time of a context."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, TypeAlias, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from walras.errors import InputError
from walras.models.architectures import architecture, layer_paths, submodule, transformer
from walras.models.attention.rule import AttentionRule
from walras.models.attention.softmax import Softmax
from walras.models.families import Architecture
from walras.models.replaced_forward import replaced_forward
from walras.models.units.projections import features

# Is shown the layer's number, and its scores and weights [batch, heads, queries, keys] before and after the rule.
Watch: TypeAlias = Callable[[int, Tensor, Tensor], None]

_NAME = "walras_attention_market"


@final
@dataclass(frozen=True)
class _Market:
    """What holds in one attention module."""

    layer: int
    rule: AttentionRule
    watch: Watch | None


_MARKETS: WeakKeyDictionary[nn.Module, _Market] = WeakKeyDictionary()


@contextmanager
def attention_market(
    model: nn.Module,
    rules: AttentionRule | Sequence[AttentionRule | None],
    watch: Watch | None = None,
) -> Iterator[None]:
    """Within the context, rules turn the model's attention scores into weights; also undone on an error.

    Works for every family of the table of architectures, under causal, sliding and padding masks and grouped keys.
    A query that may look at no key gets zeros, and a layer whose heads were all cut out has no market. Contexts may
    be nested: the inner one holds. Where activations are checkpointed, run the backward pass inside the context too.

    Args:
        model: a Hugging Face transformer, or a module around one.
        rules: one for all layers, or one a layer; None is plain softmax.
        watch: is shown every layer at every forward pass: its number, the scores [batch, heads, queries, keys]
            before the rule (scaled, position bias included, -inf where masked) and the weights after it, before
            dropout. Both are part of the graph.

    Raises:
        InputError: not as many rules as layers, or something else than a rule among them.
    """
    row, layers = architecture(model), layer_paths(model)
    per_layer = [rules] * len(layers) if isinstance(rules, AttentionRule) else list(rules)
    if len(per_layer) != len(layers):
        raise InputError(f"{len(per_layer)} rules for {len(layers)} layers; valid: one for all, or one a layer")
    for rule in per_layer:
        if not (rule is None or isinstance(rule, AttentionRule)):
            raise InputError(f"{rule!r} is no AttentionRule; valid: rules, and None for softmax")
    with ExitStack() as stack:
        for i, (path, rule) in enumerate(zip(layers, per_layer, strict=True)):
            layer = submodule(model, path)
            module = submodule(layer, row.attention)
            stack.enter_context(_posted(module, _Market(i, rule or Softmax(), watch)))
            if not row.functional and features(submodule(layer, row.heads.output))[0] > 0:
                stack.enter_context(_patched(module, layer, row))
        if row.functional:
            stack.enter_context(_switched(transformer(model)))
        yield


@contextmanager
def _posted(module: nn.Module, market: _Market) -> Iterator[None]:
    outer = _MARKETS.get(module)
    _MARKETS[module] = market
    try:
        yield
    finally:
        del _MARKETS[module]
        if outer is not None:
            _MARKETS[module] = outer


@contextmanager
def _switched(model: PreTrainedModel) -> Iterator[None]:
    """The model's attention goes through `_attend`."""
    before = model.config._attn_implementation
    model.set_attn_implementation(_NAME)
    if model.config._attn_implementation != _NAME:  # transformers only logs it
        raise InputError(f"{type(model).__name__} has no attention interface; its row must say functional=False")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def _patched(module: nn.Module, layer: nn.Module, row: Architecture) -> Iterator[None]:
    """The forward pass of an attention module that computes its own softmax is replaced by one with `_attend`."""
    path_of = {part: projection.path for projection in row.heads.inputs for part in projection.parts}
    before = module.forward
    dropout = next((part.p for part in module.children() if isinstance(part, nn.Dropout)), 0.0)

    @wraps(before)  # hooks bind their arguments to its signature
    def forward(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        given = signature(before).bind(*args, **kwargs).arguments
        hidden = given["hidden_states"]
        query, key, value = (
            submodule(layer, path_of[part])(hidden).unflatten(-1, (-1, getattr(module, row.head_size))).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        bias = given.get(row.head_bias)
        mixed, weights = _attend(module, query, key, value, given.get("attention_mask"), dropout, position_bias=bias)
        output = submodule(layer, row.heads.output)(mixed.flatten(-2))
        return (output, weights) if given.get("output_attentions") else (output,)

    with replaced_forward(module, forward):
        yield


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """An attention function of transformers: query [batch, heads, queries, size], key and value with fewer heads.

    Returns what the output projection takes, [batch, queries, heads, size], and the weights.
    """
    market = _MARKETS.get(module, _SOFTMAX)
    groups = query.shape[1] // max(key.shape[1], 1)
    key, value = (part.repeat_interleave(groups, 1) if groups > 1 else part for part in (key, value))
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = scores if scores.dtype == torch.float64 else scores.float()
    scores = scores if position_bias is None else scores + position_bias
    scores = _masked(scores, attention_mask)
    weights = market.rule(scores)
    if market.watch is not None:
        market.watch(market.layer, scores, weights)
    used = nn.functional.dropout(weights.to(value.dtype), dropout, training=module.training)
    return (used @ value).transpose(1, 2).contiguous(), weights


def _masked(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Scores that are -inf where a mask closes a key: False, or the lowest number of its dtype, added."""
    if mask is None:
        return scores
    mask = mask[..., : scores.shape[-1]]
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -torch.inf)
    return (scores + mask).masked_fill(mask <= torch.finfo(mask.dtype).min / 2, -torch.inf)


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """A mask function of transformers: bool, True where a query may look; causal masks are never left out."""
    return sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False})


_SOFTMAX = _Market(-1, Softmax(), None)  # of modules that are no layer of the table, as cross-attention

AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, _mask)

"""A decoder layer of Llama's form whose token buys what it is multiplied with, in two compiled calls on the CPU.

Map by map, a small network spends more time in Python than on what its tokens buy. Between the two calls the cache of
transformers, whichever it is, takes the token's key and value and gives those of all tokens before it. This text
travels inside the file of code of a sparsified model; it needs torch and numpy alone, and does without numba.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from walras.models.export.token_kernels import (
    ACTIVATIONS,
    CpuKernel,
    numba,
    some_columns,
    some_gated,
    somebody_waits,
    threads_now,
    versions,
)

FORMS = frozenset({"LlamaDecoderLayer", "MistralDecoderLayer", "Qwen2DecoderLayer"})
"""Classes of layers: x + attention(norm(x)), with rotary positions, then the same with a gated FFN."""
_ATTENTION = ("sdpa", "eager")  # implementations whose mask is of numbers or truths, or none
_NONE = np.empty(0, np.float32)
_READY = "_ready"  # name of the arrays that a layer keeps


class MarketLayer(nn.Module):
    """What `in_two_calls` adds to the class of a layer."""

    def forward(self, hidden_states: Tensor, *args: Any, **given: Any) -> Any:
        """[batch, length, hidden] from the same; a single token in two calls, else as the class does it."""
        free = not (self.training or torch.is_grad_enabled() or torch.compiler.is_compiling() or args)
        paged = given.get("cache") is not None  # of continuous batching: only the attention function writes into it
        single = hidden_states.numel() == hidden_states.shape[-1] and "position_embeddings" in given
        arrays = self._arrays() if free and single and not paged and _is_row(given.get("attention_mask")) else None
        if arrays is None:
            return super().forward(hidden_states, *args, **given)  # of the class of the layer
        attention: Any = self._modules["self_attn"]
        query, key, value, output, ffn, before, after = arrays
        x, count = _array(hidden_states), threads_now()
        turn = [_array(angles) for angles in given["position_embeddings"]]
        q, k, v = _inputs(x, before, (query, key, value), (turn[0], turn[1]), count)
        past = _past(attention, k, v, given.get("past_key_values"), hidden_states.dtype)
        mask = _mask(given.get("attention_mask"), past[0].shape[1])
        found = _rest(x, (q, *past, mask, attention.scaling), output, after, ffn, count)
        return torch.from_numpy(found.reshape(hidden_states.shape)).to(hidden_states.dtype)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copied and pickled as the class of transformers that it is made of."""
        state: Any = super().__reduce_ex__(2)
        kind: Any = type(self).__mro__[2]
        kept = {name: value for name, value in state[2].items() if name != _READY}
        return (_blank, (kind,), kept, *state[3:])

    def _arrays(self) -> Any:
        """What both calls take of the layer: maps and norms; None where the class is to compute the layer.

        They are made once. Whether they still are what the layer holds is seen by addresses and by counts of changes,
        of all tensors; torch tells both far faster than it gives an array.
        """
        inside: Any = self._modules
        attention, ffn = inside["self_attn"], inside["mlp"]
        if somebody_waits((*inside.values(), *attention._modules.values(), *ffn._modules.values())):
            return None
        if object.__getattribute__(attention.config, "_attn_implementation") not in _ATTENTION:  # half the time
            return None
        modules = (*_maps(self), *_norms(self))
        sources = [t for m in modules for own in (m._parameters, m._buffers) for t in own.values() if t is not None]
        made_of = [*map(Tensor.data_ptr, sources), *versions(sources), type(ffn.activation)]
        ready: Any = self.__dict__.get(_READY)
        if ready is None or ready[0] != made_of:
            ready = self.__dict__[_READY] = (made_of, _made(self))
        return ready[1]


def in_two_calls(layer: Any, buyer: Any, ffn: Any) -> None:
    """Let a layer of a known form decode so, in place, if all of its maps are markets.

    Args:
        layer: with markets in the place of its maps.
        buyer: class of a market.
        ffn: class of a gated FFN whose maps are markets.
    """
    kind: Any = type(layer)
    if numba is None or kind.__name__ not in FORMS or not isinstance(layer.mlp, ffn):
        return
    maps = _maps(layer)
    heads = [m.weight.shape[1] // layer.self_attn.head_dim for m in maps[:2] if isinstance(m, buyer)]
    plain = all(isinstance(m, buyer) and (i < 4 or m.bias is None) for i, m in enumerate(maps))
    if plain and heads[0] % heads[1] == 0:
        layer.__class__ = _market_class(kind)


def _maps(layer: Any) -> tuple[Any, ...]:
    """Query, key, value, output, gate, up and down; out of the dictionaries, as `getattr` takes long in a module."""
    inside = layer._modules
    attention, ffn = inside["self_attn"]._modules, inside["mlp"]
    own = ffn._modules
    ours = own[ffn.roles["gate"]], own[ffn.roles["up"]], own[ffn.roles["down"]]
    return (attention["q_proj"], attention["k_proj"], attention["v_proj"], attention["o_proj"], *ours)


@functools.cache
def _market_class(kind: Any) -> Any:
    """The class of a layer, and what `MarketLayer` adds to it."""
    return type(f"Market{kind.__name__}", (MarketLayer, kind), {"__module__": __name__, "__doc__": kind.__doc__})


def _blank(kind: Any) -> Any:
    """A layer with nothing in it yet."""
    made = _market_class(kind)
    return made.__new__(made)


def _inputs(x: Any, norm: Any, maps: Any, turn: Any, threads: int) -> Any:
    """Query, key and value of one token, turned to its position."""
    if threads == 1:
        return one_inputs(x, norm, maps, turn)
    states = normed(x, norm)
    q, k, v = (biased(some_columns(states, market, threads), market[2]) for market in maps)
    turned(q, turn)
    turned(k, turn)
    return q, k, v


def _rest(x: Any, attention: Any, output: Any, norm: Any, ffn: Any, threads: int) -> Any:
    """The layer's output for one token x, from query, keys, values, mask and scale of its attention."""
    if threads == 1:
        return one_rest(x, attention, output, norm, ffn)
    states = x + biased(some_columns(attended(*attention), output, threads), output[2])
    return states + some_gated(normed(states, norm), ffn, threads)


def _past(attention: Any, key: Any, value: Any, cache: Any, dtype: torch.dtype) -> tuple[Any, Any]:
    """Keys and values [heads, tokens, size] of all tokens, this one included."""
    own = [torch.from_numpy(new.reshape(1, -1, 1, attention.head_dim)).to(dtype) for new in (key, value)]
    keys, values = own if cache is None else cache.update(*own, attention.layer_idx)
    return np.ascontiguousarray(_numbers(keys)[0]), np.ascontiguousarray(_numbers(values)[0])


def _made(layer: Any) -> Any:
    """Query, key, value, output, FFN and both norms of a layer as arrays; None where a map has no kernel."""
    activation = ACTIVATIONS.get(type(layer.mlp.activation).__name__)
    kernels: list[Any] = [market.kernel() if hasattr(market, "kernel") else None for market in _maps(layer)]
    if activation is None or not all(isinstance(kernel, CpuKernel) for kernel in kernels):
        return None
    linear = [(*kernel.arrays, _array(m.bias)) for kernel, m in zip(kernels[:4], _maps(layer), strict=False)]
    gated = (*(kernel.arrays for kernel in kernels[4:]), activation)
    norms = [(_array(norm.weight), float(norm.variance_epsilon)) for norm in _norms(layer)]
    return (*linear, gated, *norms)


def _norms(layer: Any) -> tuple[Any, Any]:
    """Before attention, and before the FFN."""
    return layer._modules["input_layernorm"], layer._modules["post_attention_layernorm"]


def _numbers(values: Tensor) -> Any:
    """The same as an array of float32, not copied where it is one."""
    return (values if values.dtype == torch.float32 else values.float()).numpy()


def _array(values: Tensor | None) -> Any:
    """All numbers in a row; none for None."""
    return _NONE if values is None else _numbers(values.detach() if values.requires_grad else values).reshape(-1)


def _is_row(mask: Tensor | None) -> bool:
    """Whether a mask is the same for all heads, with a number per token; the loops know no other."""
    return mask is None or mask.numel() == mask.shape[-1]


def _mask(given: Tensor | None, tokens: int) -> Any:
    """What is added to the scores of so many tokens; none without a mask.

    Raises:
        ValueError: a mask of another number of tokens, beyond whose end the loops would read.
    """
    if given is None:
        return _NONE
    if given.numel() != tokens:
        raise ValueError(f"the attention mask tells of {given.numel()} tokens, and keys and values are of {tokens}")
    row = given.reshape(-1)
    return _array(torch.where(row, 0.0, -torch.inf) if row.dtype == torch.bool else row)


if numba is not None:
    from walras.models.export.token_kernels import compiled, one_columns, one_gated

    def _biased(out: Any, bias: Any) -> Any:
        """The sum of both, in place, if there is a bias."""
        for i in range(len(bias)):
            out[i] += bias[i]
        return out

    def _normed(x: Any, norm: Any) -> Any:
        """x / sqrt(mean of x^2 + eps) * weight."""
        weight, eps = norm
        total = np.float32(0.0)
        for i in range(len(x)):
            total += x[i] * x[i]
        scale = np.float32(1.0 / np.sqrt(total / len(x) + eps))
        return x * scale * weight

    def _turned(x: Any, turn: Any) -> None:
        """Rotary positions, in place: the halves of a head are the two coordinates that are turned."""
        cos, sin = turn
        size = len(cos)
        half = size // 2
        for start in range(0, len(x), size):
            for i in range(half):
                a, b = x[start + i], x[start + half + i]
                x[start + i] = a * cos[i] - b * sin[i]
                x[start + half + i] = b * cos[half + i] + a * sin[half + i]

    def _attended(q: Any, keys: Any, values: Any, mask: Any, scale: Any) -> Any:
        """softmax(scale q . keys + mask) . values, head by head; several query heads share a key head."""
        groups, tokens, size = keys.shape
        shared = len(q) // (groups * size)
        out, score = np.zeros(len(q), np.float32), np.empty(tokens, np.float32)
        for head in range(groups * shared):
            group, start = head // shared, head * size
            highest = np.float32(-np.inf)
            for t in range(tokens):
                total = np.float32(0.0)
                for i in range(size):
                    total += q[start + i] * keys[group, t, i]
                score[t] = total * np.float32(scale) + (mask[t] if len(mask) else np.float32(0.0))
                highest = max(highest, score[t])
            total = np.float32(0.0)
            for t in range(tokens):
                score[t] = np.exp(score[t] - highest)
                total += score[t]
            for t in range(tokens):
                weight = score[t] / total
                for i in range(size):
                    out[start + i] += weight * values[group, t, i]
        return out

    def _one_inputs(x: Any, norm: Any, maps: Any, turn: Any) -> Any:
        """Query, key and value of one token, turned to its position; a map is its weight, its bars and its bias."""
        states = normed(x, norm)
        query, key, value = maps
        q = biased(one_columns(states, query[0], query[1]), query[2])
        k = biased(one_columns(states, key[0], key[1]), key[2])
        turned(q, turn)
        turned(k, turn)
        return q, k, biased(one_columns(states, value[0], value[1]), value[2])

    def _one_rest(x: Any, attention: Any, output: Any, norm: Any, ffn: Any) -> Any:
        """The layer's output for one token x, from query, keys, values, mask and scale of its attention."""
        q, keys, values, mask, scale = attention
        mixed = attended(q, keys, values, mask, scale)
        states = x + biased(one_columns(mixed, output[0], output[1]), output[2])
        gate, up, down, activation = ffn
        return states + one_gated(normed(states, norm), gate, up, down, activation)

    biased, normed, turned, attended = map(compiled, (_biased, _normed, _turned, _attended))
    one_inputs, one_rest = map(compiled, (_one_inputs, _one_rest))

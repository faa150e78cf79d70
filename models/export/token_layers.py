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
)

FORMS = frozenset({"LlamaDecoderLayer", "MistralDecoderLayer", "Qwen2DecoderLayer"})
"""Classes of layers: x + attention(norm(x)), with rotary positions, then the same with a gated FFN."""
_ATTENTION = ("sdpa", "eager")  # implementations whose mask is of numbers or truths, or none
_NONE = np.empty(0, np.float32)


class MarketLayer(nn.Module):
    """What `in_two_calls` adds to the class of a layer."""

    def forward(self, hidden_states: Tensor, *args: Any, **given: Any) -> Any:
        """[batch, length, hidden] from the same; a single token in two calls, else as the class does it."""
        free = not (self.training or torch.is_grad_enabled() or torch.compiler.is_compiling() or args)
        plain = free and hidden_states.numel() == hidden_states.shape[-1] and "position_embeddings" in given
        plain = plain and _is_row(given.get("attention_mask"))
        kernels = self._kernels() if plain else None
        if kernels is None:
            return super().forward(hidden_states, *args, **given)  # of the class of the layer
        attention: Any = self._modules["self_attn"]
        query, key, value, output = (
            (*kernel.arrays, _array(m.bias)) for kernel, m in zip(kernels[:4], _maps(self), strict=False)
        )
        x, turn, count = _array(hidden_states), tuple(map(_array, given["position_embeddings"])), threads_now()
        q, k, v = _inputs(x, _norm(self.input_layernorm), (query, key, value), turn, count)
        past = self._past(k, v, given.get("past_key_values"), hidden_states.dtype)
        mask = _mask(given.get("attention_mask"), past[0].shape[1])
        gate, up, down = (kernel.arrays for kernel in kernels[4:])
        ffn: Any = self.mlp
        found = _rest(
            x, (q, *past, mask, attention.scaling), output, _norm(self.post_attention_layernorm),
            (gate, up, down, ACTIVATIONS[type(ffn.activation).__name__]), count,
        )  # fmt: skip
        return torch.from_numpy(found).view_as(hidden_states).to(hidden_states.dtype)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copied and pickled as the class of transformers that it is made of."""
        state: Any = super().__reduce_ex__(2)
        kind: Any = type(self).__mro__[2]
        return (_blank, (kind,), *state[2:])

    def _kernels(self) -> list[CpuKernel] | None:
        """Those of query, key, value, output, gate, up and down; None where the class is to compute the layer."""
        own: Any = self._modules
        attention, ffn = own["self_attn"], own["mlp"]
        inside = (*own.values(), *attention._modules.values(), *ffn._modules.values())
        if somebody_waits(inside):
            return None
        if attention.config._attn_implementation not in _ATTENTION or type(ffn.activation).__name__ not in ACTIVATIONS:
            return None
        found: list[Any] = [market.kernel() if hasattr(market, "kernel") else None for market in _maps(self)]
        return found if all(isinstance(kernel, CpuKernel) for kernel in found) else None

    def _past(self, key: Any, value: Any, cache: Any, dtype: torch.dtype) -> tuple[Any, Any]:
        """Keys and values [heads, tokens, size] of all tokens, this one included."""
        attention: Any = self.self_attn
        own = [torch.from_numpy(new).view(1, -1, 1, attention.head_dim).to(dtype) for new in (key, value)]
        keys, values = own if cache is None else cache.update(*own, attention.layer_idx)
        return _array(keys[0], flat=False), _array(values[0], flat=False)


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


def _array(values: Tensor | None, flat: bool = True) -> Any:
    """Numbers in float32, without copying them where they are; none for None."""
    if values is None:
        return _NONE
    found = values.detach() if values.dtype == torch.float32 else values.detach().float()
    return (found.reshape(-1) if flat else found.contiguous()).numpy()


def _norm(module: Any) -> tuple[Any, float]:
    """The weight and the smallest variance of an RMS norm."""
    return _array(module.weight), float(module.variance_epsilon)


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

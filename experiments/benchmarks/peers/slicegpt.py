"""SliceGPT: the residual stream of a decoder, rotated to its principal axes, of which the last ones are cut off."""

import copy
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import transformer
from walras.models.objective import Batch
from walras.models.repair.hooks import Stop
from walras.models.repair.streams import inputs, real_tokens

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Decoders of pre-norm layers with RMSNorm, `self_attn` and `mlp`, as transformers spells Llama."""

DAMPING = 0.01
READ_BY_ATTENTION, READ_BY_FFN = ("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj")


@final
class RootMeanSquare(nn.Module):
    """x / sqrt(sum of squares / width + eps), without scales; `width` is that of the stream before slicing."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.width, self.eps = width, eps

    def forward(self, x: Tensor) -> Tensor:
        """Of [..., kept]."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return (wide * torch.rsqrt(wide.square().sum(-1, keepdim=True) / self.width + self.eps)).to(x.dtype)


@final
class SlicedLayer(nn.Module):
    """A layer between two streams of other axes: what passes by attention, and by the FFN, is turned on its way."""

    def __init__(self, layer: Any, norm: RootMeanSquare, turns: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.self_attn, self.mlp, self.norm = layer.self_attn, layer.mlp, norm
        self.before, self.between = (_linear(turn.T, None) for turn in turns)

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> Tensor:
        """From [rows, tokens, kept] to the same, by the next layer's axes."""
        mixed = self.before(hidden_states) + self.self_attn(hidden_states=self.norm(hidden_states), **kwargs)[0]
        found: Tensor = self.between(mixed) + self.mlp(self.norm(mixed))
        return found


@torch.no_grad()
def sliced(model: nn.Module, batches: Sequence[Batch], width: int) -> nn.Module:
    """A copy of a decoder whose residual stream has `width` features; the model must be in evaluation mode.

    Source: Ashkboos et al. 2024 (SliceGPT, arXiv 2401.15024). With d the stream's width:

    1. Scales of norms go into the maps behind them; what is left of a norm commutes with rotations.
    2. Between any two sub-layers, from the bottom up, the second moments of the normed stream over the calibration
       tokens, of the network as sliced so far, with 0.01 of their mean added to the diagonal, have the eigenvectors
       Q [d, width] of the largest eigenvalues.
    3. Maps that read the stream there read it in the axes Q; maps that write it write in those of the next Q'; what
       passes by a sub-layer is multiplied by Q'Q [width, width], which costs width^2 a token.

    With all features kept it is the same function. The maps that a layer got besides have no place in a stock
    network, nor in an export of ours: layers there add to one stream of one width.

    Raises:
        InputError: a family that is not spelled as Llama is; a width that the stream does not have.
    """
    found: Any = copy.deepcopy(model)
    config = transformer(found).config
    if config.model_type not in FAMILIES:
        raise InputError(f"SliceGPT is written here for {', '.join(FAMILIES)}; this is a {config.model_type}")
    d = int(config.hidden_size)
    if not 0 < width <= d:
        raise InputError(f"width is {width}; valid: 1 to {d}")
    base, norm = found.model, RootMeanSquare(d, config.rms_norm_eps)
    entering = [_entering(found, batch) for batch in batches]
    states = [state for state, _ in entering]  # [rows, tokens, d] of each batch, within the axes kept
    axes = _axes(states, norm, batches, width)
    base.embed_tokens = _embedding(base.embed_tokens.weight @ axes)
    for number, layer in enumerate(base.layers):
        turns = []
        for part, reads, writes, scale in (
            (layer.self_attn, READ_BY_ATTENTION, "o_proj", layer.input_layernorm.weight),
            (layer.mlp, READ_BY_FFN, "down_proj", layer.post_attention_layernorm.weight),
        ):
            states = [state @ axes @ axes.T for state in states]
            for name in reads:
                one = getattr(part, name)
                setattr(part, name, _linear(one.weight * scale @ axes, one.bias))
            for place, (_, kwargs) in enumerate(entering):
                seen = norm(states[place] @ axes)
                written = part(hidden_states=seen, **kwargs)[0] if part is layer.self_attn else part(seen)
                states[place] = states[place] + written
            after = _axes(states, norm, batches, width)
            one = getattr(part, writes)
            setattr(part, writes, _linear(after.T @ one.weight, None if one.bias is None else after.T @ one.bias))
            turns.append(axes.T @ after)
            axes = after
        base.layers[number] = SlicedLayer(layer, norm, (turns[0], turns[1]))
    found.lm_head = _linear(found.lm_head.weight * base.norm.weight @ axes, found.lm_head.bias)
    base.norm = norm
    result: nn.Module = found
    return result


def width_for(model: nn.Module, length: int, macs: float) -> int:
    """The largest width of the stream with which the layers need at most so many MACs for `length` tokens.

    Raises:
        InputError: fewer than with a width of 1.
    """
    base: Any = transformer(model).base_model
    d, fixed, by_width = int(base.config.hidden_size), 0.0, 0.0
    for layer in base.layers:
        read = sum(getattr(layer.self_attn, name).out_features for name in READ_BY_ATTENTION)
        fixed += 2 * length * layer.self_attn.o_proj.in_features  # a token's scores and mix
        read += sum(getattr(layer.mlp, name).out_features for name in READ_BY_FFN)
        by_width += read + layer.self_attn.o_proj.in_features + layer.mlp.down_proj.in_features
    a, b, c = 2.0 * len(base.layers), by_width, fixed - macs / length
    width = int((-b + (b * b - 4 * a * c) ** 0.5) / (2 * a) + 1e-9) if c < 0 else 0
    if width < 1:
        raise InputError(f"{macs:.4g} MACs are not enough for a stream of one feature")
    return min(width, d)


def _axes(states: Sequence[Tensor], norm: RootMeanSquare, batches: Sequence[Batch], width: int) -> Tensor:
    """Step 2: Q [d, width]."""
    moment = torch.zeros(norm.width, norm.width, dtype=torch.float64)
    for state, batch in zip(states, batches, strict=True):
        rows = real_tokens(norm(state), batch)
        moment += (rows.T @ rows).double().cpu()
    moment.diagonal().add_(DAMPING * moment.diagonal().mean())
    vectors: Tensor = torch.linalg.eigh(moment).eigenvectors.flip(1)[:, :width]
    return vectors.to(states[0])


def _entering(model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
    """The stream that enters the lowest layer, and what else the layers are called with."""
    kept: list[tuple[Tensor, dict[str, Any]]] = []

    def take(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rest = {name: value for name, value in kwargs.items() if name != "hidden_states"}
        kept.append((args[0] if args else kwargs["hidden_states"], rest))
        raise Stop

    base: Any = transformer(model).base_model
    handle = base.layers[0].register_forward_pre_hook(take, with_kwargs=True)
    try:
        model(**inputs(model, batch), use_cache=False)
    except Stop:
        return kept[0]
    finally:
        handle.remove()
    raise InputError(f"{type(model).__name__} did not pass its first layer")


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear map of these weights."""
    found = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    found.weight = nn.Parameter(weight.contiguous())
    if bias is not None:
        found.bias = nn.Parameter(bias.contiguous())
    return found


def _embedding(weight: Tensor) -> nn.Embedding:
    """An embedding of these vectors."""
    found = nn.Embedding(weight.shape[0], weight.shape[1], device="meta")
    found.weight = nn.Parameter(weight.contiguous())
    return found

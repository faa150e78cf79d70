"""A budget of keys that truly saves: tokens that nobody looks at leave the encoder after its first layer."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import architecture, layer_paths, submodule
from walras.models.attention import Watch, attention_market
from walras.models.attention.rule import check_keys
from walras.models.families import Architecture
from walras.models.resources.macs import macs, use_by_part
from walras.models.resources.resource import Usage, Workload
from walras.models.units.inventory import Inventory


@contextmanager
def token_elimination(model: nn.Module, k: int, watch: Watch | None = None) -> Iterator[None]:
    """Within the context, all layers but the first run on k tokens a sequence.

    PoWER-BERT (Goyal et al. 2020, arXiv 2001.08950) and Learned Token Pruning (Kim et al. 2022, arXiv 2107.00910) drop
    tokens layer by layer, with learned budgets or thresholds; here there is one budget, after the first layer:

    1. The first layer runs on all tokens. A token is worth the attention that it receives there, added up over heads
       and over queries that are no padding. A tax on keys, therefore, that is paid once for all layers above.
    2. The first token, of which classifiers read, and the k - 1 others that are worth most stay; ties by
       position. The rows of the others are cut out of the hidden states, the masks and the position terms.
    3. Behind the last layer those that left are put back as they left, so that whatever pools finds its tokens.

    Sequences of k tokens and fewer pass as they are; in a batch, padding fills up what is shorter than k.

    Args:
        model: an encoder; see `walras.models.ARCHITECTURES`.
        k: tokens that stay.
        watch: as in `attention_market`; from the second layer on it is shown the tokens that stayed.

    Raises:
        InputError: a decoder, whose every token is to be followed by another; one layer only; k below 1.
    """
    check_keys(k)
    row, paths = _eliminable(model)
    tokens = _Tokens(k, row, watch)
    layers = [submodule(model, path) for path in paths]
    with ExitStack() as stack:
        stack.enter_context(attention_market(model, [None] * len(layers), tokens.watch))
        for layer in layers[1:]:
            stack.callback(layer.register_forward_pre_hook(tokens.enter, with_kwargs=True).remove)
        stack.callback(layers[-1].register_forward_hook(tokens.restore).remove)
        yield


def can_eliminate(model: nn.Module) -> bool:
    """Whether `token_elimination` works on the model."""
    try:
        _eliminable(model)
    except InputError:
        return False
    return True


def elimination_macs(model: nn.Module, inventory: Inventory, length: int, k: int) -> Usage:
    """Multiply-accumulates of a sequence of `length` tokens within `token_elimination`, as `macs` counts them.

    Raises:
        InputError: as `token_elimination` and `macs`.
    """
    check_keys(k)
    _eliminable(model)
    first, above = (macs(model, inventory, n) for n in (length, min(k, length)))
    lowest = inventory.layer == 0
    parts = {part: np.where(lowest, first.parts[part], above.parts[part]) for part in first.parts}
    steps = np.where(lowest, first.steps, above.steps)
    return use_by_part(inventory, parts, Workload(length=length), steps)


def _eliminable(model: nn.Module) -> tuple[Architecture, tuple[str, ...]]:
    """The model's row of the table, and its layers."""
    row, paths = architecture(model), layer_paths(model)
    if not row.along_tokens or getattr(model.config, "is_decoder", False):
        raise InputError(
            f"{type(model).__name__} is a decoder: tokens cannot leave, since every one is to be followed by another; "
            "token elimination works on encoders"
        )
    if len(paths) < 2:
        raise InputError(f"{type(model).__name__} has one layer; tokens leave after the first, and nothing runs then")
    return row, paths


@final
class _Tokens:
    """The tokens of the batch that is under way."""

    def __init__(self, k: int, row: Architecture, watch: Watch | None) -> None:
        self.k, self.row, self.outer = k, row, watch
        self.stay: Tensor | None = None  # [batch, k], None where all do
        self.before: Tensor | None = None  # [batch, tokens, hidden], as it came out of the first layer

    def watch(self, layer: int, scores: Tensor, weights: Tensor) -> None:
        """Choose in the first layer."""
        if layer == 0:
            self.stay = _chosen(scores, weights, self.k) if scores.shape[-1] > self.k else None
            self.before = None
        if self.outer is not None:
            self.outer(layer, scores, weights)

    def enter(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Cut what goes into a layer; states are cut once."""
        if self.stay is None:
            return None
        given = signature(type(layer).forward).bind(layer, *args, **kwargs)
        if self.before is None:
            self.before = given.arguments["hidden_states"]
            given.arguments["hidden_states"] = _cut(self.before, self.stay, (1,))
        for name, dims in self.row.along_tokens.items():
            if name in given.arguments:
                given.arguments[name] = _cut(given.arguments[name], self.stay, dims)
        return given.args[1:], given.kwargs

    def restore(self, _: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Put those that left back, as they left."""
        del args
        if self.stay is None or self.before is None:
            return None
        states = output[0] if isinstance(output, tuple) else output
        place = self.stay.unsqueeze(-1).expand(states.shape)
        whole = self.before.scatter(1, place, states)
        self.stay = self.before = None
        return (whole, *output[1:]) if isinstance(output, tuple) else whole


def _chosen(scores: Tensor, weights: Tensor, k: int) -> Tensor:
    """Positions [batch, k] of the tokens that stay, the first token first."""
    real = real_queries(scores)
    received = (weights * real[:, None, :, None]).sum((1, 2)).masked_fill(~real, -torch.inf)
    first = real.int().argmax(-1, keepdim=True)
    received = received.scatter(-1, first, torch.inf)
    return received.argsort(dim=-1, descending=True, stable=True)[:, :k]


def real_queries(scores: Tensor) -> Tensor:
    """Bool [batch, queries] from scores [batch, heads, queries, keys] of self-attention: who may look at itself."""
    return scores[:, 0].diagonal(dim1=-2, dim2=-1) > -torch.inf


def _cut(argument: Any, stay: Tensor, dims: tuple[int, ...]) -> Any:
    """Tokens [batch, k] of an argument, or of each in a tuple, along its dimensions of tokens; what is 1 fits all."""
    if isinstance(argument, tuple):
        return tuple(_cut(part, stay, dims) for part in argument)
    if argument is None:
        return None
    for dim in dims:
        if argument.shape[dim] > 1:
            shape = [len(stay), *([1] * (argument.ndim - 1))]
            shape[dim] = stay.shape[1]
            argument = torch.take_along_dim(argument, stay.view(shape), dim)
    return argument

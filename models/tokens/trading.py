"""A network in which every token buys the features and neurons that it is computed with; for study and calibration."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from walras.errors import InputError
from walras.models.tokens.token_map import TokenMap

Clear = Callable[[TokenMap, Tensor], Tensor]
"""A rule: the bidders [..., n] that get what they bid for (bool), from their values per multiplication [..., n]."""
Tell = Callable[[TokenMap, Tensor, Tensor], None]
"""Is told of every clearing: the map, the values per multiplication [..., n], and who bought (bool [..., n])."""


def everybody(traded: TokenMap, value: Tensor) -> Tensor:
    """A rule: all buy, as in the dense network."""
    del traded
    return torch.ones_like(value, dtype=torch.bool)


def bid_values(traded: TokenMap, signal: Tensor, worth: Tensor) -> Tensor:
    """What every bidder would pay per multiplication [..., n]: signal^2 * worth / cost.

    Args:
        traded: the map.
        signal: [..., n] the input features, or the activated gates of neurons.
        worth: [n] what one squared unit of it is worth to the network.
    """
    return signal.float().square() * (worth / traded.cost)


@contextmanager
def token_markets(
    model: nn.Module,
    maps: Sequence[TokenMap],
    worths: Mapping[str, Tensor],
    clear: Clear,
    tell: Tell | None = None,
) -> Iterator[None]:
    """Within the context every map is computed from what its bidders bought; what nobody bought counts as 0.

    Nothing is saved this way: whole maps are multiplied. The map's bias stays. Padding, where `attention_mask` is 0,
    is computed in full, takes no part in a clearing, and is not told of.

    Args:
        model: the dense network.
        maps: those that are traded.
        worths: by path of the map, [n].
        clear: the rule.
        tell: is told of every clearing.

    Raises:
        InputError: activations, or bids, that are not finite numbers, when the network is run.
    """
    market = _Market(clear, tell)
    with ExitStack() as stack:
        stack.callback(model.register_forward_pre_hook(market.look, with_kwargs=True).remove)
        for traded in maps:
            for handle in _hooks(model, traded, worths[traded.path], market):
                stack.callback(handle.remove)
        yield


@final
class _Market:
    """Clears the bids of real tokens; `look` notes which tokens of a batch are real."""

    def __init__(self, clear: Clear, tell: Tell | None) -> None:
        self._clear = clear
        self._tell = tell
        self._real: Tensor | None = None

    def look(self, model: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        """A hook before the network's forward pass."""
        mask: Any = given.get("attention_mask")
        padded = isinstance(mask, Tensor) and mask.ndim == 2 and not bool(mask.all())
        self._real = mask.bool() if padded else None

    @torch.no_grad()
    def bought(self, traded: TokenMap, signal: Tensor, worth: Tensor) -> Tensor:
        """Who buys: bool [..., n]."""
        value = bid_values(traded, signal, worth)
        if not bool(value.sum().isfinite()):
            cause = "activations" if not bool(signal.isfinite().all()) else "bids, squared activations times worths,"
            raise InputError(f"{cause} of {traded.path} are not finite numbers; nothing can be bid with them")
        real = self._real
        if real is None or real.shape != value.shape[:-1]:
            return self._cleared(traded, value)
        keep = torch.ones_like(value, dtype=torch.bool)
        keep[real] = self._cleared(traded, value[real])
        return keep

    def _cleared(self, traded: TokenMap, value: Tensor) -> Tensor:
        keep = self._clear(traded, value)
        if self._tell is not None:
            self._tell(traded, value, keep)
        return keep


def _hooks(model: nn.Module, traded: TokenMap, worth: Tensor, market: _Market) -> Iterator[RemovableHandle]:
    """The hooks of one map."""
    module = model.get_submodule(traded.path)
    if not traded.signal:

        def offer(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            return (args[0] * market.bought(traded, args[0], worth), *args[1:])  # far faster than masked_fill

        yield module.register_forward_pre_hook(offer)
        return
    gates: list[Tensor] = []  # of the FFN that runs now: its up projection follows its activation

    def note(_: nn.Module, args: Any, output: Tensor) -> None:
        gates[:] = [output]

    def answer(_: nn.Module, args: Any, output: Tensor) -> Tensor:
        return output * market.bought(traded, gates.pop(), worth)

    yield model.get_submodule(traded.signal).register_forward_hook(note)
    yield module.register_forward_hook(answer)

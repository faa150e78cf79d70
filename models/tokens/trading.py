"""A network in which every token buys the features and neurons that it is computed with; for study and calibration."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from walras.models.tokens.token_map import TokenMap

Clear = Callable[[TokenMap, Tensor], Tensor]
"""A rule: the bidders [..., n] that get what they bid for (bool), from their values per multiplication [..., n]."""
Tell = Callable[[TokenMap, Tensor, Tensor], None]
"""Is told of every clearing: the map, the values per multiplication [..., n], and who bought (bool [..., n])."""


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

    Nothing is saved this way: whole maps are multiplied. The map's bias stays.

    Args:
        model: the dense network.
        maps: those that are traded.
        worths: by path of the map, [n].
        clear: the rule.
        tell: is told of every clearing.
    """
    with ExitStack() as stack:
        for traded in maps:
            for handle in _hooks(model, traded, worths[traded.path], clear, tell):
                stack.callback(handle.remove)
        yield


def _hooks(
    model: nn.Module, traded: TokenMap, worth: Tensor, clear: Clear, tell: Tell | None
) -> Iterator[RemovableHandle]:
    """The hooks of one map."""

    def bought(signal: Tensor) -> Tensor:
        with torch.no_grad():
            value = bid_values(traded, signal, worth)
            keep = clear(traded, value)
            if tell is not None:
                tell(traded, value, keep)
        return keep

    module = model.get_submodule(traded.path)
    if not traded.signal:

        def offer(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            return (args[0].masked_fill(~bought(args[0]), 0.0), *args[1:])

        yield module.register_forward_pre_hook(offer)
        return
    gates: list[Tensor] = []  # of the FFN that runs now: its up projection follows its activation

    def note(_: nn.Module, args: Any, output: Tensor) -> None:
        gates[:] = [output]

    def answer(_: nn.Module, args: Any, output: Tensor) -> Tensor:
        return output.masked_fill(~bought(gates.pop()), 0.0)

    yield model.get_submodule(traded.signal).register_forward_hook(note)
    yield module.register_forward_hook(answer)

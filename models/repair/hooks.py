"""Hooks by which a network is read in part: stopped where enough was seen, begun where the rest is known."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from walras.models.replaced_forward import replaced_forward


class Stop(Exception):
    """Everything wanted has been seen: the rest of the network need not run."""


def take_from(
    module: nn.Module, take: Callable[[Tensor], None], *, before: bool, stop: bool = False, first: bool = False
) -> RemovableHandle:
    """Take what goes into a module, or what comes out, and if need be stop the forward pass there.

    `first` is before all hooks that are there, such as gates.
    """

    def into(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        take(args[0] if args else kwargs["hidden_states"])
        if stop:
            raise Stop

    def out(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        take(output[0] if isinstance(output, tuple) else output)
        if stop:
            raise Stop

    handle: RemovableHandle
    if before:
        handle = module.register_forward_pre_hook(into, with_kwargs=True, prepend=first)
    else:
        handle = module.register_forward_hook(out, prepend=first)
    return handle


@contextmanager
def handing_on(layers: Sequence[nn.Module], state: Tensor, tupled: bool) -> Iterator[None]:
    """Let layers do nothing but hand on a state."""

    def hand_on(*_: Any, **__: Any) -> Any:
        return (state,) if tupled else state

    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(replaced_forward(layer, hand_on))
        yield

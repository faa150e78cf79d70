"""Another forward pass in the place of a module's own, for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

from torch import nn


@final
class ReplacedForward:
    """Calling a module runs `forward` between its hooks, until `remove`; then it is as it was.

    Others may do the same to the module in the meantime, if they end before.
    """

    def __init__(self, module: nn.Module, forward: Callable[..., Any]) -> None:
        self._module, self._before, self._on = module, vars(module).get("forward"), True
        module.forward = forward

    def remove(self) -> None:
        """Give the module back what it ran before; a second call does nothing."""
        if not self._on:
            return
        self._on = False
        if self._before is None:
            del self._module.forward
        else:
            self._module.forward = self._before


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """The same within the context; contexts may lie within each other."""
    replaced = ReplacedForward(module, forward)
    try:
        yield
    finally:
        replaced.remove()

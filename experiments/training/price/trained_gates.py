"""Gates on a network that somebody else trains, and what their gradients are collected in."""

from typing import final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models import Inventory
from walras.models.architectures import layers_of
from walras.models.units.gates import Gates, attach_in_training


@final
class TrainedGates:
    """The drawn gates of one step, on the network until `remove` is called.

    However many batches are run in a step, each adds to the gradient of the same numbers, which are no part of any
    graph: backward passes do not know of each other. In evaluation mode, gates are at rest.

    Raises:
        InputError: a network with such gates on it.
    """

    def __init__(self, network: nn.Module, units: Inventory, drawn: Tensor, at_rest: Tensor) -> None:
        first = layers_of(network)[0].module
        if any(isinstance(getattr(hook, "__self__", None), TrainedGates) for hook in first._forward_pre_hooks.values()):
            raise InputError("a price is paid in this network already; close() it, or make the network anew")
        self._drawn, self._at_rest = drawn.detach(), at_rest.detach()
        self.values = self._drawn.clone().requires_grad_()
        self._network = network
        self._evaluates = False
        hook = first.register_forward_pre_hook(self._enter)  # some call `forward` of the network
        self._hooks = Gates((hook, *attach_in_training(network, units, self.values).handles))

    def gradient(self) -> Tensor:
        """What the backward passes have added up [n].

        Raises:
            InputError: there were none.
        """
        if self.values.grad is None:
            raise InputError("a step of the price follows loss.backward(), and the network has not been in this loss")
        return self.values.grad

    def remove(self) -> None:
        """Take the gates off."""
        self._hooks.remove()

    def _enter(self, *_: object) -> None:
        """Show the network the gates of its mode."""
        if self._network.training == self._evaluates:
            self._evaluates = not self._network.training
            with torch.no_grad():
                self.values.copy_(self._at_rest if self._evaluates else self._drawn)

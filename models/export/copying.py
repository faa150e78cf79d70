"""Copies of networks that hold no weight twice."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn


def shared_copy(model: nn.Module, own: Iterable[Tensor] = ()) -> nn.Module:
    """A copy whose parameters and buffers lie in the same memory as the model's, save those that are its `own`.

    Modules, settings and hooks are copies, but not the objects whose methods are hooks, unless they are modules: that
    would copy a whole training. Parameters are other objects, so that `requires_grad` and gradients are each network's
    own. Tied parameters stay tied.
    """
    apart = {id(tensor) for tensor in own}
    memo: dict[int, Any] = {id(t): _alias(t) for t in _tensors(model) if id(t) not in apart}
    return copy.deepcopy(model, {**memo, **{id(owner): owner for owner in _owners_of_hooks(model)}})


def own_copy(small: nn.Module, model: nn.Module) -> nn.Module:
    """Give `small` memory of its own for what it shares with `model`, in place; returns `small`."""
    taken = {tensor.untyped_storage().data_ptr() for tensor in _tensors(model)}
    memo: dict[int, Any] = {}
    for module in small.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None and tensor.untyped_storage().data_ptr() in taken:
                    tensors[name] = copy.deepcopy(tensor, memo)  # type: ignore[assignment]  # of the same type
    return small


def _owners_of_hooks(model: nn.Module) -> Iterator[Any]:
    """Objects that are no modules, and whose methods are hooks of a module."""
    for module in model.modules():
        for name, hooks in vars(module).items():
            if not name.endswith("hooks") or not isinstance(hooks, dict):
                continue
            for hook in hooks.values():
                method = getattr(hook, "hook", hook)  # PyTorch wraps those before loading
                owner = getattr(getattr(method, "func", method), "__self__", None)
                if owner is not None and not isinstance(owner, nn.Module):
                    yield owner


def _alias(tensor: Tensor) -> Tensor:
    """Another tensor of the same kind in the same memory."""
    found = copy.copy(tensor.detach())
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(found, requires_grad=tensor.requires_grad)
    return found


def _tensors(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers, each once."""
    return [*module.parameters(), *module.buffers()]

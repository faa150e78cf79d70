"""The network whose units pay, inside whatever is trained."""

import functools
import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from walras.errors import InputError
from walras.models.objective import Batch

_WAY = "; with cut=False its units get gates, and nothing is cut"


def network_of(model: nn.Module) -> Any:
    """The transformers network in it: itself, what an adapter or sentence-transformers wraps, ...

    Raises:
        InputError: none, or several side by side.
    """
    found: list[nn.Module] = []
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and not any(module is own for one in found for own in one.modules()):
            found.append(module)
    if not found:
        raise InputError(f"{type(model).__name__} holds no transformers network, whose units could pay")
    if len(found) > 1:
        names = ", ".join(type(one).__name__ for one in found)
        raise InputError(f"{type(model).__name__} holds {len(found)} networks side by side: {names}; give one of them")
    return found[0]


def check_cut(network: Any, way: str = _WAY) -> None:
    """Refuse a network whose weights nobody can cut, or change; `way` is what one can do.

    Raises:
        InputError: it is quantised, or has adapters in it.
    """
    if getattr(network, "is_quantized", False) or getattr(network, "hf_quantizer", None) is not None:
        raise InputError(f"{type(network).__name__} is quantised, so that its weights cannot be cut{way}")
    for name, module in network.named_modules():
        if hasattr(module, "base_layer"):  # of every adapter of peft
            raise InputError(
                f"{type(network).__name__} has an adapter at {name}, so that its weights cannot be cut{way}, "
                "or merge the adapter first"
            )


@contextmanager
def own_random_state(seed: int) -> Iterator[None]:
    """Within the context, all sources of random numbers are seeded; afterwards they are as they were before."""
    python, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)


@final
class Calls:
    """Tells a function of every call of a network: arguments, by name, and what came out; until `remove`.

    Some call `forward` itself, as sentence-transformers does, which hooks do not see. Take no copy of the network
    before `remove`.
    """

    def __init__(self, network: nn.Module, tell: Callable[[dict[str, Any], Any], object]) -> None:
        self._network, self._before = network, vars(network).get("forward")
        names = [*inspect.signature(network.forward).parameters]
        forward = network.forward

        @functools.wraps(forward)
        def told(*args: Any, **given: Any) -> Any:
            outputs = forward(*args, **given)
            tell({**dict(zip(names, args, strict=False)), **given}, outputs)
            return outputs

        self._told = network.forward = told

    def remove(self) -> None:
        """Leave the network as it was; nothing where others have wrapped it since, and in a second call."""
        if vars(self._network).get("forward") is not self._told:
            return
        if self._before is not None:
            self._network.forward = self._before
        else:
            del self._network.forward


@contextmanager
def recorded_inputs(network: nn.Module) -> Iterator[list[dict[str, Tensor]]]:
    """Within the context, the list of what the network is called with: tensors by name."""
    found: list[dict[str, Tensor]] = []

    def keep(given: dict[str, Any], _: Any) -> None:
        found.append({name: value.detach() for name, value in given.items() if isinstance(value, Tensor)})

    calls = Calls(network, keep)
    try:
        yield found
    finally:
        calls.remove()


def widest(batches: Sequence[Batch]) -> int:
    """Tokens of the widest batch; 128 where none has tokens."""
    widths = [batch["input_ids"].shape[-1] for batch in batches if "input_ids" in batch]
    return max(widths, default=128)


def mean_of_processes(values: Tensor) -> Tensor:
    """The mean over all processes that train together; the values themselves where this one is alone."""
    if not _together():
        return values
    summed = values.detach().clone()
    torch.distributed.all_reduce(summed)
    return summed / torch.distributed.get_world_size()


def from_first_process(values: Tensor) -> Tensor:
    """What the first of all processes that train together has."""
    if not _together():
        return values
    found = values.detach().clone()
    torch.distributed.broadcast(found, 0)
    return found


def _together() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()

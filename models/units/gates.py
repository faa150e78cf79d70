"""One multiplicative gate a unit, on the input of the output projection of attention and of the FFN.

A gate of 1 leaves the model's output bit-equal; a gate of 0 equals slicing the unit's weights out (Michel et
al. 2019, "Are Sixteen Heads Really Better than One?", with FFN blocks as well). The hook sits outside the
attention kernel, so it works under every attention implementation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from walras.errors import InputError
from walras.models.units.inventory import Inventory, Site, projections


@final
@dataclass(frozen=True)
class Gates:
    """Gates that are attached to a model."""

    handles: tuple[RemovableHandle, ...]

    def remove(self) -> None:
        """Detach them; a second call does nothing."""
        for handle in self.handles:
            handle.remove()


@contextmanager
def gated(model: nn.Module, inventory: Inventory, gates: Tensor, rows: int = 1) -> Iterator[None]:
    """Within the context, every unit's contribution is multiplied by its gate; also removed on an error.

    Run the backward pass inside the context where activations are checkpointed, for that computes them anew.

    Args:
        model: the model that `inventory` was taken from.
        inventory: its units, n of them.
        gates: `[n]`, or `[samples, n]` with gates of their own for each sample. Gradients flow to it, and it
            is read at every forward pass.
        rows: consecutive rows of the batch that belong to one sample, where gates are `[samples, n]`.

    Raises:
        InputError: gates of another shape, not finite; an inventory of another model; in a forward pass, a
            batch that is not `samples * rows` rows long.
    """
    attached = attach(model, inventory, gates, rows)
    try:
        yield
    finally:
        attached.remove()


def attach(model: nn.Module, inventory: Inventory, gates: Tensor, rows: int = 1) -> Gates:
    """As `gated`, but the gates stay until `.remove()` is called on what is returned."""
    _check(inventory, gates, rows)
    outputs = projections(model, inventory)
    hooks = (_Hook(gates, site, rows) for site in inventory.sites)
    return Gates(tuple(p.register_forward_pre_hook(h) for p, h in zip(outputs, hooks, strict=True)))


@final
@dataclass(frozen=True, eq=False)
class _Hook:
    """Multiplies the input of one output projection."""

    gates: Tensor
    site: Site
    rows: int

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        del module
        x: Tensor = args[0]
        # Repeating rather than indexing: its gradient is a plain sum, deterministic on every device.
        own = self.gates[..., self.site.units].to(device=x.device, dtype=x.dtype)
        factor = own.repeat_interleave(self.site.block, -1)[..., : self.site.width]
        if factor.ndim == 1:
            return (_scaled(x, factor), *args[1:])
        batch = len(factor) * self.rows
        # Some families (OPT) join batch and positions before the FFN: [batch * positions, width].
        if (len(x) != batch) if x.ndim > 2 else (len(x) % batch):
            raise InputError(f"{len(factor)} samples of {self.rows} rows are {batch} rows, not {len(x)}")
        by_row = factor.repeat_interleave(self.rows, 0).unsqueeze(1)
        return (_scaled(x.reshape(batch, -1, self.site.width), by_row).reshape(x.shape), *args[1:])


def _scaled(x: Tensor, factor: Tensor) -> Tensor:
    """The product. Without gradients it is written over `x`, which only the projection was to read: a new tensor of
    that size costs more in page faults than in arithmetic."""
    return x * factor if torch.is_grad_enabled() else x.mul_(factor)


def _check(inventory: Inventory, gates: Tensor, rows: int) -> None:
    if not isinstance(gates, Tensor) or gates.ndim not in (1, 2) or gates.shape[-1] != len(inventory):
        given = tuple(gates.shape) if isinstance(gates, Tensor) else type(gates).__name__
        n = len(inventory)
        raise InputError(f"gates of shape {given}; valid: a tensor [{n}] or [samples, {n}] for {n} units")
    if len(gates) == 0 and gates.ndim == 2:
        raise InputError("gates for 0 samples; valid: at least one")
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise InputError(f"rows = {rows!r}; valid: a whole number of batch rows a sample, 1 or more")
    finite = torch.isfinite(gates.detach())
    if not bool(finite.all()):
        place = int((~finite).nonzero()[0, -1])
        raise InputError(f"the gate of {inventory.name(place)} is not finite; valid: any finite number")

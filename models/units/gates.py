"""One multiplicative gate per unit; where it stands is the unit kind's business.

A gate of 1 leaves the model's output bit-equal; a gate of 0 equals slicing the unit's weights out (Michel et
al. 2019, "Are Sixteen Heads Really Better than One?", with other kinds of unit as well).
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.units.inventory import Inventory, sites_and_layers
from walras.models.units.kinds.kind import Removable


@final
@dataclass(frozen=True)
class Gates:
    """Gates, or other hooks, that are attached to a model."""

    handles: tuple[Removable, ...]

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
    with hooked(attach(model, inventory, gates, rows).handles):
        yield


@contextmanager
def skipping(model: nn.Module, inventory: Inventory, keep: Tensor) -> Iterator[None]:
    """Within the context, and of `gated` by `keep` (bool [n]), closed units take less time: see `UnitKind.skipping`.

    What they would compute cannot be seen then. The network's output stays what it is, up to rounding.
    """
    with ExitStack() as stack:
        for site, layer in sites_and_layers(model, inventory):
            units = keep[site.units].cpu()
            if not bool(units.all()):
                stack.enter_context(site.kind.skipping(layer, site, units))
        yield


def attach(model: nn.Module, inventory: Inventory, gates: Tensor, rows: int = 1) -> Gates:
    """As `gated`, but the gates stay until `.remove()` is called on what is returned."""
    _check(inventory, gates, rows)
    places = [*sites_and_layers(model, inventory)]  # refuses another model's inventory before anything is attached
    return Gates(all_or_none(site.kind.attach(layer, site, gates, rows) for site, layer in places))


def attach_in_training(model: nn.Module, inventory: Inventory, gates: Tensor) -> Gates:
    """As `attach`, for gates `[n]` that are trained along with the weights; what differs is rounding, and time.

    Where those are fewer numbers, columns of output projections are multiplied instead of what goes into them.
    """
    _check(inventory, gates, 1)
    places = [*sites_and_layers(model, inventory)]
    return Gates(all_or_none(site.kind.attach_in_training(layer, site, gates) for site, layer in places))


def all_or_none(handles: Iterable[Removable]) -> tuple[Removable, ...]:
    """Handles of hooks that an iterable registers one by one; where it fails on one, those before are removed."""
    done: list[Removable] = []
    try:
        for handle in handles:
            done.append(handle)
    except BaseException:
        Gates(tuple(done)).remove()
        raise
    return tuple(done)


@contextmanager
def hooked(handles: Iterable[Removable]) -> Iterator[None]:
    """Within the context, the hooks that an iterable registers; none stays afterwards, or where one cannot be."""
    hooks = Gates(all_or_none(handles))
    try:
        yield
    finally:
        hooks.remove()


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

"""What passes through a sub-layer: features into its output projection, and the residual stream it is added to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from walras.errors import InputError
from walras.models.architectures import architecture, layer_paths, submodule
from walras.models.inventory import Inventory, Site, projections
from walras.models.objective import Batch


@final
class Stream(NamedTuple):
    """One sub-layer's activations on the real tokens of a batch, one row a token."""

    features: Tensor  # [tokens, width] into the output projection, gates applied
    output: Tensor  # [tokens, hidden] out of it, bias included
    total: Tensor  # [tokens, hidden], the residual stream that the output was added to


@final
class Ascent:
    """Reads sub-layers of one network from the bottom to the top, without running the layers below anew.

    What enters the present layer is kept for every batch in a temporary file that is mapped into memory, so that
    memory does not grow with the number of tokens. Use as a context; ask for layers in ascending order. Between two
    readings weights may change, of the present layer and of those above. The network must be in evaluation mode.

    Raises:
        InputError: the network's settings put its residual stream where its family's row does not look for it.
    """

    def __init__(self, model: nn.Module, batches: Sequence[Batch]) -> None:
        self.model, self.batches = model, batches
        self._row, self._layers = architecture(model), layer_paths(model)
        config = getattr(model, "config", None)
        for name, value in self._row.streams_if.items():
            if getattr(config, name, value) != value:
                raise InputError(f"weights of models with {name} = {getattr(config, name)} cannot be repaired yet")
        self._at, self._states, self._tupled = 0, list[Tensor](), False
        self._device = next(model.parameters()).device

    def __enter__(self) -> "Ascent":
        self._folder = TemporaryDirectory()
        return self

    def __exit__(self, *_: object) -> None:
        self._states.clear()
        self._folder.cleanup()

    @torch.no_grad()
    def read(self, site: Site) -> Iterator[Stream]:
        """What passes at a sub-layer, batch by batch; gates that are attached apply.

        Raises:
            InputError: the layer lies below one that was read before.
        """
        self._climb(site.layer)
        below, sublayer = self._layers[site.layer], self._row.heads if site.kind == "head" else self._row.ffn
        projection = submodule(self.model, site.path)
        where = submodule(self.model, f"{below}.{sublayer.stream}" if sublayer.stream else below)
        for i, batch in enumerate(self.batches):
            found: dict[str, Tensor] = {}
            handles = [
                _take(projection, partial(found.__setitem__, "features"), before=True),
                _take(projection, partial(found.__setitem__, "output"), before=False),
                _take(where, partial(found.__setitem__, "total"), before=bool(sublayer.stream), stop=True),
            ]
            self._run(i, batch, handles)
            yield Stream(**{name: real_tokens(tensor, batch) for name, tensor in found.items()})

    def _climb(self, layer: int) -> None:
        """Make the states those that enter `layer`."""
        if layer < self._at:
            raise InputError(f"layer {layer} lies below layer {self._at}, which has been read")
        while not self._states or self._at < layer:
            first = not self._states
            above = self._at + (not first)
            for i, batch in enumerate(self.batches):
                entering = submodule(self.model, self._layers[above])
                handles = [_take(entering, partial(self._keep, i), before=True, stop=True)]
                if not first:
                    handles.append(submodule(self.model, self._layers[self._at]).register_forward_hook(self._returned))
                self._run(i, batch, handles, first)
            self._at = above

    def _returned(self, _: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Note how a layer of this family hands on its states."""
        self._tupled = isinstance(output, tuple)

    def _keep(self, i: int, hidden: Tensor) -> None:
        """Keep the states of batch i on disk."""
        if i == len(self._states):
            file = Path(self._folder.name) / str(i)
            mapped = torch.from_file(str(file), shared=True, size=hidden.numel(), dtype=hidden.dtype)
            self._states.append(mapped.view(hidden.shape))
        self._states[i].copy_(hidden)

    def _run(self, i: int, batch: Batch, handles: Sequence[Any], first: bool = False) -> None:
        """Run the network on batch i, starting at the present layer, until a hook stops it."""
        try:
            below = [] if first else [submodule(self.model, path) for path in self._layers[: self._at]]
            with _passed(below, self._states[i].to(self._device) if below else torch.empty(0), self._tupled):
                self.model(**inputs(self.model, batch))
        except _Stop:
            return
        finally:
            for handle in handles:
                handle.remove()
        raise InputError(f"{type(self.model).__name__} did not pass layer {self._at}")


@contextmanager
def features(model: nn.Module, inventory: Inventory) -> Iterator[list[Tensor]]:
    """Within the context, what goes into every output projection at the last forward pass, one tensor a site.

    Entered within `gated`, the gates have been applied.
    """
    seen = [torch.empty(0)] * len(inventory.sites)
    outputs = projections(model, inventory)
    handles = [_take(p, partial(seen.__setitem__, i), before=True) for i, p in enumerate(outputs)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


class _Stop(Exception):
    """Everything wanted has been seen: the rest of the network need not run."""


def _take(module: nn.Module, take: Callable[[Tensor], None], *, before: bool, stop: bool = False) -> Any:
    """Take what goes into a module, or what comes out, and if need be stop the forward pass there."""

    def into(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        take(args[0] if args else kwargs["hidden_states"])
        if stop:
            raise _Stop

    def out(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        take(output[0] if isinstance(output, tuple) else output)
        if stop:
            raise _Stop

    return module.register_forward_pre_hook(into, with_kwargs=True) if before else module.register_forward_hook(out)


@contextmanager
def _passed(layers: Sequence[nn.Module], state: Tensor, tupled: bool) -> Iterator[None]:
    """Let layers do nothing but hand on a state."""

    def hand_on(*_: Any, **__: Any) -> Any:
        return (state,) if tupled else state

    for layer in layers:
        layer.forward = hand_on
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def inputs(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The batch without labels, where the model is."""
    device = next(model.parameters()).device
    return {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}


def by_length(batches: Sequence[Batch]) -> Sequence[Batch]:
    """The same rows, without labels, in batches of like length and with as little padding as that leaves.

    For work that takes every row by itself: samples of several rows are torn apart. Batches that hold anything but
    [rows, length] tensors beside a mask, or that are padded on the left, stay as they are.
    """
    rows: list[dict[str, Tensor]] = []
    for place in range(len(batches)):  # by number: whoever counts passes over the batches counts those of valuations
        batch = batches[place]
        kept, mask = {k: v for k, v in batch.items() if k != "labels"}, batch.get("attention_mask")
        if mask is None or any(v.shape != mask.shape for v in kept.values()):
            return batches
        lengths = mask.sum(-1)
        if not bool((mask == (torch.arange(mask.shape[1], device=mask.device) < lengths.unsqueeze(-1))).all()):
            return batches
        rows.extend({k: v[i, :n] for k, v in kept.items()} for i, n in enumerate(lengths.tolist()))
    rows.sort(key=lambda row: len(row["attention_mask"]))
    size = max(len(batches[place]["attention_mask"]) for place in range(len(batches)))
    return [
        {k: pad_sequence([row[k] for row in rows[i : i + size]], batch_first=True) for k in rows[i]}
        for i in range(0, len(rows), size)
    ]


def real_tokens(tensor: Tensor, batch: Batch) -> Tensor:
    """Rows [tokens, d] of [batch, length, d] (or of [batch * length, d]) that are no padding."""
    rows, mask = tensor.reshape(-1, tensor.shape[-1]), batch.get("attention_mask")
    return rows if mask is None else rows[mask.flatten().bool().to(rows.device)]

"""One network, read sub-layer by sub-layer from the bottom to the top."""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import Layer, architecture, layer_paths, layers_of, submodule, transformer
from walras.models.objective import Batch
from walras.models.repair.hooks import Stop, handing_on, take_from
from walras.models.repair.known_inputs import KnownInputs
from walras.models.repair.streams import inputs, real_tokens
from walras.models.repair.tensor_files import TensorFiles
from walras.models.units.site import Site

_STATE = "entering the layer"


@final
class Stream(NamedTuple):
    """One sub-layer's activations on the real tokens of a batch, one row a token."""

    whole: Tensor  # [tokens, width] into the output projection, before its gates
    features: Tensor  # [tokens, width] the same, gates applied
    output: Tensor  # [tokens, hidden] out of it, bias included, before a norm or a scale
    total: Tensor  # [tokens, hidden], the residual stream after the sub-layer, in units of what was added to it


def check_streams(model: nn.Module) -> None:
    """Refuse a model whose settings put its residual stream where its family's row does not look for it.

    Raises:
        InputError: as said.
    """
    config = getattr(model, "config", None)
    for name, value in architecture(model).streams_if.items():
        if getattr(config, name, value) != value:
            raise InputError(f"weights of models with {name} = {getattr(config, name)} cannot be repaired yet")


def stream_module(model: nn.Module, site: Site) -> tuple[nn.Module, bool]:
    """The module at which the residual stream after a sub-layer passes, and whether it is what goes in."""
    layer, path = layers_of(model)[site.layer], str(getattr(architecture(model), site.sublayer).stream)
    return (layer.at(path), True) if path else (layer.module, False)


def stream_scale(model: nn.Module) -> float:
    """By what a sub-layer's output is multiplied before it is added to the stream."""
    name = architecture(model).multiplier
    return float(getattr(transformer(model).config, name)) if name else 1.0


@final
class LayerwiseRunner:
    """Reads or runs one network from a layer on, without running the layers below anew.

    What enters the present layer is kept for every batch in a temporary file that is mapped into memory, so that
    memory does not grow with the number of tokens; so is what enters the output projections of its sub-layers that
    have been read, which are not run again. Ask for layers in ascending order: asking for a lower one begins
    anew at the bottom. In between weights may change, of the present layer and of those above. The network must be in
    evaluation mode. It is held weakly; files are gone when `close` is called, or it or this is no more.
    """

    def __init__(self, model: nn.Module, batches: Sequence[Batch]) -> None:
        self._model, self.batches = weakref.ref(model), batches
        self._layers = layer_paths(model)
        self._at, self._begun, self._tupled = 0, False, False
        self._settled: Tensor | None = None
        self._files = TensorFiles(model)
        weakref.finalize(self, self._files.close)
        self._inputs = KnownInputs(self._files)

    @property
    def model(self) -> nn.Module:
        """The network, for as long as somebody else holds it."""
        return held(self._model)

    def __enter__(self) -> "LayerwiseRunner":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files; nothing can be read any more."""
        self._files.close()

    @torch.no_grad()
    def read(self, site: Site) -> Iterator[Stream]:
        """What passes at a sub-layer, batch by batch; gates that are attached apply.

        Raises:
            InputError: the network's settings put its residual stream where its family's row does not look for it.
        """
        model = self.model
        check_streams(model)
        self.advance_to(site.layer)
        layer, projection, scale = layers_of(model)[site.layer], submodule(model, site.path), stream_scale(model)
        where, before = stream_module(model, site)
        with self._inputs.reading(layer, site.path) as keep:
            for place, batch in self._numbered():
                found: dict[str, Tensor] = {}
                handles = [
                    take_from(projection, partial(_copy_into, found, "whole"), before=True, first=True),
                    take_from(projection, partial(found.__setitem__, "features"), before=True),
                    take_from(projection, partial(found.__setitem__, "output"), before=False),
                    take_from(where, partial(found.__setitem__, "total"), before=before, stop=True),
                ]
                with self._knowing(layer, place):
                    self._run(model, batch, handles)
                keep(place, found["whole"])
                rows = {name: real_tokens(tensor, batch) for name, tensor in found.items()}
                yield Stream(rows["whole"], rows["features"], rows["output"], rows["total"] / scale)

    @torch.no_grad()
    def read_inputs(self, site: Site) -> Iterator[Tensor]:
        """What enters an output projection, before its gates, one row a real token [tokens, width], batch by batch.

        Gates of what lies below apply. For any network, wherever what the projection writes is added to the stream.
        """
        model = self.model
        self.advance_to(site.layer)
        layer, projection = layers_of(model)[site.layer], submodule(model, site.path)
        with self._inputs.reading(layer, site.path) as keep:
            for place, batch in self._numbered():
                found: dict[str, Tensor] = {}
                take = partial(_copy_into, found, "whole")
                handle = take_from(projection, take, before=True, stop=True, first=True)
                with self._knowing(layer, place):  # what is known is handed in before our hook
                    self._run(model, batch, [handle])
                keep(place, found["whole"])
                yield real_tokens(found["whole"], batch)

    @torch.no_grad()
    def advance_to(self, layer: int, settled: Tensor | None = None) -> None:
        """Make the states those that enter `layer`, under the gates that are attached.

        `settled` are the gates [m] of the units below, as far as they are final. Where one of them is not what it was
        when it was given before, states are taken anew from the bottom.
        """
        if not self._files.open:
            held(self._model)  # says so where the network is what is gone
            raise InputError("this runner has been closed; its files are gone")
        if layer < self._at or not _agree(settled, self._settled):
            self._restart()
        if settled is not None:
            self._settled = settled.detach().clone()
        try:
            while not self._begun or self._at < layer:
                self._advance_one()
        except BaseException:  # some batches may be a layer further than others
            self._restart()
            raise

    def _advance_one(self) -> None:
        """One layer up, or to the lowest one."""
        model, first = self.model, not self._begun
        above, layer = self._at if first else self._at + 1, layers_of(model)[self._at]
        for place, batch in self._numbered():
            entering, keep = submodule(model, self._layers[above]), partial(self._keep, place)
            handles = [take_from(entering, keep, before=True, stop=True)]
            if first:
                self._run(model, batch, handles)
                continue
            handles.append(layer.module.register_forward_hook(self._returned))
            with self._knowing(layer, place):
                self._run(model, batch, handles)
        self._at, self._begun = above, True
        self._inputs.forget()

    def _restart(self) -> None:
        """Back to the bottom."""
        self._inputs.forget()
        self._at, self._begun, self._settled = 0, False, None

    @contextmanager
    def starting_at(self, place: int) -> Iterator[None]:
        """Within the context the network, called with batch number `place`, begins at the present layer."""
        model, device = self.model, next(self.model.parameters()).device
        below = [submodule(model, path) for path in self._layers[: self._at]]
        with handing_on(below, self._files[_STATE, place].to(device), self._tupled):
            yield

    @contextmanager
    def _knowing(self, layer: Layer, place: int) -> Iterator[None]:
        """The same, and what has been read of the present layer is not computed again."""
        with self.starting_at(place), self._inputs.standing_in(layer, place):
            yield

    def _numbered(self) -> Iterator[tuple[int, Batch]]:
        """Batches with their numbers; by number: whoever counts passes over the batches counts those of valuations."""
        for place in range(len(self.batches)):
            yield place, self.batches[place]

    def _returned(self, _: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Note how a layer of this family hands on its states."""
        self._tupled = isinstance(output, tuple)

    def _keep(self, place: int, hidden: Tensor) -> None:
        """Keep the states of a batch on disk."""
        self._files.keep((_STATE, place), hidden)

    def _run(self, model: nn.Module, batch: Batch, handles: Sequence[Any]) -> None:
        """Run the network on a batch until a hook stops it."""
        try:
            model(**inputs(model, batch))
        except Stop:
            return
        finally:
            for handle in handles:
                handle.remove()
        raise InputError(f"{type(model).__name__} did not pass layer {self._at}")


def _copy_into(found: dict[str, Tensor], name: str, tensor: Tensor) -> None:
    """Keep a copy: gates are written over what goes into a projection."""
    found[name] = tensor.clone()


def held(reference: "weakref.ref[nn.Module]") -> nn.Module:
    """The network that is referred to.

    Raises:
        InputError: nobody holds it any more.
    """
    model = reference()
    if model is None:
        raise InputError("the network has been deleted; keep a reference to it while it is traded on")
    return model


def _agree(now: Tensor | None, before: Tensor | None) -> bool:
    """Whether gates are what they were, as far as both are known."""
    if now is None or before is None:
        return True
    known = min(len(now), len(before))
    return torch.equal(now[:known], before[:known])

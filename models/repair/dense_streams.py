"""The residual streams of a network that nobody changes, every layer of which is run once."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple, final

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from walras.models.architectures import layer_paths, layers_of, submodule
from walras.models.objective import Batch
from walras.models.repair.hooks import take_from
from walras.models.repair.layerwise_runner import LayerwiseRunner, check_streams, stream_module, stream_scale
from walras.models.repair.streams import real_tokens
from walras.models.repair.tensor_files import TensorFiles
from walras.models.units.gates import hooked
from walras.models.units.mixtures import MIXTURE
from walras.models.units.site import Site


@final
class DenseStream(NamedTuple):
    """What comes out of one sub-layer on the real tokens of a batch, one row a token; see `Stream`."""

    output: Tensor  # [tokens, hidden]
    total: Tensor  # [tokens, hidden]
    experts_input: Tensor | None  # [tokens, hidden], of a mixture of experts

    @property
    def entering(self) -> Tensor:
        """What enters router and experts."""
        assert self.experts_input is not None, "not a mixture"
        return self.experts_input


@final
class DenseStreams:
    """What the residual stream is after each of a network's sub-layers.

    In the pass that takes the batches to the layer above, the streams after all sub-layers of a layer are kept, in
    files that are mapped into memory. Ask for layers in ascending order: asking for a lower one begins anew at the
    bottom. The network must be in evaluation mode, and may not change in between. It is held weakly; files are gone
    when `close` is called, or it or this is no more.
    """

    def __init__(self, model: nn.Module, batches: Sequence[Batch], sites: Sequence[Site]) -> None:
        self._runner, self._sites, self._layers = LayerwiseRunner(model, batches), tuple(sites), len(layer_paths(model))
        self._files, self._layer = TensorFiles(model), -1

    @property
    def model(self) -> nn.Module:
        """The network, for as long as somebody else holds it."""
        return self._runner.model

    def close(self) -> None:
        """Remove the files; nothing can be read any more."""
        self._runner.close()
        self._files.close()

    def read(self, site: Site) -> Iterator[DenseStream]:
        """What comes out of a sub-layer, batch by batch.

        Raises:
            InputError: the network's settings put its residual stream where its family's row does not look for it.
        """
        check_streams(self.model)
        if site.layer == self._layers - 1:  # there is no layer above to go to
            yield from (DenseStream(seen.output, seen.total, seen.whole) for seen in self._runner.read(site))
            return
        if site.layer != self._layer or not self._files.open:
            self._pass(site.layer)
        scale, below = stream_scale(self.model), self._below(site)
        for place in range(len(self._runner.batches)):
            parts = ("output", "total", "input") if site.sublayer == MIXTURE else ("output", "total")
            output, total, *entering = (
                real_tokens(self._files[below, part, place], self._runner.batches[place]) for part in parts
            )
            yield DenseStream(output, total / scale, entering[0] if entering else None)

    def read_inputs(self, site: Site) -> Iterator[Tensor]:
        """What enters a sub-layer's output projection [tokens, width], likewise, in a pass of its own."""
        yield from self._runner.read_inputs(site)

    def _pass(self, layer: int) -> None:
        """Keep the streams of a layer, and go to the one above."""
        self._layer = -1  # should this fail half-way
        self._runner.advance_to(layer)
        own = [site for site in self._sites if site.layer == layer]
        with hooked(handle for site in own for handle in self._watched(site)):
            self._runner.advance_to(layer + 1)
        self._layer = layer

    def _below(self, site: Site) -> str:
        """A name that is the same in every layer, so that files are overwritten."""
        return layers_of(self.model)[site.layer].below(site.path)

    def _watched(self, site: Site) -> Iterator[RemovableHandle]:
        """Keep what passes after a sub-layer, which it does once a batch, batch by batch."""
        (module, before), outputs, totals, inputs = stream_module(self.model, site), count(), count(), count()
        projection, path = submodule(self.model, site.path), self._below(site)
        yield take_from(projection, lambda x: self._files.keep((path, "output", next(outputs)), x), before=False)
        if site.sublayer == MIXTURE:
            yield take_from(projection, lambda x: self._files.keep((path, "input", next(inputs)), x), before=True)
        yield take_from(module, lambda x: self._files.keep((path, "total", next(totals)), x), before=before)

"""What goes into the output projections of a layer, kept so that it need not be computed again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

from torch import Tensor, nn

from walras.models.architectures import Layer
from walras.models.families import SubLayer
from walras.models.repair.tensor_files import TensorFiles
from walras.models.replaced_forward import replaced_forward
from walras.models.units.gates import hooked
from walras.models.units.projections import features

Versions = Mapping[str, tuple[int, int]]


@final
@dataclass(frozen=True, eq=False)
class KnownInputs:
    """Of the layer that a network was read in last: what entered output projections, before gates, batch by batch.

    A sub-layer that has been read need not run again when one above it is, or when the layer is passed: attention is
    left out, the maps into an FFN write zeros instead, and what is known goes into the output projection, which applies
    its gates and its weights as they are now. What is known of a sub-layer holds until a weight of the layer has
    changed, those of its own output projection and of ones that were read later excepted.
    """

    files: TensorFiles
    known: dict[str, tuple[SubLayer, Versions]] = field(default_factory=dict)  # by path of the projection in the layer

    def forget(self) -> None:
        """Another layer, or other gates."""
        self.known.clear()

    @contextmanager
    def reading(self, layer: Layer, path: str) -> Iterator[Callable[[int, Tensor], None]]:
        """Within the context, the function that keeps what enters an output projection in a batch."""
        below, versions = layer.below(path), _versions(layer)
        sublayer = next((s for s in (layer.row.heads, layer.ffn) if s is not None and s.output == below), None)
        yield lambda place, whole: self.files.keep((below, place), whole)
        if sublayer is not None:
            self.known.pop(below, None)
            self.known[below] = sublayer, versions

    @contextmanager
    def standing_in(self, layer: Layer, place: int) -> Iterator[None]:
        """Within the context what is known of sub-layers stands in for what computes it, in batch number `place`."""
        now, own = _versions(layer), set[str]()
        with ExitStack() as stack:
            for path, (sublayer, versions) in reversed(self.known.items()):
                own.add(path)
                changed = {name for name, version in now.items() if versions.get(name) != version}
                if {name.rpartition(".")[0] for name in changed} <= own:
                    stack.enter_context(_handed_in(layer, sublayer, self.files[path, place]))
            yield


@contextmanager
def _handed_in(layer: Layer, sublayer: SubLayer, kept: Tensor) -> Iterator[None]:
    """Let a tensor go into the output projection of a sub-layer, which is not computed."""
    row = layer.row
    if sublayer is row.heads:
        inside = sublayer.output.startswith(f"{row.attention}.")
        stands_in = partial(_attention, layer.at(sublayer.output) if inside else None, kept)
        with replaced_forward(layer.at(row.attention), stands_in):
            yield
        return
    maps = [layer.at(projection.path) for projection in sublayer.inputs]
    handle = layer.at(sublayer.output).register_forward_pre_hook(partial(_given, kept), prepend=True)
    with hooked([handle]), ExitStack() as stack:
        for module in maps:
            stack.enter_context(replaced_forward(module, partial(_zeros, features(module)[1])))
        yield


def _attention(projection: nn.Module | None, kept: Tensor, hidden_states: Tensor, *_: Any, **__: Any) -> Any:
    """What an attention module returns, output and weights: where it holds its output projection, what this writes."""
    known = kept.to(hidden_states.device, copy=True)
    return (known if projection is None else projection(known)), None


def _given(kept: Tensor, _: nn.Module, args: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """A hook by which a module gets a copy of a known tensor, which gates may write over, in the place of its input."""
    return (kept.to(args[0].device, copy=True), *args[1:])


def _zeros(width: int, x: Tensor) -> Tensor:
    """What a map that need not be computed writes."""
    return x.new_zeros(*x.shape[:-1], width)


def _versions(layer: Layer) -> Versions:
    """Of every weight of a layer: which tensor it is, and how often it was written to."""
    return {name: (id(weight), weight._version) for name, weight in layer.module.named_parameters()}

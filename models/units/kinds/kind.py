"""What a kind of unit is: where its units are in a layer, and how they are gated, cut out and counted."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from walras.errors import InputError
from walras.models.architectures import Layer
from walras.models.families import Architecture
from walras.models.units.site import Site

Column = NDArray[np.float64]


class Amounts(NamedTuple):
    """What the units of one site use of something; both columns are `[units of the site]`.

    Where the kept units of the site are numbered from 0, number r uses `own` of itself and `steps[r]` besides: what
    the sub-layer uses at all is a step at 0, and what a router's k chosen experts compute are k equal steps.
    """

    own: Column
    steps: Column

    @classmethod
    def of_own(cls, own: Column) -> "Amounts":
        """Every unit uses an amount of its own, whichever others are kept."""
        return cls(own, np.zeros(len(own)))


@final
@dataclass(frozen=True, eq=False)
class WeightShare:
    """How much of one tensor of the state dict leaves with each unit of a site."""

    tensor: Tensor
    own: Column  # [units of the site], elements that leave with the unit
    rest: int = 0  # elements that leave with the last unit besides


class Removable(Protocol):
    """Something that is on a network until it is removed."""

    def remove(self) -> None:
        """Take it off."""


class UnitKind(ABC):
    """A kind of unit that can be traded.

    Concrete kinds are final frozen dataclasses. Everything about a network comes in a `Layer` (the module, its path,
    its family's row) and a `Site` that `sites` made for it; a kind keeps no state. Nothing outside this package knows
    which kinds there are. Kinds of an inventory must not overlap: no two may have sites in one sub-layer.
    """

    name: ClassVar[str]
    """Value of the inventory's column `kind`, such as "head"."""

    plural: ClassVar[str] = ""
    """Several of them, as a table calls the column that counts them: "heads"; the name and an s where it is empty."""

    letter: ClassVar[str] = ""
    """Stands before the index in a unit's name: with "H", unit 7 of layer 3 is `L3.H7`."""

    finest: ClassVar[bool] = False
    """Whether `inventory` takes the kind by default. The sites of the finest kinds cover every sub-layer of a network
    once; costs of sub-layers that an inventory leaves out, and export's counts, come from them."""

    @abstractmethod
    def sites(self, layer: Layer) -> Iterable[Site]:
        """Sites in a layer as it is, in the order of their units; none where it has none, or none left.

        `units` of a site counts from 0; the inventory shifts it.

        Raises:
            InputError: the layer is not laid out as its family's row says.
        """

    def unit_name(self, site: Site, index: int) -> str:
        """Name of a unit within its layer; `index` is its place in the site."""
        return f"{self.letter}{site.first + index}"

    def members(self, layer: Layer, site: Site) -> int:
        """How many things a unit holds: query heads in a group that shares a key and a value; 1 elsewhere."""
        del layer, site
        return 1

    # Running with gates

    @abstractmethod
    def attach(self, layer: Layer, site: Site, gates: Tensor, rows: int) -> RemovableHandle:
        """Multiply every unit's contribution by its gate at each forward pass, until the handle is removed.

        A gate of 1 leaves the output bit-equal; gates of 0 give what `cut` gives. Gradients flow to the gates.

        Args:
            layer: the layer of the site.
            site: its units own columns `site.units` of the gates.
            gates: `[n]`, or `[samples, n]` with gates of their own for each sample of `rows` consecutive batch rows;
                read at every forward pass.
            rows: as said.
        """

    def attach_in_training(self, layer: Layer, site: Site, gates: Tensor) -> Removable:
        """As `attach`, for gates `[n]` that are trained along with the weights.

        A kind may find the product in a cheaper way. A gate of 1 leaves the output as it is up to rounding.
        """
        return self.attach(layer, site, gates, 1)

    @abstractmethod
    def check(self, layer: Layer, site: Site) -> None:
        """Refuse a layer that has not what the site says: of another model, or after slicing.

        Raises:
            InputError: as said.
        """

    def skipping(self, layer: Layer, site: Site, keep: Tensor) -> AbstractContextManager[None]:
        """Within the context, what units that are not in `keep` (bool `[units of the site]`) compute may be left out.

        Where it is, 0 stands in its place: with their gates at 0 the network's output stays what it is.
        """
        del layer, site, keep
        return nullcontext()

    # Features: what valuations and repairs look at. A kind without them leaves these as they are.

    def projection(self, layer: Layer, site: Site) -> nn.Module | None:
        """The linear map from the site's features to the sub-layer's output, which a repair may change; None: none."""
        del layer, site
        return None

    def repaired(self, layer: Layer, site: Site) -> Iterable[Tensor]:
        """The parameters that a repair may change, in place, in a network that owns them."""
        projection = self.projection(layer, site)
        return () if projection is None else tuple(projection.parameters())

    def output_weight(self, layer: Layer, site: Site) -> Tensor:
        """The weight `[hidden, width]`, with its gradients; column j is what feature j writes.

        Raises:
            InputError: the kind has no such weight.
        """
        del layer
        raise InputError(f"units of kind {self.name!r} have no output weights (layer {site.layer})")

    def watch(self, layer: Layer, site: Site, take: Callable[[Tensor], None]) -> RemovableHandle:
        """Hand the site's features `[..., width]` to `take` at each forward pass, after gates attached before.

        Raises:
            InputError: the kind has no features that can be seen.
        """
        del layer, take
        raise InputError(f"the features of units of kind {self.name!r} cannot be read (layer {site.layer})")

    def fold(self, layer: Layer, site: Site, gates: Tensor) -> None:
        """Write the gates `[units of the site]` into the weights, in place: the gated network, without gates.

        Raises:
            InputError: the kind's gates cannot be written into weights.
        """
        del layer, gates
        raise InputError(f"gates of units of kind {self.name!r} cannot be folded into weights (layer {site.layer})")

    # Cutting out

    @abstractmethod
    def cut(self, layer: Layer, site: Site, keep: Tensor) -> None:
        """Remove the units that are not in `keep` (bool `[units of the site]`, not all) from the layer, in place.

        Parameters must be replaced, never written to: other networks may share them.

        Raises:
            InputError: weights that cannot be cut, such as quantised ones.
        """

    # Counting

    @abstractmethod
    def macs(self, layer: Layer, site: Site, length: int) -> Mapping[str, Amounts]:
        """Multiply-accumulates of the site's units for one sequence of `length` tokens under eager attention, by part.

        Together they are what runs in the sub-layer's matrix products (as `FlopCounterMode` counts them).
        """

    @abstractmethod
    def weights(self, layer: Layer, site: Site) -> Iterable[WeightShare]:
        """What `cut` removes: parameters, bytes and any resource of the kind are counted from it."""

    def shape(self, layer: Layer, site: Site) -> str:
        """Name of the kind, a space, and the sizes on which a sub-layer's time depends: equal ones take equal time."""
        sizes = {"x".join(map(str, part.tensor.shape)) for part in self.weights(layer, site)}
        return f"{self.name} {' '.join(sorted(sizes))}"

    def timed_counts(self, site: Site) -> Sequence[int]:
        """Numbers of units, ascending from 1 or more, the last one all, at which a latency table is measured."""
        shares = (1 / 48, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1)
        return sorted({max(1, round(len(site) * share)) for share in shares})

    # Exports. Only finest kinds say anything here.

    def layout(self, row: Architecture) -> Mapping[str, Any]:
        """What `modeling_walras.py` has to know of a family to make layers smaller: keys of the `walras` part of
        `config.json`, as plain data."""
        del row
        return {}

    def counts(self, layer: Layer, config: Any) -> Mapping[str, Any]:
        """What is left of a layer, read off its weights: its part of `per_layer_config`, as plain data.

        `modeling_walras.py` must have the code that makes a stock layer as small as that.
        """
        del layer, config
        return {}

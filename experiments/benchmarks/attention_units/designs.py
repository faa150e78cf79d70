"""Designs of what is traded of attention, what its parts cost, and which of them one price keeps."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from walras.errors import InputError
from walras.models.architectures import transformer

FAMILIES = ("llama", "mistral", "qwen2")
"""Decoders spelled as Llama, whose rotary embedding turns features i and i + size / 2 of a head together."""
_STEPS = 100  # of a bisection

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@final
@dataclass(frozen=True)
class Design:
    """What is traded of attention; FFN neurons always are. `heads`: a group of heads may leave whole.

    Else a group leaves when all of its dimensions have: nothing is left that its queries and keys are for. `axes`:
    dimensions are principal axes of what the group writes (`in_principal_axes`).
    """

    heads: bool = False
    dimensions: bool = False
    pairs: bool = False
    axes: bool = False


DESIGNS = {
    "heads": Design(heads=True),
    "dimensions": Design(dimensions=True),
    "dimensions, heads": Design(dimensions=True, heads=True),
    "pairs, dimensions": Design(pairs=True, dimensions=True),
    "axes": Design(dimensions=True, axes=True),
    "axes, heads": Design(dimensions=True, axes=True, heads=True),
    "pairs, axes": Design(pairs=True, dimensions=True, axes=True),
}


class Parts(NamedTuple):
    """An array for each sort of part: worths, or which of them stay."""

    neurons: Any  # [layers, neurons]
    dimensions: Any  # [layers, groups, size]
    pairs: Any  # [layers, groups, size / 2]


@final
@dataclass(frozen=True)
class Sizes:
    """Sizes of a decoder: groups of query heads share a key and a value."""

    layers: int
    hidden: int
    heads: int
    groups: int
    size: int  # of a head
    neurons: int
    length: int  # tokens of a sequence

    @staticmethod
    def of(model: nn.Module, length: int) -> "Sizes":
        """Read from a model's configuration.

        Raises:
            InputError: a family that is not spelled as Llama is.
        """
        config: Any = transformer(model).config
        if config.model_type not in FAMILIES:
            raise InputError(f"parts of heads are traded here in {', '.join(FAMILIES)}; this is a {config.model_type}")
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return Sizes(
            config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.num_key_value_heads,
            size, config.intermediate_size, length,
        )  # fmt: skip

    @property
    def shared(self) -> int:
        """Query heads of a group."""
        return self.heads // self.groups

    @property
    def neuron(self) -> int:
        """MACs of a neuron: a row of gate and up, a column of down."""
        return self.length * 3 * self.hidden

    @property
    def dimension(self) -> int:
        """MACs of a value dimension of a group: a row of the value map; in each head mixing and a column of output."""
        return self.length * (self.hidden + self.shared * (self.length + self.hidden))

    @property
    def pair(self) -> int:
        """MACs of a rotary pair of a group: two rows of the key map; in each head two of queries and of scores."""
        return 2 * self.length * (self.hidden + self.shared * (self.hidden + self.length))

    @property
    def dense(self) -> int:
        """MACs of all layers."""
        group = self.size * self.dimension + self.size // 2 * self.pair
        return self.layers * (self.neurons * self.neuron + self.groups * group)

    def macs(self, keep: Parts) -> int:
        """MACs of what stays, as if everything else were sliced away."""
        counts = (int(mask.sum()) for mask in keep)
        return sum(n * cost for n, cost in zip(counts, (self.neuron, self.dimension, self.pair), strict=True))


def cleared(worth: Parts, whole: Values, sizes: Sizes, budget: float, design: Design) -> Parts:
    """What stays at the lowest price per MAC at which a budget, a share of the dense MACs, is kept.

    A part stays if it is worth more than its MACs cost. A group of heads then stays if what it is worth as a whole,
    less what its parts that leave are worth, is more than the rest costs; or, where it cannot leave whole, if a
    dimension of it is left. Neurons take what is left of the budget, the worthiest first.

    Args:
        worth: of every part.
        whole: [layers, groups] worth of a group of heads.
        sizes: of the network.
        budget: as said.
        design: what may leave; the rest of attention stays.
    """
    most, low, high = budget * sizes.dense * (1 + 1e-12), 0.0, 1.0
    while sizes.macs(_at(worth, whole, sizes, high, design)) > most:
        high *= 2
        if high > 1e300:
            raise InputError(f"budget is {budget}; what this design never gives up costs more")
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if sizes.macs(_at(worth, whole, sizes, middle, design)) > most:
            low = middle
        else:
            high = middle
    keep = _at(worth, whole, sizes, high, design)
    gone = np.flatnonzero(~keep.neurons)
    spare = int((most - sizes.macs(keep)) // sizes.neuron)
    best = gone[np.argsort(-worth.neurons.reshape(-1)[gone], kind="stable")[:spare]]
    neurons = keep.neurons.copy()
    neurons.reshape(-1)[best] = True
    return keep._replace(neurons=neurons)


def _at(worth: Parts, whole: Values, sizes: Sizes, price: float, design: Design) -> Parts:
    """What stays at a price per MAC."""
    neurons = worth.neurons > price * sizes.neuron
    dimensions = (worth.dimensions > price * sizes.dimension) | (not design.dimensions)
    pairs = (worth.pairs > price * sizes.pair) | (not design.pairs)
    stays = dimensions.any(-1)
    if design.heads:
        lost = np.where(dimensions, 0.0, worth.dimensions).sum(-1) + np.where(pairs, 0.0, worth.pairs).sum(-1)
        cost = dimensions.sum(-1) * sizes.dimension + pairs.sum(-1) * sizes.pair
        stays &= whole - lost > price * cost
    return Parts(neurons, dimensions & stays[..., None], pairs & stays[..., None])

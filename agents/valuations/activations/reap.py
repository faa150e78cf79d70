"""REAP: what an expert adds to the tokens that it is given."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from walras.agents.calibration import Calibration, at_rest
from walras.agents.valuations.valuation import Valuation
from walras.errors import InputError
from walras.models import Inventory, gated
from walras.models.objective import Batch, inputs_of
from walras.models.repair.streams import real_tokens
from walras.models.units.gates import hooked
from walras.models.units.inventory import sites_and_layers
from walras.models.units.kinds.expert import Experts
from walras.models.units.mixtures import MixtureLayer


@final
@dataclass(frozen=True)
class REAP(Valuation):
    """An expert is worth the mean, over the tokens routed to it, of router weight times norm of its output.

    Router-weighted expert activation pruning, for experts alone. The mean is over the expert's own tokens, so that a
    rare expert that says much to the few that it gets is kept. An expert that is given no token is worth 0. In the
    paper the experts of least value leave each layer, the same number everywhere (scope `sublayer`, recipe `reap`):
    norms grow from layer to layer, and the values of different layers were not meant to be compared.
    """

    name: ClassVar[str] = "reap"
    unit: ClassVar[str] = "router weight x norm of the output"
    source: ClassVar[str] = "Lasby et al. 2025, arXiv 2510.13999"

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """Values [n]; one forward pass, and one more of the experts.

        Raises:
            InputError: units that are no experts.
        """
        del generator
        check_experts(calibration.inventory)
        value, tokens = torch.zeros(2, len(gates), dtype=torch.float64, device=gates.device)
        model = calibration.model
        with torch.no_grad(), at_rest(model), gated(model, calibration.inventory, gates):
            for batch in calibration.batches:
                with _added(calibration, batch, value, tokens):
                    model(**{name: tensor.to(calibration.device) for name, tensor in inputs_of(batch).items()})
        mean: Tensor = value / tokens.clamp(min=1)
        return mean


def check_experts(inventory: Inventory) -> None:
    """Refuse units that are no experts.

    Raises:
        InputError: naming the first of them.
    """
    for site in inventory.sites:
        if not isinstance(site.kind, Experts):
            raise InputError(
                f"reap values experts alone; {inventory.name(site.units.start)} is of kind {site.kind.name!r}: trade "
                "experts only (--units expert), or choose another valuation, such as fisher"
            )


@contextmanager
def _added(calibration: Calibration, batch: Batch, value: Tensor, tokens: Tensor) -> Iterator[None]:
    """Add what a forward pass shows of every expert to `value` [n] and `tokens` [n].

    What enters a layer's experts are the states, and which of them each token is given with which weight: under gates,
    and under a routing rule, as they are then.
    """

    def add(units: slice, mixture: MixtureLayer, _: nn.Module, args: tuple[Any, ...]) -> None:
        states, index, weights = (real_tokens(part, batch) for part in args[:3])
        for expert in range(mixture.count):
            token, place = (index == expert).nonzero(as_tuple=True)
            share = weights[token, place].double()
            token, share = token[share > 0], share[share > 0]  # a closed expert fills places, with a weight of 0
            written = mixture.features(expert, states[token]) @ mixture.output_weight[expert].T
            value[units.start + expert] += (share * written.double().norm(dim=-1)).sum()
            tokens[units.start + expert] += len(token)

    places = sites_and_layers(calibration.model, calibration.inventory)
    mixtures = ((site.units, MixtureLayer.of_layer(layer)) for site, layer in places)
    with hooked(own.experts.register_forward_pre_hook(partial(add, units, own)) for units, own in mixtures):
        yield

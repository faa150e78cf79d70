"""Second moments of what goes into output projections."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from walras.models.objective import Batch
from walras.models.repair.normal_equations import second_moments
from walras.models.repair.streams import features, inputs, real_tokens, refittable
from walras.models.units.gates import gated
from walras.models.units.inventory import Inventory


@torch.no_grad()
def input_moments(
    model: nn.Module, inventory: Inventory, batches: Sequence[Batch], gates: Tensor, sites: Iterable[int] | None = None
) -> dict[int, Tensor]:
    """X'X [width, width] in float64 of the features that enter output projections, gates applied, over the real tokens.

    The network must be in evaluation mode.

    Args:
        model: the network.
        inventory: its units, n of them.
        batches: what it is run on, once.
        gates: [n].
        sites: numbers of the sites that are looked at; all by default.

    Returns:
        The moments by the number of the site; none of a site whose units own no features of an output projection.
    """
    wanted = set(range(len(inventory.sites)) if sites is None else sites)
    fitted = [place for place, fit in enumerate(refittable(model, inventory)) if fit and place in wanted]
    widths = {place: inventory.sites[place].width for place in fitted}
    device = next(model.parameters()).device
    found = {place: torch.zeros(k, k, dtype=torch.float64, device=device) for place, k in widths.items()}
    with gated(model, inventory, gates):
        for batch in (batches[place] for place in range(len(batches)) if found):
            with features(model, inventory) as seen:
                model(**inputs(model, batch))
            for place, moment in found.items():
                moment += second_moments(real_tokens(seen[place], batch))
    return found

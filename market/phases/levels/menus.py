"""Sub-layers bid menus of levels, each worth what it spares the whole network; the rule of the market clears them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray

from walras.errors import InputError
from walras.market.phases.levels.level_search import LevelSearch, Place, drawn, mean_loss, within
from walras.market.phases.phase import Turn
from walras.mechanisms import MenuBids
from walras.models.levels import NetworkLevels, equal_steps
from walras.models.levels.network import Choice
from walras.models.units.site import Site

Values = NDArray[np.float64]

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


def rising(cost: Values) -> NDArray[np.int64]:
    """The levels, ascending, of which every higher one costs more [levels]; a latency may be that of fewer units."""
    above = np.append(np.minimum.accumulate(cost[::-1])[::-1][1:], np.inf)
    return np.flatnonzero(cost < above * (1 - 1e-9))


@final
@dataclass(frozen=True)
class Menus(LevelSearch):
    """Clears a market in which each sub-layer is one agent, with a menu of levels.

    1. Levels are so many equal shares of a sub-layer's units, prepared by structured OBS.
    2. A level is worth what KL(dense || network) is lower by on some calibration tokens, where it alone takes the place
       of the sub-layer's lowest level in the dense network. Where more is worth less, which noise can make it, it
       counts as much as what is below (`MenuBids.from_measured`). Of levels that cost the same, as by latency they
       may, the highest is offered.
    3. The market's rule sells the compute between all lowest levels and the budget: `ShadowPrice` is within one step of
       the best choice by these values, `VCG` finds it.

    The values of levels of different sub-layers are added up, as if each were alone in a dense network. What they leave
    out, `BilateralTrade` looks for.

    Attributes:
        levels: beside the lowest one.
        lowest: share of its units that every sub-layer keeps at its lowest level.
        tokens: on which levels are judged; whole batches.
    """

    levels: int = 8
    lowest: float = 0.0
    tokens: int = 1024
    source: ClassVar[str] = "multiple-choice knapsack: Sinha & Zoltners 1979, doi 10.1287/opre.27.3.503"

    def __post_init__(self) -> None:
        for name in ("levels", "tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a number of at least 1")
        if not 0 <= self.lowest < 1:
            raise InputError(f"lowest is {self.lowest!r}; it must be a share from 0, below 1")

    def kept(self, turn: Turn, site: Site) -> Sequence[int]:
        """Step 1."""
        del turn
        least = int(self.lowest * len(site))
        return sorted({least, *(count for count in equal_steps(self.levels)(site) if count > least)})

    def search(self, market: "ComputeMarket", turn: Turn, levels: NetworkLevels, place: Place) -> Choice:
        """Steps 2 and 3."""
        offered = [rising(sublayer.cost) for sublayer in levels.sublayers]
        least = [int(own[0]) for own in offered]
        cost = [s.cost[own] - s.cost[own[0]] for s, own in zip(levels.sublayers, offered, strict=True)]
        spare = turn.session.budget * levels.dense - levels.cost(least)
        if spare < 0:
            raise InputError(
                f"a budget of {turn.session.budget:g} is less than the lowest levels of all sub-layers take, "
                f"{levels.cost(least) / levels.dense:.3g}; give a smaller `lowest`"
            )
        worth = [
            found[own] - found[own[0]] for found, own in zip(self._worth(market, levels, place), offered, strict=True)
        ]
        most = max(max(map(len, offered)) - 1, 1)
        size, value = (torch.full((len(levels), most), end, dtype=torch.float64) for end in (torch.inf, 0.0))
        for i, (own, found) in enumerate(zip(cost, worth, strict=True)):
            size[i, : len(own) - 1] = torch.from_numpy(own[1:] / levels.dense)
            value[i, : len(own) - 1] = torch.from_numpy(found[1:])
            value[i, len(own) - 1 :] = float(found[-1])
            size[i, 0] = 1.0 if len(own) == 1 else size[i, 0]  # it has all there is, and nothing is worth anything
        bids = MenuBids.from_measured(size, value)
        sold = turn.mechanism(bids, spare / levels.dense)
        bought = sold.quantity.numpy() * levels.dense
        choice = [
            int(own[np.searchsorted(steps, share * (1 + 1e-9), side="right") - 1])
            for own, steps, share in zip(offered, cost, bought, strict=True)
        ]
        market.memory[self.name] = {"size": size, "value": bids.value, "price": float(sold.price)}
        return within(turn.session.budget * levels.dense, levels, choice)

    def _worth(self, market: "ComputeMarket", levels: NetworkLevels, place: Place) -> list[Values]:
        """Step 2: of each sub-layer what its levels [levels] are worth beyond the lowest one, in nats."""
        calibration, full = market.calibration.network("phase Menus"), levels.full
        places = drawn(calibration, self.tokens, np.random.default_rng([market.seed, 5]))
        found, total = list[Values](), sum(full)
        for i, sublayer in enumerate(levels.sublayers):
            loss = np.zeros(len(sublayer))
            for level in range(full[i]):  # the highest is the sub-layer of the dense network: it loses nothing
                place([*full[:i], level, *full[i + 1 :]])
                loss[level] = mean_loss(calibration, places, divergence=True)
            found.append(loss[0] - loss)
            market.tell(f"menus of {i + 1} of {len(levels)} sub-layers", sum(full[: i + 1]) / max(total, 1))
        return found

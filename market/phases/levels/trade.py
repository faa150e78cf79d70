"""Bilateral trade: two sub-layers exchange compute wherever the whole network comes nearer to the dense one."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from walras.agents import Calibration
from walras.errors import InputError
from walras.market.phases.levels.level_search import LevelSearch, Place, within
from walras.market.phases.levels.trading import Exchange, State, Trading, two_samples
from walras.market.phases.phase import Turn
from walras.models.levels import NetworkLevels
from walras.models.levels.network import Choice
from walras.models.units.site import Site

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


@final
@dataclass(frozen=True)
class BilateralTrade(LevelSearch):
    """Sub-layers buy compute of each other until no two of them gain by it.

    Values that are added up over sub-layers are not what all of them together are worth: a lower sum of errors can be a
    worse network. So after the clearing:

    1. Sub-layers start at what the clearing left of them. A level more or less is `step` of the dense network's
       compute, or what the largest unit of any takes where that is more, in whole units; up to `levels` either way.
       Which units come and go follows from their bids.
    2. Every sub-layer quotes: its bid is what KL(dense || network) falls by on some calibration tokens if it alone has
       a level more, its ask what it rises by with a level less, each per share of the compute.
    3. Of all pairs of a buyer and a seller whose levels keep the budget, the one with the largest expected gain meets:
       they agree if with both changes made the divergence is lower on these tokens, and on as many fresh ones that
       quotes have not seen. Either way both are done for this round; the next pair meets, as long as a gain is
       expected.
    4. Rounds are played until nobody agrees, or for `rounds`.

    `market.memory["search"]` is the list of all meetings. The question is that of EvoPress (Sieberling et
    al. 2025, arXiv 2410.14649) and Tyr (arXiv 2503.09657): which allocation is best for the whole network. They mutate
    blindly; here quotes say who is to meet.

    Attributes:
        rounds: at most.
        tokens: of quotes, and again of fresh ones; whole batches.
        step: share of the dense network's compute that a level is.
        levels: at most, either way.
    """

    rounds: int = 3
    tokens: int = 2048
    step: float = 0.002
    levels: int = 8
    source: ClassVar[str] = "after Sieberling et al. 2025 (EvoPress), arXiv 2410.14649"

    def __post_init__(self) -> None:
        for name, least in (("rounds", 0), ("tokens", 1), ("levels", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a number of at least {least}")
        if not 0 < self.step < 1:
            raise InputError(f"step is {self.step!r}; it must be a share between 0 and 1")

    def kept(self, turn: Turn, site: Site) -> Sequence[int]:
        """Step 1."""
        base = int((turn.quantity[site.units] > 0).sum())
        cost = turn.calibration.cost
        unit = float(np.mean(cost[site.units]))
        step = ceil(max(self.step, float(cost.max())) / unit - 1e-9) if unit > 0 else 1
        counts = (base + step * level for level in range(-self.levels, self.levels + 1))
        return sorted({min(max(count, 0), len(site)) for count in counts})

    def leaving(self, turn: Turn, site: Site) -> NDArray[np.int64]:
        """Units whose bid per compute is least leave first."""
        bids = turn.report[site.units] / np.maximum(turn.calibration.cost[site.units], np.finfo(float).tiny)
        return np.argsort(bids, kind="stable")

    def check(self, calibration: Calibration) -> None:
        """Refuse a single batch: quotes and fresh tokens need one each."""
        two_samples(calibration, self.tokens, np.random.default_rng(0))

    def search(self, market: "ComputeMarket", turn: Turn, levels: NetworkLevels, place: Place) -> Choice:
        """Steps 2 to 4."""
        cleared = [s.kept.index(int((turn.quantity[s.site.units] > 0).sum())) for s in levels.sublayers]
        most = turn.session.budget * levels.dense
        choice = within(most, levels, cleared)
        if choice == levels.full:
            raise InputError(
                "phase BilateralTrade has nothing to trade: the budget pays for all units; give a lower one"
            )
        calibration = market.calibration.network("phase BilateralTrade")
        samples = two_samples(calibration, self.tokens, np.random.default_rng([market.seed, 4]))
        trading = Trading(calibration, levels, place, most, *samples)
        exchanges = market.memory[self.name] = list[Exchange]()
        for number in range(1, self.rounds + 1):
            state = trading.state(choice)

            def tell(share: float, number: int = number, state: State = state) -> None:
                market.tell(f"trade {number}: divergence {state.fresh:.4g}", (number - 1 + share) / self.rounds)

            held = trading.played(state, trading.quotes(state, tell))
            exchanges += [exchange._replace(round=number) for exchange, _ in held]
            agreed = [after for exchange, after in held if exchange.agreed]
            if not agreed:
                break
            choice = agreed[-1].choice
        market.tell("trade ended", 1.0)
        return choice

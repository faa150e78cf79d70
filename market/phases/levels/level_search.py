"""What searches over levels of sub-layers have in common."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray

from walras.agents import Calibration
from walras.agents.calibration import at_rest
from walras.errors import InputError
from walras.market.phases.phase import Phase, Turn
from walras.models.levels import NetworkLevels
from walras.models.levels.network import Choice
from walras.models.objective import inputs_of, tokens_of
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.units.site import Site

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket

Judge = Callable[[Choice], float]
"""The figure of the network with levels put on it, the lower the better."""

Place = Callable[[Choice], None]


class LevelSearch(Phase):
    """Chooses a level of every sub-layer after clearing, within the budget; concrete ones are final frozen dataclasses.

    Levels are prepared by structured OBS on what enters each sub-layer of the dense network, and are put on the
    market's network, which must be a copy of the dense one, for as long as they are looked at. What is left when the
    phase ends are quantities; the weights are the business of the repair, `structured_obs:sequential=false`, which
    makes those of the levels again.
    """

    name: ClassVar[str] = "search"
    done: ClassVar[str] = "searched"
    follows: ClassVar[str | None] = "clear"

    @abstractmethod
    def kept(self, turn: Turn, site: Site) -> Sequence[int]:
        """How many units of a site stay at each of its levels, ascending."""

    def leaving(self, turn: Turn, site: Site) -> NDArray[np.int64] | None:
        """In which order a site's units leave; None where structured OBS is to say."""
        del turn, site
        return None

    def check(self, calibration: Calibration) -> None:
        """Refuse calibration data that the search cannot use, before the first round; by default none."""
        del calibration

    @abstractmethod
    def search(self, market: "ComputeMarket", turn: Turn, levels: NetworkLevels, place: Place) -> Choice:
        """The choice of levels. `place` puts levels on the network of the market's calibration."""

    @final
    def prepare(self, market: "ComputeMarket") -> None:
        """Refuse a market in which a search over levels has no meaning.

        Raises:
            InputError: no network, or the dense one itself; several rounds, resources or local markets; data that
                `check` refuses.
        """
        who = f"phase {type(self).__name__}"
        calibration = market.calibration.network(who)
        if calibration.model is calibration.dense:
            raise InputError(f"{who} writes weights: it needs a copy of the network, as repair=structured_obs makes it")
        if len(market.sessions) > 1:
            raise InputError(f"{who} searches once, from all units; there are {len(market.sessions)} sessions")
        if len(market.supply.resources) > 1 or len(market.supply.markets) > 1:
            raise InputError(f"{who} keeps one budget of one resource; give one, and scope global")
        self.check(calibration)

    @final
    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """The round with the quantities of the levels chosen; who is funded pays its price, or its bid if less."""
        calibration, usage = market.calibration.network(type(self).__name__), market.supply.resources[0]
        with at_rest(calibration.model):
            levels = NetworkLevels.from_model(
                calibration.model, usage, calibration.batches, lambda site: self.kept(turn, site),
                leaving=lambda site: self.leaving(turn, site),
                tell=lambda done, of: market.tell(f"levels of {done} of {of} sub-layers", done / of),
            )  # fmt: skip
            with levels.placing(calibration.model) as place:
                choice = self.search(market, turn, levels, place)
        if levels.cost(choice) > turn.session.budget * levels.dense * (1 + 1e-9):
            raise InputError(f"{type(self).__name__} chose levels beyond the budget")
        keep = levels.keep(choice)
        payment = np.where(keep, np.minimum(turn.price, turn.report), 0.0) * turn.trading
        return replace(turn, quantity=keep.astype(np.float64), payment=payment)


@torch.no_grad()
def mean_loss(
    calibration: Calibration, places: Sequence[int], *, divergence: bool = False, runner: LayerwiseRunner | None = None
) -> float:
    """Mean loss over the batches of these numbers, of the network as it stands.

    With `divergence`, and where the loss says nothing, it is KL(dense || now) of the predictions, at temperature 1.
    With a runner of these batches, the network begins at the runner's layer.
    """
    total, rows = 0.0, 0
    for number, place in enumerate(places):
        batch, objective = calibration.batches[place], calibration.objective
        if divergence or not objective.trains:
            objective = calibration.distillation(place, batch, 1.0)
        count = len(next(iter(inputs_of(batch).values())))
        with nullcontext() if runner is None else runner.starting_at(number):
            loss = float(objective(calibration.model, batch, torch.Generator().manual_seed(0)))
        total, rows = total + count * loss, rows + count
    return total / rows


def drawn(calibration: Calibration, tokens: int, generator: np.random.Generator | None) -> list[int]:
    """Numbers of batches with at least so many tokens together, drawn without repetition; all where there are no more.

    Without a generator they are the first ones; 0 tokens are all.
    """
    count = len(calibration.batches)
    order = list(range(count)) if generator is None else generator.permutation(count).tolist()
    found, sum_ = list[int](), 0
    for place in order:
        if found and tokens and sum_ >= tokens:
            break
        found.append(place)
        sum_ += tokens_of(calibration.batches[place])
    return found


def within(budget: float, levels: NetworkLevels, choice: Choice) -> Choice:
    """The choice, lowered a level at a time where it loses least, until it costs no more than the budget.

    A clearing may have kept a narrower last block of neurons, in whose place the levels have a whole one.
    """
    found = list(choice)
    while levels.cost(found) > budget * (1 + 1e-12):
        rise = [s.errors[i - 1] - s.errors[i] if i else np.inf for s, i in zip(levels.sublayers, found, strict=True)]
        found[int(np.argmin(rise))] -= 1
    return tuple(found)

"""ZipLM's allocation: a dynamic program over errors of levels, whose weights are searched by the network's loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from walras.errors import InputError
from walras.market.phases.levels.level_search import LevelSearch, Place, drawn, mean_loss
from walras.market.phases.phase import Turn
from walras.mechanisms.solvers.multiple_choice import least_loss_choice
from walras.models.levels import NetworkLevels
from walras.models.levels.network import Choice
from walras.models.units.site import Site

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket

SHRINK, STEPS_DOWN = 0.9, 42
"""Levels of an FFN: its neurons times 0.9^i, i from 0 to 42, and none."""


@final
@dataclass(frozen=True)
class Spdy(LevelSearch):
    """Finds levels by a dynamic program on their errors, each sub-layer's times a coefficient, and searches these.

    1. Attention has a level for every number of heads, FFNs for 0.9^i of their neurons, i up to 42, and for none.
    2. A level's price is its squared error of the sub-layer's output, as a share of that of a sub-layer that writes 0,
       times the sub-layer's coefficient. The choice is the cheapest within the budget (`least_loss_choice`).
    3. All coefficients begin at 1. In each of `steps` steps a tenth of them, in expectation, is drawn anew from 0 to 1;
       the draw is kept where the loss of the network with the levels of its choice is lower. Choices that have been
       judged are not judged again.

    Source: Kurtic et al. 2023 (ZipLM, arXiv 2302.04089), section 3.2; the search is a simpler one than that of
    Frantar & Alistarh 2022 (SPDY, arXiv 2201.13096). The budget may be one of any resource; theirs is of time.

    Attributes:
        steps: of the search; 0: the dynamic program on the errors themselves.
        tokens: of the calibration data on which losses are taken; 0: all.
        share: of the coefficients that are drawn anew in a step, in expectation.
        buckets: of the budget in the dynamic program.
    """

    steps: int = 1000
    tokens: int = 0
    share: float = 0.1
    buckets: int = 10_000
    source: ClassVar[str] = "Kurtic et al. 2023 (ZipLM), arXiv 2302.04089"

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("tokens", 0), ("buckets", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a number of at least {least}")
        if not 0 < self.share <= 1:
            raise InputError(f"share is {self.share!r}; it must be a number above 0, up to 1")

    def kept(self, turn: Turn, site: Site) -> Sequence[int]:
        """Step 1."""
        del turn
        if site.sublayer == "heads":
            return range(len(site) + 1)
        return sorted({0, *(max(round(len(site) * SHRINK**i), 1) for i in range(STEPS_DOWN + 1))})

    def search(self, market: "ComputeMarket", turn: Turn, levels: NetworkLevels, place: Place) -> Choice:
        """Steps 2 and 3."""
        generator = np.random.default_rng([market.seed, 2])
        calibration, budget = market.calibration.network("phase Spdy"), turn.session.budget * levels.dense
        errors, costs = zip(*((s.errors, s.cost) for s in levels.sublayers), strict=True)
        judged, places = dict[Choice, float](), drawn(calibration, self.tokens, None)

        def chosen(coefficients: np.ndarray) -> tuple[float, Choice]:
            prices = [error * c for error, c in zip(errors, coefficients, strict=True)]
            choice = least_loss_choice(prices, costs, budget - levels.fixed, self.buckets)
            if self.steps and choice not in judged:
                place(choice)
                judged[choice] = mean_loss(calibration, places)
            return judged.get(choice, 0.0), choice

        coefficients = np.ones(len(levels))
        best = chosen(coefficients)
        for step in range(self.steps):
            anew = generator.random(len(levels)) < self.share
            drawn_now = np.where(anew, generator.random(len(levels)), coefficients)
            found = chosen(drawn_now)
            if found[0] < best[0]:
                best, coefficients = found, drawn_now
            market.tell(f"search: loss {best[0]:.4g}, {len(judged)} choices judged", (step + 1) / self.steps)
        return best[1]

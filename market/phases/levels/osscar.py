"""OSSCAR: which units of a sub-layer stay, given how many, on what the pruned network below feeds it."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import torch

from walras.agents import Calibration
from walras.agents.calibration import at_rest
from walras.errors import InputError
from walras.market.phases.phase import Phase, Turn
from walras.models.repair.layerwise_runner import LayerwiseRunner
from walras.models.repair.normal_equations import second_moments
from walras.models.repair.streams import by_length
from walras.models.surgeon import StructuredOBS
from walras.models.surgeon.structured_obs import DAMPING, Mask, check_damping
from walras.models.surgeon.swaps import swapped
from walras.models.units.gates import gated
from walras.models.units.inventory import projections
from walras.models.units.projections import outputs_first
from walras.models.units.site import Site

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket


@final
@dataclass(frozen=True)
class Osscar(Phase):
    """Chooses which units of the session's sub-layer stay, as many as the clearing funded.

    1. H is taken from what enters the sub-layer now, units below having left and weights below having been re-fitted.
    2. Units leave greedily by structured OBS, several neurons, or heads, at a time.
    3. A local search exchanges several at a time for others, for as long as the error falls (`swapped`).

    Runs in the sessions of `sublayer-sessions`, after which the repair `structured_obs` re-fits the sub-layer. With
    valuation `uniform` all sub-layers keep the same share. Source: Meng et al. 2024 (OSSCAR, arXiv 2403.12983), at the
    settings of their code: 10 neurons or 2 heads leave at a time, 10 neurons or 5 heads are exchanged. Their layers are
    pruned one after the other, attention and FFN on the same inputs; here the FFN's are those after its attention.
    """

    neurons: int = 10
    heads: int = 2
    swapped_neurons: int = 10
    swapped_heads: int = 5
    rounds: int = 20
    damping: float = DAMPING
    name: ClassVar[str] = "choose"
    done: ClassVar[str] = "chosen"
    follows: ClassVar[str | None] = "clear"
    source: ClassVar[str] = "Meng et al. 2024 (OSSCAR), arXiv 2403.12983"

    def __post_init__(self) -> None:
        for name, least in (("neurons", 1), ("heads", 1), ("swapped_neurons", 1), ("swapped_heads", 1), ("rounds", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a number of at least {least}")
        check_damping(self.damping)

    def prepare(self, market: "ComputeMarket") -> None:
        """Refuse a market whose sub-layers do not trade one after the other.

        Raises:
            InputError: as said; no network; units without features of an output projection.
        """
        calibration = market.calibration.network("phase Osscar")
        if any(session.site is None for session in market.sessions):
            raise InputError("phase Osscar chooses sub-layer by sub-layer; put phase sublayer-sessions before it")
        projections(calibration.model, calibration.inventory)

    def run(self, market: "ComputeMarket", turn: Turn) -> Turn:
        """The turn with other quantities of the session's sub-layer."""
        site, calibration = turn.session.site, market.calibration.network("phase Osscar")
        if site is None:
            raise InputError(f"the session of round {turn.number} has no sub-layer")
        keep = turn.quantity > 0
        if 0 < keep[site.units].sum() < len(site) and (turn.before[site.units] > 0).all():
            runner = self._runner(market, turn, calibration)
            keep[site.units] = self._chosen(calibration, runner, market, site, keep[site.units])
        if turn.last_session:
            market.memory.pop(self.name, None)
        payment = np.where(keep, np.minimum(turn.price, turn.report), 0.0) * turn.trading
        return replace(turn, quantity=np.where(turn.trading, keep, turn.quantity).astype(np.float64), payment=payment)

    def _runner(self, market: "ComputeMarket", turn: Turn, calibration: Calibration) -> LayerwiseRunner:
        """The network, as far as it has been run; from the bottom after a shock."""
        if turn.shocks:
            market.memory.pop(self.name, None)
        if self.name not in market.memory:
            market.memory[self.name] = LayerwiseRunner(calibration.model, by_length(calibration.batches))
        runner: LayerwiseRunner = market.memory[self.name]
        return runner

    def _chosen(
        self, calibration: Calibration, runner: LayerwiseRunner, market: "ComputeMarket", site: Site, cleared: Mask
    ) -> Mask:
        """Steps 1 to 3: the units [units of the site] that stay, one fewer where they would cost more than cleared."""
        inventory, gates = calibration.inventory, market.gates
        weight = outputs_first(projections(calibration.model, inventory)[inventory.sites.index(site)])
        moment = torch.zeros(site.width, site.width, dtype=torch.float64, device=weight.device)
        with at_rest(calibration.model), gated(calibration.model, inventory, gates):
            runner.advance_to(site.layer, gates[: site.units.start])
            for whole in runner.read_inputs(site):
                moment += second_moments(whole)
        attention = site.sublayer == "heads"
        together = self.heads if attention else self.neurons
        surgeon = StructuredOBS.from_moment(weight, moment, site.block, self.damping, together)
        exchanged = self.swapped_heads if attention else self.swapped_neurons
        cost, found = market.ledger.cost[site.units], cleared
        for count in range(int(cleared.sum()), -1, -1):  # a narrower last block may have been cleared
            found = swapped(surgeon, surgeon.keeping(count), exchanged, self.rounds)
            if cost[found].sum() <= cost[cleared].sum() * (1 + 1e-9):
                break
        return found

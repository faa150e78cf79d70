"""EvoPress: levels of sub-layers by an evolutionary search on the divergence from the dense network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from walras.errors import InputError
from walras.market.phases.levels.level_search import LevelSearch, Place, drawn, mean_loss, within
from walras.market.phases.phase import Turn
from walras.models.levels import NetworkLevels
from walras.models.levels.network import Choice
from walras.models.units.site import Site

if TYPE_CHECKING:
    from walras.market.compute_market import ComputeMarket

TRIES = 20  # draws for each offspring, which is to be like no other and within the budget
MOST_SWITCHES = 3


@final
@dataclass(frozen=True)
class EvoPress(LevelSearch):
    """Improves an allocation by switching levels between sub-layers, as an elitist evolutionary search.

    1. Level 0 of every sub-layer is what the clearing left of it: by valuation `uniform`, the same share everywhere.
       There are up to `levels` levels on either side, each a step of units apart, the same for sub-layers that are
       alike; all steps together reach half of the way to all units, or to none, whichever is nearer.
    2. An offspring is the parent with one sub-layer a level up and one that is alike a level down, so that the cost
       stays: once, twice or three times, the lesser of two draws.
    3. Of `offspring` of them those survive that have the least KL(dense || network) on some tokens drawn from the
       calibration data: as many as `survivors` says, on as many tokens as `tokens` says, stage by stage. The parent
       enters the last stage, and its survivor is the next parent; `generations` times.

    Source: Sieberling et al. 2025 (EvoPress, arXiv 2410.14649), algorithm 1, with the settings of their unstructured
    pruning: 400 generations of 64 offspring; 8, 2, 1 survivors on 2,048, 16,384, 65,536 tokens; 8 levels each way. They
    search over sparsities of matrices, whose steps are all alike; here heads are switched with heads, and neurons with
    neurons. Tokens are whole batches, and no more than the calibration data has.
    """

    generations: int = 400
    offspring: int = 64
    survivors: tuple[int, ...] = (8, 2, 1)
    tokens: tuple[int, ...] = (2048, 16_384, 65_536)
    levels: int = 8
    source: ClassVar[str] = "Sieberling et al. 2025 (EvoPress), arXiv 2410.14649"

    def __post_init__(self) -> None:
        for name, least in (("generations", 0), ("offspring", 1), ("levels", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a number of at least {least}")
        falling = [*self.survivors] == sorted(self.survivors, reverse=True)
        if (
            len(self.survivors) != len(self.tokens)
            or not falling
            or self.survivors[-1:] != (1,)
            or min(self.tokens) < 1
        ):
            raise InputError(
                f"survivors are {self.survivors!r} and tokens {self.tokens!r}; there must be as many of both, and one "
                "survivor in the end"
            )

    def kept(self, turn: Turn, site: Site) -> Sequence[int]:
        """Step 1."""
        step = self._step(turn, site)
        base = int((turn.quantity[site.units] > 0).sum())
        counts = (base + step * level for level in range(-self.levels, self.levels + 1))
        return [count for count in counts if 0 <= count <= len(site)]

    def _step(self, turn: Turn, site: Site) -> int:
        """Units of a step, by the budget alone, so that it is one for all that are alike."""
        near = min(turn.session.budget, 1 - turn.session.budget)
        return max(1, round(0.5 * near / self.levels * len(site)))

    def search(self, market: "ComputeMarket", turn: Turn, levels: NetworkLevels, place: Place) -> Choice:
        """Steps 2 and 3."""
        generator = np.random.default_rng([market.seed, 3])
        calibration = market.calibration.network("phase EvoPress")
        budget, alike = turn.session.budget * levels.dense, alike_sublayers(levels)
        cleared = [s.kept.index(int((turn.quantity[s.site.units] > 0).sum())) for s in levels.sublayers]
        parent = within(budget, levels, cleared)
        divergence = np.nan
        for generation in range(self.generations):
            living = offspring_of(parent, levels, alike, budget, self.offspring, generator)
            if not living:
                break
            for stage, (survivors, tokens) in enumerate(zip(self.survivors, self.tokens, strict=True)):
                if stage == len(self.tokens) - 1 and parent not in living:
                    living.append(parent)
                places, figures = drawn(calibration, tokens, generator), list[float]()
                for choice in living:
                    place(choice)
                    figures.append(mean_loss(calibration, places, divergence=True))
                    done = (generation + (stage + len(figures) / len(living)) / len(self.tokens)) / self.generations
                    market.tell(f"generation {generation + 1}: divergence {divergence:.4g}", done)
                order = np.argsort(figures, kind="stable")[:survivors]
                living, divergence = [living[i] for i in order], figures[order[0]]
            parent = living[0]
        return parent


def alike_sublayers(levels: NetworkLevels) -> Mapping[int, Sequence[int]]:
    """For each sub-layer those among which a level up and a level down cost the same, itself included."""
    keys = [
        (s.site.kind, len(s.site), s.site.width, tuple(np.round(np.diff(s.cost) / np.diff(s.kept), 6)[:1]))
        for s in levels.sublayers
    ]
    return {i: [j for j, other in enumerate(keys) if other == key] for i, key in enumerate(keys)}


def offspring_of(
    parent: Choice, levels: NetworkLevels, alike: Mapping[int, Sequence[int]], budget: float, count: int,
    generator: np.random.Generator,
) -> list[Choice]:  # fmt: skip
    """Up to `count` different mutations of a choice (`EvoPress`, step 2), none of them beyond the budget.

    Fewer where there are hardly any.
    """
    found = dict[Choice, None]()
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        child = list(parent)
        switches = int(generator.integers(1, MOST_SWITCHES + 1, size=2).min())
        for _ in range(switches):
            up = [i for i, level in enumerate(child) if level + 1 < len(levels.sublayers[i])]
            if not up:
                break
            one = int(generator.choice(up))
            down = [i for i in alike[one] if child[i] > 0]
            if not down:
                continue
            child[one] += 1
            child[int(generator.choice(down))] -= 1
        choice = tuple(child)
        if choice != tuple(parent) and levels.cost(choice) <= budget * (1 + 1e-12):
            found[choice] = None
    return list(found)

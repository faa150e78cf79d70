"""Two sub-layers meet, and exchange compute if the whole network comes nearer to the dense one by it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from walras.agents import Calibration
from walras.errors import InputError
from walras.market.phases.levels.level_search import Place, mean_loss
from walras.models.levels import NetworkLevels
from walras.models.levels.network import Choice
from walras.models.objective import tokens_of
from walras.models.repair.layerwise_runner import LayerwiseRunner


class Exchange(NamedTuple):
    """One meeting of two sub-layers, whether they agreed or not.

    `bid` and `ask` are in nats of divergence per share of the dense network's compute; `fall` and `fresh_fall` in nats,
    by which the divergence fell on the tokens that quotes were made on, and on fresh ones.
    """

    round: int
    seller: int  # numbers of sub-layers, in the order of the inventory
    buyer: int
    ask: float
    bid: float
    compute: float  # share of the dense network's that the buyer gets
    fall: float
    fresh_fall: float  # NaN where it was not looked at
    agreed: bool


class Quotes(NamedTuple):
    """What each sub-layer's next level up lowers the divergence by, and its next one down raises it by, in nats.

    -inf and inf where there is no such level.
    """

    fall: NDArray[np.float64]
    rise: NDArray[np.float64]


class State(NamedTuple):
    """A choice, and the divergence of its network on the tokens of quotes and on fresh ones."""

    choice: Choice
    quoted: float
    fresh: float


@final
@dataclass(frozen=True)
class Trading:
    """The network on which sub-layers trade, the most that they may use together, and the batches on which they do.

    `place` puts a choice on the network; `most` is in the unit of the levels' cost.
    """

    calibration: Calibration
    levels: NetworkLevels
    place: Place
    most: float
    quoted: Sequence[int]
    fresh: Sequence[int]

    def state(self, choice: Choice) -> State:
        """Look at a choice, which stays on the network."""
        self.place(choice)
        return State(choice, self._divergence(self.quoted), self._divergence(self.fresh))

    def _divergence(self, places: Sequence[int], runner: LayerwiseRunner | None = None) -> float:
        """Of the network as it stands, in nats; from a runner's layer on."""
        return mean_loss(self.calibration, places, divergence=True, runner=runner)

    def quotes(self, state: State, tell: Callable[[float], object]) -> Quotes:
        """Of every sub-layer, by one way through the layers from the bottom up: none below a change is run again."""
        count, choice = len(self.levels), state.choice
        fall, rise = np.full(count, -np.inf), np.full(count, np.inf)
        batches = [self.calibration.batches[place] for place in self.quoted]
        with LayerwiseRunner(self.calibration.model, batches) as runner:
            for i, sublayer in enumerate(self.levels.sublayers):
                self.place(choice)
                runner.advance_to(sublayer.site.layer)
                if choice[i] + 1 < len(sublayer):
                    fall[i] = state.quoted - self._with(choice, i, 1, runner)
                if choice[i] > 0:
                    rise[i] = self._with(choice, i, -1, runner) - state.quoted
                tell((i + 1) / count)
        self.place(choice)
        return Quotes(fall, rise)

    def _with(self, choice: Choice, sublayer: int, by: int, runner: LayerwiseRunner) -> float:
        """The divergence with one sub-layer some levels up."""
        other = list(choice)
        other[sublayer] += by
        self.place(other)
        return self._divergence(self.quoted, runner)

    def played(self, state: State, quotes: Quotes) -> list[tuple[Exchange, State]]:
        """All meetings of a round, in their order, and what stood after each."""
        found, standing = list[tuple[Exchange, State]](), [state]

        def fits(seller: int, buyer: int) -> bool:
            return self.levels.cost(moved(standing[-1].choice, seller, buyer)) <= self.most * (1 + 1e-12)

        for seller, buyer in meetings(quotes, fits):
            exchange, after = self._meeting(standing[-1], seller, buyer, quotes)
            standing.append(after)
            found.append((exchange, after))
        return found

    def _meeting(self, state: State, seller: int, buyer: int, quotes: Quotes) -> tuple[Exchange, State]:
        """Make both changes; they stand if the divergence is lower on both samples."""
        other = moved(state.choice, seller, buyer)
        self.place(other)
        quoted, fresh = self._divergence(self.quoted), float("nan")
        if quoted < state.quoted:
            fresh = self._divergence(self.fresh)
        agreed, dense = fresh < state.fresh, self.levels.dense  # never true of NaN
        more, less = self.levels.step(buyer, other) / dense, self.levels.step(seller, state.choice) / dense
        bid, ask = float(quotes.fall[buyer]) / more, float(quotes.rise[seller]) / less
        falls = state.quoted - quoted, state.fresh - fresh
        exchange = Exchange(0, seller, buyer, ask, bid, more, *falls, agreed)
        return exchange, State(other, quoted, fresh) if agreed else state


def moved(choice: Choice, seller: int, buyer: int) -> Choice:
    """The choice with one sub-layer a level down, and one a level up."""
    found = list(choice)
    found[seller] -= 1
    found[buyer] += 1
    return tuple(found)


def meetings(quotes: Quotes, fits: Callable[[int, int], bool]) -> Iterator[tuple[int, int]]:
    """Pairs of a seller and a buyer, the largest expected gain first, no sub-layer twice, while a gain is expected.

    `fits` says of a seller and a buyer whether their levels keep the budget as it is by then.
    """
    gain = quotes.fall[None, :] - quotes.rise[:, None]  # [sellers, buyers]
    np.fill_diagonal(gain, -np.inf)
    while gain.size and gain.max() > 0:
        seller, buyer = (int(i) for i in np.unravel_index(int(gain.argmax()), gain.shape))
        if fits(seller, buyer):
            done = [seller, buyer]
            gain[done] = gain[:, done] = -np.inf
            yield seller, buyer
        else:
            gain[seller, buyer] = -np.inf


def two_samples(
    calibration: Calibration, tokens: int, generator: np.random.Generator
) -> tuple[Sequence[int], Sequence[int]]:
    """Numbers of batches with so many tokens, and of as many other ones, both drawn; of few batches half and half.

    Raises:
        InputError: there is only one batch.
    """
    order = generator.permutation(len(calibration.batches)).tolist()
    if len(order) < 2:
        raise InputError(
            "phase BilateralTrade needs fresh tokens beside those of quotes, and there is one batch; give more "
            "sentences, or a smaller batch size"
        )
    sizes = np.cumsum([tokens_of(calibration.batches[place]) for place in order])
    first = min(int(np.searchsorted(sizes, tokens)) + 1, len(order) // 2)
    return order[:first], order[first : 2 * first]

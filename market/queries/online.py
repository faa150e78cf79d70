"""CLEAR for queries that come one at a time, or window by window: dual mirror descent on the price."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import e, exp, inf, log
from typing import final

import torch

from walras.errors import InputError
from walras.escaping import shown
from walras.market.queries.limits import LEAST_HEADROOM, LEAST_WEIGHT, MOST_TOKENS, MOST_WEIGHT, amount, real
from walras.market.queries.queries import KAPPA
from walras.mechanisms.bids.surge import SurgeBids


@final
@dataclass(frozen=True)
class Grant:
    """What one query got: whole tokens, its status (funded, abandoned or bad), its surplus, and the price it met."""

    id: str
    max_tokens: int
    status: str
    surplus: float
    price: float


@final
@dataclass(frozen=True)
class Settlement:
    """What came of a grant, in tokens: `returned` of those not used to its window, or `expired`, since that is over.

    `over`: used beyond the grant, and charged to the present window.
    """

    id: str
    returned: int
    expired: int
    over: int


@final
class OnlineClear:
    """An online market grants tokens as queries come, with a budget per window of so many queries.

    1. The first query meets the price at which it alone would ask for an equal share, rho = budget / window tokens.
    2. Each buys what is best for it at the price, as in the batch; never more than is left of the window's budget.
    3. Then the price moves: price <- price * exp(step * (granted - rho) / rho), mirror descent on the dual with the
       entropy as its mirror map (Balseiro, Lu and Mirrokni 2020, "Dual mirror descent for online allocation problems",
       section 4). Queries offered together meet one price, and move it once, by their sum.
    4. `refund` settles a funded query. Tokens that it did not use come back to the window that they were taken from,
       and off the price; where that window is over they have expired, so that no later one grants more than its budget.
       What was used beyond the grant is taken from the present window, and moves the price up.

    A new window begins with its whole budget when a query comes to a full one; what is left of one is lost, as idle
    capacity is. A threshold holds all tokens below which an answer is worth nothing, those that it is written with
    included. `step` is 1 / sqrt(window) where none is given. Online clearing by this rule is ours; the paper clears
    batches.
    """

    def __init__(self, budget: float, window: int, *, headroom: float | None = None, step: float | None = None) -> None:
        """Args: budget: tokens per window. window: queries in one. headroom: 1 / beta; half of rho if not given."""
        self.budget = amount(budget, "budget", 1.0)
        if isinstance(window, bool) or not isinstance(window, int) or not 1 <= window <= MOST_TOKENS:
            raise InputError(f"window is {shown(window)}; it must be a whole number of queries, 1 or more")
        self.window, self.share = window, self.budget / window
        self.headroom = max(KAPPA * self.share, LEAST_HEADROOM)
        if headroom is not None:
            self.headroom = amount(headroom, "headroom", LEAST_HEADROOM)
        self.step = window**-0.5 if step is None else amount(step, "step", 1e-9, 1e9)
        self.price: float | None = None
        self.left, self.met = self.budget, 0  # of the present window: tokens, and queries that have come
        self.granted = self.returned = self.expired = self.over = 0  # of all windows
        self._number = 0  # of the present window
        self._live: dict[str, tuple[int, int]] = {}  # id -> tokens granted, and in which window

    def __len__(self) -> int:
        """Funded queries that have not been settled."""
        return len(self._live)

    def offer(self, id: str, threshold: float, weight: float = 1.0, cap: float = float("inf")) -> Grant:
        """Grant tokens to one query; one without a sound threshold, or whose id is live, is bad."""
        return self.offer_all([(id, threshold, weight, cap)])[0]

    def offer_all(self, queries: Iterable[tuple[str, float, float, float]]) -> list[Grant]:
        """Grant tokens to queries (id, threshold, weight, cap) that come together, at one price."""
        given = list(queries)
        sound = self._sound(given)
        columns = torch.tensor([row[1:] for row, fine in zip(given, sound, strict=True) if fine], dtype=torch.float64)
        threshold, weight, cap = columns.reshape(-1, 3).unbind(-1)
        bids = SurgeBids(threshold, e * weight / self.headroom, 1 / self.headroom, cap)
        if self.price is None and bids.solvent.any():
            self.price = self._opening(bids)
        price = self.price or 0.0
        wanted = bids.demand(torch.full((1,), price, dtype=torch.float64)).tolist()
        taken = [self._take(*row) for row in zip(wanted, threshold.tolist(), strict=True)]
        tokens = [got for got, _ in taken]
        worth = bids.utility(torch.tensor(tokens, dtype=torch.float64)).tolist()
        outcome = iter(zip(taken, worth, strict=True))
        grants = []
        for (id, *_), fine in zip(given, sound, strict=True):
            (got, window), value = next(outcome) if fine else ((0, 0), 0.0)
            status = ("funded" if got else "abandoned") if fine else "bad"
            grants.append(Grant(id, got, status, max(value - price * got, 0.0), price))
            if got:
                self._live[id] = got, window
        self._move(sum(wanted) - len(wanted) * self.share)
        return grants

    def _sound(self, queries: list[tuple[str, float, float, float]]) -> list[bool]:
        """Which queries can be dealt with; an id counts once."""
        seen, sound = set[str](), []
        for id, threshold, weight, cap in queries:
            new = id not in self._live and id not in seen
            tau, most = real(threshold), real(cap)
            sound.append(
                new and (0 <= tau <= MOST_TOKENS or tau == inf) and LEAST_WEIGHT <= real(weight) <= MOST_WEIGHT
                and (0 <= most <= MOST_TOKENS or most == inf)
            )  # fmt: skip
            seen.add(id)
        return sound

    def _take(self, wanted: float, threshold: float) -> tuple[int, int]:
        """Tokens for one query, of those left in its window; 0 where they would not be worth anything. The window."""
        if self.met == self.window:
            self.left, self.met, self._number = self.budget, 0, self._number + 1
        self.met += 1
        whole = max(int(min(wanted, self.left)), 0)  # what was used beyond grants may leave less than nothing
        whole = whole if whole > threshold else 0
        self.left -= whole
        self.granted += whole
        return whole, self._number

    def refund(self, id: str, used: int) -> Settlement:
        """Settle a funded query that used so many tokens: step 4 of the class.

        Raises:
            InputError: the query is not live, or no whole number of tokens from 0 to 2^53.
        """
        if id not in self._live:
            raise InputError(f"query {shown(id)} is not live; only a funded one can be settled, once")
        if isinstance(used, bool) or not isinstance(used, int) or not 0 <= used <= MOST_TOKENS:
            raise InputError(f"query {shown(id)} used {shown(used)} tokens; valid: a whole number, 0 to {MOST_TOKENS}")
        granted, window = self._live.pop(id)
        unused, over = max(granted - used, 0), max(used - granted, 0)
        back = unused if window == self._number else 0
        self.returned, self.expired, self.over = self.returned + back, self.expired + unused - back, self.over + over
        self.left += back - over
        self._move(float(over - back))
        return Settlement(id, back, unused - back, over)

    def _opening(self, bids: SurgeBids) -> float:
        """Step 1 of the class, for the mean of the queries that came first."""
        x = min(max((self.share - float(bids.threshold[bids.solvent].mean())) / self.headroom, 0.0), 1.0)
        alpha = float(torch.as_tensor(bids.alpha)[bids.solvent].mean())
        lowest = float(bids.reservation_price()[bids.solvent].min())
        slope = alpha * (1 - x) * exp(-x)
        return max(min(slope, lowest), 1e-6 * lowest)

    def _move(self, tokens: float) -> None:
        """Step 3 of the class, for so many tokens above rho."""
        if self.price is not None and tokens:
            move = self.step * tokens / self.share
            bound = log(1e9)  # a jump of one huge query must not end in 0 or infinity
            self.price *= exp(min(max(move, -bound), bound))
            self.price = min(max(self.price, 1e-100), 1e100)

"""CLEAR for queries that come one at a time, or window by window: dual mirror descent on the price."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import e, exp, log
from typing import final

import torch

from walras.errors import InputError
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
class OnlineClear:
    """An online market grants tokens as queries come, with a budget per window of so many queries.

    1. The first query meets the price at which it alone would ask for an equal share, rho = budget / window tokens.
    2. Each buys what is best for it at the price, as in the batch; never more than is left of the window's budget.
    3. Then the price moves: price <- price * exp(step * (granted - rho) / rho), mirror descent on the dual with the
       entropy as its mirror map (Balseiro, Lu and Mirrokni 2020, "Dual mirror descent for online allocation problems",
       section 4). Queries offered together meet one price, and move it once, by their sum.
    4. Tokens that a funded query did not use come back (`refund`): to the window, and off the price.

    A new window begins with its whole budget; what is left of one is lost, as idle capacity is. `step` is
    1 / sqrt(window) where none is given. Online clearing by this rule is ours; the paper clears batches.
    """

    def __init__(self, budget: float, window: int, *, headroom: float | None = None, step: float | None = None) -> None:
        """Args: budget: tokens per window. window: queries in one. headroom: 1 / beta; half of rho if not given."""
        if isinstance(budget, bool) or not 0 < budget < float("inf"):
            raise InputError(f"budget is {budget} tokens per window; it must be a number above 0")
        if isinstance(window, bool) or not isinstance(window, int) or window < 1:
            raise InputError(f"window is {window}; it must be a whole number of queries, 1 or more")
        for name, value in (("headroom", headroom), ("step", step)):
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} is {value}; it must be a number above 0")
        self.budget, self.window, self.share = float(budget), window, budget / window
        self.headroom = KAPPA * self.share if headroom is None else headroom
        self.step = window**-0.5 if step is None else step
        self.price: float | None = None
        self.left, self.met = self.budget, 0  # of the present window: tokens, and queries that have come
        self.granted = self.returned = 0  # of all windows
        self._live: dict[str, int] = {}

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
        tokens = [self._take(most, least) for most, least in zip(wanted, threshold.tolist(), strict=True)]
        worth = bids.utility(torch.tensor(tokens, dtype=torch.float64)).tolist()
        outcome = iter(zip(tokens, worth, strict=True))
        grants = []
        for (id, *_), fine in zip(given, sound, strict=True):
            got, value = next(outcome) if fine else (0, 0.0)
            status = ("funded" if got else "abandoned") if fine else "bad"
            grants.append(Grant(id, got, status, max(value - price * got, 0.0), price))
            if got:
                self._live[id] = got
        self._move(sum(wanted) - len(wanted) * self.share)
        return grants

    def _sound(self, queries: list[tuple[str, float, float, float]]) -> list[bool]:
        """Which queries can be dealt with; an id counts once."""
        seen, sound = set[str](), []
        for id, threshold, weight, cap in queries:
            new = id not in self._live and id not in seen
            sound.append(new and threshold >= 0 and 0 < weight < float("inf") and cap >= 0)
            seen.add(id)
        return sound

    def _take(self, wanted: float, threshold: float) -> int:
        """Tokens for one query, of those left in the window; 0 where they would not be worth anything."""
        if self.met == self.window:
            self.left, self.met = self.budget, 0
        self.met += 1
        whole = int(min(wanted, self.left))
        whole = whole if whole > threshold else 0
        self.left -= whole
        self.granted += whole
        return whole

    def refund(self, id: str, used: int) -> int:
        """Settle a funded query that used so many tokens; returns those that come back. They lower the price."""
        if id not in self._live:
            raise InputError(f"query {id!r} is not live; only a funded one can be settled, once")
        if isinstance(used, bool) or not isinstance(used, int) or used < 0:
            raise InputError(f"query {id!r} used {used!r} tokens; valid: a whole number, 0 or more")
        back = max(self._live.pop(id) - used, 0)
        self.returned += back
        self.left = min(self.left + back, self.budget)
        self._move(-float(back))
        return back

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
            self.price = min(max(self.price, 1e-300), 1e300)

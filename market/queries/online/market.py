"""A market for queries that come one at a time: grants by a policy, from a budget that begins anew in every window."""

from collections.abc import Iterable
from math import inf
from typing import Any, final

import torch

from walras.errors import InputError
from walras.escaping import shown
from walras.market.queries.limits import (
    LEAST_HEADROOM,
    LEAST_WEIGHT,
    MOST_TOKENS,
    MOST_WEIGHT,
    amount,
    as_plain,
    from_plain,
    real,
)
from walras.market.queries.online.asking import move
from walras.market.queries.online.asking import wanted as wanted_by
from walras.market.queries.online.clear import ClearPolicy
from walras.market.queries.online.grants import Grant, Settlement
from walras.market.queries.online.policy import OnlinePolicy, Seen, surge_bids
from walras.market.queries.online.windows import CountWindows, Windows
from walras.market.queries.queries import KAPPA

Query = tuple[str, float, float, float]
"""Id, threshold, weight and cap."""


@final
class OnlineMarket:
    """An online market grants tokens as queries come, with a budget per window of so many queries, or seconds.

    1. Queries ask for tokens as the policy says; by default that is CLEAR's: what is best for each at the price.
    2. None gets more than is left of the window's budget, nor a grant that would be worth nothing to it.
    3. The policy is told how much was asked for beyond an equal share, and moves its price, if it has one. Queries
       offered together meet one price, and move it once, by their sum. One that needs more than any window has is
       never funded, and asks for nothing: else it alone would make tokens too dear for all others.
    4. `refund` settles a funded query. Tokens that it did not use come back to the window that they were taken from,
       and off the price; where that window is over they have expired, so that no later one grants more than its budget.
       What was used beyond the grant is taken from the present window, and moves the price up.

    Tokens are conserved at every moment: `granted + over` is `used + returned + expired + outstanding`.

    A new window begins with its whole budget; what is left of one is lost, as idle capacity is. A threshold holds all
    tokens below which an answer is worth nothing, those that it is written with included.
    """

    def __init__(
        self,
        budget: float,
        window: int | Windows,
        policy: OnlinePolicy | None = None,
        *,
        headroom: float | None = None,
        step: float | None = None,
    ) -> None:
        """Open a market.

        Args:
            budget: tokens per window.
            window: queries in one, or `TimeWindows`.
            policy: CLEAR's if none is given.
            headroom: 1 / beta; half of an equal share if not given.
            step: of the price; 1 / sqrt(queries in a window, or as many as were met, up to 1,000) if not given: the
                longer a price has been learned, the less one query moves it.
        """
        self.budget = amount(budget, "budget", 1.0)
        self.windows = window if isinstance(window, Windows) else CountWindows(window)
        self.policy = ClearPolicy() if policy is None else policy
        self._headroom = None if headroom is None else amount(headroom, "headroom", LEAST_HEADROOM)
        self._step = None if step is None else amount(step, "step", 1e-9, 1e9)
        self.granted = self.used = self.returned = self.expired = self.over = 0  # of all windows
        self._live: dict[str, tuple[int, int]] = {}  # id -> tokens granted, and in which window
        self._seen = Seen(self.budget, LEAST_HEADROOM, 1.0, left=self.budget)
        self._look()

    def __len__(self) -> int:
        """Funded queries that have not been settled."""
        return len(self._live)

    def __contains__(self, id: str) -> bool:
        """Whether a query is live."""
        return id in self._live

    @property
    def price(self) -> float | None:
        """Per token; None as long as there is none, and of policies without one. Set it to begin with one."""
        return self._seen.price

    @price.setter
    def price(self, price: float | None) -> None:
        self._seen.price = None if price is None else amount(price, "price", 0.0)

    @property
    def left(self) -> float:
        """Tokens that are left in the present window; below 0 where more was used than granted."""
        return self._seen.left

    @property
    def outstanding(self) -> int:
        """Tokens of grants that have not been settled."""
        return sum(tokens for tokens, _ in self._live.values())

    @property
    def headroom(self) -> float:
        """Tokens above its threshold at which more no longer helps a query."""
        return self._seen.headroom

    def offer(self, id: str, threshold: float, weight: float = 1.0, cap: float = inf, now: float = 0.0) -> Grant:
        """Grant tokens to one query; one without a sound threshold, or whose id is live, is bad."""
        return self.offer_all([(id, threshold, weight, cap)], now)[0]

    def offer_all(self, queries: Iterable[Query], now: float = 0.0) -> list[Grant]:
        """Grant tokens to queries that come together, at one price.

        Args:
            queries: id, threshold, weight and cap of each.
            now: seconds by any clock, the same for all calls; only windows of time look at it.
        """
        given = list(queries)
        sound = self._sound(given)
        rows = [row[1:] for row, fine in zip(given, sound, strict=True) if fine]
        self.pass_time(now)
        bids = surge_bids(rows, self.headroom)
        wanted = wanted_by(self.policy, bids, self._seen, len(rows))
        price = self._seen.price or 0.0
        taken = [self._take(tokens, row[0]) for tokens, row in zip(wanted, rows, strict=True)]
        worth = bids.utility(torch.tensor([got for got, _ in taken], dtype=torch.float64)).tolist()
        outcome = iter(zip(taken, worth, strict=True))
        grants = []
        for (id, *_), fine in zip(given, sound, strict=True):
            (got, window), value = next(outcome) if fine else ((0, 0), 0.0)
            status = ("funded" if got else "abandoned") if fine else "bad"
            grants.append(Grant(id, got, status, max(value - price * got, 0.0), price))
            if got:
                self._live[id] = got, window
        self._seen.recent.extend(rows)
        try:
            asked = sum(
                tokens for tokens, row in zip(wanted, rows, strict=True) if self.could_fund(row[0], self.budget)
            )
            move(self.policy, self._seen, asked - self.windows.counted(len(rows)) * self.budget)
        except Exception:  # nobody will be told of them
            for grant in grants:
                if grant.max_tokens:
                    self._regrant(grant.id, 0)
            raise
        return grants

    def refund(self, id: str, used: int, now: float = 0.0) -> Settlement:
        """Settle a funded query that used so many tokens: step 4 of the class.

        Raises:
            InputError: the query is not live, or no whole number of tokens from 0 to 2^53.
        """
        if id not in self._live:
            raise InputError(f"query {shown(id)} is not live; only a funded one can be settled, once")
        if isinstance(used, bool) or not isinstance(used, int) or not 0 <= used <= MOST_TOKENS:
            raise InputError(f"query {shown(id)} used {shown(used)} tokens; valid: a whole number, 0 to {MOST_TOKENS}")
        self.pass_time(now)
        granted, window = self._live.pop(id)
        unused, over = max(granted - used, 0), max(used - granted, 0)
        back = unused if window == self._seen.window else 0
        self.used, self.returned, self.expired = self.used + used, self.returned + back, self.expired + unused - back
        self.over += over
        self._seen.left += back - over
        move(self.policy, self._seen, float(over - back))
        return Settlement(id, back, unused - back, over)

    def renew(self, budget: float) -> None:
        """Give the windows that begin from now on another budget; at least 1 token."""
        self.budget = amount(budget, "budget", 1.0)
        self._look()

    def charge(self, id: str, tokens: int, now: float = 0.0) -> Grant:
        """Grant so many tokens, whatever the policy says and the window has left: a promise that was made before.

        It moves the price, and does not count as a query that comes: whoever is promised something has asked before.

        Raises:
            InputError: the id is live, or no whole number of tokens from 1 to 2^53.
        """
        if id in self._live:
            raise InputError(f"query {shown(id)} is live already")
        if isinstance(tokens, bool) or not isinstance(tokens, int) or not 1 <= tokens <= MOST_TOKENS:
            raise InputError(f"query {shown(id)} is charged {shown(tokens)} tokens; valid: a whole number, 1 or more")
        self.pass_time(now)
        self._enter(self.windows.turn())
        self._seen.left -= tokens
        self.granted += tokens
        self._live[id] = tokens, self._seen.window
        price = self._seen.price or 0.0
        try:
            move(self.policy, self._seen, float(tokens))
        except Exception:
            self._regrant(id, 0)
            raise
        return Grant(id, tokens, "funded", 0.0, price)

    def amend(self, id: str, tokens: int) -> None:
        """Make the last call's grant of a query, or its refusal, one of so many tokens; 0 for none.

        For whoever repeats what a market decided that had other rules, or whose grant cannot be told.
        """
        more = self._regrant(id, tokens)
        move(self.policy, self._seen, float(more))

    def could_fund(self, threshold: float, budget: float) -> bool:
        """Whether any window of such a budget, however dear its tokens, could fund a query."""
        return threshold < budget or not self.policy.informed

    def pass_time(self, now: float) -> None:
        """Let the price fall by what flowed in since the last call; after an idle window it is found anew."""
        gone = self.windows.passed(now)
        self._look()
        if gone >= 1:
            self._seen.price = None
        elif gone:
            move(self.policy, self._seen, -gone * self.budget)

    def state(self) -> dict[str, Any]:
        """All that a market of the same settings needs to go on, as plain data."""
        return {
            "windows": self.windows.state(), "left": self._seen.left, "price": self._seen.price,
            "priced": self._seen.priced, "recent": [[*map(as_plain, row)] for row in self._seen.recent],
            "totals": [self.granted, self.used, self.returned, self.expired, self.over],
            "live": {id: [tokens, window] for id, (tokens, window) in self._live.items()},
        }  # fmt: skip

    def restore(self, state: dict[str, Any], now: float = 0.0, ago: float = 0.0) -> None:
        """Go on from the state of another market.

        Args:
            state: of `state`.
            now: seconds by the clock of later calls.
            ago: seconds since the state was taken.
        """
        self.windows.restore(state["windows"], now, ago)
        self.granted, self.used, self.returned, self.expired, self.over = state["totals"]
        self._live = {id: (int(tokens), int(window)) for id, (tokens, window) in state["live"].items()}
        self._seen.window, self._seen.left, self._seen.price = self.windows.number, state["left"], state["price"]
        self._seen.priced = state["priced"]
        self._seen.recent.clear()
        self._seen.recent.extend(
            (from_plain(tau), from_plain(weight), from_plain(cap)) for tau, weight, cap in state["recent"]
        )
        self.pass_time(now)

    def _look(self) -> None:
        """What the windows expect."""
        self._seen.share = self.budget / self.windows.expected
        own = max(KAPPA * self._seen.share, LEAST_HEADROOM)
        self._seen.headroom = own if self._headroom is None else self._headroom
        horizon = max(self.windows.expected, len(self._seen.recent))
        self._seen.step = horizon**-0.5 if self._step is None else self._step

    def _sound(self, queries: list[Query]) -> list[bool]:
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

    def _regrant(self, id: str, tokens: int) -> int:
        """Make the grant of a query another, in the books alone; how many tokens more that is."""
        before, window = self._live.pop(id, (0, self._seen.window))
        if tokens:
            self._live[id] = tokens, window
        self.granted += tokens - before
        self._seen.left -= tokens - before
        return tokens - before

    def _enter(self, begins: bool) -> None:
        """Go on in the present window, which may have begun just now."""
        if begins:
            self._seen.left = self.budget
        self._seen.window = self.windows.number

    def _take(self, wanted: float, threshold: float) -> tuple[int, int]:
        """Tokens for one query, of those left in its window; 0 where they would not be worth anything. The window."""
        self._enter(self.windows.arrive())
        whole = max(int(min(wanted, self._seen.left)), 0)  # what was used beyond grants may leave less than nothing
        whole = whole if whole > threshold or not self.policy.informed else 0
        self._seen.left -= whole
        self.granted += whole
        return whole, self._seen.window

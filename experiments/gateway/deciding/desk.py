"""The decisions of a gateway: one budget per window, a market for each tenant, and what came of every grant."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, final

from walras.errors import InputError
from walras.experiments.gateway.deciding.tenants import shares
from walras.experiments.gateway.deciding.terms import Ask, Decision, Terms
from walras.experiments.queries.typical import expecting_windows
from walras.market.queries.limits import as_plain, from_plain
from walras.market.queries.online import CountWindows, OnlineMarket, Settlement, TimeWindows, Windows
from walras.market.queries.online.needs import Needs

MEMORY = 500.0
"""Observations that what is known of a class of requests is worth at most."""


@final
@dataclass(frozen=True)
class Standing:
    """Tokens of a tenant in a window: all of them, and what is left; below 0 where more was used than granted."""

    budget: float
    left: float


@final
@dataclass
class _Live:
    """A grant that has not been settled."""

    tenant: str
    kind: str
    guess: float
    exact: bool
    tokens: int


Record = Callable[[dict[str, Any]], None]
"""Is told of every change, before it is answered, as plain data."""


@final
class Desk:
    """Decides for requests as they come, and settles them; what it is told and when is all that its state depends on.

    `record` hears each call as plain data before its outcome is returned; `repeat` makes such calls again, so that a
    desk that begins from a state and repeats what was recorded after it is in the state of the one that recorded.
    """

    def __init__(self, terms: Terms, now: float, record: Record = lambda change: None) -> None:
        self.terms, self._record = terms, record
        self._windows = _windows(terms, terms.budget, now)
        self._asked: dict[str, float] = {t.name: inf for t in terms.tenants}
        self.markets = {name: self._market(budget, now) for name, budget in self._split().items()}
        self._asked = dict.fromkeys(self._asked, 0.0)
        self.needs: dict[str, Needs] = {}
        self._live: dict[str, _Live] = {}
        self.unfunded = 0  # requests that were granted nothing when they came

    def __len__(self) -> int:
        """Grants that have not been settled."""
        return len(self._live)

    def ask(self, ask: Ask, now: float, again: bool = False) -> Decision:
        """Grant tokens to a request, or none; `again` if it has asked before, and waited since.

        Raises:
            InputError: a tenant that is not known, or a request that no market deals with: its id is live, or its
                guess, weight or cap is no sound number.
        """
        self._check(ask)
        decision = self._decided(ask, now, again)
        self._tell(ask, {"ask": _plain(ask), "tokens": decision.tokens, "now": now, "again": again})
        return decision

    def promise(self, ask: Ask, tokens: int, now: float) -> Decision:
        """Charge a request with tokens that it gets whatever the price: a floor.

        Raises:
            InputError: as `ask`.
        """
        self._check(ask)
        decision = self._promised(ask, tokens, now)
        self._tell(ask, {"promise": _plain(ask), "tokens": tokens, "now": now})
        return decision

    def settle(self, id: str, used: int, now: float, cut: bool = False, learn: bool = True) -> Settlement:
        """Give back what a request did not use, or charge what it used beyond; learn what its class needs.

        Args:
            id: of the request.
            used: tokens.
            now: seconds.
            cut: the answer ended because its tokens did.
            learn: the tokens tell what its class needs; they do not where they are a guess, or nobody waited for more.

        Raises:
            InputError: no grant of this id is live.
        """
        if id not in self._live:
            raise InputError(f"no grant of request {id!r} is live")
        settled = self._settled(id, used, now, cut, learn)
        self._record({"settle": id, "used": used, "cut": cut, "learn": learn, "now": now})
        return settled

    def repeat(self, change: Mapping[str, Any]) -> None:
        """Make a recorded call again; it is not recorded. What was granted stays so, should terms be others now."""
        if "settle" in change:
            self._settled(change["settle"], change["used"], change["now"], change["cut"], change["learn"])
            return
        fields = dict(change.get("ask") or change["promise"])
        ask = Ask(**{**fields, "cap": from_plain(fields["cap"])})
        if "promise" in change:
            self._promised(ask, change["tokens"], change["now"])
        else:
            self._decided(ask, change["now"], change.get("again", False), change.get("tokens"))

    def standing(self, now: float) -> dict[str, Standing]:
        """What every tenant has in the window of a time, whether anybody has asked in it yet; nothing is changed."""
        windows = copy(self._windows)
        windows.passed(now)
        if windows.turn():
            return {name: Standing(budget, budget) for name, budget in self._split().items()}
        found = {}
        for name, market in self.markets.items():
            own = copy(market.windows)
            own.passed(now)
            found[name] = Standing(market.budget, market.budget if own.turn() else market.left)
        return found

    def next_window(self, now: float) -> float | None:
        """Seconds until the next window begins; None where requests begin it, and nobody knows when they come."""
        self._windows.passed(now)
        return self._windows.left if isinstance(self._windows, TimeWindows) else None

    def next_asking(self, now: float) -> float:
        """The time at which whoever waits asks again: just after the next window has begun."""
        assert isinstance(self._windows, TimeWindows)  # elsewhere nobody waits
        self._windows.passed(now)
        return self._windows.again

    def could_fund(self, ask: Ask) -> bool:
        """Whether any window could fund a request, if its tenant had all of it."""
        return self.markets[ask.tenant].could_fund(self.threshold(ask), self.terms.budget)

    def threshold(self, ask: Ask) -> float:
        """Tokens that a request is reckoned to need, with what its class has used so far."""
        if ask.exact or ask.kind not in self.needs:
            return ask.guess
        return self.needs[ask.kind].threshold(ask.guess)

    def pass_time(self, now: float) -> None:
        """Bring all markets to one time: each looks at the clock when it is asked, and a state has one age."""
        self._windows.passed(now)
        for market in self.markets.values():
            market.pass_time(now)

    def state(self) -> dict[str, Any]:
        """All of it, as plain data; `pass_time` comes before, where it is to be restored at another time."""
        return {
            "windows": self._windows.state(), "asked": self._asked, "unfunded": self.unfunded,
            "markets": {name: {**m.state(), "budget": m.budget} for name, m in self.markets.items()},
            "needs": {kind: asdict(needs) for kind, needs in self.needs.items()},
            "live": {id: asdict(live) for id, live in self._live.items()},
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any], now: float, ago: float) -> None:
        """Go on, at a time `now`, from a state that was taken so many seconds ago, of the same tenants.

        Raises:
            InputError: other tenants.
        """
        if {*state["markets"]} != {*self.markets}:
            raise InputError(f"the state is of tenants {', '.join(sorted(state['markets']))}; others are set up now")
        self._windows.restore(state["windows"], now, ago)
        self._asked, self.unfunded = dict(state["asked"]), int(state["unfunded"])
        for name, own in state["markets"].items():
            self.markets[name].renew(own["budget"])
            self.markets[name].restore(own, now, ago)
        self.needs = {kind: Needs(**needs) for kind, needs in state["needs"].items()}
        self._live = {id: _Live(**live) for id, live in state["live"].items()}

    def abandon(self, now: float) -> int:
        """Charge all live grants in full, as those of a process that died; how many tokens that was."""
        tokens = sum(live.tokens for live in self._live.values())
        for id, live in [*self._live.items()]:
            self.settle(id, live.tokens, now, learn=False)
        return tokens

    def _check(self, ask: Ask) -> None:
        if ask.tenant not in self.markets:
            raise InputError(f"tenant {ask.tenant!r} is not known")
        if ask.id in self._live:
            raise InputError(f"request {ask.id!r} is live already")
        if not (0 < ask.guess < inf and 0 < ask.weight < inf and ask.cap >= 1):
            raise InputError(
                f"request {ask.id!r} has a guess of {ask.guess!r}, weight {ask.weight!r} and cap {ask.cap!r}; valid: "
                "numbers above 0, and a cap of at least 1"
            )

    def _tell(self, ask: Ask, change: dict[str, Any]) -> None:
        """Record a decision; one that cannot be recorded is none."""
        try:
            self._record(change)
        except OSError:
            if self._live.pop(ask.id, None):
                self.markets[ask.tenant].amend(ask.id, 0)
            raise

    def _decided(self, ask: Ask, now: float, again: bool, told: int | None = None) -> Decision:
        """What a market grants, or, as it was `told`, granted."""
        self._turn(now)
        threshold = self.threshold(ask)
        market = self.markets[ask.tenant]
        grant = market.offer(ask.id, threshold, ask.weight, ask.cap, now)
        tokens = grant.max_tokens if told is None else told
        if tokens != grant.max_tokens:
            market.amend(ask.id, tokens)
        self._asked[ask.tenant] += threshold
        if tokens:
            self._live[ask.id] = _Live(ask.tenant, ask.kind, ask.guess, ask.exact, tokens)
        else:
            self.unfunded += not again
        return Decision(ask.id, tokens, grant.price, threshold)

    def _promised(self, ask: Ask, tokens: int, now: float) -> Decision:
        self._turn(now)
        grant = self.markets[ask.tenant].charge(ask.id, tokens, now)
        self._live[ask.id] = _Live(ask.tenant, ask.kind, ask.guess, ask.exact, tokens)
        return Decision(ask.id, tokens, grant.price, self.threshold(ask))

    def _settled(self, id: str, used: int, now: float, cut: bool, learn: bool) -> Settlement:
        self._turn(now)
        live = self._live.pop(id)
        if live.kind and learn and not live.exact:
            before = self.needs.get(live.kind, Needs())
            self.needs[live.kind] = before.seen(used, live.guess, cut).forgetting(MEMORY)
        return self.markets[live.tenant].refund(id, used, now)

    def _turn(self, now: float) -> None:
        """Where a window has begun, divide the budget anew."""
        if self.terms.requests is not None:  # the market of the only tenant counts them
            return
        self._windows.passed(now)
        if self._windows.turn():
            for name, budget in self._split().items():
                self.markets[name].renew(budget)
            self._asked = dict.fromkeys(self._asked, 0.0)

    def _split(self) -> dict[str, float]:
        return shares(self.terms.tenants, self._asked, self.terms.budget, self.terms.sharing)

    def _market(self, budget: float, now: float) -> OnlineMarket:
        return OnlineMarket(budget, _windows(self.terms, budget, now), self.terms.policy, headroom=self.terms.headroom)


def _windows(terms: Terms, budget: float, now: float) -> Windows:
    """Windows of requests, or of time, of which the first begins now."""
    if terms.requests is not None:
        return CountWindows(terms.requests)
    windows = expecting_windows(terms.seconds, budget, terms.typical)
    windows.begin(now)
    return windows


def _plain(ask: Ask) -> dict[str, Any]:
    """A request as plain data."""
    return {**asdict(ask), "cap": as_plain(ask.cap)}

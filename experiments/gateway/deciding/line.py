"""Carries out what is to be done about requests that a gateway's desk does not fund; the queue of those that wait."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

from walras.experiments.gateway.deciding.desk import Desk
from walras.experiments.gateway.deciding.terms import Ask, Decision
from walras.experiments.queries.unfunded import (
    DOWNGRADED,
    FLOOR,
    FUNDED,
    QUEUED,
    UNFUNDED,
    Case,
    Charge,
    GoTo,
    UnfundedRule,
    Wait,
    decide,
)


@final
@dataclass(frozen=True)
class Outcome:
    """What a request gets.

    Attributes:
        status: FUNDED, QUEUED, FLOOR, DOWNGRADED or UNFUNDED.
        decision: its tokens and price.
        model: that answers in place of its own.
    """

    status: str
    decision: Decision
    model: str = ""


@final
@dataclass(eq=False)
class _Waiting:
    """A request in the queue, and what was decided when it last asked."""

    ask: Ask
    last: Decision
    decided: "asyncio.Future[Decision]"


@final
class Line:
    """Decides for requests in order of arrival; those that wait for a window are decided before those that come later.

    Args:
        desk: that decides.
        clock: seconds, of the desk's calls.
        rule: what is to be done about requests that are granted nothing.

    Attributes:
        decisions: that were made; those about requests that have waited do not count again.
    """

    def __init__(self, desk: Desk, clock: Callable[[], float], rule: UnfundedRule) -> None:
        self.desk, self.clock, self.rule = desk, clock, rule
        self.decisions = 0
        self._waiting: list[_Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, ask: Ask) -> Decision:
        """Decide for a request that has just come."""
        if self._waiting and self.clock() >= self._due:
            self._serve()
        self.decisions += 1
        return self.desk.ask(ask, self.clock())

    async def outcome(self, ask: Ask, decision: Decision, answers: int) -> Outcome:
        """What becomes of a request for which that was decided; where it was granted nothing, the rule is carried out.

        Args:
            ask: of the request.
            decision: that was made for it.
            answers: that it asks for.

        Raises:
            ConformanceError, UserCodeError: a rule of the user's own that fails, or says what cannot be done.
        """
        if decision.funded:
            return Outcome(FUNDED, decision)
        action = decide(self.rule, Case(ask.cap, answers, len(self)))
        if isinstance(action, GoTo):
            return Outcome(DOWNGRADED, decision, action.model)
        if isinstance(action, Charge):
            promised = self.desk.promise(ask, action.tokens, self.clock())
            return Outcome(FLOOR, replace(promised, price=decision.price))  # that at which it was granted nothing
        if isinstance(action, Wait) and self.desk.could_fund(ask):
            decision = await self._wait(ask, decision, action.seconds)
        return Outcome(QUEUED if decision.funded else UNFUNDED, decision)

    def close(self) -> None:
        """Wake nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _wait(self, ask: Ask, decision: Decision, seconds: float) -> Decision:
        """Wait until a window funds a request, or its time is over: then it is unfunded still."""
        loop = asyncio.get_running_loop()
        own = _Waiting(ask, decision, loop.create_future())
        self._waiting.append(own)
        self._set_timer()
        try:
            await asyncio.wait((own.decided,), timeout=seconds)
        except asyncio.CancelledError:
            if own.decided.done() and own.decided.exception() is None:  # just funded, and nobody is there any more
                self.desk.settle(ask.id, 0, self.clock(), learn=False)
            raise
        finally:
            if own in self._waiting:
                self._waiting.remove(own)
        return own.decided.result() if own.decided.done() else own.last

    def _set_timer(self) -> None:
        if self._timer is None:
            now = self.clock()
            left = self.desk.next_window(now)
            assert left is not None  # windows are of time, where somebody waits
            self._due = now + left
            self._timer = asyncio.get_running_loop().call_later(self.desk.next_asking(now) - now, self._serve)

    def _serve(self) -> None:
        """A window has begun: decide anew for all that wait."""
        self.close()
        for one in [*self._waiting]:
            try:
                decision = self.desk.ask(one.ask, self.clock(), again=True)
            except Exception as error:  # a journal that cannot be written: whoever waits is told
                self._waiting.remove(one)
                one.decided.set_exception(error)
                continue
            one.last = decision
            if decision.funded:
                self._waiting.remove(one)
                one.decided.set_result(decision)
        if self._waiting:
            self._set_timer()

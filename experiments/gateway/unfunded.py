"""What a request gets that the market grants nothing: an error, a place in a queue, a floor, or another model."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.gateway.desk import Ask, Decision, Desk
from walras.market.queries.limits import MOST_TOKENS, amount
from walras.registry import Registry


@final
@dataclass(frozen=True)
class Outcome:
    """What a request gets.

    Attributes:
        status: `funded`, `queued` (funded, after it waited), `floor`, `downgraded` or `unfunded`.
        decision: its tokens and price.
        model: that answers in place of its own.
    """

    status: str
    decision: Decision
    model: str = ""


@final
@dataclass(eq=False)
class _Waiting:
    """A request in the queue."""

    ask: Ask
    decided: "asyncio.Future[Decision]"


@final
class Line:
    """Requests that wait for a window, in order of arrival; whoever comes later is decided after them.

    Args:
        desk: that decides.
        clock: seconds, of the desk's calls.

    Attributes:
        decisions: that the desk was asked for.
    """

    def __init__(self, desk: Desk, clock: Callable[[], float]) -> None:
        self.desk, self.clock = desk, clock
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
        return self._decide(ask)

    async def wait(self, ask: Ask, unfunded: Decision, seconds: float) -> Decision:
        """Wait until a window funds a request, or its time is over: then it is unfunded still."""
        loop = asyncio.get_running_loop()
        own = _Waiting(ask, loop.create_future())
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
        return own.decided.result() if own.decided.done() else unfunded

    def close(self) -> None:
        """Wake nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _decide(self, ask: Ask) -> Decision:
        self.decisions += 1
        return self.desk.ask(ask, self.clock())

    def _set_timer(self) -> None:
        if self._timer is None:
            left = self.desk.next_window(self.clock())
            self._due = self.clock() + left
            self._timer = asyncio.get_running_loop().call_later(left + 1e-3, self._serve)

    def _serve(self) -> None:
        """A window has begun: decide anew for all that wait."""
        self.close()
        for one in [*self._waiting]:
            try:
                decision = self._decide(one.ask)
            except Exception as error:  # a journal that cannot be written: whoever waits is told
                self._waiting.remove(one)
                one.decided.set_exception(error)
                continue
            if decision.funded:
                self._waiting.remove(one)
                one.decided.set_result(decision)
        if self._waiting:
            self._set_timer()


class UnfundedRule(ABC):
    """A rule says what becomes of a request that was granted nothing; concrete ones are final frozen dataclasses."""

    name: ClassVar[str]

    @abstractmethod
    async def outcome(self, ask: Ask, decision: Decision, choices: int, line: Line) -> Outcome:
        """What it gets.

        Args:
            ask: of the request.
            decision: that was made for it.
            choices: answers that it asks for.
            line: where it may wait; whose desk may promise it tokens.
        """


@final
@dataclass(frozen=True)
class Reject(UnfundedRule):
    """The request is refused with status 429, and told when the next window begins."""

    name: ClassVar[str] = "reject"

    async def outcome(self, ask: Ask, decision: Decision, choices: int, line: Line) -> Outcome:
        """Nothing."""
        del ask, choices, line
        return Outcome("unfunded", decision)


@final
@dataclass(frozen=True)
class Queue(UnfundedRule):
    """The request waits for windows that fund it, in order of arrival; after a time, or if many wait, it is refused.

    Attributes:
        seconds: that it waits at most.
        length: requests that wait at most.
    """

    seconds: float = 120.0
    length: int = 256
    name: ClassVar[str] = "queue"

    def __post_init__(self) -> None:
        amount(self.seconds, "seconds of a queue", 1e-3, 1e6)
        amount(self.length, "length of a queue", 1, 1e6)

    async def outcome(self, ask: Ask, decision: Decision, choices: int, line: Line) -> Outcome:
        """What a later window grants."""
        del choices
        if len(line) >= self.length:
            return Outcome("unfunded", decision)
        later = await line.wait(ask, decision, self.seconds)
        return Outcome("queued" if later.funded else "unfunded", later)


@final
@dataclass(frozen=True)
class Floor(UnfundedRule):
    """The request gets a few tokens whatever the price, per answer, and never more than it allows.

    Attributes:
        tokens: per answer.
    """

    tokens: int
    name: ClassVar[str] = "floor"

    def __post_init__(self) -> None:
        amount(self.tokens, "tokens of a floor", 1)

    async def outcome(self, ask: Ask, decision: Decision, choices: int, line: Line) -> Outcome:
        """The floor, which is charged."""
        del decision
        tokens = int(min(self.tokens * choices, ask.cap, MOST_TOKENS))
        return Outcome("floor", line.desk.promise(ask, tokens, line.clock()))


@final
@dataclass(frozen=True)
class Downgrade(UnfundedRule):
    """The request goes to another model, with no grant and no charge.

    Attributes:
        model: its name at the same upstream.
    """

    model: str
    name: ClassVar[str] = "downgrade"

    def __post_init__(self) -> None:
        if not self.model or not (self.model.isprintable() and self.model.isascii()):
            raise InputError(f"model of a downgrade is {shown(self.model)}; valid: the name of one")

    async def outcome(self, ask: Ask, decision: Decision, choices: int, line: Line) -> Outcome:
        """The other model."""
        del ask, choices, line
        return Outcome("downgraded", decision, self.model)


def _read(text: str) -> UnfundedRule | None:
    """The short ways to say it: `floor=64`, `downgrade=MODEL`, `queue:30`."""
    if text.startswith("downgrade="):
        return Downgrade(text.partition("=")[2])
    head, mark, value = text.partition("=" if text.startswith("floor=") else ":")
    if head == "floor" and mark == "=" and value.isdecimal():
        return Floor(int(value))
    if head == "queue" and value.removesuffix("s").isdecimal():
        return Queue(float(value.removesuffix("s")))
    return None


UNFUNDED_RULES: Registry[UnfundedRule] = Registry("unfunded rule", UnfundedRule, texts=("name",), read=_read)
for _rule in (Reject, Queue, Floor, Downgrade):
    UNFUNDED_RULES.add(_rule)

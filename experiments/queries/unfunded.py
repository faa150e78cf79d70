"""What is to be done about a request that the market grants nothing: rules that decide, and carry nothing out.

A gateway carries their actions out as requests come, a replay in the time of its trace. Both take the same texts.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, final

from walras.errors import ConformanceError, InputError
from walras.escaping import shown
from walras.experiments.queries.durations import seconds_of
from walras.market.naming import naming
from walras.market.queries.limits import MOST_TOKENS, amount, real
from walras.registry import Registry

FUNDED, QUEUED, FLOOR, DOWNGRADED, UNFUNDED = "funded", "queued", "floor", "downgraded", "unfunded"
"""What came of a request: the market funded it at once, or after it waited; it was charged tokens all the same; it went
to another model; or it got nothing."""


@final
@dataclass(frozen=True)
class Case:
    """What is known of a request that was granted nothing.

    Attributes:
        cap: the most tokens that it may use, of all its answers together.
        answers: that it asks for.
        waiting: requests that wait already.
    """

    cap: float = inf
    answers: int = 1
    waiting: int = 0


@final
@dataclass(frozen=True)
class Refuse:
    """It gets nothing."""


@final
@dataclass(frozen=True)
class Wait:
    """It asks again whenever a window begins, in order of arrival, for so many seconds at most; then it is refused."""

    seconds: float


@final
@dataclass(frozen=True)
class Charge:
    """It gets so many tokens, for all its answers together, and the window is charged, even beyond its budget."""

    tokens: int


@final
@dataclass(frozen=True)
class GoTo:
    """It goes to another model, with no grant and no charge."""

    model: str


Action = Refuse | Wait | Charge | GoTo
"""What is to be done."""


@final
@dataclass(frozen=True)
class Most:
    """The most that a rule ever does.

    Attributes:
        seconds: that it lets a request wait; 0 where nobody waits.
        tokens: that it charges per answer; 0 where it charges none.
    """

    seconds: float = inf
    tokens: float = inf


class UnfundedRule(ABC):
    """A rule says what is to be done about a request that was granted nothing; concrete ones are frozen dataclasses.

    An action follows from what the rule is told, and from nothing else. A rule also tells the most that it ever does,
    from which it follows how many right answers were possible; one that does not might do anything.
    """

    name: ClassVar[str]

    @abstractmethod
    def action(self, case: Case) -> Action:
        """What is to be done."""

    def most(self) -> Most:
        """The most that it ever does."""
        return Most()


@final
@dataclass(frozen=True)
class Reject(UnfundedRule):
    """The request is refused."""

    name: ClassVar[str] = "reject"

    def action(self, case: Case) -> Action:
        """Nothing."""
        del case
        return Refuse()

    def most(self) -> Most:
        """Nothing."""
        return Most(0, 0)


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

    def action(self, case: Case) -> Action:
        """A place in the queue, if there is one."""
        return Wait(self.seconds) if case.waiting < self.length else Refuse()

    def most(self) -> Most:
        """Its seconds."""
        return Most(self.seconds, 0)


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

    def action(self, case: Case) -> Action:
        """The floor, which is charged."""
        return Charge(self.tokens * case.answers)

    def most(self) -> Most:
        """The floor."""
        return Most(0, self.tokens)


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

    def action(self, case: Case) -> Action:
        """The other model."""
        del case
        return GoTo(self.model)

    def most(self) -> Most:
        """Neither."""
        return Most(0, 0)


def decide(rule: UnfundedRule, case: Case) -> Action:
    """The action of a rule, which is sound: nobody is charged more than its cap, nor less than one token.

    Raises:
        ConformanceError: no such action, or one beyond what the rule says that it does at most.
        UserCodeError: a rule of the user's own fails.
    """
    with naming(f"unfunded rule {type(rule).__name__}", rule):
        action = rule.action(case)
    most = most_of(rule)
    elsewhere = isinstance(action, GoTo) and isinstance(action.model, str) and bool(action.model)
    if (
        isinstance(action, Refuse)
        or elsewhere
        or (isinstance(action, Wait) and 0 < real(action.seconds) <= most.seconds)
    ):
        return action
    if isinstance(action, Charge) and type(action.tokens) is int and 1 <= action.tokens <= most.tokens * case.answers:
        tokens = int(min(action.tokens, case.cap, MOST_TOKENS))
        return Charge(tokens) if tokens >= 1 else Refuse()
    raise ConformanceError(
        f"unfunded rule {type(rule).__name__} says {shown(action)}; valid: Refuse(), GoTo(MODEL), Wait(SECONDS) of at "
        f"most {most.seconds:g}, or Charge(TOKENS) of at most {most.tokens:g} whole ones an answer, as it says itself"
    )


def check_waiting(rule: UnfundedRule, timed: bool) -> None:
    """Refuse a rule that lets requests wait for windows that are not of time.

    Raises:
        InputError: such a rule.
    """
    if most_of(rule).seconds and not timed:
        raise InputError(
            f"--unfunded {rule.name} needs windows of time, --per: where requests are counted, one that asks again "
            "would count as another one"
        )


def most_of(rule: UnfundedRule) -> Most:
    """The most that a rule says that it ever does, which is sound.

    Raises:
        ConformanceError: no such thing.
        UserCodeError: a rule of the user's own fails.
    """
    with naming(f"unfunded rule {type(rule).__name__}", rule):
        most: Any = rule.most()
        if not (isinstance(most, Most) and real(most.seconds) >= 0 and real(most.tokens) >= 0):
            raise ConformanceError(f"it does {shown(most)} at most; valid: Most, of numbers of at least 0")
    return most


_SECONDS = re.compile(r"queue:([^=]+)")
_TOKENS = re.compile(r"\d{1,400}", re.ASCII)


def _read(text: str) -> UnfundedRule | None:
    """The short ways to say it: `floor=64`, `downgrade=MODEL`, `queue:30`."""
    if text.startswith("downgrade="):
        return Downgrade(text.partition("=")[2])
    if text.startswith("floor="):
        told = text.partition("=")[2]
        if not _TOKENS.fullmatch(told):
            raise InputError(f"tokens of a floor are {shown(told)}; valid: a whole number of at least 1, floor=64")
        return Floor(int(told))
    if text in ("floor", "downgrade"):
        raise InputError(f"unfunded rule {text} must say more: floor=TOKENS, downgrade=MODEL")
    if found := _SECONDS.fullmatch(text):
        return Queue(seconds_of(found[1], "seconds of a queue"))
    return None


UNFUNDED_RULES: Registry[UnfundedRule] = Registry("unfunded rule", UnfundedRule, texts=("name",), read=_read)
for _rule in (Reject, Queue, Floor, Downgrade):
    UNFUNDED_RULES.add(_rule)

"""Rules for requests that are granted nothing: what they say, and how they are named."""

from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from walras.errors import ConformanceError, InputError, UserCodeError
from walras.experiments.queries.typical import expecting_windows, typical_tokens
from walras.experiments.queries.unfunded import (
    UNFUNDED_RULES,
    Action,
    Case,
    Charge,
    Downgrade,
    Floor,
    GoTo,
    Most,
    Queue,
    Refuse,
    Reject,
    UnfundedRule,
    Wait,
    decide,
)
from walras.market.queries.limits import MOST_TOKENS

NO_TOKENS: tuple[Any, ...] = (2.5, True)
NO_NUMBERS: tuple[Any, ...] = ("8", None)


@pytest.mark.parametrize(
    ("rule", "case", "action"),
    [
        (Reject(), Case(), Refuse()),
        (Queue(30.0, 2), Case(waiting=1), Wait(30.0)),
        (Queue(30.0, 2), Case(waiting=2), Refuse()),
        (Floor(64), Case(), Charge(64)),
        (Floor(64), Case(answers=3), Charge(192)),
        (Floor(64), Case(cap=100.9, answers=3), Charge(100)),
        (Floor(64), Case(cap=0.5), Refuse()),
        (Floor(MOST_TOKENS), Case(answers=3), Charge(MOST_TOKENS)),
        (Downgrade("small"), Case(), GoTo("small")),
    ],
)
def test_what_rules_say(rule: UnfundedRule, case: Case, action: Action) -> None:
    assert decide(rule, case) == action


@dataclass(frozen=True)
class Says(UnfundedRule):
    """Whatever it is told to say."""

    says: Any
    limits: Most
    name = "says"

    def action(self, case: Case) -> Action:
        del case
        if isinstance(self.says, Exception):
            raise self.says
        action: Action = self.says
        return action

    def most(self) -> Most:
        return self.limits


@pytest.mark.parametrize(
    "rule",
    [
        *(Says(action, Most()) for action in (None, "reject", Wait(0.0), Wait(-1.0), Wait(nan), Charge(0))),
        *(Says(Charge(tokens), Most()) for tokens in NO_TOKENS),
        Says(Wait(9.0), Most(8.0, 0)), Says(Charge(9), Most(0, 8)), Says(GoTo(""), Most()),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told(rule: UnfundedRule) -> None:
    with pytest.raises(ConformanceError, match=r"unfunded rule Says says .*; valid: Refuse\(\), GoTo\(MODEL\)"):
        decide(rule, Case())


@pytest.mark.parametrize("most", [None, (1, 2), Most(nan), Most(-1.0), *(Most(1.0, tokens) for tokens in NO_NUMBERS)])
def test_the_most_that_a_rule_does_is_a_number(most: Any) -> None:
    with pytest.raises(ConformanceError, match=r"unfunded rule Says .*at most; valid: Most"):
        decide(Says(Refuse(), most), Case())


def test_a_rule_of_ones_own_may_say_anything_within_what_it_says_at_most() -> None:
    assert decide(Says(Charge(16), Most(0, 8)), Case(answers=2)) == Charge(16)
    assert decide(Says(Wait(8.0), Most(8.0, 0)), Case()) == Wait(8.0)
    assert UnfundedRule.most(Reject()) == Most(inf, inf)  # of a rule that does not say
    with pytest.raises(UserCodeError, match="unfunded rule Says"):
        decide(Says(ValueError("no"), Most()), Case())


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("reject", Reject()), ("queue", Queue()), ("queue:30", Queue(30.0)), ("queue:30s", Queue(30.0)),
        ("queue:2.5", Queue(2.5)), ("queue:2m", Queue(120.0)), ("queue:seconds=5,length=7", Queue(5.0, 7)),
        ("floor=64", Floor(64)),
        ("floor:tokens=64", Floor(64)), ("downgrade=org/small", Downgrade("org/small")),
        ("downgrade:model=small", Downgrade("small")),
    ],
)  # fmt: skip
def test_rules_are_read(text: str, rule: UnfundedRule) -> None:
    assert UNFUNDED_RULES.make(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        "queue:2w",
        "queue:inf",
        f"queue:{'9' * 400}",
        f"floor={'9' * 5000}",
        "floor",
        "floor=",
        "floor=0",
        "floor=2.5",
        "floor=many",
        "queue:-1",
        "queue:0",
        "downgrade=",
        "downgrade",
        "x",
    ],
)
def test_rules_that_are_none_are_told(text: str) -> None:
    with pytest.raises(InputError):
        UNFUNDED_RULES.make(text)


def test_a_rule_of_ones_own_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from walras.experiments.queries.unfunded import Charge, Most, Refuse, UnfundedRule\n"
        "class Short(UnfundedRule):\n    name = 'short'\n"
        "    def action(self, case):\n        return Charge(8) if case.cap < 100 else Refuse()\n"
        "    def most(self):\n        return Most(0, 8)\n"
    )
    rule = UNFUNDED_RULES.make(f"{tmp_path / 'own.py'}:Short")
    assert decide(rule, Case(cap=50.0)) == Charge(8)
    assert decide(rule, Case(cap=150.0)) == Refuse()


def test_windows_begin_with_as_many_requests_as_the_budget_has_typical_ones() -> None:
    assert typical_tokens(150.0) == 300
    assert expecting_windows(10.0, 1200.0, 300.0).expected == 4
    assert expecting_windows(10.0, 100.0, 300.0).expected == 1
    with pytest.raises(InputError, match="typical tokens is 0"):
        expecting_windows(10.0, 100.0, 0.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("floor=1.5", "tokens of a floor are '1.5'; valid: a whole number"),
        ("floor=-1", "tokens of a floor are '-1'; valid: a whole number"),
        ("floor=", "tokens of a floor are ''; valid: a whole number"),
        ("floor", "unfunded rule floor must say more: floor=TOKENS"),
        ("downgrade", "unfunded rule downgrade must say more: .*downgrade=MODEL"),
    ],
)
def test_texts_that_say_too_little(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        UNFUNDED_RULES.make(text)

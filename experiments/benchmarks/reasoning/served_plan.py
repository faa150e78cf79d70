"""What a measurement lays down before it sees a test problem: a predictor, budgets and fixed caps.

All of it is read off greedy answers of the same model to training questions, none of which is a test question.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, final

import numpy as np

from walras.errors import InputError
from walras.experiments.benchmarks.reasoning.served_asking import LIMIT, Answer
from walras.experiments.benchmarks.reasoning.served_questions import PREAMBLE, Question
from walras.experiments.queries.predictors import Ridge, evaluate, figures, save_predictor
from walras.experiments.replaying.opening import Opening
from walras.experiments.replaying.replay import replay
from walras.experiments.replaying.requests import Requests
from walras.files.plain_data import read_json, write_json
from walras.files.record import Record
from walras.files.writing import write_whole

SHARES = (0.2, 0.4, 0.6)
"""Budgets per request, of the tokens that a training answer uses on average."""
CAPS = (5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, LIMIT)
FIXED = "fixed-cap"
POLICIES = ("clear", "uniform", FIXED, "unlimited")
_APART = 1e4  # seconds between training requests in a replay, more than any answer takes


@final
@dataclass(frozen=True)
class Plan:
    """A measurement as it was laid down.

    Attributes:
        model: that answers.
        preamble: messages before every question, as one text.
        limit: tokens that each request allows itself.
        requests: of the test.
        trivial: how many of these are trivial.
        seed: of the trivial questions and of the order.
        training: questions whose answers it was read off.
        mean: tokens that one of these used.
        budgets: tokens of all requests together, for each of `SHARES`.
        caps: tokens of the fixed cap at each budget: those that answer most training questions.
        fit: of a predictor that was learned from four fifths of the training answers, on the others.
    """

    model: str
    preamble: str
    limit: int
    requests: int
    trivial: int
    seed: int
    training: int
    mean: float
    budgets: tuple[int, ...]
    caps: tuple[int, ...]
    fit: dict[str, Any]

    def policy(self, name: str, budget: int) -> str:
        """A policy as the gateway is told it."""
        return f"{FIXED}:tokens={self.caps[self.budgets.index(budget)]}" if name == FIXED else name

    def cells(self) -> list[tuple[str, int]]:
        """All policies at all budgets; the policies of one budget stand together."""
        return [(policy, budget) for budget in self.budgets for policy in POLICIES]


def lay_down(
    questions: Sequence[Question], answers: Sequence[Answer], test: Sequence[int], model: str, seed: int, folder: Path
) -> Plan:
    """Learn the predictor, and choose budgets and caps; all is written to a folder.

    Args:
        questions: of the training side.
        answers: to them, in the same order.
        test: how many requests the test has, and how many of these are trivial.
        model: that answered.
        seed: of the order in which training answers are held out, and of what the plan tells.
        folder: of the predictor and the plan.

    Raises:
        InputError: answers of which hardly one is right.
    """
    texts, need = [q.text for q in questions], np.array([a.used if a.right and not a.cut else inf for a in answers])
    order = np.random.default_rng(seed).permutation(len(texts))
    held, kept = order[: len(order) // 5], order[len(order) // 5 :]
    part = Ridge().fit([texts[i] for i in kept], need[kept], LIMIT)
    fit = evaluate(part.predict([texts[i] for i in held]), need[held])
    save_predictor(Ridge().fit(texts, need, LIMIT), predictor_of(folder))
    mean, (requests, trivial) = float(np.mean([a.used for a in answers])), test
    budgets = tuple(round(share * mean * requests) for share in SHARES)
    caps = tuple(best_cap(answers, budget / requests) for budget in budgets)
    plan = Plan(model, _preamble(), LIMIT, requests, trivial, seed, len(texts), mean, budgets, caps, figures(fit))
    write_whole(_file(folder), write_json(asdict(plan)))
    return plan


def read_plan(folder: Path, model: str, test: Sequence[int], seed: int) -> Plan | None:
    """The plan of a folder; None if there is none yet.

    Raises:
        InputError: a plan for another measurement.
    """
    if not _file(folder).exists():
        return None
    told = Record(read_json(_file(folder), "plan"), f"plan {str(_file(folder))!r}")
    budgets, caps = (tuple(int(n) for n in told.numbers(name, 1)) for name in ("budgets", "caps"))
    plan = Plan(
        told.text("model"), told.text("preamble"), told.whole("limit"), told.whole("requests"),
        told.whole("trivial"), told.whole("seed"), told.whole("training"), told.number("mean"), budgets, caps,
        dict(told.record("fit").content),
    )  # fmt: skip
    wanted = (model, _preamble(), LIMIT, *test, seed)
    if (plan.model, plan.preamble, plan.limit, plan.requests, plan.trivial, plan.seed) != wanted:
        raise InputError(f"{told.where} is of another measurement; choose another folder --out")
    return plan


def predictor_of(folder: Path) -> Path:
    """Where the predictor is."""
    return folder / "served_predictor"


def best_cap(answers: Sequence[Answer], budget: float) -> int:
    """The fixed cap that answers most of some questions, one after the other, at so many tokens per question."""
    n = len(answers)
    used, right = np.array([a.used for a in answers]), np.array([a.right and not a.cut for a in answers])
    arrival, one, most = _APART * np.arange(n).astype(np.float64), np.ones(n), np.full(n, float(LIMIT))
    told = Requests([a.id for a in answers], arrival, one, one, most, used.astype(np.int64), right)
    opening = Opening(budget * n, None, n)
    found = [replay(told, opening.market(f"{FIXED}:tokens={cap}", told)).right.sum() for cap in CAPS]
    return CAPS[int(np.argmax(found))]


def _preamble() -> str:
    return "\n".join(f"{message['role']}: {message['content']}" for message in PREAMBLE)


def _file(folder: Path) -> Path:
    return folder / "served_plan.json"

"""A task on its first rows only."""

from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.tasks.base import Task
from walras.experiments.tasks.classification import Classification
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.similarity import Similarity, pairs
from walras.experiments.tasks.text import text


def test_similarity() -> None:
    whole = pairs()
    few = whole.first(3)
    assert list(few.dev) == list(whole.dev[:3])
    assert few.pool() == whole.pool()
    same = Similarity("pairs", (), [Example("a", "b", 1.0), Example("c", "d", 1.0), Example("e", "f", 2.0)])
    assert len(same.first(3).dev) == 3
    with pytest.raises(InputError, match="first 2 rows of pairs have one score"):
        same.first(2)


def test_classification() -> None:
    rows = [Example(str(i), label=0) for i in range(5)]
    task = Classification("mnli", "accuracy", ("a", "b", "c"), rows, rows, (), {"mismatched": rows[::-1]})
    few = task.first(2)
    assert (few.dev, few.further["mismatched"], few.train) == (rows[:2], rows[:2:-1], rows)


def test_text(lines: Path) -> None:
    whole = text(str(lines))
    assert list(whole.first(2).held_out) == list(whole.held_out[:2])
    assert whole.first(2).calibrating == whole.calibrating


def test_others_say_that_they_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Task, "__abstractmethods__", frozenset())
    task: Any = Task()  # type: ignore[abstract]  # nothing is abstract any more
    task.name = "own"
    with pytest.raises(InputError, match="'own' does not say how to evaluate on 7 rows only"):
        task.first(7)

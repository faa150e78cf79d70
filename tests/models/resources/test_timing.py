from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from walras.errors import InputError
from walras.models.resources import timing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only the functions under test move."""
    now = [0.0]
    monkeypatch.setattr("walras.models.resources.timing.time.perf_counter", lambda: now[0])
    return now


def test_calls_take_turns_and_the_shortest_counts(clock: list[float]) -> None:
    calls: list[str] = []
    takes = {"a": iter([0.1, 9.0, 0.1, 3.0, 0.1, 2.0]), "b": iter([0.1, 7.0, 0.1, 6.0, 0.1, 8.0])}

    def call(name: str) -> None:
        calls.append(name)
        clock[0] += next(takes[name])

    found = timing.interleaved([lambda: call("a"), lambda: call("b")], repeats=3)
    assert found == pytest.approx([2.0, 6.0])  # not those before them, which fill the caches
    assert calls == ["a", "a", "b", "b"] * 3


def test_entering_and_leaving_a_context_is_not_timed(clock: list[float]) -> None:
    inside = [False]

    @contextmanager
    def slow() -> Iterator[None]:
        clock[0] += 100
        inside[0] = True
        yield
        inside[0] = False
        clock[0] += 100

    def step() -> None:
        assert inside[0]
        assert not torch.is_grad_enabled()
        clock[0] += 2

    assert timing.interleaved([step], 2, contexts=[slow]) == [2.0]


@pytest.mark.parametrize("repeats", [0, -1, 1.5, True])
def test_bad_numbers_of_calls(repeats: Any) -> None:
    with pytest.raises(InputError, match=f"repeats = {repeats}"):
        timing.interleaved([lambda: None], repeats)

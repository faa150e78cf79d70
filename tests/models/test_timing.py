from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from walras.errors import InputError
from walras.models import timing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only the functions under test move."""
    now = [0.0]
    monkeypatch.setattr("walras.models.timing.time.perf_counter", lambda: now[0])
    return now


def test_calls_take_turns_and_the_shortest_counts(clock: list[float]) -> None:
    calls: list[str] = []
    takes = {"a": iter([9.0, 1.0, 3.0, 2.0]), "b": iter([0.5, 7.0, 6.0, 8.0])}

    def call(name: str) -> None:
        calls.append(name)
        clock[0] += next(takes[name])

    found = timing.interleaved([lambda: call("a"), lambda: call("b")], repeats=3, warmup=1)
    assert found == [1.0, 6.0]  # without the first of each, which only warms up
    assert calls == ["a", "b"] * 4


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


@pytest.mark.parametrize(("repeats", "warmup", "message"), [(0, 1, "repeats = 0"), (1, -1, "warmup = -1")])
def test_bad_numbers_of_calls(repeats: int, warmup: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        timing.interleaved([lambda: None], repeats, warmup)

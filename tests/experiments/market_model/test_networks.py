"""Market models on networks: loaded once, held by the cache alone, and the same market as `open_market` makes."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from torch import nn

import walras
from walras.errors import InputError
from walras.experiments.market_model import subjects
from walras.experiments.market_model.subjects import MOST_SUBJECTS, SUBJECTS
from walras.experiments.spec import SubjectSpec
from walras.experiments.subjects.subject import Subject
from walras.models.loading import load

TEXTS = ["the cat sat on the mat", "a dog ran", "the man played", "an apple", "a woman ate", "not in the house"]


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    SUBJECTS.clear()
    yield
    SUBJECTS.clear()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the networks that were loaded."""
    found: list[str] = []
    original = subjects._loaded

    def counted(spec: SubjectSpec) -> Subject:
        found.append(spec.model)
        return original(spec)

    monkeypatch.setattr(subjects, "_loaded", counted)
    return found


def settings(models: Path, lines: Path, name: str = "bert", **more: Any) -> Any:
    return {
        "model": str(models / name), "task": "text", "data": str(lines), "length": 16, "sentences": 8, "block": 16,
        "device": "cpu", "rounds": 2, **more,
    }  # fmt: skip


def played(market: walras.MarketModel) -> walras.MarketModel:
    while market.running:
        market.step()
    return market


def test_a_network_is_loaded_once_and_never_held_by_the_model(models: Path, lines: Path, loads: list[str]) -> None:
    first = played(walras.MarketModel(**settings(models, lines)))
    second = walras.MarketModel(**settings(models, lines, budget=0.3))
    assert len(loads) == 1
    assert second.round == 0
    network = weakref.ref(first.calibration.network("test").model)
    SUBJECTS.clear()
    gc.collect()
    assert network() is None
    assert first.round == 2  # what was played is there
    assert len(first.trace()) == 2 * len(first.ledger)
    assert repr(first).startswith("MarketModel(16 units, ShadowPrice, budget 0.5, round 2 of 2")
    with pytest.raises(InputError, match="the network has been deleted"):
        second.step()


def test_the_cache_lets_the_oldest_go(models: Path, lines: Path, loads: list[str]) -> None:
    for length in range(16, 16 + MOST_SUBJECTS + 1):
        walras.MarketModel(**settings(models, lines, length=length))
    walras.MarketModel(**settings(models, lines, length=17))
    assert len(loads) == MOST_SUBJECTS + 1
    walras.MarketModel(**settings(models, lines, length=16))
    assert len(loads) == MOST_SUBJECTS + 2


def test_it_is_the_market_that_open_market_makes(models: Path) -> None:
    loaded = load(str(models / "bert"), device="cpu")
    small: Any = {"length": 16, "sentences": 8, "block": 16, "rounds": 2, "seed": 3}
    opened = walras.open_market(loaded.model, loaded.tokenizer, TEXTS, **small)
    for _ in opened.remaining():
        opened.step()
    own = played(walras.MarketModel((loaded.model, loaded.tokenizer, TEXTS), **small))
    pd.testing.assert_frame_equal(own.frame, opened.frame)


def test_subjects_of_ones_own(models: Path) -> None:
    loaded = load(str(models / "bert"), device="cpu")
    triple = (loaded.model, loaded.tokenizer, TEXTS)
    small: Any = {"length": 16, "sentences": 8, "block": 16, "rounds": 2}
    first = played(walras.MarketModel(triple, **small))
    held = [subject for subject, _ in SUBJECTS._held.values()]
    again = played(walras.MarketModel(triple, **small))
    assert [subject for subject, _ in SUBJECTS._held.values()] == held
    pd.testing.assert_frame_equal(first.trace(), again.trace())
    pd.testing.assert_frame_equal(played(walras.MarketModel(held[0], **small)).trace(), first.trace())


@pytest.mark.parametrize(
    ("subject", "more", "message"),
    [
        (3, {}, r"subject is a int; it must be \(model, tokenizer, data\)"),
        ((1, 2), {}, "subject is a tuple"),
        ((1, 2, 3), {}, "subject begins with a int; it must be a transformer"),
        ((nn.Linear(2, 2), None, TEXTS), {"model": "bert"}, "model is 'bert' beside a subject of your own"),
        ((nn.Linear(2, 2), None, TEXTS), {"task": "pairs"}, "task is 'pairs' beside a subject of your own"),
        ((nn.Linear(2, 2), None, None), {}, "data of the subject is None"),
        (None, {"repair": "scales"}, "repair is scales, which needs a copy of the model: use walras.run"),
        ((nn.Linear(2, 2), None, TEXTS), {"noise": 0.5}, "noise is given without values"),
    ],
)
def test_bad_subjects_are_refused(subject: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        walras.MarketModel(subject, **more)

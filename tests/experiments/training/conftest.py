"""Training runs on the tiny models, short enough for a test."""

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop.task_trainer import TaskTrainer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting garbage and timing forward passes take half of a training as short as this."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)
    monkeypatch.setattr("walras.experiments.training.train.TIMED", {1: 1, 32: 1})


@pytest.fixture
def settings(models: Path, glue: Path, no_pictures: None) -> Callable[..., TrainConfig]:
    """Settings for a run of six steps on a dozen sentences, with any of them changed."""

    def make(**changes: Any) -> TrainConfig:
        given = {
            "model": str(models / "bert"), "task": "sst2", "data": str(glue), "device": "cpu", "budget": 0.5,
            "batch_size": 4, "held_out": 0.0, "epochs": 2, "rate": 1e-3, "block": 16, "length": 16, "sentences": 8,
        }  # fmt: skip
        own = {} if "recipe" in changes else {"pricing": "shadow-price", "priced": 0.5, "valuation": "fisher"}
        return TrainConfig.parse({**given, **own, "repair": "none", **changes})

    return make


@pytest.fixture
def killed_in() -> Callable[[int], AbstractContextManager[None]]:
    """A context in which every training is interrupted in a step, counted from 0, before its gradients."""

    @contextmanager
    def within(step: int) -> Iterator[None]:
        plain = TaskTrainer.training_step

        def killed(self: TaskTrainer, *given: Any, **more: Any) -> Any:
            if self.state.global_step == step:
                raise KeyboardInterrupt
            return plain(self, *given, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TaskTrainer, "training_step", killed)
            yield

    return within

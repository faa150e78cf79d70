"""What is refused before a network is trained: losses that nothing is learnt from, and what the machine has not."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from walras.errors import InputError
from walras.experiments.tasks.losses import (
    Embeddings,
    Labels,
    NextTokens,
    OwnPredictions,
    OwnSimilarities,
    Similarities,
)
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.estimate import hours
from walras.experiments.training.loop.processes import processes_of
from walras.experiments.training.loop.task_trainer import TaskTrainer
from walras.experiments.training.train import train

Make = Callable[..., TrainConfig]


def test_losses_whose_gradient_is_noise() -> None:
    losses = (Embeddings, OwnSimilarities, OwnPredictions, NextTokens, Labels, Similarities)
    assert [loss.trains for loss in losses] == [False, False, False, True, True, True]


def test_an_encoder_is_not_trained_on_text(
    settings: Make, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskTrainer, "training_step", lambda *_: pytest.fail("it was trained"))
    config = settings(task="text", data=str(lines))
    with pytest.raises(InputError, match=r"has no loss to train BertModel on: .*use a task with labels, such as"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="task text has no loss to train BertModel on"):
        hours([config, config.with_values(seed=1)], 1)


def test_a_decoder_is(settings: Make, models: Path, lines: Path) -> None:
    found = train(settings(model=str(models / "gpt2"), task="text", data=str(lines), epochs=1))
    assert found.summary.metric.name == "agreement with dense"


def test_fp16_without_a_gpu(settings: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="precision is fp16, which needs a GPU; on a processor use bf16 or no"):
        train(settings(precision="fp16"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    processes_of(settings())  # nothing was begun that another training would run into


def test_another_precision_in_the_same_process(settings: Make) -> None:
    """Weights stay in float32, whatever they are multiplied in; and what is left calls itself by no other precision."""
    plain, half = train(settings()), train(settings(precision="bf16"))
    assert {p.dtype for p in half.model.parameters()} == {torch.float32}
    first, second = plain.steps["loss"].iloc[0], half.steps["loss"].iloc[0]
    assert first != second
    assert first == pytest.approx(second, rel=0.02)
    assert "forward" not in vars(half.model)


def test_accelerate_is_optional(settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "accelerate" else found(name))
    with pytest.raises(InputError, match=r"needs the package accelerate: pip install '.\[train\]"):
        train(settings())


def test_time_is_told_for_one_thread(settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def times(*_: Any) -> tuple[float, float]:
        threads.append(torch.get_num_threads())
        return 1.0, 0.0

    monkeypatch.setattr("walras.experiments.training.estimate._times", times)
    torch.set_num_threads(2)
    try:
        alone = hours([settings()], 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert threads == [1]
    assert hours([settings()], 8) == alone  # more workers than runs
    assert hours([settings(), settings(seed=1), settings(seed=2)], 2) == pytest.approx(1.5 * alone)


def test_without_held_out_rows_it_is_judged_by_those_it_is_trained_on(
    settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve rows: three batches of four, or ten and two; judged twice an epoch."""
    monkeypatch.setattr("walras.experiments.training.estimate._times", lambda *_: (0.0, 1.0))
    assert 3600 * hours([settings(held_out=0.0, epochs=5)], 1) == pytest.approx(2 * 5 * 12 / 4)
    assert 3600 * hours([settings(held_out=0.2, epochs=5)], 1) == pytest.approx(2 * 5 * 2 / 4)
    assert 3600 * hours([settings(held_out=0.0, epochs=5, limit=8)], 1) == pytest.approx(2 * 5 * 8 / 4)

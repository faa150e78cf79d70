"""Trainings that are killed (SIGKILL) at drawn moments, and resumed, end with the same bits."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from tests.experiments.training.price.conftest import price_of

EVENTS = ("on_step_begin", "on_pre_optimizer_step", "on_optimizer_step", "on_step_end", "on_save", "on_log")
STEPS = 16
PRICINGS: list[dict[str, Any]] = [{}, {"pricing": "shadow-price"}, {"pricing": "dual-ascent"}, {"distil": 1.0}]
Trained = Callable[..., Any]


class _Dies(TrainerCallback):
    """Kills its own process in an event of a step."""

    def __init__(self, event: str, step: int) -> None:
        self.step = step
        setattr(self, event, self.die)

    def die(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def _child(trainer: Trained, settings: dict[str, Any], out: Path, dies: list[Any]) -> None:
    """One life of a training: to the end, or to its death."""
    torch.set_num_threads(1)
    training = trainer(settings, output_dir=str(out), save_strategy="steps", save_steps=2, callbacks=dies)
    newest: Any = get_last_checkpoint
    training.train(resume_from_checkpoint=newest(out) if out.is_dir() else None)
    torch.save(training.model.state_dict(), out / "end.pt")
    (out / "end.json").write_text(json.dumps(price_of(training).figures()))


@pytest.mark.tried("kills of a Trainer with a price", 25)
@pytest.mark.nightly
@pytest.mark.parametrize("settings", PRICINGS, ids=str)
def test_killed_and_resumed(settings: dict[str, Any], trainer: Trained, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")  # a death takes no time to prepare
    draw = np.random.default_rng(0)

    def lives(out: Path, dies: list[Any]) -> int:
        child = fork.Process(target=_child, args=(trainer, settings, out, dies))
        child.start()
        child.join(120)
        assert child.exitcode is not None
        return child.exitcode

    assert lives(tmp_path / "whole", []) == 0
    killed, number = 0, 0
    while killed < 25:
        out = tmp_path / f"killed{number}"
        number += 1
        while not (out / "end.pt").is_file():
            dies = [_Dies(str(draw.choice(EVENTS)), int(draw.integers(0, STEPS)))] if killed < 25 else []
            code = lives(out, dies)
            assert code in (0, -signal.SIGKILL)
            killed += code != 0
        whole, again = (torch.load(place / "end.pt", weights_only=True) for place in (tmp_path / "whole", out))
        assert whole.keys() == again.keys()
        assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())
        assert (out / "end.json").read_text() == (tmp_path / "whole" / "end.json").read_text()

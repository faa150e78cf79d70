"""How a training ends: what it leaves on networks, and what a resumed one must not take for its own."""

import json
import pickle
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.training import stage
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop.checkpoints import newest_checkpoint
from walras.experiments.training.loop.task_trainer import TaskTrainer
from walras.experiments.training.train import train

Make = Callable[..., TrainConfig]
Killed = Callable[[int], AbstractContextManager[None]]


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "magnitude", "distil": 1.0, "distil_states": 1.0},
        {"pricing": "none", "budget": 1.0, "distil": 1.0},
        {"pricing": "shadow-price", "distil": 1.0},
    ],
    ids=str,
)
def test_mixed_precision_and_distillation_end_together(settings: Make, changes: dict[str, Any]) -> None:
    found = train(settings(precision="bf16", **changes))
    assert "forward" not in vars(found.model)
    pickle.dumps(found.model)


def test_a_training_that_failed_leaves_nothing_on_the_dense_network(settings: Make, killed_in: Killed) -> None:
    with pytest.raises(KeyboardInterrupt), killed_in(2):
        train(settings(recipe="magnitude", distil_states=1.0))
    found = train(settings(pricing="none", budget=1.0, epochs=1))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in found.model.modules())


def test_what_a_network_says_of_its_cache_stays(settings: Make, models: Path, lines: Path, tmp_path: Path) -> None:
    given = {"model": str(models / "gpt2"), "task": "text", "data": str(lines), "length": 8, "epochs": 1}
    model: Any = train(settings(pricing="none", budget=1.0, **given), tmp_path / "run").model
    assert model.config.use_cache is True
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text())["use_cache"] is True


def test_a_training_that_patience_has_ended_does_not_go_on(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluated at steps 1 to 6; a later figure would be the best."""
    figures = {4: 0.5, 5: 0.4, 6: 0.3}
    plain = TaskTrainer.evaluate

    def evaluate(self: TaskTrainer, *given: Any, **more: Any) -> dict[str, float]:
        self._figure = lambda _: figures.get(self.state.global_step, 0.9)
        return plain(self, *given, **more)

    monkeypatch.setattr(TaskTrainer, "evaluate", evaluate)
    config = settings(epochs=4, patience=2, priced=0.3)
    whole = train(config, tmp_path / "whole")
    assert (len(whole.steps), whole.summary.held_out) == (6, 0.5)
    with monkeypatch.context() as patch:
        patch.setattr("walras.experiments.training.train.summarised", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "cut")
    resumed = train(config, tmp_path / "cut", resume=True)
    assert (len(resumed.steps), resumed.summary.held_out) == (6, 0.5)
    assert whole.evaluations.equals(resumed.evaluations)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def interrupted(settings: Make, tmp_path: Path, killed_in: Killed) -> tuple[TrainConfig, Path]:
    """A run that was killed in its last step, when units had settled, and the folder of its checkpoints."""
    config = settings(save_every=1)
    with pytest.raises(KeyboardInterrupt), killed_in(5):
        train(config, tmp_path / "cut")
    return config, tmp_path / "cut" / "checkpoint"


def best_of(folder: Path) -> Path:
    newest = newest_checkpoint(folder)
    assert newest is not None
    return folder / f"checkpoint-{json.loads((newest / 'trainer_state.json').read_text())['best_global_step']}"


def test_the_best_weights_are_gone_or_were_changed(interrupted: tuple[TrainConfig, Path]) -> None:
    config, folder = interrupted
    best = best_of(folder)
    assert best != newest_checkpoint(folder)
    content = bytearray((best / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (best / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors' was changed after the checkpoint was written"):
        train(config, folder.parent, resume=True)
    shutil.rmtree(best)
    with pytest.raises(InputError, match=f"{best.name}.*No such file"):
        train(config, folder.parent, resume=True)


def test_other_rows_behind_the_same_name(settings: Make, glue: Path, tmp_path: Path, killed_in: Killed) -> None:
    data = tmp_path / "data"
    shutil.copytree(glue, data)
    config = settings(pricing="none", budget=1.0, save_every=1, patience=12, data=str(data))
    with pytest.raises(KeyboardInterrupt), killed_in(5):
        train(config, tmp_path / "cut")
    file = next(path for path in data.rglob("*train*") if path.is_file() and "sst" in str(path).lower())
    text = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(text[:-1]), encoding="utf-8")
    stage._kept.cache_clear()  # as in another process
    with pytest.raises(InputError, match="the checkpoint is of a training on other rows, or of another network"):
        train(config, tmp_path / "cut", resume=True)

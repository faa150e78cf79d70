"""Checkpoints: complete ones, interrupted ones, those of earlier versions, and any change of one."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walras.errors import InputError
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop.checkpoints import newest_checkpoint, seal, usable_checkpoint
from walras.experiments.training.loop.task_trainer import TaskTrainer
from walras.experiments.training.train import train

Make = Callable[..., TrainConfig]


def written(folder: Path, step: int, complete: bool = True) -> Path:
    place = folder / f"checkpoint-{step}"
    place.mkdir(parents=True)
    (place / "trainer_state.json").write_text("{}")
    (place / "model.safetensors").write_bytes(bytes(range(64)))
    if complete:
        seal(place)
    return place


def test_the_newest_complete_one_is_gone_on_from_and_interrupted_ones_are_removed(tmp_path: Path) -> None:
    assert usable_checkpoint(tmp_path / "none") is None
    torn = written(tmp_path, 3, complete=False)
    assert usable_checkpoint(tmp_path) is None
    assert not torn.exists()
    older, newer, torn = written(tmp_path, 9), written(tmp_path, 10), written(tmp_path, 11, complete=False)
    assert newest_checkpoint(tmp_path) == newer
    assert torn.exists()
    assert usable_checkpoint(tmp_path) == newer
    assert older.exists()  # it may hold the best weights
    assert not torn.exists()


def test_those_of_earlier_versions_are_told(tmp_path: Path) -> None:
    (tmp_path / "step-0000002").mkdir()
    with pytest.raises(InputError, match="holds a checkpoint of an earlier version; --overwrite begins the run anew"):
        usable_checkpoint(tmp_path)


@given(data=st.data())
def test_any_change_of_a_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    place = written(tmp_path_factory.mktemp("sealed"), 4)
    name = data.draw(st.sampled_from(("trainer_state.json", "model.safetensors", "hashes.json")))
    content = bytearray((place / name).read_bytes())
    where, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    content[where] ^= 1 << bit
    (place / name).write_bytes(content)
    with pytest.raises(InputError):
        usable_checkpoint(place.parent)


def test_files_that_came_or_went_are_found(tmp_path: Path) -> None:
    place = written(tmp_path, 4)
    (place / "more").write_text("")
    with pytest.raises(InputError, match=r"more' was changed after the checkpoint was written; --overwrite begins"):
        usable_checkpoint(tmp_path)
    (place / "more").unlink()
    (place / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors'.*No such file"):
        usable_checkpoint(tmp_path)


def test_a_run_goes_on_from_the_one_before_where_the_last_was_interrupted(
    settings: Make, tmp_path: Path, killed_in: Callable[[int], AbstractContextManager[None]]
) -> None:
    config = settings(save_every=1)
    whole = train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt), killed_in(5):
        train(config, tmp_path / "cut")
    folder = tmp_path / "cut" / "checkpoint"
    (folder / "checkpoint-5" / "hashes.json").unlink()
    (folder / "checkpoint-5" / "model.safetensors").write_bytes(b"torn")
    moved = tmp_path / "elsewhere"
    shutil.move(tmp_path / "cut", moved)
    resumed = train(config, moved, resume=True)
    assert [row.tolist() for row in whole.model.parameters()] == [row.tolist() for row in resumed.model.parameters()]
    assert whole.evaluations.equals(resumed.evaluations)
    assert not (moved / "checkpoint").exists()
    with pytest.raises(KeyboardInterrupt), killed_in(5):
        train(config, tmp_path / "again")
    file = tmp_path / "again" / "checkpoint" / "checkpoint-5" / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"optimizer\.pt' was changed after the checkpoint was written"):
        train(config, tmp_path / "again", resume=True)


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "trainer_state.json", "hashes.json"])
def test_a_checkpoint_that_cannot_be_written_is_told_and_the_run_goes_on_from_the_one_before(
    settings: Make, tmp_path: Path, file: str
) -> None:
    """A folder is in the way."""
    config, folder = settings(save_every=2), tmp_path / "run" / "checkpoint"
    plain = TaskTrainer._save_checkpoint

    def hindered(self: TaskTrainer, model: Any, trial: Any) -> None:
        if self.state.global_step == 4:
            (folder / "checkpoint-4" / file).mkdir(parents=True)
        plain(self, model, trial)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaskTrainer, "_save_checkpoint", hindered)
        with pytest.raises(InputError, match=r"cannot write '.*checkpoint-4': .*; checkpoints before it are as they"):
            train(config, tmp_path / "run")
    assert newest_checkpoint(folder) is not None
    assert len(train(config, tmp_path / "run", resume=True).steps) == 6

"""Checkpoints with changed content go on from what they hold, or are refused; with hashes, any change is."""

import copy
from pathlib import Path
from typing import Any

import pytest
from fuzzing import damaged_arrays, damaged_json, damaged_safetensors, fuzzed, read_or_refused
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop import state
from walras.experiments.training.loop.trainer import Trainer
from walras.experiments.training.train import train
from walras.files.plain_data import read_json

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def trainer(models: Path, glue: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, Files, Files]:
    """A trainer at its start, and its checkpoints before and after units have settled."""
    seen: list[Trainer] = []
    written: list[Files] = []
    with pytest.MonkeyPatch.context() as patch:
        fit, save_now = Trainer.fit, state.save

        def kept(self: Trainer) -> Any:
            seen.append(copy.deepcopy(self))
            return fit(self)

        def noted(self: Trainer) -> None:
            save_now(self)
            assert self.folder is not None
            (place,) = (self.folder / "checkpoint").iterdir()
            written.append({file.name: file.read_bytes() for file in place.iterdir()})

        patch.setattr(Trainer, "fit", kept)
        patch.setattr("walras.experiments.training.loop.trainer.save", noted)
        train(
            TrainConfig.parse({
                "model": str(models / "bert"), "task": "sst2", "data": str(glue), "device": "cpu", "budget": 0.5,
                "batch_size": 4, "held_out": 0.0, "epochs": 2, "rate": 1e-3, "block": 16, "length": 16,
                "sentences": 8, "pricing": "shadow-price", "priced": 0.5, "valuation": "fisher", "repair": "none",
                "save_every": 1,
            }),
            tmp_path_factory.mktemp("training") / "run",
        )  # fmt: skip
    return seen[0], written[0], written[-1]


@pytest.mark.nightly
@pytest.mark.parametrize("settled", [False, True])
@fuzzed
@given(data=st.data())
def test_damaged_checkpoints(
    trainer: tuple[Trainer, Files, Files], tmp_path: Path, settled: bool, data: st.DataObject
) -> None:
    start, *written = trainer
    sound = written[settled]
    hashed = data.draw(st.booleans())
    name = data.draw(st.sampled_from(sorted({*sound} - {"hashes.json"})))
    files = dict(sound) if hashed else {n: content for n, content in sound.items() if n != "hashes.json"}
    if name.endswith(".json"):
        files[name] = data.draw(damaged_json(read_json_of(sound[name], tmp_path)))
    elif data.draw(st.booleans()) and load(sound[name]):
        files[name] = save(data.draw(damaged_arrays(load(sound[name]))))
    else:
        files[name] = data.draw(damaged_safetensors(sound[name]))
    if data.draw(st.integers(0, 9)) == 0:
        del files[name]
    found = resumed(start, tmp_path, files)
    changed = files.get(name) != sound[name]
    assert found is None or found.model is not None
    if hashed and changed:
        assert found is None
    if not changed:
        assert found is not None


def read_json_of(content: bytes, folder: Path) -> Any:
    """What a JSON file of ours holds, minus infinity too."""
    (folder / "one.json").write_bytes(content)
    return read_json(folder / "one.json", "state")


def resumed(start: Trainer, folder: Path, files: Files) -> Trainer | None:
    """A fresh trainer that went back to a checkpoint of these files, or None where it is refused."""
    place = folder / "checkpoint" / "step-0000001"
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        old.unlink()
    for name, content in files.items():
        (place / name).write_bytes(content)
    fresh = copy.deepcopy(start)
    fresh.folder = folder
    return fresh if read_or_refused(state.resume, fresh) else None

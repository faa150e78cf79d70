"""Folders of exports with changed files load as the network that they tell of, or are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzzing import damaged_arrays, damaged_bytes, damaged_json, damaged_safetensors, fuzzed, read_or_refused
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

import walras
from walras.models import compact, inventory
from walras.models.export import checkpoints
from walras.models.export.sentence_files import sentence_files

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]
IDS = torch.tensor([[1, 2, 3]])


@pytest.fixture(scope="module")
def export(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """An uneven export, and what its network answers."""
    model = tiny("bert").model
    units = inventory(model, block=8)
    keep = torch.ones(len(units), dtype=torch.bool)
    keep[[0, -1]] = False
    small, folder = compact(model, units, keep), tmp_path_factory.mktemp("export") / "e"
    checkpoints.save(small, None, folder)
    return folder, answer(walras.load_model(folder))


@torch.no_grad()
def answer(model: Any) -> torch.Tensor:
    """The logits of three tokens."""
    found: torch.Tensor = model(input_ids=IDS).logits
    return found


@pytest.mark.nightly
@fuzzed
@given(data=st.data())
def test_damaged_exports(export: tuple[Path, torch.Tensor], tmp_path: Path, data: st.DataObject) -> None:
    folder, expected = export
    place = Path(shutil.copytree(folder, tmp_path / "e", dirs_exist_ok=True))
    name = data.draw(st.sampled_from(("config.json", "model.safetensors")))
    sound = (folder / name).read_bytes()
    if name == "config.json":
        content = data.draw(damaged_json(json.loads(sound)))
    elif data.draw(st.booleans()):
        content = save(data.draw(damaged_arrays(load(sound))), metadata={"format": "pt"})
    else:
        content = data.draw(damaged_safetensors(sound))
    (place / name).write_bytes(content)
    found = read_or_refused(walras.load_model, place)
    if content == sound:
        assert found is not None
        assert torch.equal(answer(found), expected)


@fuzzed
@given(content=damaged_json(MODULES) | damaged_bytes(json.dumps(MODULES).encode()))
def test_damaged_lists_of_modules(tmp_path: Path, content: bytes) -> None:
    """Nothing but files below the model's own folder goes along."""
    (tmp_path / "modules.json").write_bytes(content)
    (tmp_path / "1_Pooling").mkdir(exist_ok=True)
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    for name in read_or_refused(sentence_files, str(tmp_path)) or {}:
        assert ".." not in Path(name).parts
        assert not Path(name).is_absolute()


@fuzzed
@given(data=st.data())
def test_targets_with_damaged_configurations(
    export: tuple[Path, torch.Tensor], tmp_path: Path, data: st.DataObject
) -> None:
    """A folder is replaced only if its configuration lists all that lies there."""
    folder, _ = export
    place = Path(shutil.copytree(folder, tmp_path / "e", dirs_exist_ok=True))
    (place / "notes.txt").write_text("mine")
    (place / "config.json").write_bytes(data.draw(damaged_json(json.loads((folder / "config.json").read_text()))))
    with pytest.raises(walras.errors.InputError, match="which no export wrote"):
        checkpoints.check_target(place, overwrite=True)

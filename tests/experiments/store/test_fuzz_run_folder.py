"""Tensors and tables of a run folder with changed content: the network they tell of, or a refusal."""

import json
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from fuzzing import (
    changed_data,
    damaged_arrays,
    damaged_safetensors,
    dumps,
    fuzzed,
    read_or_refused,
)
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save
from torch import Tensor

import walras
from walras.experiments.export import small_model
from walras.experiments.spec import RunSpec
from walras.experiments.store.run_folder import ALLOCATION, WEIGHTS, check_hashes, read_result
from walras.files.plain_data import read_yaml
from walras.models.loading import Loaded
from walras.models.loading import load as load_dense


@dataclass(frozen=True)
class Run:
    """A run of recipe `walras` on the tiny encoder: its folder, settings, and the network that it left."""

    folder: Path
    spec: RunSpec
    small: dict[str, Tensor]
    dense: Loaded


@pytest.fixture(scope="module")
def run(models: Path, lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run") / "r"
    walras.run(
        model=str(models / "bert"), task="text", data=str(lines), length=16, sentences=8, block=16, budget=0.5,
        out=str(folder),
    )  # fmt: skip
    spec = RunSpec.parse(read_yaml(folder / "config.yaml", "config file"))
    _, _, small = small_model(folder, spec)
    return Run(folder, spec, small.state_dict(), load_dense(spec.subject.model, "auto", device="cpu"))


@pytest.fixture
def place(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run's folder, to be damaged; the dense network is read once."""
    monkeypatch.setattr("walras.experiments.export.load", lambda *_, **__: run.dense)
    return Path(shutil.copytree(run.folder, tmp_path / "r"))


def reloaded(run: Run, place: Path) -> dict[str, Tensor]:
    """The weights of the small network that a folder tells of, hashes checked."""
    check_hashes(place, read_result(place))
    _, _, small = small_model(place, run.spec)
    return small.state_dict()


def without_hashes(place: Path) -> None:
    """As earlier versions left it, or as a stranger who changed a file would."""
    told = json.loads((place / "result.json").read_text())
    (place / "result.json").write_text(json.dumps({k: v for k, v in told.items() if k != "files"}))


@pytest.mark.nightly
@fuzzed
@given(data=st.data())
def test_allocations_and_weights(run: Run, place: Path, data: st.DataObject) -> None:
    shutil.copytree(run.folder, place, dirs_exist_ok=True)
    name, hashed = data.draw(st.sampled_from((ALLOCATION, WEIGHTS))), data.draw(st.integers(0, 3)) == 0
    sound = (run.folder / name).read_bytes()
    if not hashed:
        without_hashes(place)
    if data.draw(st.booleans()):
        content = data.draw(damaged_safetensors(sound))
    else:
        content = save(data.draw(damaged_arrays(load(sound))), metadata=data.draw(metadata(sound)))
    (place / name).write_bytes(content)
    found = read_or_refused(reloaded, run, place)
    expected = run.small
    if found is not None and name == WEIGHTS:
        assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}
    if found is not None:
        assert all(bool(tensor.isfinite().all()) for tensor in found.values())
    if hashed and content != sound:
        assert found is None
    if content == sound:
        assert found is not None
        assert all(torch.equal(found[k], expected[k]) for k in expected)


@st.composite
def metadata(draw: st.DrawFn, content: bytes) -> dict[str, str]:
    """What the head says beside the arrays, changed: texts only, as the format has it."""
    (size,) = struct.unpack("<Q", content[:8])
    told: dict[str, str] = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    if "units" in told:
        told = {"units": dumps(draw(changed_data(json.loads(told["units"]))))}
    return {k: str(v) for k, v in told.items()} if draw(st.booleans()) else {}

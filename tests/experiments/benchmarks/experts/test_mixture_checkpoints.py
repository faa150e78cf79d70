"""Checkpoints of mixtures in training: there and back, torn ones, and those of another network."""

import json
from pathlib import Path

import pytest
import torch

from walras.errors import InputError
from walras.experiments.benchmarks.experts.checkpoint import (
    newest_checkpoint,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
)


def test_checkpoints_there_and_back(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    torch.autograd.backward(weight.sum())
    optimizer.step()
    groups: dict[str, dict[str, torch.Tensor]] = {
        "model": {"w": weight},
        "optimizer": optimizer_tensors(optimizer),
        "none": {},
    }
    save_checkpoint(tmp_path, 7, groups, {"step": 7})
    save_checkpoint(tmp_path, 12, groups, {"step": 12})
    assert [p.name for p in tmp_path.iterdir()] == ["step-0000012"]
    place = newest_checkpoint(tmp_path)
    assert place is not None
    tensors, state = read_checkpoint(place)
    assert state == {"step": 12}
    assert torch.equal(tensors["model"]["w"], weight)
    other = torch.nn.Parameter(weight.detach().clone())
    fresh = torch.optim.AdamW([other], lr=0.1)
    restore_optimizer(fresh, tensors["optimizer"])
    for parameter, stepping in ((weight, optimizer), (other, fresh)):
        parameter.grad = torch.tensor([0.3, -1.0, 2.0])
        stepping.step()
    assert torch.equal(weight, other)


def test_a_checkpoint_that_is_torn(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, 1, {"model": {"w": torch.ones(1)}}, {})
    place = newest_checkpoint(tmp_path)
    assert place == tmp_path / "step-0000001"
    (place / "state.json").write_text("{")
    with pytest.raises(InputError, match=r"'.*state\.json' was changed after the checkpoint was written"):
        read_checkpoint(place)
    (place / "hashes.json").unlink()  # as earlier versions left it
    with pytest.raises(InputError, match="cannot read checkpoint"):
        read_checkpoint(place)
    (place / "state.json").write_text(json.dumps({}))
    (place / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="cannot read checkpoint"):
        read_checkpoint(place)

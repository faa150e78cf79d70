"""Checkpoints of a training run: safetensors and json, written whole, the old one removed afterwards."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from walras.errors import InputError

_NAME = "step-{:07}"


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Any) -> None:
    """Write `state` (plain data) and named groups of tensors; earlier checkpoints go once this one stands."""
    place = folder / _NAME.format(step)
    draft = folder / f".{place.name}.partial"
    for old in (draft, place):
        shutil.rmtree(old, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, group in tensors.items():
        save_file({k: v.detach().cpu().contiguous() for k, v in group.items()}, draft / f"{name}.safetensors")
    (draft / "state.json").write_text(json.dumps(state), encoding="utf-8")
    os.replace(draft, place)
    for old in folder.iterdir():
        if old != place:
            shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(folder: Path) -> tuple[dict[str, dict[str, Tensor]], Any] | None:
    """Groups of tensors and state of the newest checkpoint; None where there is none.

    Raises:
        InputError: files that cannot be read.
    """
    found = sorted(p for p in folder.glob(_NAME.format(0)[:5] + "*") if p.is_dir()) if folder.is_dir() else []
    if not found:
        return None
    place = found[-1]
    try:
        state = json.loads((place / "state.json").read_text(encoding="utf-8"))
        groups = {file.stem: load_file(file) for file in sorted(place.glob("*.safetensors"))}
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"cannot read checkpoint {str(place)!r}: {error}") from error
    return groups, state


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimizer remembers of every parameter, by its number."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": torch.as_tensor(v) for number, own in state.items() for name, v in own.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The reverse, into an optimizer of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})

"""Checkpoints of a training run: safetensors and json, with hashes, written whole; the old one is removed after."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from walras.experiments.training.loop.checkpoints import HASHES, check_unchanged, seal
from walras.files.folders import remove, whole_folder
from walras.files.plain_data import read_json, write_json
from walras.files.tensors import read_arrays
from walras.files.writing import write_whole

_NAME = "step-{:07}"


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Any) -> None:
    """Write `state` (plain data) and named groups of tensors; earlier checkpoints go once this one stands."""
    place = folder / _NAME.format(step)
    with whole_folder(place) as draft:
        for name, group in tensors.items():
            save_file({k: v.detach().cpu().contiguous() for k, v in group.items()}, draft / f"{name}.safetensors")
        write_whole(draft / "state.json", write_json(state, None))
        seal(draft)
    for old in folder.iterdir():
        if old != place:
            remove(old)


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run; None where there is none."""
    found = sorted(p for p in folder.glob("step-*") if p.is_dir()) if folder.is_dir() else []
    return found[-1] if found else None


def read_checkpoint(place: Path) -> tuple[dict[str, dict[str, Tensor]], Any]:
    """Groups of tensors and state of a checkpoint.

    Raises:
        InputError: files that cannot be read, or that changed after they were written.
    """
    if (place / HASHES).is_file():  # earlier versions kept none
        check_unchanged(place)
    state = read_json(place / "state.json", "checkpoint")
    return {file.stem: read_arrays(file, "checkpoint", "pt") for file in sorted(place.glob("*.safetensors"))}, state


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

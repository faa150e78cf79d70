"""Checkpoints of a training run: safetensors and json, with hashes, written whole; the old one is removed after."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from walras.errors import InputError
from walras.files.contents import hash_of
from walras.files.folders import remove, whole_folder
from walras.files.plain_data import read_json, write_json
from walras.files.record import Record
from walras.files.tensors import read_arrays
from walras.files.writing import write_whole

_NAME = "step-{:07}"
_HASHES = "hashes.json"
"""SHA-256 of every other file: training that goes on from one flipped bit would end in other weights, untold."""


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Any) -> None:
    """Write `state` (plain data) and named groups of tensors; earlier checkpoints go once this one stands."""
    place = folder / _NAME.format(step)
    with whole_folder(place) as draft:
        for name, group in tensors.items():
            save_file({k: v.detach().cpu().contiguous() for k, v in group.items()}, draft / f"{name}.safetensors")
        write_whole(draft / "state.json", write_json(state, None))
        write_whole(draft / _HASHES, write_json({file.name: hash_of(file) for file in sorted(draft.iterdir())}))
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
    _check_hashes(place)
    state = read_json(place / "state.json", "checkpoint")
    return {file.stem: read_arrays(file, "checkpoint", "pt") for file in sorted(place.glob("*.safetensors"))}, state


def _check_hashes(place: Path) -> None:
    """Refuse files that are not those that were written; earlier versions kept no hashes."""
    if not (place / _HASHES).is_file():
        return
    told = Record(read_json(place / _HASHES, "checkpoint"), f"hashes of checkpoint {str(place)!r}")
    for name in sorted({*told, *(file.name for file in place.iterdir())} - {_HASHES}):
        if name not in told or hash_of(place / name) != told.text(name):
            raise InputError(f"{str(place / name)!r} was changed after the checkpoint was written")


def check_shapes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], what: str) -> None:
    """Refuse tensors that are not those of a network, by name and shape.

    Raises:
        InputError: the first that is missing, or does not fit.
    """
    for name, tensor in wanted.items():
        if name not in found:
            raise InputError(f"{what} has no {name!r}")
        if found[name].shape != tensor.shape:
            raise InputError(f"{what}: {name} has shape {[*found[name].shape]}; the network's has {[*tensor.shape]}")


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

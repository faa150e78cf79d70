"""Tensors in temporary files that are mapped into memory, so that memory does not grow with their number."""

import weakref
from collections.abc import Hashable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import torch
from torch import Tensor


@final
class TensorFiles:
    """A tensor under every key; what is kept under a key again overwrites it.

    Files are gone when `close` is called, or this or its owner is no more.
    """

    def __init__(self, owner: object) -> None:
        self._kept: dict[Hashable, Tensor] = {}
        self._folder, self._files = TemporaryDirectory(), 0
        self._closing = weakref.finalize(owner, _discard, self._kept, self._folder)
        weakref.finalize(self, self._closing)

    @property
    def open(self) -> bool:
        """Whether anything can be kept."""
        return self._closing.alive

    def close(self) -> None:
        """Remove the files."""
        self._closing()

    def keep(self, key: Hashable, tensor: Tensor) -> None:
        """Write a tensor; one of the same kind under that key is overwritten in its file."""
        old = self._kept.get(key)
        if old is None or old.shape != tensor.shape or old.dtype != tensor.dtype:
            self._files += 1
            file = Path(self._folder.name) / str(self._files)
            flat = torch.from_file(str(file), shared=True, size=tensor.numel(), dtype=tensor.dtype)
            old = self._kept[key] = flat.view(tensor.shape)
        old.copy_(tensor)

    def __getitem__(self, key: Hashable) -> Tensor:
        return self._kept[key]


def _discard(kept: dict[Hashable, Tensor], folder: "TemporaryDirectory[str]") -> None:
    """Let go of the mapped files before they are removed."""
    kept.clear()
    folder.cleanup()

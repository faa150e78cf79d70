"""Safetensors files: arrays and tensors by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from walras.errors import InputError
from walras.files.contents import check_file, reading

_Any = Any  # torch's tensors: this room does not know torch


def read_arrays(path: str | Path, what: str, framework: str = "np") -> dict[str, _Any]:
    """All arrays of a file by name.

    Args:
        path: of the file.
        what: the kind of file, for errors: "allocation".
        framework: "np" for arrays of numpy, "pt" for tensors of torch.

    Raises:
        InputError: a file that is missing or no sound safetensors.
    """
    check_file(path, what)
    with (
        reading(what, path, SafetensorError, KeyError, TypeError, AttributeError),
        safe_open(path, framework) as file,
    ):
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping


def read_shapes(path: str | Path, what: str) -> dict[str, tuple[int, ...]]:
    """Shapes of all arrays of a file by name; the arrays themselves are not read.

    Raises:
        InputError: a file that is missing or no sound safetensors.
    """
    check_file(path, what)
    with reading(what, path, SafetensorError), safe_open(path, "np") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # no mapping


def read_metadata(path: str | Path, what: str) -> dict[str, str]:
    """What the head of a file says beside its arrays.

    Raises:
        InputError: a file that is missing or no sound safetensors.
    """
    check_file(path, what)
    with reading(what, path, SafetensorError), safe_open(path, "np") as file:
        return dict(file.metadata() or {})


def check_finite(arrays: Mapping[str, _Any], where: str) -> None:
    """Refuse arrays or tensors with values that are no numbers.

    Raises:
        InputError: the first of them.
    """
    for name, array in arrays.items():
        values = array.float().numpy() if hasattr(array, "numpy") else np.asarray(array)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError(f"{where}: {name} holds values that are not finite")


def column(arrays: Mapping[str, NDArray[Any]], name: str, kinds: str, where: str) -> NDArray[Any]:
    """A column [n] of an allocation, of one of numpy's kinds ("f", "iu", "b").

    Raises:
        InputError: it is missing, or of another shape or type.
    """
    if name not in arrays:
        raise InputError(f"{where} has no {name!r}")
    found = arrays[name]
    if found.ndim != 1 or found.dtype.kind not in kinds:
        raise InputError(f"{where}: {name} is {found.dtype} {[*found.shape]}; it must be a column of numbers")
    return found

"""A predictor's folder: tensors in safetensors, everything else in json, with the hash of the tensors."""

import math
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors.torch import save

from walras.errors import InputError
from walras.experiments.queries.predictors.evaluation import Fit
from walras.experiments.queries.predictors.predictor import FittedPredictor
from walras.experiments.queries.predictors.registered import PREDICTORS
from walras.experiments.store.place import check_own_place
from walras.files.contents import brief, hash_of
from walras.files.folders import movable, remove, whole_folder
from walras.files.locks import one_writer
from walras.files.plain_data import read_json, write_json
from walras.files.record import Record
from walras.files.tensors import check_finite, read_arrays
from walras.files.writing import write_whole

FORMAT = 1
SETTINGS, TENSORS = "predictor.json", "predictor.safetensors"


def check_place(folder: Path) -> None:
    """Find out, before anything is learned, whether a predictor may take a place.

    Raises:
        InputError: a file, a folder with anything else in it, or a place to which another process writes.
    """
    check_own_place(folder, (SETTINGS, TENSORS), "a predictor")


def save_predictor(predictor: FittedPredictor, folder: Path, fit: Fit | None = None) -> None:
    """Write a predictor's folder; `fit` is kept beside the settings. A predictor that is there is replaced.

    It is replaced in one step. Where a folder cannot be moved, the settings go first and come last, and name the
    tensors that they belong to, so that what is left of a killed process is refused.

    Raises:
        InputError: as `check_place`.
    """
    check_place(folder)
    tensors, settings = predictor.state()
    content = save(tensors)
    told = write_json(
        {
            "format": FORMAT,
            "predictor": predictor.name,
            "settings": settings,
            "tensors": sha256(content).hexdigest(),
            "held_out": None if fit is None else figures(fit),
        }
    )
    with one_writer(folder):
        if movable(folder):
            with whole_folder(folder) as draft:
                write_whole(draft / TENSORS, content)
                write_whole(draft / SETTINGS, told)
            return
        remove(folder / SETTINGS)
        write_whole(folder / TENSORS, content)
        write_whole(folder / SETTINGS, told)


def figures(fit: Fit) -> dict[str, Any]:
    """The figures as plain data; None for those that there are not."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(fit).items()
    }


def load_predictor(folder: Path) -> FittedPredictor:
    """The predictor of a folder. Nothing in it names code that is run.

    Raises:
        InputError: no such folder, another format, a damaged file, or settings and tensors of two predictors.
    """
    what = f"predictor {str(folder)!r}"
    for name in (SETTINGS, TENSORS):
        if not (folder / name).exists():
            raise InputError(f"{str(folder)!r} holds no sound predictor: there is no {name}")
    content = Record(read_json(folder / SETTINGS, "predictor"), what)
    if (version := content.whole("format")) != FORMAT:
        raise InputError(f"{what} has format {version}; this version reads {FORMAT}")
    entry = PREDICTORS[content.text("predictor")]
    settings = content.record("settings")
    tensors = read_arrays(folder / TENSORS, "predictor", "pt")
    told = content.text("tensors", default=None)  # older ones do not say; the hash is taken last, of what was read
    if told is not None and hash_of(folder / TENSORS) != told:
        raise InputError(f"{what}: {TENSORS} is not the file that {SETTINGS} was written with; learn it again")
    check_finite(tensors, what)
    try:
        restored: FittedPredictor = entry.restore(tensors, dict(settings.content))
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{str(folder)!r} holds no sound predictor: {type(error).__name__} {brief(error)}") from error
    return restored

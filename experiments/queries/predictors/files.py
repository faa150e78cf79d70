"""A predictor's folder: tensors in safetensors, everything else in json."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from walras.errors import InputError
from walras.experiments.queries.predictors.evaluation import Fit
from walras.experiments.queries.predictors.predictor import FittedPredictor
from walras.experiments.queries.predictors.registered import PREDICTORS
from walras.files.writing import whole_file

FORMAT = 1


def save_predictor(predictor: FittedPredictor, folder: Path, fit: Fit | None = None) -> None:
    """Write `predictor.safetensors`, then `predictor.json`, each whole; `fit` is kept beside the settings."""
    tensors, settings = predictor.state()
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "predictor.safetensors") as partial:
        partial.write_bytes(save(tensors))
    content = {
        "format": FORMAT,
        "predictor": predictor.name,
        "settings": settings,
        "held_out": None if fit is None else asdict(fit),
    }
    with whole_file(folder / "predictor.json") as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_predictor(folder: Path) -> FittedPredictor:
    """The predictor of a folder.

    Raises:
        InputError: no such folder, another format, or a damaged file.
    """
    try:
        content: Any = json.loads((folder / "predictor.json").read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise InputError(f"predictor {str(folder)!r} has format {content['format']}; this version reads {FORMAT}")
        entry = PREDICTORS[str(content["predictor"])]
        predictor: FittedPredictor = entry.restore(load_file(folder / "predictor.safetensors"), content["settings"])
        return predictor
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{str(folder)!r} holds no sound predictor: {type(error).__name__} {error}") from error

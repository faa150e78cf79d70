"""A predictor's folder: tensors in safetensors, everything else in json."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from walras.errors import InputError, UnknownNameError
from walras.experiments.queries.predictors.predictor import PREDICTORS, Fit, Predictor
from walras.experiments.store.run_folder import write_whole

FORMAT = 1


def save_predictor(predictor: Predictor, folder: Path, fit: Fit | None = None) -> None:
    """Write `predictor.safetensors`, then `predictor.json`, each whole; `fit` is kept beside the settings."""
    tensors, settings = predictor.state()
    write_whole(folder / "predictor.safetensors", save(tensors))
    content = {
        "format": FORMAT,
        "predictor": predictor.name,
        "settings": settings,
        "held_out": None if fit is None else asdict(fit),
    }
    write_whole(folder / "predictor.json", json.dumps(content, indent=2) + "\n")


def load_predictor(folder: Path) -> Predictor:
    """The predictor of a folder.

    Raises:
        InputError: no such folder, another format, or a damaged file.
    """
    try:
        content: Any = json.loads((folder / "predictor.json").read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise InputError(f"predictor {str(folder)!r} has format {content['format']}; this version reads {FORMAT}")
        if content["predictor"] not in PREDICTORS:
            raise UnknownNameError("predictor", str(content["predictor"]), PREDICTORS)
        return PREDICTORS[content["predictor"]].restore(
            load_file(folder / "predictor.safetensors"), content["settings"]
        )
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{str(folder)!r} holds no sound predictor: {type(error).__name__} {error}") from error

"""The files by which sentence-transformers turns a model's states into embeddings; they go along into an export.

Without them `SentenceTransformer(folder)` takes means over up to 512 tokens and does not normalise, whatever the
dense model does: other embeddings, and nobody is told.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from transformers.utils import cached_file

from walras.errors import InputError
from walras.files.plain_data import read_json

_LIST = "modules.json"
_BESIDE = ("config_sentence_transformers.json", *(
    f"sentence_{kind}_config.json" for kind in ("bert", "roberta", "distilbert", "camembert", "albert",
                                                 "xlm-roberta", "xlnet")
))  # fmt: skip
_OF_A_MODULE = ("config.json", "model.safetensors")
_PICKLED = "pytorch_model.bin"
_KINDS = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout")


def sentence_files(source: str) -> dict[str, Path]:
    """Files of a model that was made for sentence-transformers, by their place in its folder; none of another model.

    Only data: JSON and safetensors, never code, nor pickles, which are code.

    Args:
        source: folder or hub id of the dense model.

    Raises:
        InputError: a `modules.json` that cannot be read, or names modules that cannot go along.
    """
    listed = _file(source, _LIST)
    if listed is None:
        return {}
    wanted = [_LIST, *_BESIDE]
    for module in _modules(source, listed):
        folder = str(module["path"])
        if not folder:
            continue
        if _file(source, f"{folder}/{_PICKLED}") and not _file(source, f"{folder}/{_OF_A_MODULE[1]}"):
            raise InputError(
                f"model {source!r} keeps weights of sentence-transformers in {folder}/{_PICKLED}, which is code and not "
                "read; save it with a newer sentence-transformers first, which writes safetensors"
            )
        wanted += [f"{folder}/{name}" for name in _OF_A_MODULE]
    return {name: place for name in wanted if (place := _file(source, name)) is not None}


def _modules(source: str, listed: Path) -> list[dict[str, Any]]:
    """The modules that the model consists of, checked."""
    found = read_json(listed, "list of modules")
    if not isinstance(found, list) or not all(isinstance(module, dict) for module in found):
        raise InputError(f"{str(listed)!r} is no list of modules of sentence-transformers")
    for module in found:
        path, kind = module.get("path"), str(module.get("type"))
        package, _, name = kind.rpartition(".")
        stock = package.partition(".")[0] == "sentence_transformers" and name in _KINDS
        inside = isinstance(path, str) and (not path or bool(re.fullmatch(r"\w[\w.-]*", path)))
        if not stock or not inside or (name == "Transformer") != (path == ""):
            raise InputError(
                f"model {source!r} is of sentence-transformers and cannot be exported as such: its {_LIST} has "
                f"{kind!r} at {path!r}; valid: the transformer in the folder itself, and of sentence_transformers "
                f"{', '.join(_KINDS[1:])} in folders below it. Without its {_LIST} it is exported as a plain model"
            )
    return found


def _file(source: str, name: str) -> Path | None:
    """A file of a folder, or of a model on the hub."""
    if Path(source).is_dir():
        place = Path(source).joinpath(*PurePosixPath(name).parts)
        return place if place.is_file() else None
    quietly = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    try:
        found = cached_file(source, name, _raise_exceptions_for_gated_repo=False, **quietly)
    except OSError:  # neither a folder nor on the hub: a model that was made in memory
        return None
    return None if found is None else Path(found)

"""The files by which sentence-transformers turns a model's states into embeddings; they go along into an export.

Without them `SentenceTransformer(folder)` takes means over up to 512 tokens and does not normalise, whatever the
dense model does: other embeddings, and nobody is told.
"""

import re
from pathlib import Path
from typing import Any

from walras.errors import InputError
from walras.files.plain_data import read_json
from walras.models.loading import file_of

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
    listed = file_of(source, _LIST)
    if listed is None:
        return {}
    wanted = [_LIST, *_BESIDE]
    for module in _modules(source, listed):
        folder = str(module["path"])
        if not folder:
            continue
        if file_of(source, f"{folder}/{_PICKLED}") and not file_of(source, f"{folder}/{_OF_A_MODULE[1]}"):
            raise InputError(
                f"model {source!r} keeps weights of sentence-transformers in {folder}/{_PICKLED}, which is code and is "
                "not read; save it with a newer sentence-transformers first, which writes safetensors"
            )
        wanted += [f"{folder}/{name}" for name in _OF_A_MODULE]
    return {name: place for name in wanted if (place := file_of(source, name)) is not None}


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

"""Folders that hold a sliced model, written so that transformers loads them.

A folder has `config.json` of the stock model with three keys more: `per_layer_config` (heads, key-value heads, FFN
neurons of each layer), `walras` (which modules shrink) and `auto_map` (the classes of `modeling_walras.py`, which lies
in the folder and never differs). `AutoModel.from_pretrained(folder, trust_remote_code=True)` runs the file in the
folder; `walras.load_model` runs the same file of this package.
"""

import copy
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import transformers
from safetensors import SafetensorError
from torch import nn
from transformers.models.auto import modeling_auto

from walras.errors import InputError
from walras.files.folders import whole_folder
from walras.files.locks import one_writer
from walras.files.plain_data import read_json
from walras.files.writing import writing
from walras.models.architectures import architecture, layers_of
from walras.models.export import modeling_sparsified, modeling_walras
from walras.models.export.reloading import AUTO, KEY, home_of, read_export
from walras.models.export.sentence_files import sentence_files
from walras.models.export.stock import as_stock
from walras.models.families import Architecture
from walras.models.units.kinds.table import finest_kinds

CODE = Path(str(modeling_walras.__file__))


def save(
    model: nn.Module,
    tokenizer: Any,
    folder: str | Path,
    *,
    card: str = "",
    overwrite: bool = False,
    stock: bool = False,
    more: Callable[[Path], object] | None = None,
) -> None:
    """Write a sliced model, whole or not at all.

    Args:
        model: what `compact` returned, or any stock model: counts are read off its weights.
        tokenizer: its tokenizer (or image processor); None to write none.
        folder: where to; see `check_target`.
        card: content of `README.md`.
        overwrite: replace an export that is there.
        stock: as a model of transformers' own class, without code (see `as_stock`).
        more: writes further files into the folder that it is given.

    Raises:
        InputError: a folder that must not be written to, a model whose class is not from transformers, a full disk.
    """
    check_target(folder, overwrite)
    check_class(model)
    shell = as_stock(model, per_layer(model)) if stock else described(model)
    code = {} if stock else {CODE.name: CODE.read_text(encoding="utf-8")}
    save_shell(shell, tokenizer, folder, code, card=card, overwrite=overwrite, more=more)


def save_shell(
    shell: Any,
    tokenizer: Any,
    folder: str | Path,
    code: Mapping[str, str],
    *,
    card: str = "",
    overwrite: bool = False,
    more: Callable[[Path], object] | None = None,
) -> None:
    """Write a model whose class and configuration are those of its folder, whole or not at all.

    Args:
        shell: what `described` returned, or a stock model.
        tokenizer: as in `save`.
        folder: as in `save`.
        code: text of the files of code that travel along, by name.
        card: as in `save`.
        overwrite: as in `save`.
        more: as in `save`.

    Raises:
        InputError: as in `save`.
    """
    check_target(folder, overwrite)
    sentence = sentence_files(str(shell.name_or_path)) if shell.name_or_path else {}
    with writing(folder, SafetensorError), one_writer(folder), whole_folder(folder) as draft:
        shell.save_pretrained(draft)
        if tokenizer is not None:
            tokenizer.save_pretrained(draft)
        for name, text in code.items():
            (draft / name).write_text(text, encoding="utf-8")
        for name, place in sentence.items():
            (draft / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(place, draft / name)
        if card:
            (draft / "README.md").write_text(card, encoding="utf-8")
        if more is not None:
            more(draft)
        _tell_files(draft)
        for place in (place for place in draft.rglob("*") if place.is_file()):
            place.chmod((draft / "config.json").stat().st_mode)  # safetensors lets nobody else read its file


def add_code(folder: Path) -> None:
    """Put the file of code beside the weights of a model that `described` returned, and that was saved there."""
    (folder / CODE.name).write_text(CODE.read_text(encoding="utf-8"), encoding="utf-8")
    _tell_files(folder)


def _tell_files(folder: Path) -> None:
    """Let the configuration say which files belong to the export: the only ones that another may replace."""
    file = folder / "config.json"
    config = read_json(file, "configuration")
    files = sorted(place.relative_to(folder).as_posix() for place in folder.rglob("*") if place.is_file())
    config.setdefault(KEY, {"stock": True})["files"] = files
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def check_target(folder: str | Path, overwrite: bool) -> None:
    """Refuse a folder that holds anything but an export, or an export that is not to be replaced.

    Raises:
        InputError: as said, and where the folder cannot be written.
    """
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise InputError(f"--out {str(folder)!r} is a file; it must be a folder")
    parents = place.resolve().parents
    above = next(p for p in parents if p.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise InputError(f"--out {str(folder)!r} cannot be written: {str(above)!r} is no folder that you may write to")
    if not place.is_dir() or not any(place.iterdir()):
        return
    try:
        known = {str(name) for name in read_export(folder)[KEY]["files"]}
    except (InputError, KeyError, TypeError):
        known = set()
    foreign = _foreign(place, known)
    if foreign is not None:
        raise InputError(f"--out {str(folder)!r} holds {foreign!r}, which no export wrote; choose another folder")
    if not overwrite:
        raise InputError(f"--out {str(folder)!r} holds another export; use --overwrite to replace it")


def _foreign(folder: Path, known: Collection[str], below: str = "") -> str | None:
    """The first file or folder that is none of the files `known`, nor on the way to one."""
    for place in sorted(folder.iterdir()):
        name = f"{below}{place.name}"
        if name == "__pycache__" or name in known:
            continue
        if not place.is_dir() or not any(other.startswith(f"{name}/") for other in known):
            return name
        found = _foreign(place, known, f"{name}/")
        if found is not None:
            return found
    return None


def described(model: nn.Module, code: Any = modeling_walras, counted: nn.Module | None = None, **told: Any) -> Any:
    """The model with a class and configuration of its own that tell what is left of each layer; weights are shared.

    Args:
        model: a sliced or stock model.
        code: the module that has the class, and that travels along.
        counted: the model whose layers are counted, if not this one.
        told: further entries of the configuration's own part.
    """
    name = stock_name(model)
    config: Any = copy.deepcopy(model.config)
    config.per_layer_config = per_layer(counted or model)
    added = added_biases(counted or model)
    setattr(
        config, KEY,
        {**layout(architecture(model)), "family": config.model_type, **({"biases": added} if added else {}), **told},
    )  # fmt: skip
    kinds = {"AutoConfig": "Config", **_kinds(config, name)}
    stem = code.__name__.rpartition(".")[2]
    config.auto_map = {auto: f"{stem}.{code.PREFIX}{kind}" for auto, kind in kinds.items()}
    shell: Any = copy.copy(model)
    shell.config = config
    shell.__class__ = getattr(code, code.PREFIX + name)
    return shell


def added_biases(model: nn.Module) -> list[tuple[int, str]]:
    """Layer and path below it of each output projection that has a bias which the family gives it none."""
    return [
        (layer.index, sublayer.output)
        for layer in layers_of(model)
        for sublayer in (layer.row.heads, layer.ffn)
        if sublayer is not None and getattr(layer.at(sublayer.output), "added_bias", False)
    ]


def stock_name(model: nn.Module) -> str:
    """The name of the class of transformers that a model is of."""
    return type(model).__name__.removeprefix(modeling_sparsified.PREFIX).removeprefix(modeling_walras.PREFIX)


def check_class(model: nn.Module) -> None:
    """Refuse a model whose class is not from transformers, by which its weights could be read again.

    Raises:
        InputError: as said.
    """
    name = type(model).__name__
    stock = getattr(transformers, stock_name(model), None)
    if isinstance(model, transformers.PreTrainedModel) and isinstance(stock, type) and isinstance(model, stock):
        return
    if stock is None and type(model).__module__.startswith("transformers."):
        raise InputError(
            f"cannot export a {name}: in transformers it is a part of other models, and no class loads it by itself; "
            "put what `compact` returns into the model that it is a part of, and save that"
        )
    raise InputError(f"cannot export a {name}; it must be of a model class that transformers has")


def auto_class(model: nn.Module) -> str:
    """Name of the class of transformers by which an export of the model is loaded."""
    name = stock_name(model)
    return home_of(name, _kinds(model.config, name))


def _kinds(config: Any, exported: str) -> dict[str, str]:
    """Which classes of the family transformers makes for each kind of model; the exported one where it has several."""
    found = {}
    for auto in AUTO:
        mapping = getattr(modeling_auto, auto)._model_mapping or {}
        kinds = mapping.get(type(config), ())
        names = [kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,))]
        if names:
            found[auto] = exported if exported in names else names[0]
    return found


def per_layer(model: nn.Module) -> dict[int, dict[str, Any]]:
    """What is left of each layer, such as heads and FFN neurons, read off its weights."""
    config: Any = model.config
    found: dict[int, dict[str, Any]] = {}
    for layer in layers_of(model):
        found[layer.index] = {k: v for kind in finest_kinds() for k, v in kind.counts(layer, config).items()}
    return found


def layout(row: Architecture) -> dict[str, Any]:
    """A row of the table of families as the plain data that `modeling_walras` works from."""
    return {key: value for kind in finest_kinds() for key, value in kind.layout(row).items()}

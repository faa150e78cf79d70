"""Loading a sliced model from the folder that it was exported to, with no code from the folder."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from transformers.models.auto import modeling_auto

from walras.errors import InputError
from walras.files.plain_data import read_json
from walras.models.export import modeling_sparsified, modeling_walras
from walras.models.pretrained import read_config, read_network

AUTO = tuple(sorted(name for name in dir(modeling_auto) if name.startswith("AutoModel")))
"""Classes by which transformers loads a model; of those that load the same one, the first is the more usual."""
KEY = "walras"  # of config.json, by which an export is known


def load_model(folder: str | Path, auto: str | None = None, **options: Any) -> Any:
    """The model of a folder that `walras export` wrote, in evaluation mode.

    Args:
        folder: the export.
        auto: which kind of model, as the name of transformers' class ("AutoModelForSequenceClassification", ...);
            without it the class that was exported. Weights that the export has not are random, as in transformers.
        options: more arguments of `from_pretrained`: attn_implementation, dtype, device_map, ...

    Raises:
        InputError: no export, or one that was changed by hand; the message names the layer or tensor.
    """
    told = read_export(folder)
    what, ours = f"export {str(folder)!r}", is_sliced(told)
    config = read_config(str(folder), what, modeling_walras.SlicedConfig if ours else transformers.AutoConfig)
    kind = sliced_class(folder, told, auto) if ours else stock_class(folder, told, auto)
    model, info = read_network(kind, str(folder), what, config, **options)
    _check(folder, info, whole=kind.__name__ in (told.get("architectures") or []))
    return model.eval()


def read_export(folder: str | Path) -> dict[str, Any]:
    """The configuration of an export.

    Raises:
        InputError: no export.
    """
    try:
        found = read_json(Path(folder) / "config.json", "its config.json")
    except InputError as error:
        raise InputError(f"{str(folder)!r} is no export: {error}") from error
    if not (isinstance(found, dict) and isinstance(found.get(KEY), dict)):
        raise InputError(f"{str(folder)!r} is no export of walras: its config.json has no {KEY!r} (AutoModel loads it)")
    return found


def is_sliced(told: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of an export with code of ours; others, stock ones too, AutoModel loads."""
    return isinstance(told.get(KEY), dict) and not told[KEY].get("stock")


def stock_class(folder: str | Path, told: Mapping[str, Any], auto: str | None) -> Any:
    """The class of transformers of an export without code of ours, or the one named `auto`."""
    name = auto or str((told.get("architectures") or [""])[0])
    kind = getattr(transformers, name, None)
    if not (isinstance(kind, type) and hasattr(kind, "from_pretrained")):
        raise InputError(
            f"export {str(folder)!r} cannot be loaded as {name or 'a class'}; valid: a class of transformers"
        )
    return kind


def sliced_class(folder: str | Path, told: Mapping[str, Any], auto: str | None) -> Any:
    """The class of an export that is loaded as `auto`, or with None the class that was exported."""
    names = told.get("auto_map")
    names = {k: v for k, v in names.items() if k in AUTO} if isinstance(names, dict) else {}
    name = (told.get("architectures") or [""])[0] if auto is None else names.get(auto, "")
    name = str(name).rpartition(".")[2]
    code = next((code for code in (modeling_walras, modeling_sparsified) if name.startswith(code.PREFIX)), None)
    kind = getattr(code, name, None) if code is not None else None
    if kind is None:
        wanted = auto or name or "a class"
        raise InputError(f"export {str(folder)!r} cannot be loaded as {wanted}; valid: {', '.join(sorted(names))}")
    home = auto or home_of(name, names)
    kind.register_for_auto_class(home)  # so that save_pretrained writes the modelling file as well
    return kind


def home_of(name: str, names: Mapping[str, Any]) -> str:
    """The class of transformers by which a class is loaded, of the classes `names` that each loads."""
    return next((auto for auto, kind in names.items() if str(kind).rpartition(".")[2] == name), "AutoModel")


def _check(folder: str | Path, info: dict[str, Any], whole: bool) -> None:
    """Refuse weights that do not make up the model that config.json describes."""
    for key, found, expected in sorted(info["mismatched_keys"]):
        raise InputError(
            f"export {str(folder)!r} was changed: {_place(key)}{key} has shape {[*found]} in the weights, "
            f"and {[*expected]} by config.json"
        )
    for kind in ("missing", "unexpected") if whole else ():
        for key in sorted(info[f"{kind}_keys"]):
            raise InputError(f"export {str(folder)!r} was changed: {_place(key)}{key} is {kind} in the weights")


def _place(key: str) -> str:
    """The layer that a tensor belongs to."""
    found = re.search(r"\.(\d+)\.", f".{key}")
    return f"layer {found[1]}: " if found else ""

"""The numbers and names in a checkpoint's `config.json`, checked before transformers acts on them."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transformers.activations import ACT2FN
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from walras.errors import InputError
from walras.files.plain_data import check_plain, read_json
from walras.files.record import EXACT, Record, whole
from walras.models.architectures import family

LARGEST = 2**26
"""A width, a vocabulary, a number of positions: the longest context of any model today is a sixth of that."""
MOST_LAYERS = 2**12
EXPORT = "walras"
"""Entry of the configuration of an export, which may name the family that it was exported from."""
_SIZES = {
    "num_hidden_layers": MOST_LAYERS, "num_labels": 2**20, "vocab_size": LARGEST, "max_position_embeddings": LARGEST,
    "hidden_size": LARGEST, "intermediate_size": LARGEST, "num_attention_heads": 2**16, "num_key_value_heads": 2**16,
    "head_dim": 2**16, "num_local_experts": 2**16, "num_experts": 2**16, "num_experts_per_tok": 2**16,
    "moe_intermediate_size": LARGEST, "shared_expert_intermediate_size": LARGEST, "embedding_size": LARGEST,
    "type_vocab_size": LARGEST, "image_size": 2**16, "patch_size": 2**16, "num_channels": 2**16,
}  # fmt: skip
_MAY_BE_0 = {"type_vocab_size", "shared_expert_intermediate_size"}
_MAY_BE_LISTS = {"image_size", "patch_size"}
_ACTIVATIONS = (
    "hidden_act", "hidden_activation", "activation", "activation_function", "classifier_activation",
    "summary_activation",
)  # fmt: skip


def read_checkpoint_config(file: str | Path) -> dict[str, Any]:
    """What a `config.json` holds, checked.

    Raises:
        InputError: a file that cannot be read, or as `check_checkpoint_config`.
    """
    found = read_json(file, "model configuration")
    check_checkpoint_config(found, f"model configuration {str(file)!r}")
    return dict(found)


def check_checkpoint_config(content: Any, where: str) -> None:
    """Refuse a configuration by which no network can be made, or only one that is too large for any machine.

    What transformers itself checks is left to it: types of entries, sizes that do not divide.

    Args:
        content: of the file.
        where: what errors call it.

    Raises:
        UnknownNameError: a family that is in no row of the table of architectures.
        InputError: the entry that is wrong, its value, and what is valid.
    """
    check_plain(content, where)
    told = Record(content, where)
    for path, number in _numbers(content, ""):
        if isinstance(number, float) and not math.isfinite(number):
            raise InputError(f"{where}: {path} is {number}; it must be a finite number")
        if isinstance(number, int):
            whole(number, f"{where}: {path}", -EXACT)
    renamed = _renamed(told)
    for size, most in _SIZES.items():
        for name in {size, renamed.get(size, size)}:
            value = content.get(name)
            if value is not None and not (size in _MAY_BE_LISTS and isinstance(value, list)):
                told.whole(name, 0 if size in _MAY_BE_0 else 1, most)
    if content.get("architectures") is not None:
        told.texts("architectures")
    for name in _ACTIVATIONS:
        if isinstance(content.get(name), str) and content[name] not in ACT2FN:
            raise InputError(f"{where}: {name} is {content[name]!r}; valid: {', '.join(sorted(ACT2FN))}")
    _check_padding(told, renamed)
    _check_experts(told, where)


def check_not_quantised(config: Any, what: str) -> None:
    """Refuse a network whose weights are packed: no unit can be cut out of them.

    Args:
        config: of a network, loaded.
        what: what the error calls the network.

    Raises:
        InputError: naming the method of quantisation.
    """
    told = getattr(config, "quantization_config", None)
    if told is None:
        return
    method = told.get("quant_method") if isinstance(told, Mapping) else getattr(told, "quant_method", told)
    raise InputError(
        f"{what} is quantised ({getattr(method, 'value', method)}, says quantization_config in its configuration), and "
        "units cannot be cut out of quantised weights; give the model as it was before, and quantise what is exported"
    )


def _renamed(told: Record) -> Mapping[str, str]:
    """Names that the family gives to common entries; GPT-2 calls `num_hidden_layers` `n_layer`."""
    if told.content.get("model_type") is None:  # transformers says what it makes of that
        return {}
    kind = told.text("model_type")
    if kind == EXPORT and isinstance(told.content.get(EXPORT), Mapping):
        kind = told.record(EXPORT).text("family", default=kind)
    family(kind)
    return CONFIG_MAPPING[kind].attribute_map if kind in CONFIG_MAPPING else {}


def _check_padding(told: Record, renamed: Mapping[str, str]) -> None:
    """The padding token is one of the vocabulary; -1 is an old way to say that there is none."""
    vocabulary = told.content.get(renamed.get("vocab_size", "vocab_size"))
    if isinstance(vocabulary, int) and told.content.get("pad_token_id") is not None:
        told.whole("pad_token_id", -1, vocabulary - 1)


def _check_experts(told: Record, where: str) -> None:
    """No token is given more experts than there are."""
    chosen = told.content.get("num_experts_per_tok")
    for name in ("num_local_experts", "num_experts"):
        count = told.content.get(name)
        if isinstance(count, int) and isinstance(chosen, int) and chosen > count:
            raise InputError(f"{where}: num_experts_per_tok is {chosen}; valid: 1 to {count}, as many as {name}")


def _numbers(content: Any, path: str) -> Iterator[tuple[str, float]]:
    """All numbers inside, with their places."""
    if isinstance(content, Mapping):
        for name, inner in content.items():
            yield from _numbers(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(content, list):
        for i, inner in enumerate(content):
            yield from _numbers(inner, f"{path}[{i}]")
    elif isinstance(content, (int, float)) and not isinstance(content, bool):
        yield path, content

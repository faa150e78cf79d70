"""Llama-like decoders as a GGUF file, for llama.cpp and what is built on it.

Layers that are alike are written as architecture `llama`, others as `deci`, in which numbers of heads and widths of
FFNs are arrays. No architecture takes a layer without heads or without neurons as it is (llama.cpp#9483: where an FFN
is missing, what attention has added is lost): such a sub-layer is a small one of zeros.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from walras.errors import InputError
from walras.extras import installing
from walras.files.plain_data import read_json
from walras.models.architectures import Layer, layers_of
from walras.models.export.checkpoints import added_biases
from walras.models.export.modeling_walras import PREFIX
from walras.models.units.kinds.heads import head_size
from walras.models.units.projections import features

_CLASSES = ("LlamaForCausalLM", "MistralForCausalLM")
_ROPES = ("default", "linear", "llama3")  # those by which angles do not depend on the length of the text
_ZEROS = 32  # neurons of an FFN of zeros: a whole block of llama.cpp's quantised types
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def check_package() -> None:
    """Refuse where the package `gguf` is not installed.

    Raises:
        InputError: with the line that installs it.
    """
    if importlib.util.find_spec("gguf") is None:
        raise InputError(f"--gguf needs gguf: {installing('gguf', 'gguf')}")


def check_gguf(model: nn.Module) -> None:
    """Refuse what cannot be written, before anything is.

    Raises:
        InputError: without the package; another family, or settings that llama.cpp does not know.
    """
    check_package()
    name = type(model).__name__.removeprefix(PREFIX)
    if name not in _CLASSES:
        raise InputError(f"--gguf writes Llama-like decoders, and this is a {name}; valid: {', '.join(_CLASSES)}")
    if added_biases(model):
        raise InputError(
            f"--gguf: output projections of this {name} were given biases, which llama.cpp does not look for in it"
        )
    config: Any = model.config
    rope = _rope(config).get("rope_type", "default")
    if config.hidden_act != "silu" or rope not in _ROPES:
        raise InputError(
            f"--gguf: llama.cpp computes silu and positions of type {', '.join(_ROPES)}; "
            f"this model has {config.hidden_act} and {rope}"
        )


def write_gguf(model: nn.Module, tokenizer: Any, file: Path) -> dict[str, str]:
    """Write a model that `check_gguf` has let pass; its architecture, and how its texts are split, come back."""
    import gguf

    layers, config = layers_of(model), _config(model)
    heads, groups, widths = (list(counts) for counts in zip(*map(_counts, layers), strict=True))
    size, ratio = head_size(layers[0]), config.num_attention_heads // config.num_key_value_heads
    alike = all(len({*counts}) == 1 and counts[0] for counts in (heads, groups, widths))
    architecture = "llama" if alike else "deci"
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_block_count(len(layers))
    window = getattr(config, "sliding_window", None) or config.max_position_embeddings
    writer.add_context_length(min(config.max_position_embeddings, window))  # within a window all is attention
    writer.add_embedding_length(config.hidden_size)
    writer.add_vocab_size(config.vocab_size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(_rope(config)["rope_theta"])
    for add in (writer.add_rope_dimension_count, writer.add_key_length, writer.add_value_length):
        add(size)
    for add, counts, least in (
        (writer.add_head_count, heads, ratio),
        (writer.add_head_count_kv, groups, 1),
        (writer.add_feed_forward_length, widths, _ZEROS),
    ):
        add(counts[0] if alike else [count or least for count in counts])
    kind = _type(next(model.parameters()).dtype)
    writer.add_file_type(gguf.LlamaFileType[f"{'ALL' if kind == 'F32' else 'MOSTLY'}_{kind}"])
    split = "" if tokenizer is None else _add_tokenizer(writer, model, tokenizer)
    for name, tensor in _tensors(model, layers, size, ratio):
        own = gguf.GGMLQuantizationType[kind if tensor.ndim > 1 else "F32"]
        writer.add_tensor(name, gguf.quantize(_array(tensor), own), raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {"architecture": architecture, "pre_tokenizer": split}


def _tensors(model: nn.Module, layers: tuple[Layer, ...], size: int, ratio: int) -> Iterator[tuple[str, Tensor]]:
    """All tensors by their names in GGUF."""
    base, config = _base(model), _config(model)
    yield "token_embd.weight", base.embed_tokens.weight
    yield "output_norm.weight", base.norm.weight
    if not config.tie_word_embeddings:
        head: Any = model.get_submodule("lm_head")
        yield "output.weight", head.weight
    factors = _rope_factors(model, size)
    if factors is not None:
        yield "rope_freqs.weight", factors
    for layer in layers:
        heads, _, width = _counts(layer)
        below = f"blk.{layer.index}"
        yield f"{below}.attn_norm.weight", layer.at("input_layernorm").get_parameter("weight")
        yield f"{below}.ffn_norm.weight", layer.at("post_attention_layernorm").get_parameter("weight")
        for sublayer, names, left, rows in (
            (layer.row.heads, ("attn_q", "attn_k", "attn_v", "attn_output"), heads, (ratio * size, size, size)),
            (layer.row.ffn, ("ffn_gate", "ffn_up", "ffn_down"), width, (_ZEROS, _ZEROS)),
        ):
            paths = (*(projection.path for projection in sublayer.inputs), sublayer.output)
            out = layer.at(sublayer.output)
            for name, path, many in zip(names, paths, (*rows, None), strict=True):
                if left == 0 and many is not None:
                    yield f"{below}.{name}.weight", out.get_parameter("weight").new_zeros(many, config.hidden_size)
                    continue
                module: Any = layer.at(path)
                weight = module.weight if left else module.weight.new_zeros(config.hidden_size, rows[0])
                turned = left and name in ("attn_q", "attn_k")
                yield f"{below}.{name}.weight", _interleaved(weight, size) if turned else weight
                if module.bias is not None:
                    yield f"{below}.{name}.bias", _interleaved(module.bias, size) if turned else module.bias


def _interleaved(rows: Tensor, size: int) -> Tensor:
    """Rows `[heads * size, ...]` of queries or keys in llama.cpp's order: it turns neighbours, and transformers turns
    a feature with the one half a head further."""
    split = rows.detach().reshape(-1, 2, size // 2, *rows.shape[1:])
    return split.transpose(1, 2).reshape(rows.shape)


def _counts(layer: Layer) -> tuple[int, int, int]:
    """Query heads, key-value heads and FFN neurons of a layer."""
    size = head_size(layer)
    heads = features(layer.at(layer.row.heads.output))[0] // size
    key = next(projection.path for projection in layer.row.heads.inputs if "key" in projection.parts)
    return heads, features(layer.at(key))[1] // size if heads else 0, features(layer.at(layer.row.ffn.output))[0]


def _rope(config: Any) -> dict[str, Any]:
    """What a configuration says of positions."""
    return {"rope_type": "default", **(config.rope_parameters or {})}


def _rope_factors(model: nn.Module, size: int) -> Tensor | None:
    """By how much every angle `[size / 2]` turns slower than by its base; None where none does."""
    rope: Any = type(_base(model).rotary_emb)(_config(model))  # anew, in float32, whatever the model was cast to
    exponents = torch.arange(0, size, 2, dtype=torch.float32) / size
    factors: Tensor = (1 / _rope(_config(model))["rope_theta"] ** exponents) / rope.inv_freq
    return None if torch.allclose(factors, torch.ones_like(factors), rtol=1e-6) else factors


def _add_tokenizer(writer: Any, model: nn.Module, tokenizer: Any) -> str:
    """Add the tokenizer; how it splits texts into words comes back, by llama.cpp's name.

    Raises:
        InputError: a tokenizer of another kind than byte-pair encoding.
    """
    import gguf

    with TemporaryDirectory() as folder:  # with the stock configuration: gguf loads the tokenizer by it
        place = Path(folder)
        tokenizer.save_pretrained(place)
        _config(model).save_pretrained(place)
        for kind in (gguf.BpeVocab, gguf.LlamaHfVocab):
            try:
                vocabulary = kind(place)
                break
            except (FileNotFoundError, TypeError, KeyError):
                continue
        else:
            raise InputError(f"--gguf writes byte-pair tokenizers; {type(tokenizer).__name__} is of another kind")
        writer.add_tokenizer_model(vocabulary.tokenizer_model)
        pre = _split(place / "tokenizer.json") if vocabulary.tokenizer_model == "gpt2" else "default"
        writer.add_tokenizer_pre(pre)
        texts, scores, kinds = (list(column) for column in zip(*vocabulary.all_tokens(), strict=True))
        for unused in range(len(texts), _config(model).vocab_size):
            texts.append(f"[PAD{unused}]".encode())
            scores.append(-1000.0)
            kinds.append(gguf.TokenType.UNUSED)
        writer.add_token_list(texts)
        writer.add_token_scores(scores)
        writer.add_token_types(kinds)
        gguf.SpecialVocab(place, load_merges=vocabulary.tokenizer_model == "gpt2").add_to_gguf(writer, quiet=True)
    return pre


def _split(file: Path) -> str:
    """How a byte-level tokenizer splits texts into words, as llama.cpp calls it; "default" is a guess of its own."""
    told = read_json(file, "tokenizer").get("pre_tokenizer") or {}
    steps = told.get("pretokenizers", [told])
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and steps[0].get("pattern", {}).get("Regex") == _LLAMA3:
        return "llama-bpe"
    return "default"


def _type(dtype: torch.dtype) -> str:
    """The type of matrices; of vectors llama.cpp wants F32."""
    return {torch.float16: "F16", torch.bfloat16: "BF16"}.get(dtype, "F32")


def _array(tensor: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = tensor.detach().float().cpu().contiguous().numpy()
    return found


def _config(model: nn.Module) -> Any:
    return model.config


def _base(model: nn.Module) -> Any:
    return model.base_model

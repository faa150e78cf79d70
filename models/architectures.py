"""Where a family of transformers keeps its attention heads and FFN neurons: one table, data only.

Paths follow transformers 5. A family that is laid out like one below is one more row; the code of this
package reads the row and knows no family by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from torch import nn
from transformers import PreTrainedModel

from walras.errors import InputError, UnknownNameError


@final
@dataclass(frozen=True)
class Projection:
    """A linear map from the hidden state into a sub-layer, and what its output features are.

    The output features are `parts` of equal size. The parts stand one after another (`[part, unit, feature]`)
    or, where `interleaved`, alternate within every unit (`[unit, part, feature]`).
    """

    path: str  # below the layer
    parts: tuple[str, ...]
    interleaved: bool = False


@final
@dataclass(frozen=True)
class SubLayer:
    """Attention or FFN: the maps into it, and the output projection whose input features its units own."""

    inputs: tuple[Projection, ...]
    output: str  # path below the layer
    stream: str = ""  # module below the layer whose input is the residual stream after the sub-layer; "": its output


@final
@dataclass(frozen=True)
class Architecture:
    """One row of the table."""

    layers: str  # the list of layers, below the base model
    attention: str  # the module that splits features into heads, below a layer
    heads: SubLayer
    ffn: SubLayer
    head_size: str  # attribute of the attention module: features a head
    counters: Mapping[str, str] = field(default_factory=dict)  # its attributes: "heads" or "features"
    cache: str = "past_key_values"  # its argument that is the cache of keys and values
    head_bias: str = ""  # its argument of shape [batch, heads, query, key] that is added to the scores
    functional: bool = True  # its attention goes through transformers' AttentionInterface
    streams_if: Mapping[str, object] = field(default_factory=dict)  # settings without which `stream` is elsewhere
    along_tokens: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """An encoder layer's arguments, beside the states, with a dimension of tokens, and these; decoders have none."""


def _apart(query: str, key: str, value: str, output: str, stream: str) -> SubLayer:
    """Attention with three projections, one each for query, key and value."""
    paths = {"query": query, "key": key, "value": value}
    return SubLayer(tuple(Projection(path, (part,)) for part, path in paths.items()), output, stream)


def _fused(path: str, output: str, stream: str = "", interleaved: bool = False) -> SubLayer:
    """Attention with one projection for query, key and value."""
    return SubLayer((Projection(path, ("query", "key", "value"), interleaved),), output, stream)


def _ffn(*inputs: str, output: str, stream: str = "") -> SubLayer:
    """An FFN; a gated one has two maps into it."""
    return SubLayer(tuple(Projection(path, ("ffn_in",)) for path in inputs), output, stream)


_MASK = {"attention_mask": (-2, -1)}

_BERT = Architecture(
    layers="encoder.layer",
    attention="attention.self",
    heads=_apart(
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        output="attention.output.dense",
        stream="attention.output.LayerNorm",
    ),
    ffn=_ffn("intermediate.dense", output="output.dense", stream="output.LayerNorm"),
    head_size="attention_head_size",
    counters={"num_attention_heads": "heads", "all_head_size": "features"},
    along_tokens=_MASK,
)

_LLAMA = Architecture(
    layers="layers",
    attention="self_attn",
    heads=_apart(
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        output="self_attn.o_proj",
        stream="post_attention_layernorm",
    ),
    ffn=_ffn("mlp.gate_proj", "mlp.up_proj", output="mlp.down_proj"),
    head_size="head_dim",
)

_VIT = Architecture(
    layers="layers",
    attention="attention",
    heads=_apart(
        "attention.q_proj",
        "attention.k_proj",
        "attention.v_proj",
        output="attention.o_proj",
        stream="layernorm_after",
    ),
    ffn=_ffn("mlp.fc1", output="mlp.fc2"),
    head_size="head_dim",
    counters={"num_attention_heads": "heads"},
    along_tokens=_MASK,
)

ARCHITECTURES: dict[str, Architecture] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "distilbert": Architecture(
        layers="transformer.layer",
        attention="attention",
        heads=_apart(
            "attention.q_lin",
            "attention.k_lin",
            "attention.v_lin",
            output="attention.out_lin",
            stream="sa_layer_norm",
        ),
        ffn=_ffn("ffn.lin1", output="ffn.lin2", stream="output_layer_norm"),
        head_size="attention_head_size",
        counters={"n_heads": "heads", "dim": "features"},
        along_tokens=_MASK,
    ),
    "mpnet": Architecture(
        layers="encoder.layer",
        attention="attention.attn",
        heads=_apart(
            "attention.attn.q",
            "attention.attn.k",
            "attention.attn.v",
            output="attention.attn.o",
            stream="attention.LayerNorm",
        ),
        ffn=_ffn("intermediate.dense", output="output.dense", stream="output.LayerNorm"),
        head_size="attention_head_size",
        counters={"num_attention_heads": "heads", "all_head_size": "features"},
        head_bias="position_bias",  # one table of relative positions, shared by all layers
        functional=False,
        along_tokens={**_MASK, "position_bias": (-2, -1)},
    ),
    "modernbert": Architecture(
        layers="layers",
        attention="attn",
        heads=_fused("attn.Wqkv", output="attn.Wo", stream="mlp_norm"),
        ffn=SubLayer((Projection("mlp.Wi", ("ffn_in", "ffn_in")),), output="mlp.Wo"),
        head_size="head_dim",
        along_tokens={**_MASK, "position_embeddings": (-2,)},
    ),
    "gpt2": Architecture(
        layers="h",
        attention="attn",
        heads=_fused("attn.c_attn", output="attn.c_proj", stream="ln_2"),
        ffn=_ffn("mlp.c_fc", output="mlp.c_proj"),
        head_size="head_dim",
        counters={"num_heads": "heads", "split_size": "features"},
    ),
    "opt": Architecture(
        layers="decoder.layers",
        attention="self_attn",
        heads=_apart(
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            output="self_attn.out_proj",
            stream="final_layer_norm",
        ),
        ffn=_ffn("fc1", output="fc2"),
        head_size="head_dim",
        counters={"num_heads": "heads"},
        streams_if={"do_layer_norm_before": True},
    ),
    "gpt_neox": Architecture(
        layers="layers",
        attention="attention",
        heads=_fused("attention.query_key_value", output="attention.dense", interleaved=True),
        ffn=_ffn("mlp.dense_h_to_4h", output="mlp.dense_4h_to_h"),
        head_size="head_size",
        cache="layer_past",
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "vit": _VIT,
    "deit": _VIT,
}


def architecture(model: nn.Module) -> Architecture:
    """The row of the model's family.

    Raises:
        UnknownNameError: the family is in no row; the message shows what a row has to say.
        InputError: `model` holds no Hugging Face transformer, or several.
    """
    return family(str(transformer(model).config.model_type))


def family(kind: str) -> Architecture:
    """The row of the family that a checkpoint's `config.json` calls `model_type`.

    Raises:
        UnknownNameError: as `architecture`.
    """
    if kind not in ARCHITECTURES:
        hint = f"To add it, set walras.models.ARCHITECTURES[{kind!r}] to a row such as BERT's: {_BERT}"
        raise UnknownNameError("model family", kind, ARCHITECTURES, hint)
    return ARCHITECTURES[kind]


def layer_paths(model: nn.Module) -> tuple[str, ...]:
    """Path of every layer below `model`, which may be a base model, one with a head, or a module around one.

    Raises:
        UnknownNameError: as `architecture`.
        InputError: as `architecture`, and where the layers are not at their path.
    """
    row = architecture(model)
    outer, pretrained = _pretrained(model)
    base = next(name for name, module in pretrained.named_modules() if module is pretrained.base_model)
    path = ".".join(name for name in (outer, base, row.layers) if name)
    layers = submodule(model, path)
    if not isinstance(layers, nn.ModuleList) or len(layers) == 0:
        raise InputError(f"{type(pretrained).__name__} should have its layers at {path!r}; found {layers}")
    return tuple(f"{path}.{i}" for i in range(len(layers)))


def submodule(model: nn.Module, path: str) -> nn.Module:
    """The module at `path`, or an error that names the path and the model."""
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise InputError(f"{type(model).__name__} has no module {path!r}: {error}") from None


def transformer(model: nn.Module) -> PreTrainedModel:
    """The one Hugging Face transformer inside `model`.

    Raises:
        InputError: it holds none, or several.
    """
    return _pretrained(model)[1]


def _pretrained(model: nn.Module) -> tuple[str, PreTrainedModel]:
    """The outermost Hugging Face model inside `model`, with its path; exactly one must be there."""
    found: list[tuple[str, PreTrainedModel]] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") or not outer for outer, _ in found)
        if isinstance(module, PreTrainedModel) and not inside:
            found.append((name, module))
    if len(found) != 1:
        names = ", ".join(f"{name} ({type(module).__name__})" for name, module in found) or "none"
        raise InputError(f"{type(model).__name__} must hold one Hugging Face transformer; found: {names}")
    return found[0]

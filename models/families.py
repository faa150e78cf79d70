"""Where a family of transformers keeps its attention heads, FFN neurons and experts: one table, data only.

Paths follow transformers 5. A family that is laid out like one below is one more row; the code of this
package reads the row and knows no family by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import final

from walras.registry import Registry


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
    after: str = ""  # module below the layer through which goes what the output projection writes; "": none


@final
@dataclass(frozen=True)
class Mixture:
    """Experts in the place of an FFN, some of which a router chooses for each token.

    Their weights are tensors whose first dimension is the expert; so is that of the router's weight. A layer of the
    family that has no module `experts` is dense.
    """

    router: str  # path below the layer; it returns logits, weights and indices, and has `top_k` and `num_experts`
    experts: str  # path below the layer
    weights: tuple[str, ...] = ("gate_up_proj", "down_proj")
    outputs: str = "down_proj"  # the one of `weights` that writes [experts, hidden, neurons]
    normalised: bool | str = True  # whether the weights of a token's experts sum to 1, or the router's attribute for it
    selected_first: bool = False  # whether the softmax is taken of the chosen logits alone
    stream: str = ""  # as in `SubLayer`
    shared: SubLayer | None = None  # an FFN that every token passes besides; its output is multiplied by a gate
    count: str = "num_experts"  # setting: experts of a layer
    shared_width: str = "shared_expert_intermediate_size"  # setting: neurons of the shared FFN


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
    width: str = (
        "intermediate_size"  # setting: neurons of the FFN; "": none, as where it is a multiple of the hidden size
    )
    joined: bool = False  # whether a norm spans the queries of all heads, which can only be removed together then
    mixture: Mixture | None = None  # in the place of the FFN
    functional: bool = True  # its attention goes through transformers' AttentionInterface
    multiplier: str = ""  # setting by which what a sub-layer writes is multiplied before it is added to the stream
    streams_if: Mapping[str, object] = field(default_factory=dict)  # settings without which `stream` is elsewhere
    along_tokens: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """An encoder layer's arguments, beside the states, with a dimension of tokens, and these; decoders have none."""

    @property
    def about(self) -> str:
        """What its layers are made of, in a sentence."""
        maps = "one map" if len(self.heads.inputs) == 1 else "a map each"
        if self.mixture is not None:
            return f"Layers with {maps} for queries, keys and values, and a mixture of experts."
        return f"Layers with {maps} for queries, keys and values, and {'a gated' if self._gated else 'an'} FFN."

    @property
    def _gated(self) -> bool:
        return sum(len(projection.parts) for projection in self.ffn.inputs) > 1


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

EXAMPLE = _BERT

_OPT = Architecture(
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
    width="ffn_dim",
    streams_if={"do_layer_norm_before": True},
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

_SHARED = _ffn("mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj", output="mlp.shared_expert.down_proj")
_QWEN_MOE = Mixture("mlp.gate", "mlp.experts", normalised="norm_topk_prob")

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

_ROWS = {
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
        width="hidden_dim",
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
        width="n_inner",
    ),
    "opt": _OPT,
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
    "mixtral": replace(_LLAMA, mixture=Mixture("mlp.gate", "mlp.experts", count="num_local_experts")),
    "qwen2_moe": replace(_LLAMA, mixture=replace(_QWEN_MOE, shared=_SHARED)),
    "qwen3_moe": replace(_LLAMA, mixture=_QWEN_MOE),
    "olmoe": replace(_LLAMA, mixture=_QWEN_MOE, joined=True),
    "granitemoe": replace(
        _LLAMA,
        mixture=Mixture(
            "block_sparse_moe.router", "block_sparse_moe.experts", selected_first=True, count="num_local_experts"
        ),
        multiplier="residual_multiplier",
    ),
    "gemma3_text": replace(
        _LLAMA,
        heads=replace(_LLAMA.heads, stream="pre_feedforward_layernorm", after="post_attention_layernorm"),
        ffn=replace(_LLAMA.ffn, after="post_feedforward_layernorm"),
    ),
    "vit": _VIT,
    "deit": _VIT,
    "dinov2": replace(
        _VIT,
        layers="encoder.layer",
        heads=replace(_VIT.heads, stream="norm2", after="layer_scale1"),
        ffn=replace(_VIT.ffn, after="layer_scale2"),
        width="",
    ),
    "whisper": replace(  # its encoder; the decoder stays as it is
        _OPT, layers="encoder.layers", width="encoder_ffn_dim", streams_if={}, along_tokens=_MASK
    ),
}

ARCHITECTURES: Registry[Architecture] = Registry("family", Architecture, group="walras.families", own=False)
"""Rows by what a checkpoint's `config.json` calls `model_type`; a further one: `ARCHITECTURES.add(row, name)`."""
for _name, _row in _ROWS.items():
    ARCHITECTURES.add(_row, _name)

"""Tiny models with random weights, one for every row of the table of architectures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoModelForSpeechSeq2Seq,
)

from walras.models import ARCHITECTURES

BATCH, LENGTH, VOCABULARY = 4, 9, 61


@dataclass(frozen=True)
class Recipe:
    """How to make one family's tiny model; sizes are such that no two of them can be mixed up."""

    auto: Any = AutoModelForSequenceClassification
    sizes: dict[str, Any] = field(default_factory=dict)
    attentions: tuple[str, ...] = ("eager", "sdpa")


SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
    "num_labels": 3,
}
SPECIAL = {"bos_token_id": 2, "eos_token_id": 3}
IMAGE = {"image_size": 8, "patch_size": 4, "num_channels": 3}
SOUND = {
    **SPECIAL, "d_model": 24, "encoder_layers": 3, "encoder_attention_heads": 4, "encoder_ffn_dim": 40,
    "decoder_layers": 2, "decoder_attention_heads": 3, "decoder_ffn_dim": 16, "num_mel_bins": 5,
    "max_source_positions": LENGTH, "max_target_positions": 8, "decoder_start_token_id": 2,
    "begin_suppress_tokens": None,
}  # fmt: skip
GROUPS = {**SPECIAL, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 4, "attention_bias": True}
QWEN_MOE = {**GROUPS, "num_experts": 5, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 20}
CAUSAL = AutoModelForCausalLM
RECIPES = {
    "bert": Recipe(),
    "roberta": Recipe(),
    "xlm-roberta": Recipe(),
    "camembert": Recipe(),
    "electra": Recipe(sizes={"embedding_size": 12}),
    "distilbert": Recipe(sizes={"hidden_dim": 40}),
    "mpnet": Recipe(attentions=("eager",)),
    "modernbert": Recipe(sizes={**SPECIAL, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 12}),
    "gpt2": Recipe(CAUSAL, {**SPECIAL, "n_inner": 40}),
    "opt": Recipe(CAUSAL, {**SPECIAL, "ffn_dim": 40, "word_embed_proj_dim": 16}),
    "gpt_neox": Recipe(CAUSAL, {**SPECIAL, "rotary_pct": 1.0}),
    "llama": Recipe(CAUSAL, {**GROUPS, "mlp_bias": True}),
    "mistral": Recipe(CAUSAL, {**GROUPS, "sliding_window": 6}),
    "qwen2": Recipe(CAUSAL, {**SPECIAL, "num_attention_heads": 6, "num_key_value_heads": 3}),
    "qwen3": Recipe(CAUSAL, GROUPS),
    "mixtral": Recipe(CAUSAL, {**GROUPS, "num_local_experts": 5, "num_experts_per_tok": 2}),
    "qwen2_moe": Recipe(CAUSAL, {**QWEN_MOE, "num_experts_per_tok": 3, "mlp_only_layers": [1]}),
    "qwen3_moe": Recipe(CAUSAL, {**QWEN_MOE, "num_experts_per_tok": 2, "mlp_only_layers": [0], "norm_topk_prob": True}),
    "olmoe": Recipe(CAUSAL, {**SPECIAL, "num_experts": 5, "num_experts_per_tok": 2}),
    "granitemoe": Recipe(
        CAUSAL, {**GROUPS, "num_local_experts": 5, "num_experts_per_tok": 2, "residual_multiplier": 0.7}
    ),
    "gemma3_text": Recipe(CAUSAL, {**GROUPS, "sliding_window": 6, "query_pre_attn_scalar": 4}),
    "vit": Recipe(AutoModelForImageClassification, IMAGE),
    "deit": Recipe(AutoModelForImageClassification, {**IMAGE, "architectures": ["DeiTForImageClassification"]}),
    "dinov2": Recipe(AutoModelForImageClassification, {**IMAGE, "mlp_ratio": 2, "layerscale_value": 0.5}),
    "whisper": Recipe(AutoModelForSpeechSeq2Seq, SOUND),
}
SAMPLE = ("bert", "gpt2", "llama", "vit")  # separate linear maps; one transposed map; groups and a gate; images


def nightly(*values: Any) -> Any:
    """A case that only the nightly profile runs."""
    return pytest.param(*values, marks=pytest.mark.nightly)


@dataclass(frozen=True)
class Tiny:
    """A model in evaluation mode and a batch for it, padded on the right where it is text."""

    model: nn.Module
    batch: dict[str, Tensor]
    length: int  # tokens of a sequence inside the layers
    decoder: bool

    def logits(self, model: nn.Module | None = None, **changes: Tensor) -> Tensor:
        output: Tensor = (model or self.model)(**{**self.batch, **changes}).logits
        return output

    def row(self, index: int) -> dict[str, Tensor]:
        return {name: value[index : index + 1] for name, value in self.batch.items()}


def build(family: str, attention: str = "eager", dtype: torch.dtype = torch.float32, experts: str = "eager") -> Tiny:
    """Random weights and biases everywhere, so that nothing a slice forgets is zero by chance."""
    recipe = RECIPES[family]
    config = AutoConfig.for_model(family, **{**SIZES, **recipe.sizes}, attn_implementation=attention)
    if ARCHITECTURES[family].mixture is not None:
        config._experts_implementation = experts
    torch.manual_seed(0)
    model = recipe.auto.from_config(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            scale = weight.shape[-1] ** -0.5 if weight.ndim > 1 else 0.2
            noise = torch.randn(weight.shape) * scale
            weight.copy_(noise if weight.ndim > 1 or name.endswith("bias") else 1 + noise)
    if "image_size" in recipe.sizes:
        tokens = (IMAGE["image_size"] // IMAGE["patch_size"]) ** 2 + (2 if family == "deit" else 1)
        return Tiny(model.to(dtype), {"pixel_values": torch.randn(BATCH, 3, 8, 8, dtype=dtype)}, tokens, False)
    if "num_mel_bins" in recipe.sizes:
        sound = torch.randn(BATCH, recipe.sizes["num_mel_bins"], 2 * LENGTH, dtype=dtype)
        said = torch.randint(4, VOCABULARY, (BATCH, 2))
        return Tiny(model.to(dtype), {"input_features": sound, "decoder_input_ids": said}, LENGTH, False)
    ids = torch.randint(4, VOCABULARY, (BATCH, LENGTH))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    mask[3, 4:] = 0
    ids[mask == 0] = 1
    return Tiny(model.to(dtype), {"input_ids": ids, "attention_mask": mask}, LENGTH, recipe.auto is CAUSAL)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `every_family` runs for every dense row, one for `moe` for every row with experts.

    One for `family` or `decoder` (a dense family that generates text) runs for one family per layout of weights, and
    for the others nightly only. With `attention` beside it runs under all attention functions that the row's models
    have; with `kernel` in its place, under the first one, and under the others nightly only.
    """
    dense = [name for name, row in ARCHITECTURES.items() if row.mixture is None]
    asked = set(metafunc.fixturenames)
    rows = {
        "every_family": dense,
        "moe": [name for name in ARCHITECTURES if name not in dense],
        "family": dense,
        "decoder": [name for name in dense if RECIPES[name].auto is CAUSAL],
    }
    for fixture in asked & rows.keys():
        second = next((name for name in ("attention", "kernel") if name in asked), None)
        metafunc.parametrize((fixture, second) if second else fixture, _cases(fixture, rows[fixture], second))


def _cases(fixture: str, families: list[str], second: str | None) -> list[Any]:
    """Families, with attention functions where a test asks for them; those of the long half are marked."""
    cases: list[Any] = []
    for name in families:
        further = fixture in ("family", "decoder") and name not in SAMPLE
        for place, kind in enumerate(RECIPES[name].attentions if second else [""]):
            values = (name, kind) if second else (name,)
            cases.append(nightly(*values) if further or (second == "kernel" and place > 0) else pytest.param(*values))
    return cases


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they save on models this small: 15 times."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Tiny]:
    """Makes the tiny model of a family: `tiny(family, attention="eager", dtype=torch.float32)`."""
    return build

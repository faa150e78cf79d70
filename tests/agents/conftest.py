"""Tiny networks of several shapes, in float64 so that two ways to one derivative agree to many digits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForImageClassification, AutoModelForSequenceClassification

from walras.agents import Calibration
from walras.models import Inventory, inventory, macs
from walras.models.objective import Objective

BATCH, LENGTH, VOCABULARY, BLOCK = 4, 7, 41, 6
SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 20, "max_position_embeddings": 32, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3,
    "num_labels": 3,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {},
    "distilbert": {"hidden_dim": 20},
    "gpt2": {"n_inner": 20},  # transposed weights
    "opt": {"ffn_dim": 20, "word_embed_proj_dim": 12},  # its FFN sees batch and positions as one dimension
    "llama": {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4},  # heads in groups
    "vit": {"image_size": 4, "patch_size": 2, "num_channels": 3},  # no tokens
}


@dataclass(frozen=True)
class Network:
    """A network in evaluation mode, its units, and two batches of different sizes."""

    model: nn.Module
    units: Inventory
    batches: tuple[dict[str, Tensor], ...]

    def calibration(self, objective: Objective, batches: Sequence[dict[str, Tensor]] | None = None) -> Calibration:
        share = macs(self.model, self.units, LENGTH).share
        return Calibration(self.model, self.units, objective, self.batches if batches is None else batches, share)

    @property
    def gates(self) -> Tensor:
        """Gates around 1, none of them special."""
        seeded = torch.Generator().manual_seed(3)
        return 0.5 + torch.rand(len(self.units), generator=seeded, dtype=torch.float64)


def build(family: str, labels: int = 3) -> Network:
    """Random weights and biases; nothing is zero by chance."""
    config = AutoConfig.for_model(
        family, **{**SIZES, **FAMILIES[family], "num_labels": labels}, attn_implementation="eager"
    )
    kind: Any = AutoModelForImageClassification if family == "vit" else AutoModelForSequenceClassification
    torch.manual_seed(0)
    model = kind.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape) * max(weight.shape) ** -0.5 + (weight.ndim == 1) * 0.3)
    model = model.to(torch.float64)
    return Network(model, inventory(model, block=BLOCK), (_batch(family, BATCH), _batch(family, BATCH // 2)))


def _batch(family: str, rows: int) -> dict[str, Tensor]:
    if family == "vit":
        return {"pixel_values": torch.randn(rows, 3, 4, 4, dtype=torch.float64)}
    ids = torch.randint(4, VOCABULARY, (rows, LENGTH))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    ids[mask == 0] = 1
    return {"input_ids": ids, "attention_mask": mask}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they save on models this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=list(FAMILIES))
def network(request: pytest.FixtureRequest) -> Network:
    return build(request.param)


@pytest.fixture
def bert() -> Network:
    return build("bert")


@pytest.fixture
def gpt2() -> Network:
    return build("gpt2")


@pytest.fixture
def llama() -> Network:
    return build("llama")


@pytest.fixture
def one_output() -> Network:
    return build("bert", labels=1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)

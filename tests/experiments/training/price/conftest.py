"""Tiny networks in training, in double precision, and what they are trained on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer, TrainingArguments

from walras.experiments.training.price.callback import PriceCallback

SIZES: dict[str, Any] = {
    "vocab_size": 41, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
    "max_position_embeddings": 32, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "num_labels": 2,
}  # fmt: skip
SETTINGS: dict[str, Any] = {"budget": 0.5, "block": 6, "sentences": 16, "valuation": "fisher"}


def rows(count: int, length: int = 9) -> list[dict[str, Any]]:
    """Rows whose label is whether there are more large tokens than small ones."""
    drawn = torch.Generator().manual_seed(1)
    found = []
    for _ in range(count):
        ids = torch.randint(4, 41, (length,), generator=drawn)
        mask = torch.ones(length, dtype=torch.long)
        found.append({"input_ids": ids, "attention_mask": mask, "labels": int((ids > 22).sum() > length // 2)})
    return found


def batches(count: int, size: int = 4) -> list[dict[str, torch.Tensor]]:
    """The same in batches."""
    found = rows(count * size)
    return [
        {name: torch.stack([torch.as_tensor(row[name]) for row in part]) for name in found[0]}
        for part in (found[i : i + size] for i in range(0, len(found), size))
    ]


@pytest.fixture
def network() -> Callable[..., nn.Module]:
    """Classifiers of a family, without dropout, with any sizes changed."""

    def make(family: str = "bert", **changes: Any) -> nn.Module:
        torch.manual_seed(0)
        config = AutoConfig.for_model(family, **{**SIZES, **changes})
        kind: Any = AutoModelForSequenceClassification
        model: nn.Module = kind.from_config(config).double()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return model

    return make


@pytest.fixture
def trainer(network: Callable[..., nn.Module], tmp_path: Path) -> Callable[..., Trainer]:
    """A Trainer of sixteen steps, of which four are priced; with any of its arguments changed."""

    def make(
        settings: dict[str, Any] | None = None, model: nn.Module | None = None, callbacks: Any = (), **changes: Any
    ) -> Trainer:
        given = {
            "output_dir": str(tmp_path / "out"), "max_steps": 16, "per_device_train_batch_size": 4, "use_cpu": True,
            "logging_steps": 4, "report_to": [], "save_strategy": "no", "learning_rate": 1e-3, "disable_tqdm": True,
        }  # fmt: skip
        own = [PriceCallback(**{**SETTINGS, **(settings or {})}), *callbacks]
        arguments = TrainingArguments(**{**given, **changes})
        return Trainer(model or network(), arguments, train_dataset=rows(64), eval_dataset=rows(16), callbacks=own)

    return make


def price_of(trainer: Trainer) -> Any:
    """The price of a Trainer's own callback."""
    return next(one for one in trainer.callback_handler.callbacks if isinstance(one, PriceCallback)).price

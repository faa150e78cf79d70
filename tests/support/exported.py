"""Sliced networks that are put together by hand, and what any network computes on one batch."""

from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file as load_arrays

from walras.models import compact, inventory

BATCH = {"input_ids": torch.arange(12).reshape(2, 6) + 5, "attention_mask": torch.ones(2, 6, dtype=torch.long)}


def stock(run: Path, models: Path, name: str, kind: Any) -> Any:
    """The stock model sliced by the run's gates."""
    model = kind.from_pretrained(models / name).eval()
    gates = load_arrays(run / "allocation.safetensors")["gate"]
    return compact(model, inventory(model, block=8), gates > 0)


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    """Its hidden states, or its logits where it has a head."""
    outputs = model.eval()(**BATCH)
    found: torch.Tensor = outputs.last_hidden_state if hasattr(outputs, "last_hidden_state") else outputs.logits
    return found

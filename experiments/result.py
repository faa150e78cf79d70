"""What a run leaves behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.market import ComputeMarket, read_trace
from walras.mechanisms import Clearing
from walras.models import Inventory, Usage, compact, gated


@final
@dataclass(frozen=True)
class Result:
    """A cleared market: which units stay, at which price, and what the network does without the others."""

    model: nn.Module
    units: Inventory
    macs: Usage
    market: ComputeMarket
    metric: dict[str, Any]  # name, dense, value
    summary: dict[str, Any]  # what result.json holds
    folder: Path | None = None
    dense: nn.Module | None = None  # the network as it was, where ours was repaired
    tokenizer: Any = None

    @property
    def gates(self) -> Tensor:
        """The gate [n] of every unit: 1 where it stays, 0 where it goes."""
        return self.market.gates

    @property
    def clearing(self) -> Clearing:
        """Outcome of the last round."""
        if self.market.clearing is None:
            raise InputError("the market has played no round")
        return self.market.clearing

    @property
    def rounds(self) -> pd.DataFrame:
        """A row a round."""
        return self.market.frame

    @property
    def trace(self) -> pd.DataFrame:
        """A row an agent and round; kept where the run had a folder (`out=...`)."""
        if self.folder is None:
            raise InputError("this run kept no trace; give it a folder: out=...")
        return read_trace(self.folder)

    @contextmanager
    def gated(self) -> Iterator[nn.Module]:
        """The model with its gates on, within the context."""
        with gated(self.model, self.units, self.gates):
            yield self.model

    def compact(self) -> nn.Module:
        """A copy of the model from which the units that go are physically removed."""
        return compact(self.model, self.units, (self.gates > 0).cpu())

    def export(
        self, folder: str | Path, tokenizer: Any = None, *, onnx: bool = False, overwrite: bool = False
    ) -> dict[str, Any]:
        """Write the smaller model to a folder that transformers loads (see `walras export`); the figures come back."""
        from walras.experiments.export import export_result

        return export_result(self, folder, tokenizer or self.tokenizer, onnx=onnx, overwrite=overwrite)

    def repaired(self) -> dict[str, Tensor]:
        """Tensors of the smaller model that are not slices of the dense one, by name; contiguous, on the CPU."""
        if self.dense is None or self.dense is self.model:
            return {}
        stock = compact(self.dense, self.units, (self.gates > 0).cpu()).state_dict()
        return {
            name: tensor.cpu().contiguous()
            for name, tensor in self.compact().state_dict().items()
            if not torch.equal(tensor, stock[name])
        }


def allocation_columns(units: Inventory, gates: Tensor) -> dict[str, Any]:
    """Columns [n] of `allocation.safetensors`."""
    return {
        "gate": gates.cpu().to(torch.float32).numpy(),
        "kind": (units.kind == "ffn").astype("int8"),
        "layer": units.layer,
        "index": units.index,
        "width": units.width,
    }

"""What a run leaves behind: a smaller network, and the figures of `result.json`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.market import ComputeMarket, read_trace
from walras.market.phases.levels.trades_table import trades_of
from walras.mechanisms import Clearing
from walras.models import Inventory, compact, gated


@final
@dataclass(frozen=True)
class Metric:
    """The figure by which networks are judged; `higher_is_better` is None where nobody knows its direction."""

    name: str
    dense: float
    value: float  # of the sliced network
    higher_is_better: bool | None


@final
@dataclass(frozen=True)
class BudgetUse:
    """One resource at the end of a run. It binds where it has a price: with more of it another unit would be kept."""

    budget: float  # share of the dense network's amount that may be used
    used: float  # share that is used
    price: float  # of the dense network's whole amount, in the valuation's unit
    binds: bool
    absolute: float  # amount that is used, in `unit`
    dense: float  # amount that the dense network uses
    unit: str


@final
@dataclass(frozen=True)
class Timing:
    """Milliseconds of a forward pass, called in turn: the shortest of several."""

    dense: float
    value: float


@final
@dataclass(frozen=True)
class Summary:
    """The figures of a run, as `result.json` has them: quality, what was bought, and then the economics."""

    metric: Metric
    used: float  # share of the dense network's leading resource
    budget: float
    resource: str  # that leads
    macs: float  # of the layers, for one sequence of `length` tokens
    dense_macs: float
    parameters: int  # of the whole network
    dense_parameters: int
    bytes: int  # that its parameters take
    dense_bytes: int
    kept: Mapping[str, int]  # units by kind
    units: int  # that traded
    length: int
    budgets: Mapping[str, BudgetUse]
    rounds: int
    price: float  # of the dense network's whole leading resource, in `unit`
    welfare: float
    revenue: float
    status: str
    residual: float
    method: str  # how the rule found its outcome, where it knows several ways
    unit: str  # of money
    recipe: str | None
    mechanism: str
    valuation: str
    strategy: str
    task: str
    model: str
    seed: int
    protocol: Mapping[str, Any] = field(default_factory=dict)  # how the metric is measured
    members: Mapping[str, int] = field(default_factory=dict)  # by kind: query heads kept, where units are groups
    latency_ms: Mapping[str, Timing] = field(default_factory=dict)  # by sequences of a batch; empty where not asked
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@final
@dataclass(frozen=True)
class Outcome:
    """A cleared market: which units stay, at which price, and what the network does without the others.

    Attributes:
        model: the network that was traded on, whose weights were repaired where a repair was asked for.
        units: its units.
        market: the market, with all of its rounds.
        summary: the figures, as `result.json` has them.
        dense: the network as it was.
        tokenizer: its tokenizer, where there is one.
        folder: of the run, where it has one.
    """

    model: nn.Module
    units: Inventory
    market: ComputeMarket
    summary: Summary
    dense: nn.Module
    tokenizer: Any = None
    folder: Path | None = None

    @property
    def metric(self) -> Metric:
        """The figure of the dense and of the smaller network."""
        return self.summary.metric

    @property
    def gates(self) -> Tensor:
        """The gate [n] of every unit: 1 where it stays, 0 where it leaves."""
        return self.market.gates

    @property
    def clearing(self) -> Clearing:
        """Outcome of the last round."""
        if self.market.clearing is None:
            raise InputError("the market has played no round")
        return self.market.clearing

    @property
    def rounds(self) -> pd.DataFrame:
        """One row per round."""
        return self.market.frame

    @property
    def trace(self) -> pd.DataFrame:
        """One row per agent and round; kept where the run had a folder (`out=...`)."""
        if self.folder is None:
            raise InputError("this run kept no trace; give it a folder: out=...")
        return read_trace(self.folder)

    @property
    def trades(self) -> pd.DataFrame:
        """One row per meeting of two sub-layers, in order; none where no phase, such as `trade`, left any."""
        return trades_of(self.market)

    @contextmanager
    def gated(self) -> Iterator[nn.Module]:
        """The model with its gates on, within the context."""
        with gated(self.model, self.units, self.gates):
            yield self.model

    def compact(self) -> nn.Module:
        """A smaller model of its own: a copy without the units that leave."""
        return compact(self.model, self.units, self.kept)

    @cached_property
    def kept(self) -> Tensor:
        """Units that stay, bool [n], on the CPU."""
        return (self.gates > 0).cpu()

    def export(
        self,
        folder: str | Path,
        tokenizer: Any = None,
        *,
        onnx: bool = False,
        gguf: bool = False,
        stock: bool = False,
        overwrite: bool = False,
    ) -> dict[str, Any]:
        """Write the smaller model to a folder that transformers loads (see `walras export`); the figures come back."""
        from walras.experiments.export import Form, export_outcome

        form = Form(onnx=onnx, gguf=gguf, stock=stock, overwrite=overwrite)
        return export_outcome(self, folder, tokenizer or self.tokenizer, form)

    def repaired(self) -> dict[str, Tensor]:
        """Tensors of the smaller model that are not slices of the dense one, by name; contiguous, on the CPU."""
        if self.dense is self.model:
            return {}
        stock = compact(self.dense, self.units, self.kept, share=True).state_dict()
        now = compact(self.model, self.units, self.kept, share=True).state_dict()
        same = {name for name, tensor in now.items() if name in stock and torch.equal(tensor, stock[name])}
        return {name: tensor.cpu().contiguous() for name, tensor in now.items() if name not in same}


def allocation_columns(units: Inventory, gates: Tensor) -> dict[str, Any]:
    """Columns [n] of `allocation.safetensors`; a unit's kind is its place in the inventory's `kinds`."""
    codes = {kind: code for code, kind in enumerate(units.kinds)}
    return {
        "gate": gates.cpu().to(torch.float32).numpy(),
        "kind": np.array([codes[str(kind)] for kind in units.kind], dtype="int8"),
        "layer": units.layer,
        "index": units.index,
        "width": units.width,
    }

"""Walras: agent-based markets for compute inside real transformers.

Public names are loaded when they are first used (PEP 562), so that `import walras` costs nothing.
"""

from importlib import import_module

TYPE_CHECKING = False  # typing takes longer to load than all of this, and Ctrl-C has no handler before that
if TYPE_CHECKING:
    from typing import Any

    from walras.agents import FFNBlockAgent, HeadAgent, Strategy, Truthful, UnitAgent, Valuation
    from walras.experiments.api import open_market, run
    from walras.experiments.calibrating.from_python import calibrate
    from walras.experiments.grids.from_python import compare, paired_statistics, sensitivity
    from walras.experiments.market_model.model import MarketModel
    from walras.experiments.market_model.toy import toy
    from walras.experiments.outcome import Outcome
    from walras.experiments.recipes import Recipe
    from walras.experiments.sparsifying.from_python import sparsify
    from walras.experiments.sparsifying.trace_table import read_token_trace
    from walras.experiments.tasks import Task
    from walras.experiments.training.config import TrainConfig
    from walras.experiments.training.price.callback import PriceCallback
    from walras.experiments.training.price.price import Price
    from walras.experiments.training.train import train
    from walras.market import ComputeMarket, read_rounds, read_trace
    from walras.market.queries import Allocation, Clear, OnlineMarket, Queries
    from walras.mechanisms import (
        VCG,
        AscendingClock,
        Bids,
        Budgeted,
        Clearing,
        CompetitiveEquilibrium,
        EntropicBids,
        IndivisibleBids,
        KwonSearch,
        Mechanism,
        MenuBids,
        PayAsBidAuction,
        PostedPrice,
        ProportionalShare,
        QuadraticBids,
        ShadowPrice,
        Status,
        SurgeBids,
        Tatonnement,
        TsallisBids,
        UniformPriceAuction,
    )
    from walras.mechanisms.testing.conformance import check_mechanism
    from walras.models.export.reloading import load_model

__version__ = "0.1.0"

__all__ = [
    "VCG",
    "Allocation",
    "AscendingClock",
    "Bids",
    "Budgeted",
    "Clear",
    "Clearing",
    "CompetitiveEquilibrium",
    "ComputeMarket",
    "EntropicBids",
    "FFNBlockAgent",
    "HeadAgent",
    "IndivisibleBids",
    "KwonSearch",
    "MarketModel",
    "Mechanism",
    "MenuBids",
    "OnlineMarket",
    "Outcome",
    "PayAsBidAuction",
    "PostedPrice",
    "Price",
    "PriceCallback",
    "ProportionalShare",
    "QuadraticBids",
    "Queries",
    "Recipe",
    "ShadowPrice",
    "Status",
    "Strategy",
    "SurgeBids",
    "Task",
    "Tatonnement",
    "TrainConfig",
    "Truthful",
    "TsallisBids",
    "UniformPriceAuction",
    "UnitAgent",
    "Valuation",
    "__version__",
    "calibrate",
    "check_mechanism",
    "compare",
    "load_model",
    "open_market",
    "paired_statistics",
    "read_rounds",
    "read_token_trace",
    "read_trace",
    "run",
    "sensitivity",
    "sparsify",
    "toy",
    "train",
]

# Names that are not in the room of the mechanisms.
_HOMES = {
    "Allocation": "walras.market.queries",
    "Clear": "walras.market.queries",
    "ComputeMarket": "walras.market",
    "FFNBlockAgent": "walras.agents",
    "HeadAgent": "walras.agents",
    "MarketModel": "walras.experiments.market_model.model",
    "OnlineMarket": "walras.market.queries",
    "Outcome": "walras.experiments.outcome",
    "Price": "walras.experiments.training.price.price",
    "PriceCallback": "walras.experiments.training.price.callback",
    "Queries": "walras.market.queries",
    "Recipe": "walras.experiments.recipes",
    "Strategy": "walras.agents",
    "Task": "walras.experiments.tasks",
    "TrainConfig": "walras.experiments.training.config",
    "Truthful": "walras.agents",
    "UnitAgent": "walras.agents",
    "Valuation": "walras.agents",
    "calibrate": "walras.experiments.calibrating.from_python",
    "check_mechanism": "walras.mechanisms.testing.conformance",
    "compare": "walras.experiments.grids.from_python",
    "paired_statistics": "walras.experiments.grids.from_python",
    "load_model": "walras.models.export.reloading",
    "open_market": "walras.experiments.api",
    "read_rounds": "walras.market",
    "read_token_trace": "walras.experiments.sparsifying.trace_table",
    "read_trace": "walras.market",
    "run": "walras.experiments.api",
    "sensitivity": "walras.experiments.grids.from_python",
    "sparsify": "walras.experiments.sparsifying.from_python",
    "toy": "walras.experiments.market_model.toy",
    "train": "walras.experiments.training.train",
}


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        raise AttributeError(f"module 'walras' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "walras.mechanisms")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

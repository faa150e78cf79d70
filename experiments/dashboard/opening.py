"""Opens the markets of the dashboard: on the network that the settings name, or on units that are made up."""

from collections.abc import Callable
from typing import Any

from walras.experiments.dashboard.choice import Choice, clipped_budget
from walras.experiments.dashboard.launch import Launch
from walras.experiments.market_model.model import MarketModel
from walras.experiments.market_model.toy import ToyMarket
from walras.market import ComputeMarket

TOY_LAYERS = 8
TOY_NOISE = 0.3
_OF_NETWORK = (
    "model", "task", "data", "length", "batch_size", "device", "dtype", "trust_remote_code", "units", "block",
    "valuation", "label_free", "sentences", "latency_batch", "latency_table", "repair",
    "repair_sentences", "recipe",
)  # fmt: skip


def opener(launch: Launch) -> Callable[[Choice], tuple[ComputeMarket, list[str]]]:
    """What opens a market for a choice; a budget that does not buy its cheapest unit is raised to what that costs."""

    def made(choice: Choice, cheapest: float) -> tuple[ComputeMarket, list[str]]:
        settings, notes = choice.settings(launch.settings, cheapest)
        seed = settings.pop("seed")
        market = _toy(launch.toy, seed, settings) if launch.toy else MarketModel(seed=seed, history=1, **settings)
        return market, notes

    def opened(choice: Choice) -> tuple[ComputeMarket, list[str]]:
        market, notes = made(choice, 0.0)
        cheapest = float(market.ledger.cost.min())
        if clipped_budget(choice.budget, cheapest) == clipped_budget(choice.budget):
            return market, notes
        market.release()  # only now is it known that its budget buys nothing
        return made(choice, cheapest)

    return opened


def _toy(units: int, seed: int, settings: dict[str, Any]) -> ComputeMarket:
    """A market without a network: what belongs to one is left out."""
    kept = {name: value for name, value in settings.items() if name not in _OF_NETWORK}
    return ToyMarket(units, min(TOY_LAYERS, units), seed=seed, noise=TOY_NOISE, history=1, **kept)

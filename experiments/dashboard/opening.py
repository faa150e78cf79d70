"""Opens the markets of the dashboard: on the network that the settings name, or on units that are made up."""

from collections.abc import Callable
from typing import Any

from walras.experiments.dashboard.choice import Choice
from walras.experiments.dashboard.launch import Launch
from walras.experiments.dashboard.session import forget
from walras.experiments.market_model.model import MarketModel
from walras.experiments.market_model.toy import ToyMarket
from walras.market import ComputeMarket

TOY_LAYERS = 8
TOY_NOISE = 0.3
_OF_NETWORK = (
    "model", "task", "data", "length", "batch_size", "device", "trust_remote_code", "units", "block", "valuation",
    "label_free", "sentences", "latency_batch", "latency_table", "repair", "recipe",
)  # fmt: skip


def opener(launch: Launch) -> Callable[[Choice], tuple[ComputeMarket, list[str]]]:
    """What opens a market for a choice; it remembers what the cheapest unit costs, so that later budgets buy it."""
    cheapest = [0.0]

    def opened(choice: Choice) -> tuple[ComputeMarket, list[str]]:
        settings, notes = choice.settings(launch.settings, cheapest[0])
        seed = settings.pop("seed")
        market = _toy(launch.toy, seed, settings) if launch.toy else MarketModel(seed=seed, history=1, **settings)
        known, cheapest[0] = cheapest[0], float(market.ledger.cost.min())
        affordable, _ = choice.settings(launch.settings, cheapest[0])
        if cheapest[0] > known and affordable["budget"] != settings["budget"]:
            forget(market)  # only now is it known that its budget buys nothing
            return opened(choice)
        return market, notes

    return opened


def _toy(units: int, seed: int, settings: dict[str, Any]) -> ComputeMarket:
    """A market without a network: what belongs to one is left out."""
    kept = {name: value for name, value in settings.items() if name not in _OF_NETWORK}
    return ToyMarket(units, min(TOY_LAYERS, units), seed=seed, noise=TOY_NOISE, history=1, **kept)

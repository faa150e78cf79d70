"""TEAL's greedy allocation: inside each layer, the map that can be spared most easily gives up a step at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from walras.errors import InputError
from walras.models.architectures import layers_of
from walras.models.loading import is_causal
from walras.models.objective import Batch, inputs_of
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.offers import Collector
from walras.models.tokens.relative_prices import GivenShares, PricePolicy, Prices
from walras.models.tokens.rules import PriceRule
from walras.models.tokens.token_map import TokenMap
from walras.models.tokens.trading import everybody, token_markets
from walras.models.tokens.worths import Worths

Call = tuple[tuple[Any, ...], dict[str, Any]]


@final
@dataclass(frozen=True)
class Greedy(PricePolicy):
    """TEAL's greedy allocation inside each layer (arXiv 2408.14690, algorithm 1), for bids of any kind.

    In each layer by itself, from all bidders of all its maps on: try for every map to sell less of it, by a `step` of
    the layer's multiplications, and keep the trial after which the layer's output on dense inputs is nearest to the
    dense output, by squared distance. Stop where the layer sells the share. Prices are quantiles of the dense bids.

    Attributes:
        step: share of a layer's traded multiplications.
        tokens: calibration tokens at most, in whole sequences.
    """

    step: float = 0.05
    tokens: int = 512

    def __post_init__(self) -> None:
        if not 0 < self.step < 1:
            raise InputError(f"step is {self.step}; it must be a share between 0 and 1")
        if self.tokens < 1:
            raise InputError(f"tokens is {self.tokens}; it must be a whole number of at least 1")

    @torch.no_grad()
    def fit(self, network: Calibrated, share: float) -> GivenShares:
        """The shares of every layer's maps."""
        batch = _first(network.model, network.batches, self.tokens)
        shares: dict[str, float] = {}
        for layer in layers_of(network.model):
            maps = [m for m in network.maps if m.layer == layer.index]
            if maps:
                trial = _Trial.of(network.model, layer.module, maps, network.worths, batch)
                shares.update(spared(trial, self.step, share))
        return GivenShares(shares)


class LayerError(Protocol):
    """What a layer's output misses where its maps sell less."""

    @property
    def maps(self) -> Sequence[TokenMap]:
        """Those of the layer."""

    def error(self, shares: dict[str, float]) -> float:
        """Squared distance to the dense output where maps sell these shares."""


def spared(trial: "LayerError", step: float, share: float) -> dict[str, float]:
    """Shares of one layer's maps, by steps of a share of its multiplications, until a share of them is left."""
    whole = sum(m.bidders * m.cost for m in trial.maps)
    shares = {m.path: 1.0 for m in trial.maps}
    left = 1.0
    while left - share > 1e-9:
        sold = min(step, left - share) * whole
        trials = [
            {**shares, m.path: max(shares[m.path] - sold / (m.bidders * m.cost), 0.0)}
            for m in trial.maps
            if shares[m.path] > 0
        ]
        shares = min(trials, key=trial.error)
        left = sum(shares[m.path] * m.bidders * m.cost for m in trial.maps) / whole
    return shares


@final
@dataclass(frozen=True, eq=False)
class _Trial:
    """One layer with its dense inputs and output."""

    layer: nn.Module
    model: nn.Module
    maps: Sequence[TokenMap]
    worths: Worths
    call: Call
    output: Tensor
    offers: Collector

    @staticmethod
    def of(model: nn.Module, layer: nn.Module, maps: Sequence[TokenMap], worths: Worths, batch: Batch) -> "_Trial":
        """Run the network once."""
        seen: list[tuple[tuple[Any, ...], dict[str, Any], Any]] = []
        handle = layer.register_forward_hook(
            lambda _, args, given, output: seen.append((args, given, output)), with_kwargs=True
        )
        offers = Collector()
        with token_markets(model, maps, worths, everybody, offers):
            model(**batch)
        handle.remove()
        args, given, output = seen[0]
        return _Trial(layer, model, maps, worths, (args, given), _states(output), offers)

    def error(self, shares: dict[str, float]) -> float:
        """Squared distance to the dense output where maps sell these shares."""
        prices: Prices = {m.path: self.offers.offers[m.path].price_for(shares[m.path]) for m in self.maps}
        args, given = self.call
        with token_markets(self.model, self.maps, self.worths, PriceRule(prices)):
            return float((_states(self.layer(*args, **given)) - self.output).square().sum())


def _first(model: nn.Module, batches: Sequence[Batch], tokens: int) -> dict[str, Any]:
    """The first sequences of the data, without labels and without a cache."""
    ids = inputs_of(batches[0])
    length = next(iter(ids.values())).shape[-1]
    found: dict[str, Any] = {name: value[: max(1, tokens // length)] for name, value in ids.items()}
    return {**found, "use_cache": False} if is_causal(model) else found


def _states(output: Any) -> Tensor:
    """The hidden states that a layer returns, alone or first."""
    found: Tensor = output if isinstance(output, Tensor) else output[0]
    return found

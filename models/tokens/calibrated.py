"""What prices are found on: a dense network, its bidders and what they are worth, and calibration data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import nn

from walras.models.objective import Batch, inputs_of
from walras.models.tokens.offers import Collector, Offers
from walras.models.tokens.token_map import TokenMap
from walras.models.tokens.trading import Clear, everybody, token_markets
from walras.models.tokens.worths import Worths


@final
@dataclass(frozen=True)
class Calibrated:
    """A dense network that tokens will buy from; it is never changed."""

    model: nn.Module
    maps: Sequence[TokenMap]
    worths: Worths
    batches: Sequence[Batch]

    @cached_property
    def dense_offers(self) -> Mapping[str, Offers]:
        """What all tokens of the calibration data offer in the dense network, by path of the map; found once."""
        return self.offers(everybody)

    @torch.no_grad()
    def offers(self, clear: Clear) -> Mapping[str, Offers]:
        """What they offer in the network that a rule leaves."""
        collector = Collector()
        with token_markets(self.model, self.maps, self.worths, clear, collector):
            for batch in self.batches:
                self.model(**inputs_of(batch))
        return collector.offers

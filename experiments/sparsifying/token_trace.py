"""What every token bought, from whom, at which price, and how surprising the token was; with a control by lot."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import pandas as pd
import torch
from torch import Tensor, nn

from walras.experiments.sparsifying.trace_table import SCHEMA
from walras.models.loading import is_causal
from walras.models.objective import Batch, inputs_of
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.relative_prices import Prices
from walras.models.tokens.rules import PriceRule, RandomRule
from walras.models.tokens.token_map import TokenMap
from walras.models.tokens.trading import Clear, token_markets


def token_traces(
    network: Calibrated, prices: Prices, tokenizer: Any, batches: Sequence[Batch], seed: int
) -> Iterator[pd.DataFrame]:
    """The trace of every sequence of some batches, padding left out; columns of `SCHEMA`."""
    number = 0
    for batch in batches:
        for row in range(len(batch["input_ids"])):
            yield _trace(network, prices, tokenizer, _alone(batch, row), number, seed)
            number += 1


def _trace(
    network: Calibrated, prices: Prices, tokenizer: Any, sequence: Mapping[str, Tensor], number: int, seed: int
) -> pd.DataFrame:
    """The trace of one sequence."""
    ids, purchases = sequence["input_ids"][0], _Purchases(prices)
    surprisal = _surprisal(network, sequence, PriceRule(prices), purchases)
    lots = RandomRule(purchases.counts, torch.Generator().manual_seed(seed + number))
    by_lot = _surprisal(network, sequence, lots, None)
    tokens = pd.DataFrame(
        {
            "sequence": number,
            "position": range(len(ids)),
            "token": [tokenizer.decode([int(one)]) if tokenizer is not None else str(int(one)) for one in ids],
            "surprisal": surprisal,
            "surprisal_by_lot": by_lot,
        }
    )
    bought = pd.concat(purchases.tables, ignore_index=True)
    return pd.DataFrame(tokens.merge(bought, on="position"), columns=SCHEMA.names)


@final
class _Purchases:
    """Is told of clearings of one sequence: a table of every map."""

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        self.tables: list[pd.DataFrame] = []
        self.counts: dict[str, Tensor] = {}

    def __call__(self, traded: TokenMap, value: Tensor, keep: Tensor) -> None:
        """Note one clearing of values and purchases [1, tokens, n]."""
        value, keep = value.reshape(-1, traded.bidders).double().cpu(), keep.reshape(-1, traded.bidders).cpu()
        price, kept = self.prices[traded.path], keep.sum(-1)
        self.counts[traded.path] = kept
        surplus = ((value - price) * keep).sum(-1) * traded.cost
        self.tables.append(
            pd.DataFrame(
                {
                    "position": range(len(kept)),
                    "layer": traded.layer,
                    "map": traded.name,
                    "offered": traded.bidders * traded.cost,
                    "kept": (kept * traded.cost).numpy(),
                    "price": price,
                    "spent": (price * traded.cost * kept.double()).numpy(),
                    "surplus": surplus.numpy(),
                }
            )
        )


@torch.no_grad()
def _surprisal(network: Calibrated, sequence: Mapping[str, Tensor], clear: Clear, tell: Any) -> Any:
    """Of every token [nats], in the network that a rule leaves."""
    with token_markets(network.model, network.maps, network.worths, clear, tell):
        answer = network.model(**sequence)
    ids = sequence["input_ids"][0]
    found = torch.full((len(ids),), float("nan"))
    if is_causal(network.model):
        nats = nn.functional.cross_entropy(answer.logits[0, :-1].float(), ids[1:], reduction="none")
        found[1:] = nats.cpu()
    return found.numpy()


def _alone(batch: Batch, row: int) -> dict[str, Tensor]:
    """One row of a batch without its padding and labels."""
    mask = batch.get("attention_mask")
    real = slice(None) if mask is None else mask[row].bool()
    return {name: value[row : row + 1][:, real] for name, value in inputs_of(batch).items() if value.ndim == 2}

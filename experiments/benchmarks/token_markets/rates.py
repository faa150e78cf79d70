"""Are the bids of different maps in one currency? What each map's losers cost, measured, beside what they had bid.

    python -m walras.experiments.benchmarks.token_markets.rates --model FOLDER --data FOLDER

One map at a time sells half of its bidders, all others are dense, on other windows of the validation text than those of
the worths. `measured` is the mean over tokens of the Kullback-Leibler divergence of the next token's distribution from
the dense network's, in nats; `bid` the mean sum of what those who did not buy had bid. Under bids in one currency the
ratio is the same for all maps, and one price for all is best (the value of a marginal multiplication is then the same
everywhere). `rate` is that ratio divided by its median.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer
from torch import Tensor

from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.progress import Progress
from walras.experiments.registries import registry
from walras.experiments.spec import SubjectSpec
from walras.experiments.store.place import check_place
from walras.experiments.subjects.subject import Subject
from walras.experiments.tasks.base import on_device
from walras.files.writing import write_whole
from walras.models.objective import Batch, inputs_of
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.rules import PriceRule
from walras.models.tokens.token_map import TokenMap, token_maps
from walras.models.tokens.trading import token_markets

SHARE = 0.5  # of the bidders that buy


def main(
    model: Annotated[str, typer.Option(help="Folder of a decoder.")],
    data: Annotated[str, typer.Option(help="Folder with wikitext-2-raw in it.")],
    out: Annotated[Path, typer.Option(help="Folder of token_markets_rates.csv.")] = Path("runs/token_markets"),
    valuation: Annotated[str, typer.Option(help="What a bidder is worth.")] = "fisher",
    windows: Annotated[int, typer.Option(help="Windows that losses are measured on.", min=1)] = 3,
    length: Annotated[int, typer.Option(help="Tokens of a window.")] = 256,
) -> None:
    """Measure every map, print the spread of the rates by kind of map, write the table."""
    with ended_in_words(""):
        check_place(out)
        spec = SubjectSpec(model=model, task="wikitext2-raw", data=data, length=length, batch_size=4, device="cpu")
        with progress_bar() as progress:
            table = rates(spec, valuation, windows, progress)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "token_markets_rates.csv", table.to_csv(index=False, float_format="%.5g"))
    output().print(table.groupby("map", sort=False)["rate"].describe().to_string())


def rates(spec: SubjectSpec, valuation: str, windows: int, progress: Progress) -> pd.DataFrame:
    """A row per map."""
    subject = Subject.load(spec, progress, measured=False)
    model, data = subject.model, subject.data
    maps = token_maps(model)
    batches = [on_device(batch, model) for batch in data.batches(16, 0)]
    made = registry("token valuation").make(valuation)
    worths = made(model, maps, batches, data.objective(model, label_free=False), 0)
    others = [on_device(batch, model) for batch in data.batches(windows, 1)]
    network = Calibrated(model, maps, worths, others)
    step = progress.add_task("Maps", total=len(maps))
    rows = []
    for row in measured(network):
        rows.append(row)
        progress.update(step, advance=1)
    table = pd.DataFrame(rows)
    ratio = table["measured"] / table["bid"]
    return table.assign(rate=ratio / ratio.median())


@torch.no_grad()
def measured(network: Calibrated) -> Iterator[dict[str, Any]]:
    """What every map's losers cost and had bid, per token."""
    dense = [_logs(network, batch) for batch in network.batches]
    offers = network.dense_offers
    for traded in network.maps:
        price, lost = offers[traded.path].price_for(SHARE), _Lost()
        alone = Calibrated(network.model, (traded,), network.worths, network.batches)
        with token_markets(network.model, alone.maps, network.worths, PriceRule({traded.path: price}), lost):
            gap = _divergence(alone, dense)
        yield {"layer": traded.layer, "map": traded.name, "measured": gap, "bid": lost.bid / lost.tokens}


class _Lost:
    """Is told of clearings: what those who did not buy had bid, over all tokens."""

    def __init__(self) -> None:
        self.bid, self.tokens = 0.0, 0

    def __call__(self, traded: TokenMap, value: Tensor, keep: Tensor) -> None:
        self.bid += float((value * ~keep).sum()) * traded.cost
        self.tokens += value[..., 0].numel()


def _divergence(network: Calibrated, dense: Sequence[Tensor]) -> float:
    """Mean over tokens."""
    total, tokens = 0.0, 0
    for batch, logs in zip(network.batches, dense, strict=True):
        total += float((logs.exp() * (logs - _logs(network, batch))).sum())
        tokens += logs[..., 0].numel()
    return total / tokens


def _logs(network: Calibrated, batch: Batch) -> Tensor:
    """Logarithms of probabilities of the next token [rows, length, vocabulary]."""
    found: Tensor = network.model(**inputs_of(batch)).logits.float().log_softmax(-1)
    return found


if __name__ == "__main__":
    typer.run(main)

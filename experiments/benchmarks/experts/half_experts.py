"""Half of the experts' bytes of a small mixture: which experts, how many of each layer, repaired or not.

    python -P -m walras.experiments.benchmarks.experts.half_experts --model runs/small-mixture/model --data FOLDER

A cell is a valuation, even (the same number of experts of every layer, as in REAP) or uneven (one market for the
network), and a repair, on a draw of 32 blocks of 256 tokens of the training text. Perplexity is that of the sliced
network on the first 8,192 tokens of the test text. `two prices` sells MACs besides, to heads and experts: as much as
both budgets leave. Finished cells are not run again: `half_experts_cells.jsonl` holds them; `half_experts.csv` has
means over draws, and the least and the greatest.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, final

import pandas as pd
import torch
import typer
from torch import nn

from walras.agents import GivenValues
from walras.errors import InputError
from walras.experiments.api import open_market, run
from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.executors.memory import keep_freed_memory
from walras.experiments.progress import Progress
from walras.experiments.tasks.wikitext import wikitext
from walras.files.writing import write_whole
from walras.models import RESOURCES, Workload, inventory
from walras.models.loading import load

VALUES = ("random", "magnitude", "reap", "fisher", "leave-one-out")
REPAIRS = {
    "none": "none",
    "router": "least_squares:router=true",
    "experts": "least_squares:experts=true",
    "router and experts": "least_squares:router=true,experts=true",
}
REPAIRED = ("reap", "fisher", "leave-one-out")
SHAPES = {"even": "sublayer", "uneven": "global"}
TWO_PRICES = "two prices"
MACS = 0.8
"""Share of the dense network's MACs that `two prices` leaves."""


@final
@dataclass(frozen=True)
class Cell:
    """One row of the table, before it is measured."""

    valuation: str
    shape: str
    repair: str
    draw: int

    @property
    def units(self) -> tuple[str, ...]:
        """What is traded."""
        return ("head", "expert") if self.shape == TWO_PRICES else ("expert",)

    def settings(self, share: float) -> dict[str, Any]:
        """Of the market; `share` of the bytes is left."""
        budget = {"bytes": share, **({"macs": MACS} if self.shape == TWO_PRICES else {})}
        return {"repair": REPAIRS[self.repair], "budget": budget, "scope": SHAPES.get(self.shape, "global")}


def main(
    model: Annotated[str, typer.Option(help="Folder of a mixture of experts.")],
    data: Annotated[str, typer.Option(help="Folder with wikitext-2/ in it.")],
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("runs/experts"),
    draws: Annotated[int, typer.Option(help="Draws of calibration text.", min=1)] = 3,
    sentences: Annotated[int, typer.Option(help="Blocks of a draw.", min=2)] = 32,
    tokens: Annotated[int, typer.Option(help="Of the test text.", min=2)] = 8192,
    length: Annotated[int, typer.Option(help="Tokens of a block.", min=8)] = 256,
) -> None:
    """Run all cells that are not finished, and write the tables."""
    keep_freed_memory()
    with ended_in_words():
        file = out / "half_experts_cells.jsonl"
        done = read_rows(file)
        sizes = {"length": length, "sentences": sentences, "batch_size": 8}
        with progress_bar() as progress:
            for row in measured(cells(draws), done, partial(Mixture, model, data, tokens, sizes), progress):
                done.append(row)
                write_rows(file, done)
    table = summary(done)
    write_whole(out / "half_experts.csv", table.to_csv(index=False, float_format="%.6g"))
    output().print(table.to_string(index=False))


def cells(draws: int) -> Iterator[Cell]:
    """Draws come last, so that one of all cells is there first; what is not repaired comes before what is."""
    for draw in range(draws):
        for repair in REPAIRS:
            for valuation in VALUES if repair == "none" else REPAIRED:
                yield from (Cell(valuation, shape, repair, draw) for shape in SHAPES)
        yield from (Cell("fisher", TWO_PRICES, repair, draw) for repair in ("none", "router and experts"))


@final
class Mixture:
    """The network and its data; what several cells have in common is found once."""

    def __init__(self, folder: str, data: str, tokens: int, sizes: Mapping[str, Any]) -> None:
        found = load(folder, "causal", device="cpu")
        self.model, self.tokenizer, self.sizes = found.model, found.tokenizer, dict(sizes)
        self.task = wikitext("wikitext2", data, tokens=tokens)
        self.share = half_of_the_experts(self.model)
        self._dense: float | None = None
        self._values: dict[tuple[Any, ...], GivenValues] = {}

    def measure(self, cell: Cell) -> dict[str, Any]:
        """One cell: what is left of the network, and its perplexity."""
        given = {**self.sizes, **cell.settings(self.share), "units": list(cell.units), "rounds": 1, "seed": cell.draw}
        values = self._valued(cell, given)
        found = run(
            self.model, self.tokenizer, self.task, recipe="none", valuation=values, evaluate=self._judged, **given
        ).summary
        return {
            "perplexity": found.metric.value, "dense": found.metric.dense, "experts": found.kept.get("expert", 0),
            "heads": found.kept.get("head"), "seconds": found.seconds,
            **{f"{name} left": use.absolute / use.dense for name, use in found.budgets.items()},
            **{f"price of {name}": use.price for name, use in found.budgets.items()},
        }  # fmt: skip

    def _valued(self, cell: Cell, given: Mapping[str, Any]) -> GivenValues:
        """Values in the dense network, on which neither shape nor repair has a say."""
        key = (cell.valuation, cell.units, cell.draw)
        if key not in self._values:
            settings = {**given, "repair": "none"}
            market = open_market(self.model, self.tokenizer, self.task, valuation=cell.valuation, **settings)
            market.step()
            self._values[key] = GivenValues(tuple(market.ledger.value.tolist()))
        return self._values[key]

    def _judged(self, model: Any) -> float:
        if model is self.model and self._dense is not None:
            return self._dense
        task: Any = self.task.prepared(self.tokenizer, self.sizes["length"])
        sizes = {name: self.sizes[name] for name in ("batch_size", "length")}
        with torch.no_grad():
            found = float(task.evaluate(model, self.tokenizer, None, **sizes))
        self._dense = found if model is self.model else self._dense
        return found


def measured(
    wanted: Iterator[Cell], done: Sequence[Mapping[str, Any]], load_mixture: Callable[[], Mixture], progress: Progress
) -> Iterator[dict[str, Any]]:
    """The rows of cells that are not done yet."""
    left = [cell for cell in wanted if not any(vars(cell).items() <= row.items() for row in done)]
    if not left:
        return
    mixture, step = load_mixture(), progress.add_task("Cells", total=len(left))
    for cell in left:
        name = f"{cell.valuation}, {cell.shape}, {cell.repair}, draw {cell.draw}"
        progress.update(step, description=name)
        row = {**vars(cell), **mixture.measure(cell)}
        yield row
        progress.update(step, advance=1, description=f"{name}: {row['perplexity']:.4g}")


def half_of_the_experts(network: nn.Module) -> float:
    """The share of the layers' bytes that is left when half of those that experts use is gone.

    Raises:
        InputError: a network without experts.
    """
    use = RESOURCES.make("bytes").measure(network, inventory(network, ["expert"]), Workload())
    own = float(use.own.sum())
    if not own:
        raise InputError(f"{type(network).__name__} has no experts")
    return 1 - own / 2 / use.dense


def summary(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Means over draws, with the least and the greatest perplexity."""
    table = pd.DataFrame(list(rows))
    by = table.groupby(["shape", "valuation", "repair"], sort=False)
    found = by["perplexity"].agg(["mean", "min", "max", "count"]).rename(columns={"count": "draws"})
    rest = by[
        [name for name in table if str(name).endswith(" left") or name in ("dense", "experts", "heads", "seconds")]
    ]
    return found.join(rest.mean()).reset_index()


if __name__ == "__main__":
    typer.run(main)

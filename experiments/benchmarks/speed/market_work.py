"""How long a round's market work (bids, clearing, ledger, trace) takes, as a share of the round's valuation.

python -m walras.experiments.benchmarks.speed.market_work

On the default model, with 512 sentences of the built-in pairs: at most 5 % with blocks of 32 neurons, 25 % with
every neuron an agent of its own.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from walras.agents import Calibration, Fisher, Valuation
from walras.experiments.tasks.similarity import pairs
from walras.market import ComputeMarket, Probes, TraceWriter, Turn, budget_path
from walras.market.ledger import Column
from walras.market.phases.value import true_values
from walras.mechanisms import Mechanism, PostedPrice, ShadowPrice, UniformPriceAuction
from walras.models import inventory, macs
from walras.models.loading import DEFAULT_MODEL, Loaded, load

RULES: tuple[type[Mechanism], ...] = (ShadowPrice, UniformPriceAuction, PostedPrice)
BLOCKS = {32: 0.05, 1: 0.25}  # most that the market's work may take, as a share
SENTENCES, LENGTH, BATCH, ROUNDS, BUDGET = 512, 128, 32, 4, 0.5


@final
@dataclass(frozen=True, eq=False)
class Known(Valuation):
    """Values that somebody else has taken."""

    value: Column
    unit: ClassVar[str] = Fisher.unit

    def __call__(self, calibration: Calibration, gates: Tensor, generator: torch.Generator) -> Tensor:
        """As they are."""
        del calibration, gates, generator
        return torch.from_numpy(self.value)


def markets(loaded: Loaded, block: int, folder: Path) -> dict[str, ComputeMarket]:
    """A market of each rule on one network, all with the same data."""
    model, tokenizer = loaded
    task, units = pairs(), inventory(model, block=block)
    counted = macs(model, units, LENGTH)
    batches = task.calibration(tokenizer, sentences=SENTENCES, seed=0, batch_size=BATCH, length=LENGTH)
    objective = task.objective(model, label_free=False)
    calibration = Calibration(model, units, objective, batches, counted.share)
    found = {}
    for rule in RULES:
        path, phases = budget_path(BUDGET, ROUNDS, "geometric"), [Probes()]
        market = ComputeMarket(calibration, Fisher(), rule(), path, resources=[counted], phases=phases)
        market.on("played", partial(_write, TraceWriter(folder / rule.__name__)))
        found[rule.__name__] = market
    return found


def _write(trace: TraceWriter, market: ComputeMarket, turn: Turn) -> None:
    """The round's part of the trace."""
    del turn
    trace(market)


def work(market: ComputeMarket, value: Column) -> float:
    """Seconds of a round without its valuation."""
    market.valuation = Known(value)
    start = time.perf_counter()
    market.step()
    return time.perf_counter() - start


def report() -> Iterator[str]:
    """The lines that are printed, one per block size and rule: sums over the rounds, and the worst round."""
    loaded = load(DEFAULT_MODEL, device="cpu")
    yield f"{SENTENCES} sentences, {ROUNDS} rounds, {torch.get_num_threads()} thread(s)"
    for block, most in BLOCKS.items():
        with tempfile.TemporaryDirectory() as folder:
            yield from _block(block, most, markets(loaded, block, Path(folder)))


def _block(block: int, most: float, by_rule: dict[str, ComputeMarket]) -> Iterator[str]:
    """Every rule meets the same load of the machine: they take turns after each valuation, of the first one's gates."""
    first, fisher = next(iter(by_rule.values())), Fisher()
    valuation: list[float] = []
    worked: dict[str, list[float]] = {name: [] for name in by_rule}
    for _ in first.remaining():
        first.valuation = fisher
        start = time.perf_counter()
        value = true_values(first, Turn.from_market(first))
        valuation.append(time.perf_counter() - start)
        for name, market in by_rule.items():
            worked[name].append(work(market, value))
    yield f"block {block}: {len(value):,} agents, valuation {sum(valuation) / ROUNDS:.3f} s a round"
    for name, times in worked.items():
        share = sum(times) / sum(valuation)
        worst = max(t / v for t, v in zip(times, valuation, strict=True))
        yield (
            f"  {name:20} {sum(times) / ROUNDS * 1e3:7.1f} ms a round, {share:7.2%} of the valuation "
            f"(worst round {worst:.2%}; at most {most:.0%})"
        )


if __name__ == "__main__":
    for line in report():
        print(line, flush=True)

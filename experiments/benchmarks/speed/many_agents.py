"""A market of 100,000 agents with mixed strategies, for 100 rounds, on the quadratic surrogate of a network's loss.

    python -m walras.experiments.benchmarks.speed.many_agents

A BERT of random weights and 20 layers, each neuron of whose FFNs is an agent. Then the same market in plain Python,
with an object and a call of `bid()` an agent (`one_by_one`). Written to many_agents.csv: milliseconds of a round and of
what agents decide and learn in it, medians without the first round, in which the surrogate is taken from the network;
and the largest resident memory of the process so far.
"""

import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import pandas as pd
import torch
import typer
from transformers import BertConfig, BertModel

from walras.agents import STRATEGIES, Calibration, QuadraticSurrogate
from walras.experiments.benchmarks.speed.one_by_one import OneByOneMarket
from walras.experiments.cli.screen import output, progress_bar
from walras.files.writing import write_whole
from walras.market import ComputeMarket
from walras.mechanisms import ShadowPrice
from walras.models import inventory, macs
from walras.models.objective import GivenLoss

HEADS, WIDTH, LENGTH, SAMPLES = 4, 16, 8, 64
BUDGET = 0.5
POPULATION = "truthful=0.5,shading=0.2,zero-intelligence=0.1,hedge=0.2"


def network(agents: int, layers: int) -> torch.nn.Module:
    """A BERT with so many heads and neurons."""
    neurons, left = divmod(agents - layers * HEADS, layers)
    if left or neurons < 1:
        raise typer.BadParameter(f"{agents} agents do not divide into {layers} layers of {HEADS} heads and neurons")
    config = BertConfig(
        vocab_size=100, hidden_size=WIDTH, num_hidden_layers=layers, num_attention_heads=HEADS,
        intermediate_size=neurons, max_position_embeddings=LENGTH,
    )  # fmt: skip
    torch.manual_seed(0)
    model: torch.nn.Module = BertModel(config)
    return model.eval()


def floor_of(model: torch.nn.Module) -> Calibration:
    """Units of single neurons, and random data."""
    units = inventory(model, block=1)
    objective = GivenLoss(lambda net, batch: net(**batch).last_hidden_state[:, 0].sin().sum(-1).mean())
    seeded = torch.Generator().manual_seed(0)
    batches = [{"input_ids": torch.randint(0, 100, (8, LENGTH), generator=seeded)} for _ in range(SAMPLES // 8)]
    return Calibration(model, units, objective, batches, macs(model, units, LENGTH).share)


def played(market: ComputeMarket | OneByOneMarket, rounds: int, tell: Callable[[], object]) -> dict[str, float]:
    """Times of a market's rounds, and of the decisions and the learning in them, in milliseconds."""
    whole: list[float] = []
    deciding: list[float] = []

    def begun(*_: object) -> None:
        deciding.append(-time.perf_counter())

    def decided(*_: object) -> None:
        deciding[-1] += time.perf_counter()

    market.on("bid", begun)
    market.on("reported", decided)
    for _ in range(rounds):
        started = time.perf_counter()
        market.step()
        whole.append(time.perf_counter() - started)
        tell()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform != "darwin" else 2**30)
    last = market.economics[-1].efficiency if isinstance(market, ComputeMarket) else market.rounds[-1]["efficiency"]
    return {
        "rounds": rounds, "first [ms]": 1e3 * whole[0], "round [ms]": 1e3 * median(whole[1:] or whole),
        "deciding [ms]": 1e3 * median(deciding[1:] or deciding), "memory [GiB]": memory, "efficiency": last,
    }  # fmt: skip


def main(
    agents: Annotated[int, typer.Option(help="Heads and neurons in all.", min=10)] = 100_000,
    layers: Annotated[int, typer.Option(help="Among which they are divided evenly.", min=1)] = 20,
    rounds: Annotated[int, typer.Option(help="Of the market.", min=2)] = 100,
    alone: Annotated[int, typer.Option(help="Rounds of the market whose agents decide one by one.", min=2)] = 5,
    out: Annotated[Path, typer.Option(help="Folder of many_agents.csv.")] = Path("runs"),
) -> None:
    """Play both, print, write."""
    model = network(agents, layers)
    calibration = floor_of(model)
    arrays = ComputeMarket(
        calibration,
        QuadraticSurrogate(),
        ShadowPrice(),
        [BUDGET] * rounds,
        strategy=STRATEGIES.make(POPULATION),
        reentry=True,
    )
    objects = OneByOneMarket(calibration, BUDGET, arrays.ledger.strategy.tolist())
    ways: list[tuple[str, ComputeMarket | OneByOneMarket, int]] = [
        ("arrays", arrays, rounds), ("one by one", objects, alone)
    ]  # fmt: skip
    rows = []
    with progress_bar() as progress:
        for name, market, count in ways:
            bar = progress.add_task(f"Rounds, {name}", total=count)
            found = played(market, count, partial(progress.update, bar, advance=1))
            rows.append({"agents": agents, "market": name, **found})
    table = pd.DataFrame(rows)
    write_whole(out / "many_agents.csv", table.to_csv(index=False, float_format="%.5g"))
    output().print(table.to_string(index=False))
    for what in ("round", "deciding"):
        arrays, scalar = table[f"{what} [ms]"]
        output().print(f"{what}: one by one takes {scalar / arrays:.1f} times as long")


if __name__ == "__main__":
    typer.run(main)

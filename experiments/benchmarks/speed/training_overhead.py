"""What a price costs: a training step with trained gates and a price against one without, on the same batch.

    python -m walras.experiments.benchmarks.speed.training_overhead --task stsb --data GLUE_FOLDER

Forward and backward pass, clipping and the optimizer's step of the dense model (MiniLM by default), called in turn,
minimum of so many. The two plain steps (A/A) tell how far two equal steps lie apart. The step of `cleared` is one
between two clearings: its first round has been played, and who lost it is shut.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer
from torch import Tensor, nn

from walras.experiments.cli.screen import output
from walras.experiments.tasks import TASKS
from walras.experiments.training.config import TrainConfig
from walras.experiments.training.loop.batches import Batches
from walras.experiments.training.loop.rows import split
from walras.experiments.training.price.economy import Economy
from walras.experiments.training.stage import TrainPlan
from walras.files.writing import write_whole
from walras.market.pricing import Cleared
from walras.models import Inventory, gated, inventory, macs
from walras.models.loading import load
from walras.models.objective import Batch, Objective
from walras.models.resources.timing import interleaved

PRICED = ("cleared", "shadow-price", "dual-ascent", "tax")


def main(
    task: Annotated[str, typer.Option(help="Task by name.")] = "stsb",
    data: Annotated[str | None, typer.Option(help="Folder in the GLUE layout.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed steps of each kind.")] = 12,
    out: Annotated[Path, typer.Option(help="Folder of training_overhead.csv.")] = Path("runs"),
) -> None:
    """Print and write the ratios."""
    found = TASKS.make(task, data=data)
    model, tokenizer = load(TrainConfig().subject.model, found.head, device="cpu", classes=found.labels())
    learning = split(found.prepared(tokenizer, 128), 0.1, None, 0)
    batches = Batches(learning, tokenizer, 32, 128, 0)
    batch, objective = batches.at(len(batches) // 2), found.objective(model, False)
    units = inventory(model)
    share = torch.from_numpy(macs(model, units, 128).share)
    steps = [partial(_step, model, objective, batch, None, units)] * 2
    for name in PRICED:
        settings = {"task": task, "data": data, "pricing": name, **({"price": 0.1} if name == "tax" else {})}
        economy = economy_of(TrainConfig.parse(settings), units, share)
        steps.append(partial(_step, model, objective, batch, economy, units))
    times = interleaved(steps, repeats)
    rows = [
        {"step": name, "seconds": seconds, "ratio": seconds / times[0]}
        for name, seconds in zip(("plain", "plain again", *PRICED), times, strict=True)
    ]
    table = pd.DataFrame(rows)
    write_whole(out / "training_overhead.csv", table.to_csv(index=False, float_format="%.4g"))
    output().print(table.to_string(index=False))


def economy_of(config: TrainConfig, units: Inventory, share: Tensor) -> Economy:
    """Gates and their pricing; values, which a market that clears asks for, are drawn by lot."""
    pricing = TrainPlan.from_config(config).pricing(0.02)
    assert pricing is not None
    economy = Economy.start(units, share, pricing)
    if isinstance(pricing, Cleared):
        economy.clear(torch.rand(len(units), generator=torch.Generator().manual_seed(0)))
    return economy


@torch.enable_grad()
def _step(model: nn.Module, objective: Objective, batch: Batch, economy: Economy | None, units: Inventory) -> None:
    """A step of AdamW with a rate of 0, so that every step finds the same network."""
    generator = torch.Generator().manual_seed(0)
    parameters = [*model.parameters(), *(economy.gates.parameters() if economy else ())]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, fused=True)
    priced = economy.step(0.5) if economy else None
    gates: AbstractContextManager[object] = nullcontext()
    if economy is not None and priced is not None:
        gates = gated(model.train(), units, economy.gates.sample(priced.logits, generator))
    with gates:
        loss = objective(model.train(), batch, generator)
    if economy is not None and priced is not None:
        loss = loss + economy.pricing.penalty(priced.cost, 0.5)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad()


if __name__ == "__main__":
    typer.run(main)

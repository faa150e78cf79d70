"""What gates cost: a forward pass with gates beside one without, and one without beside another (A/A).

python -m walras.experiments.benchmarks.gate_overhead

On the default model, on a long and on a short batch: at most 10 %. Passes take turns, so that all meet the same load
of the machine, and the shortest of 20 of each counts, of short batches the shortest of 200.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from walras.models import gated, inventory
from walras.models.loading import DEFAULT_MODEL, load

SIZES = ((32, 128, 20), (4, 16, 200), (1, 8, 200))  # rows and tokens of a batch, passes of each kind
BLOCKS = (32, 1)
Context = Callable[[], AbstractContextManager[None]]


def seconds(model: nn.Module, batch: dict[str, Tensor], context: Context) -> float:
    """Time of one forward pass within the context, entering and leaving it apart."""
    with torch.no_grad(), context():
        start = time.perf_counter()
        model(**batch)
        return time.perf_counter() - start


def shortest(model: nn.Module, batch: dict[str, Tensor], contexts: dict[str, Context], passes: int) -> dict[str, float]:
    """Shortest of the passes in every context, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in contexts}
    for turn in range(passes + 1):
        for name, context in contexts.items():
            took = seconds(model, batch, context)
            if turn:  # the first only warms up
                times[name].append(took)
    return {name: min(measured) for name, measured in times.items()}


def contexts(model: nn.Module, rows: int) -> dict[str, Context]:
    """The passes that are compared: twice without gates, then one gate a unit, and each row's own gates."""
    found: dict[str, Context] = {"without gates": nullcontext, "without gates again": nullcontext}
    for block in BLOCKS:
        units = inventory(model, block)
        ones = torch.ones(len(units), device=next(model.parameters()).device)
        own = ones.expand(rows, -1).contiguous()
        found[f"gates, block {block}"] = partial(gated, model, units, ones)
        found[f"gates a row, block {block}"] = partial(gated, model, units, own)
    return found


def report() -> Iterator[str]:
    """The lines that are printed, one a batch and kind of pass."""
    model, _ = load(DEFAULT_MODEL, device="cpu")
    yield f"{torch.get_num_threads()} thread(s)"
    for rows, length, passes in SIZES:
        ids = torch.randint(1000, 20_000, (rows, length), generator=torch.Generator().manual_seed(0))
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        found = shortest(model, batch, contexts(model, rows), passes)
        yield f"{rows} x {length}, shortest of {passes} passes taken in turns"
        for name, took in found.items():
            yield f"  {name:22} {took * 1e3:8.2f} ms  {took / found['without gates']:6.3f}"


if __name__ == "__main__":
    for line in report():
        print(line, flush=True)

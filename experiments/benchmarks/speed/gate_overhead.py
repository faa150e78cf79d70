"""What gates cost: a forward pass with gates beside one without, and one without beside another (A/A).

python -m walras.experiments.benchmarks.speed.gate_overhead

On the default model, on a long and on a short batch: at most 10 %. Passes take turns, so that all meet the same load
of the machine, and the shortest of 20 of each counts, of short batches the shortest of 200.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from walras.models import gated, inventory
from walras.models.loading import DEFAULT_MODEL, load
from walras.models.resources.timing import Context, interleaved

SIZES = ((32, 128, 20), (4, 16, 200), (1, 8, 200))  # rows and tokens of a batch, passes of each kind
BLOCKS = (32, 1)


def shortest(model: nn.Module, batch: dict[str, Tensor], contexts: dict[str, Context], passes: int) -> dict[str, float]:
    """Shortest of the passes in every context, taken in turns, entering and leaving it apart."""
    times = interleaved([lambda: model(**batch)] * len(contexts), passes, contexts=[*contexts.values()])
    return dict(zip(contexts, times, strict=True))


def contexts(model: nn.Module, rows: int) -> dict[str, Context]:
    """The passes that are compared: twice without gates, then one gate a unit, and each row's own gates."""
    found: dict[str, Context] = {"without gates": nullcontext, "without gates again": nullcontext}
    for block in BLOCKS:
        units = inventory(model, block=block)
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

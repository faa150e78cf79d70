"""Are parts of attention heads worth trading? Designs at equal MACs on a decoder, without an export.

    python -P -m walras.experiments.benchmarks.attention_units.measure --model runs/smollm2 --data DATA

Value-output dimensions of a group of heads, and rotary pairs of its queries and keys, are closed by masks and counted
as if they were sliced; `axes` are dimensions along the principal axes of what a group writes. Values are by 32 blocks
of the calibration text, the repair by these and 32 others, and perplexity is of 32 more that nothing was calibrated on.
A cell that is in the file of rows is not measured again.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import pandas as pd
import torch
import typer
from scipy import stats
from torch import nn

from walras.errors import InputError, UnknownNameError, WalrasError
from walras.experiments.benchmarks.attention_units.axes import in_principal_axes
from walras.experiments.benchmarks.attention_units.designs import DESIGNS, Parts, Sizes, Values, cleared
from walras.experiments.benchmarks.attention_units.masks import masked
from walras.experiments.benchmarks.attention_units.values import worths
from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.cli.screen import fail, output, progress_bar
from walras.experiments.progress import Progress
from walras.experiments.spec import RunSpec
from walras.experiments.subjects.data import TaskData
from walras.experiments.subjects.subject import Subject
from walras.experiments.tasks.long_text import LongText
from walras.experiments.tasks.perplexity import Window, likelihood
from walras.files.writing import write_whole
from walras.models.objective import Batch

RESULTS = Path(__file__).parents[1] / "results"
TASK = "wikitext2-raw:bos=<|endoftext|>"
FIRST, BUDGETS, BATCH = "heads", (0.7, 0.8), 4


@final
@dataclass(frozen=True)
class Counts:
    """Blocks of the calibration text: for values, for the repair (those of values first), and to judge by."""

    valued: int = 32
    repaired: int = 64
    judged: int = 32


@final
@dataclass(frozen=True)
class Blocks:
    """Batches of these blocks; those that are judged are among no others."""

    valued: Sequence[Batch]
    repaired: Sequence[Batch]
    judged: Sequence[Batch]

    @staticmethod
    def drawn(subject: Subject, counts: Counts, draw: int, size: int) -> "Blocks":
        """Drawn from the calibration text without repetition, `size` to a batch.

        Raises:
            InputError: another task than a long text, or one that is too short.
        """
        data = subject.data
        if not (isinstance(data, TaskData) and isinstance(data.task, LongText)):
            raise InputError(f"task {data.name} is no long text, such as {TASK}")
        task, tokenizer = data.task.prepared(subject.tokenizer, subject.length), subject.tokenizer
        pool, wanted = task.pool(), counts.repaired + counts.judged
        if wanted > len(pool) or counts.valued > counts.repaired:
            raise InputError(f"{wanted} blocks are wanted, {counts.valued} of them for values; there are {len(pool)}")
        order = [pool[i] for i in np.random.default_rng(draw).permutation(len(pool))[:wanted]]

        def batches(first: int, last: int) -> list[Batch]:
            return [task.batch(tokenizer, order[i : min(i + size, last)], subject.length)
                    for i in range(first, last, size)]  # fmt: skip

        return Blocks(batches(0, counts.valued), batches(0, counts.repaired), batches(counts.repaired, wanted))

    def nats(self, model: nn.Module) -> list[float]:
        """Mean negative log-likelihood a token of each block that is judged."""
        rows = [row for batch in self.judged for row in batch["input_ids"]]
        found = (likelihood(model, [Window(row[:-1], row[1:])], "", 1) for row in rows)
        return [one.nats / one.tokens for one in found]


@final
@dataclass(eq=False)
class Bench:
    """What all cells of a draw share."""

    subject: Subject
    blocks: Blocks
    progress: Progress

    @cached_property
    def sizes(self) -> Sizes:
        """Of the network."""
        return Sizes.of(self.subject.model, self.subject.length)

    @cached_property
    def _turned(self) -> nn.Module:
        """The dense network in principal axes."""
        return in_principal_axes(self.subject.model, self.sizes, self.blocks.valued)

    @cached_property
    def _known(self) -> dict[bool, tuple[Parts, Values]]:
        """Worths so far, of the network as it is, and in principal axes."""
        return {}

    def network(self, axes: bool) -> nn.Module:
        """The dense network, or the same in principal axes."""
        return self._turned if axes else self.subject.model

    def worths(self, axes: bool) -> tuple[Parts, Values]:
        """Of everything that any design trades in one of these networks."""
        if axes not in self._known:
            self._known[axes] = self._worths(axes)
        return self._known[axes]

    def _worths(self, axes: bool) -> tuple[Parts, Values]:
        step = self.progress.add_task("Values", total=1.0)
        model, objective = self.network(axes), self.subject.data.objective(self.subject.model, True)
        return worths(model, self.sizes, objective, self.blocks.valued,
                      lambda share: self.progress.update(step, completed=share))  # fmt: skip

    def measured(self, name: str, budget: float) -> dict[str, Any]:
        """A cell: MACs, what stays, and the nats of every block without and with the repair."""
        design = DESIGNS[name]
        keep, dense = cleared(*self.worths(design.axes), self.sizes, budget, design), self.network(design.axes)
        with masked(dense, self.sizes, keep) as model:
            unrepaired = self.blocks.nats(model)
        self.progress.add_task(f"Repair of {name} at {budget}", total=None)
        with masked(dense, self.sizes, keep, self.blocks.repaired) as model:
            nats = self.blocks.nats(model)
        return {
            "macs": self.sizes.macs(keep) / self.sizes.dense,
            "groups": int(keep.dimensions.any(-1).sum()), "dimensions": int(keep.dimensions.sum()),
            "pairs": int(keep.pairs.sum()), "neurons": int(keep.neurons.sum()),
            "unrepaired": unrepaired, "nats": nats,
        }  # fmt: skip


def table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A line a budget, design and draw, with perplexity, and by how much it differs from that of `heads`.

    The interval (95 %, Student's t) is of the ratio of perplexities, over paired blocks.
    """
    lines = []
    for row in rows:
        same = {"budget": row["budget"], "draw": row["draw"], "design": FIRST}
        first = next((other for other in rows if same.items() <= other.items()), None)
        line = {
            "budget": row["budget"], "design": row["design"], "draw": row["draw"], "macs": row["macs"],
            "perplexity": _perplexity(row["nats"]), "unrepaired": _perplexity(row["unrepaired"]),
            **{name: row[name] for name in ("groups", "dimensions", "pairs", "neurons")},
        }  # fmt: skip
        if first is not None and first is not row:
            apart = np.subtract(row["nats"], first["nats"])
            half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / len(apart) ** 0.5
            ends = (apart.mean(), apart.mean() - half, apart.mean() + half)
            line |= dict(zip(("ratio", "low", "high"), np.exp(ends).tolist(), strict=True))
        lines.append({**line, "seconds": row["seconds"]})
    return pd.DataFrame(lines)


def _perplexity(nats: Sequence[float]) -> float:
    return float(np.exp(np.mean(nats)))


def measure(subject: Subject, settings: Mapping[str, Any], file: Path, progress: Progress) -> None:
    """Every cell that is not in the file yet, written as soon as it is there; `settings` are those of `main`."""
    rows, draw = read_rows(file), settings["draw"]
    wanted = [("dense", 1.0), *((name, share) for share in settings["budget"] for name in settings["design"])]
    keys = [{"design": name, "budget": share, "draw": draw} for name, share in wanted]
    missing = [key for key in keys if not any(key.items() <= row.items() for row in rows)]
    if not missing:
        return
    bench = Bench(subject, Blocks.drawn(subject, settings["counts"], draw, settings["batch_size"]), progress)
    for key in missing:
        started = time.monotonic()
        if key["design"] == "dense":
            nats, sizes = bench.blocks.nats(subject.model), bench.sizes
            counts = {"groups": sizes.layers * sizes.groups, "dimensions": sizes.layers * sizes.groups * sizes.size,
                      "neurons": sizes.layers * sizes.neurons}  # fmt: skip
            found = {"macs": 1.0, **counts, "pairs": counts["dimensions"] // 2, "unrepaired": nats, "nats": nats}
        else:
            found = bench.measured(key["design"], key["budget"])
        rows.append({**key, **found, "seconds": round(time.monotonic() - started)})
        write_rows(file, rows)
        write_whole(file.with_name("attention_units.csv"), table(rows).to_csv(index=False, float_format="%.6g"))


def main(
    model: Annotated[str, typer.Option(help="Folder of a decoder spelled as Llama.")],
    data: Annotated[str, typer.Option(help="Folder with WikiText.")],
    task: Annotated[str, typer.Option(help="A long text, calibrated on and judged by the same split.")] = TASK,
    budget: Annotated[list[float] | None, typer.Option(help="Shares of the MACs. [default: 0.7, 0.8]")] = None,
    design: Annotated[list[str] | None, typer.Option(help="Which designs. [default: all]")] = None,
    length: Annotated[int, typer.Option(help="Tokens of a block.")] = 256,
    draw: Annotated[int, typer.Option(help="Seed of the draw of blocks.")] = 0,
    out: Annotated[Path, typer.Option(help="File of rows.")] = RESULTS / "attention_units_cells.jsonl",
) -> None:
    """Measure what is missing, and write the table anew after every cell."""
    designs = design or [*DESIGNS]
    settings = {"budget": budget or BUDGETS, "design": designs, "draw": draw, "counts": Counts(), "batch_size": BATCH}
    try:
        for name in designs:
            if name not in DESIGNS:
                raise UnknownNameError("design", name, [*DESIGNS])
        spec = RunSpec.parse({"model": model, "task": task, "data": data, "length": length}).subject
        with progress_bar() as progress:
            subject = Subject.load(replace(spec, batch_size=BATCH), progress, measured=False)
            measure(subject, settings, out, progress)
    except WalrasError as error:
        fail(error)
    output().print(table(read_rows(out)).to_string(index=False))


if __name__ == "__main__":
    torch.set_num_threads(1)
    typer.run(main)

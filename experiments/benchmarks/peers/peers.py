"""The peers' own released code on STS-B dev, at equal MACs: Torch-Pruning 1.6.1, and TextPruner 1.1.post2.

    python -m walras.experiments.benchmarks.peers.peers --data GLUE_FOLDER --textpruner DIR

The default model, and the same calibration texts and loss as our recipes have. Neither repairs weights. MACs are
counted by torch on the sliced model; ratios are searched so that they equal the budget within 1 %. Torch-Pruning comes
with `pip install walras[peers]`. TextPruner needs transformers 4 in a directory of its own; where that is missing its
rows are left out, and the benchmark says so. Rows are written as they finish, and finished ones are not run again.
"""

import csv
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, final

import pandas as pd
import typer

from walras.errors import InputError
from walras.experiments.benchmarks.peers.peer import TOLERANCE, Case, Peer, counted_macs
from walras.experiments.benchmarks.peers.peer_textpruner import TextPruner
from walras.experiments.benchmarks.peers.peer_torch_pruning import Global, Local
from walras.experiments.cli.screen import ended_in_words, output
from walras.experiments.spec import RunSpec
from walras.experiments.subjects.subject import find_task
from walras.experiments.tasks import Task
from walras.files.writing import write_whole
from walras.models.loading import find, load

BUDGETS = (0.75, 0.6, 0.5, 0.4)


@final
@dataclass(frozen=True)
class Row:
    """One peer at one budget with one seed."""

    peer: str
    budget: float  # share of the dense model's MACs
    seed: int
    macs: float  # of the layers, for a sequence of 128 tokens, as counted on the sliced model
    value: float  # Spearman of the sliced model
    dense: float  # Spearman of the dense model
    seconds: float  # of the peer, with the search for the ratio, without the evaluation

    @property
    def key(self) -> tuple[str, float, int]:
        """What a row is the only one of."""
        return self.peer, self.budget, self.seed


def main(
    data: Annotated[str, typer.Option(help="Folder in the GLUE layout.")],
    textpruner: Annotated[Path | None, typer.Option(help="Directory with TextPruner and transformers 4.")] = None,
    seeds: Annotated[int, typer.Option(help="Calibration seeds.", min=1)] = 5,
    out: Annotated[Path, typer.Option(help="File of the rows.")] = Path("runs/peers.csv"),
) -> None:
    """Run all rows that are not there, print the table."""
    with ended_in_words():
        present = available([Local(), Global(), TextPruner(textpruner)])
        rows = read_rows(out)
        spec = RunSpec.parse({"task": "stsb", "data": data, "device": "cpu"})
        for row in run(present, spec, range(seeds), rows):
            rows.append(row)
            write_rows(out, rows)
    table = pd.DataFrame([asdict(row) for row in rows], columns=[f.name for f in fields(Row)])
    means = table.groupby(["peer", "budget"], sort=False)[["macs", "value", "dense", "seconds"]]
    output().print(
        means.agg(["mean", "std"]).join(means.size().rename("seeds")).to_string(float_format="{:.5g}".format)
    )


def available(peers: Sequence[Peer]) -> list[Peer]:
    """The peers that can run. TextPruner's rows are optional, and its absence is told.

    Raises:
        InputError: another one is not installed; the message has the pip line.
    """
    present = []
    for peer in peers:
        missing = peer.missing()
        if missing and not isinstance(peer, TextPruner):
            raise InputError(missing)
        if missing:
            output().print(f"{peer.name}: skipped, {missing}", soft_wrap=True)
        else:
            present.append(peer)
    return present


def run(peers: Sequence[Peer], spec: RunSpec, seeds: Sequence[int], finished: Sequence[Row]) -> Iterator[Row]:
    """Rows that are not finished, all peers and budgets of a seed before the next."""
    done = {row.key for row in finished}
    if all((p.name, budget, seed) in done for p in peers for budget in BUDGETS for seed in seeds):
        return
    own, sentences = spec.subject, spec.market.sentences
    task, source = find_task(own), find(own.model)
    model, tokenizer = load(own.model, task.head, device=own.device)
    dense_macs = counted_macs(model, own.length)
    sizes = {"batch_size": own.batch_size, "length": own.length}
    dense = task.evaluate(model, tokenizer, None, **sizes)
    for seed in seeds:
        batches = task.calibration(tokenizer, sentences=sentences, seed=seed, **sizes)
        case = Case(source, model, task.objective(model, label_free=False), batches, own.length)
        for budget in BUDGETS:
            for peer in peers:
                if (peer.name, budget, seed) in done:
                    continue
                started = time.monotonic()
                small = peer.smaller(case, budget * dense_macs)
                seconds = time.monotonic() - started
                macs = counted_macs(small, own.length)
                value = task.evaluate(small, tokenizer, None, **sizes)
                row = Row(peer.name, budget, seed, macs, value, dense, seconds)
                _tell(row, task, macs / dense_macs)
                yield row


def _tell(row: Row, task: Task, used: float) -> None:
    off = used / row.budget - 1
    short = "" if abs(off) <= TOLERANCE else f" ({off:+.1%} off: no ratio comes nearer)"
    output().print(
        f"{row.peer} at {row.budget:g}, seed {row.seed}: {used:.2%} of MACs{short}, "
        f"{task.metric} {row.value:.4f}, {row.seconds:.0f} s"
    )


def read_rows(file: Path) -> list[Row]:
    """The rows of an earlier run; none where there is no file.

    Raises:
        InputError: a file that this benchmark did not write.
    """
    if not file.exists():
        return []
    kinds = {"peer": str, "seed": int}
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return [Row(**{f.name: kinds.get(f.name, float)(line[f.name]) for f in fields(Row)})
                    for line in csv.DictReader(lines)]  # fmt: skip
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"--out {str(file)!r} holds no rows of this benchmark ({error}); name another file") from error


def write_rows(file: Path, rows: Sequence[Row]) -> None:
    """Write all rows, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.10g}" if isinstance(v, float) else v for k, v in asdict(row).items()})
    write_whole(file, text.getvalue())


if __name__ == "__main__":
    typer.run(main)

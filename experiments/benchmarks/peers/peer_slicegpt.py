"""SliceGPT beside our recipes, at equal MACs of the layers, without an export: perplexity of a decoder.

    python -P -m walras.experiments.benchmarks.peers.peer_slicegpt --model runs/smollm2 \
        --task 'wikitext2-raw:tokens=16384,bos=<|endoftext|>' --data FOLDER --length 256 --sentences 32 --batch-size 4

The same text, blocks, windows and budgets as `walras compare` has with the same settings. Counted are the layers, the
maps that SliceGPT adds to them included; the language-model head, which it makes smaller as well, lies outside, as for
every recipe. The paper calibrates on 1,024 sequences of 2,048 tokens. Rows are written as they finish, and finished
ones are not run again.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.benchmarks.peers.peer import counted_macs
from walras.experiments.benchmarks.peers.slicegpt import sliced, width_for
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.spec import RunSpec
from walras.experiments.subjects.subject import Subject, evaluating

BUDGETS = (0.9, 0.8, 0.7, 0.6)


def main(
    model: Annotated[str, typer.Option(help="Folder of a decoder of Llama's kind.")],
    task: Annotated[str, typer.Option(help="Task by name.")] = "wikitext2-raw",
    data: Annotated[str | None, typer.Option(help="Folder with the task's data.")] = None,
    length: Annotated[int, typer.Option(help="Tokens of a sequence.")] = 256,
    sentences: Annotated[int, typer.Option(help="Sequences to calibrate on.", min=1)] = 32,
    batch_size: Annotated[int, typer.Option(help="Sequences of a batch.", min=1)] = 4,
    budget: Annotated[list[float] | None, typer.Option(help="Budgets. [default: 0.9, 0.8, 0.7, 0.6]")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw of sequences.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="File of the rows.")] = Path("runs/slicegpt.jsonl"),
) -> None:
    """Run all rows that are not there, print the table."""
    with ended_in_words():
        given: dict[str, Any] = {"model": model, "task": task, "length": length, "batch_size": batch_size}
        more = {"sentences": sentences, "seed": seed, "device": "cpu", **({} if data is None else {"data": data})}
        spec, rows = RunSpec.parse({**given, **more}), read_rows(out)
        told = {"model": model, "task": task, "length": length, "sentences": sentences, "seed": seed}
        left = [b for b in budget or BUDGETS if {**told, "budget": b} not in [_key(row) for row in rows]]
        with progress_bar() as progress:
            subject = Subject.load(spec.subject, progress) if left else None
            bar = progress.add_task("Budgets", total=len(left))
            for share in left:
                assert subject is not None
                rows.append({**told, "budget": share, **measured(subject, share, sentences, seed)})
                write_rows(out, rows)
                progress.update(bar, advance=1, description=f"SliceGPT at {share:g}: {rows[-1]['value']:.4g}")
        output().print(pd.DataFrame(rows).drop(columns=["model", "task"]).to_string(index=False))


def measured(subject: Subject, share: float, sentences: int, seed: int) -> dict[str, Any]:
    """Width of the stream, share of the layers' MACs as torch counts them, figure, dense figure, seconds."""
    with evaluating(subject.model):
        dense, started = counted_macs(subject.model, subject.length), time.monotonic()
        width = width_for(subject.model, subject.length, share * dense)
        small = sliced(subject.model, subject.data.batches(sentences, seed), width)
        seconds = time.monotonic() - started
        used = counted_macs(small, subject.length) / dense
        value = subject.data.evaluate(small)
    return {"width": width, "used": used, "value": value, "dense": subject.dense, "seconds": round(seconds, 1)}


def _key(row: dict[str, Any]) -> dict[str, Any]:
    """What a row is the only one of."""
    return {name: row.get(name) for name in ("model", "task", "length", "sentences", "seed", "budget")}


if __name__ == "__main__":
    typer.run(main)

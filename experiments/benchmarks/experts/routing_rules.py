"""Routing rules side by side: the same small mixture, trained from scratch under each of them.

    python -P -m walras.experiments.benchmarks.experts.routing_rules --data FOLDER
    python -P -m walras.experiments.benchmarks.experts.routing_rules --data FOLDER --layers 4 --width 128 \
        --neurons 192 --steps 120 --batch 2

The second command is a small run. A cell is a design (a rule, or top-k with the auxiliary loss of Switch Transformers)
and a seed; all begin from the same random weights and see the same text in the same order. Perplexity is on the first
8,192 tokens of the test text, with each rule as it is at evaluation (`at_evaluation`): top-k, or posted prices. What a
rule that looks at later tokens would have instead stands in a column of its own; no decoder can have that. Finished
cells are not run again, and one that was ended goes on from its last checkpoint: `routing_rules_cells.jsonl`. Tables:
`routing_rules.csv`, and prices by expert over training, `routing_prices.png`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import pandas as pd
import torch
import typer

from walras.experiments.benchmarks.experts.mixture_training import Plan, rules_of, train_mixture
from walras.experiments.benchmarks.experts.small_mixture import Size, Start, begin
from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.executors.memory import keep_freed_memory
from walras.experiments.progress import Progress
from walras.experiments.tasks.wikitext import wikitext
from walras.files.writing import write_whole
from walras.models.routing import Load, RoutingRule, routing_market

DESIGNS: Mapping[str, tuple[str, float]] = {
    "top-k": ("top-experts", 0.0),
    "top-k, auxiliary loss": ("top-experts", 0.01),
    "expert choice": ("expert-choice", 0.0),
    "balanced assignment": ("balanced-assignment", 0.0),
    "bias": ("loss-free-bias", 0.0),
    "shadow price": ("capacity-price", 0.0),
    "bias, 20 times the rate": ("loss-free-bias:rate=0.02", 0.0),
}
"""Rules, each at its published settings, and the weight of the auxiliary loss. A bias at its published rate moves by
0.001 a step, which is meant for many thousands of steps: in a short training nothing comes of it."""

LAST = 0.1
"""Share of the steps, the last ones, of which loads and losses of training are means."""

PRICED = ("expert choice", "balanced assignment", "bias, 20 times the rate", "shadow price")


@final
@dataclass(frozen=True)
class Study:
    """What all cells have in common."""

    data: str
    out: Path
    size: Size
    steps: int
    batch: int
    tokens: int

    def folder(self, design: str, seed: int) -> Path:
        """Of one training."""
        return self.out / f"seed{seed}" / design.replace(", ", "-").replace(" ", "-")

    def key(self, design: str, seed: int) -> dict[str, Any]:
        """What says which cell a row is of."""
        size = {name: getattr(self.size, name) for name in ("layers", "width", "neurons", "experts", "chosen")}
        tokens = self.steps * self.batch * self.size.length
        return {"design": design, "seed": seed, "steps": self.steps, "tokens": tokens, **size}


def main(
    data: Annotated[str, typer.Option(help="Folder with wikitext-2/ in it.")],
    out: Annotated[Path, typer.Option(help="Folder of the trainings and tables.")] = Path("runs/routing-rules"),
    design: Annotated[list[str] | None, typer.Option(help="Designs by name; several. [default: all]")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds.", min=1)] = 1,
    steps: Annotated[int, typer.Option(help="Of `batch` blocks of 256 tokens.", min=1)] = 500,
    batch: Annotated[int, typer.Option(help="Blocks of a step.", min=1)] = 8,
    layers: Annotated[int, typer.Option(min=1)] = 6,
    width: Annotated[int, typer.Option(help="Features of the hidden state.", min=8)] = 256,
    neurons: Annotated[int, typer.Option(help="Of an expert.", min=1)] = 384,
    tokens: Annotated[int, typer.Option(help="Of the test text.", min=2)] = 8192,
) -> None:
    """Run all cells that are not finished, and write the tables."""
    keep_freed_memory()
    with ended_in_words():
        study = Study(data, out, Size(layers=layers, width=width, neurons=neurons), steps, batch, tokens)
        file = out / "routing_rules_cells.jsonl"
        done = read_rows(file)
        with progress_bar() as progress:
            for seed in range(seeds):
                left = [name for name in design or DESIGNS if not _known(done, study.key(name, seed))]
                start = begin(data, out / f"seed{seed}", study.size, seed) if left else None
                for name in left:
                    assert start is not None
                    done.append({**study.key(name, seed), **measure(study, start, name, seed, progress)})
                    write_rows(file, done)
                    _write_tables(done, out)
    output().print(summary(done).to_string(index=False))


def _known(rows: Sequence[Mapping[str, Any]], key: Mapping[str, Any]) -> bool:
    return any(key.items() <= row.items() for row in rows)


def measure(study: Study, start: Start, design: str, seed: int, progress: Progress) -> dict[str, Any]:
    """Train one cell, or go on with it; its figures, and the prices of the middle layer every tenth part of the way."""
    rule, auxiliary = DESIGNS[design]
    folder = study.folder(design, seed)
    model = train_mixture(start, Plan(folder, rule, auxiliary, study.steps, study.batch, seed), progress)
    rows = read_rows(folder / "training.jsonl")
    last = rows[-max(round(LAST * len(rows)), 1) :]
    rules = rules_of(rule, folder, study.size.layers)
    perplexity, load = evaluate(study, model, start.tokenizer, rules)
    found = {
        "perplexity": perplexity, "training loss": _mean(last, "loss"),
        "violation": _mean(last, "violation"), "dropped": _mean(last, "dropped"), "without": _mean(last, "without"),
        "violation, evaluation": load.violation, "dropped, evaluation": load.dropped,
        "seconds a step": float(np.median([row["seconds"] for row in rows])),
    }  # fmt: skip
    if not rules[0].causal:
        found["perplexity, seeing later tokens"] = evaluate(study, model.train(), start.tokenizer, rules)[0]
    middle = str(study.size.layers // 2)
    prices = [(row["step"], row["prices"][middle]) for row in rows if middle in row["prices"]]
    every = max(len(prices) // 200, 1)
    return {**found, "price steps": [s for s, _ in prices[::every]], "prices": [p for _, p in prices[::every]]}


@torch.no_grad()
def evaluate(study: Study, model: Any, tokenizer: Any, rules: Sequence[RoutingRule]) -> tuple[float, Load]:
    """Perplexity on the test text, and the loads of all layers together, batch by batch."""
    load = Load()
    task: Any = wikitext("wikitext2", study.data, tokens=study.tokens).prepared(tokenizer, study.size.length)
    with routing_market(model, rules, lambda layer, _, found: load.add(found)):
        found = task.evaluate(model, tokenizer, None, batch_size=study.batch, length=study.size.length)
    return float(found), load


def summary(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row a design and size: means over seeds."""
    table = pd.DataFrame([{k: v for k, v in row.items() if not isinstance(v, list)} for row in rows])
    by = [name for name in table if name in ("layers", "width", "neurons", "experts", "chosen", "steps", "tokens")]
    found = table.groupby([*by, "design"], sort=False)
    return found.mean().drop(columns="seed").join(found["seed"].count().rename("seeds")).reset_index()


def _write_tables(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    write_whole(out / "routing_rules.csv", summary(rows).to_csv(index=False, float_format="%.6g"))
    write_whole(out / "routing_prices.png", plotted(rows))


def plotted(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Prices of the experts of the middle layer over training, a panel a design that has them: the first seed's."""
    from io import BytesIO

    from matplotlib.figure import Figure

    shown = {row["design"]: row for row in reversed(rows) if row["design"] in PRICED and row["prices"]}
    panels = [name for name in PRICED if name in shown]
    figure = Figure(figsize=(3.4 * max(len(panels), 1), 3.2), layout="constrained")
    for place, name in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        row = shown[name]
        for expert, line in enumerate(np.array(row["prices"]).T):
            axes.plot(row["price steps"], line, linewidth=1, label=f"E{expert}")
        axes.set(
            title=name, xlabel="step", ylabel="share turned away" if name == "expert choice" else "price, in logits"
        )
    if panels:
        figure.axes[-1].legend(fontsize="x-small", ncols=2)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


if __name__ == "__main__":
    typer.run(main)

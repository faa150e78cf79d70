"""How good a network is whose tokens buy what they are computed with, by design, budget and calibration draw.

    python -m walras.experiments.benchmarks.token_markets.quality --model FOLDER --data FOLDER
    python -m walras.experiments.benchmarks.token_markets.quality --model FOLDER --data FOLDER --task stsb --length 64

A cell is a design at a budget, calibrated on a draw of 16 samples of the task's calibration split (of text: windows of
256 tokens of the validation text), and measured on its other split (the first 16,384 tokens of the raw test text, in
windows side by side, the token for the end of a text before each; perplexity). Nothing is chosen on that. Budgets that
a design cannot meet have no cell. Cells that are finished are not run again: `token_markets_cells.jsonl` holds them;
`token_markets.csv` has means and intervals.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import pandas as pd
import torch
import typer
from scipy.stats import t as student

from walras.errors import InputError
from walras.experiments.benchmarks.kept_rows import read_rows, write_rows
from walras.experiments.benchmarks.token_markets.designs import DESIGNS, Design
from walras.experiments.cli.screen import ended_in_words, output, progress_bar
from walras.experiments.progress import Progress
from walras.experiments.spec import SubjectSpec
from walras.experiments.subjects.subject import Subject
from walras.experiments.tasks.base import on_device
from walras.files.writing import write_whole
from walras.models.tokens.account import TokenMacs
from walras.models.tokens.calibrate import Calibration, find_prices
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.offers import Tally
from walras.models.tokens.trading import token_markets

BUDGETS = (0.8, 0.7, 0.6, 0.5)
KEY = ("model", "task", "design", "budget", "draw")


@final
@dataclass(frozen=True)
class Grid:
    """Which cells there are: designs by name, shares of the dense network's multiplications, calibration draws."""

    designs: Mapping[str, Design]
    budgets: Sequence[float]
    draws: int
    samples: int  # of a draw


def main(
    model: Annotated[str, typer.Option(help="Folder of a decoder.")],
    data: Annotated[str, typer.Option(help="Folder with the task's data.")],
    task: Annotated[str, typer.Option(help="Task by name.")] = "wikitext2-raw:tokens=16384,bos=<|endoftext|>",
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("runs/token_markets"),
    design: Annotated[list[str] | None, typer.Option(help="Designs by name; several. [default: all]")] = None,
    budget: Annotated[list[float] | None, typer.Option(help="Budgets; several. [default: 0.8 0.7 0.6 0.5]")] = None,
    draws: Annotated[int, typer.Option(help="Calibration draws.", min=1)] = 3,
    samples: Annotated[int, typer.Option(help="Samples of a calibration draw.", min=1)] = 16,
    length: Annotated[int, typer.Option(help="Tokens of a sample.")] = 256,
) -> None:
    """Run all cells that are not finished, and write the tables."""
    with ended_in_words():
        chosen = {name: _design(name) for name in design or DESIGNS}
        spec = SubjectSpec(model=model, task=task, data=data, length=length, batch_size=4, device="cpu")
        file = out / "token_markets_cells.jsonl"
        done = read_rows(file)
        with progress_bar() as progress:
            for row in cells(spec, Grid(chosen, budget or BUDGETS, draws, samples), done, progress):
                done.append(row)
                write_rows(file, done)
    table = summary(done)
    write_whole(out / "token_markets.csv", table.to_csv(index=False, float_format="%.6g"))
    output().print(table.to_string(index=False))


def cells(
    spec: SubjectSpec, grid: Grid, done: Sequence[Mapping[str, Any]], progress: Progress
) -> Iterator[dict[str, Any]]:
    """The rows of cells that are not done yet; draws come last, so that one of all designs is there first."""
    known = {tuple(row[key] for key in KEY) for row in done}
    name, task = Path(spec.model).name, str(spec.task)
    wanted = [
        (draw, share, design)
        for draw in range(grid.draws)
        for share in grid.budgets
        for design in grid.designs
        if (name, task, design, share, draw) not in known
    ]
    if not wanted:
        return
    subject = Subject.load(spec, progress)
    step, markets = progress.add_task("Cells", total=len(wanted)), Markets(subject, grid.samples)
    told = {"model": name, "task": task, "metric": subject.data.metric, "dense": subject.dense}
    for draw, share, design in wanted:
        progress.update(step, description=f"{design}, {share:g}, draw {draw}")
        try:
            row = markets.measure(grid.designs[design], share, draw)
        except InputError as error:  # CATS sells in gated FFNs alone, and cannot save so much
            progress.update(step, advance=1, description=f"{design}, {share:g}: no cell, {error}")
            continue
        yield {**told, "design": design, "budget": share, "draw": draw, **row}
        progress.update(step, advance=1, description=f"{design}, {share:g}, draw {draw}: {row['quality']:.4g}")


@final
class Markets:
    """Markets of one subject; what several cells of a draw have in common is found once."""

    def __init__(self, subject: Subject, samples: int) -> None:
        self._subject, self._samples = subject, samples
        self._draw = -1
        self._networks: dict[Any, Calibrated] = {}
        self._calibrations: dict[Any, Calibration] = {}

    def measure(self, design: Design, budget: float, draw: int) -> dict[str, float]:
        """One cell: the figure of the task, the share that was measured, the share on the calibration text."""
        if draw != self._draw:
            self._networks, self._calibrations, self._draw = {}, {}, draw
        model, network = self._subject.model, self._network(design)
        account, tally = TokenMacs.from_model(model, network.maps, self._subject.length), Tally()
        key = (design.valuation, design.maps, design.policy, budget)
        if key not in self._calibrations:
            self._calibrations[key] = find_prices(network, budget, design.policy, account)
        calibration = self._calibrations[key]
        clear = design.clear(network.maps, calibration, draw)
        with torch.no_grad(), token_markets(model, network.maps, network.worths, clear, tally):
            quality = self._subject.data.evaluate(model)
        spent = account.spent(network.maps, tally.bought)
        return {
            "quality": quality, "measured": spent, "calibrated": calibration.spent, "rounds": calibration.rounds
        }  # fmt: skip

    def _network(self, design: Design) -> Calibrated:
        """The network with a design's worths, on the draw's calibration text."""
        model, data, key = self._subject.model, self._subject.data, (design.valuation, design.maps)
        if key not in self._networks:
            maps, objective = design.traded(model), data.objective(model, label_free=False)
            batches = [on_device(batch, model) for batch in data.batches(self._samples, self._draw)]
            worths = design.valuation(model, maps, batches, objective, self._draw)
            self._networks[key] = Calibrated(model, maps, worths, batches)
        return self._networks[key]


def summary(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Means over draws of quality and share; `half_95` is half the width of Student's interval of the quality."""
    found = []
    for (model, task, budget, design), own in pd.DataFrame(rows).groupby(
        ["model", "task", "budget", "design"], sort=False
    ):
        draws, values, first = len(own), own["quality"], own.iloc[0]
        half = math.nan if draws < 2 else float(student.ppf(0.975, draws - 1) * values.std(ddof=1) / draws**0.5)
        found.append(
            {
                "model": model, "task": task, "budget": budget, "design": design, "draws": draws,
                "metric": first["metric"], "dense": first["dense"], "quality": values.mean(), "half_95": half,
                "measured": own["measured"].mean(),
            }
        )  # fmt: skip
    table = pd.DataFrame(found)
    better = table["quality"].where(table["metric"] == "perplexity", -table["quality"])
    ordered = table.assign(_better=better).sort_values(
        ["model", "task", "budget", "_better"], ascending=[True, True, False, True]
    )
    return ordered.drop(columns="_better")


def _design(name: str) -> Design:
    if name not in DESIGNS:
        raise InputError(f"design is {name!r}; it must be one of: {', '.join(DESIGNS)}")
    return DESIGNS[name]


if __name__ == "__main__":
    typer.run(main)

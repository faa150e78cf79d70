"""Perplexity of a decoder whose tokens buy what they are computed with, by design, budget and calibration draw.

    python -m walras.experiments.benchmarks.token_markets.quality --model FOLDER --data FOLDER

A cell is a design at a budget, calibrated on a draw of 16 windows of 256 tokens of the validation text, and measured on
the first tokens of the raw test text in windows of 256 side by side. Nothing is chosen on the test text. Cells that are
finished are not run again: `token_markets_cells.jsonl` holds them, `token_markets.csv` means and intervals of draws.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, final

import pandas as pd
import torch
import typer
from scipy.stats import t as student

from walras.errors import InputError, WalrasError
from walras.experiments.benchmarks.token_markets.designs import DESIGNS, Design
from walras.experiments.cli.screen import fail, interrupted, output, progress_bar
from walras.experiments.progress import Progress
from walras.experiments.spec import SubjectSpec
from walras.experiments.subject import Subject
from walras.experiments.tasks.base import on_device
from walras.files.lines import read_lines
from walras.files.plain_data import parse_json, write_json
from walras.files.writing import write_whole
from walras.models.tokens.account import TokenMacs
from walras.models.tokens.calibrate import Calibration, find_prices
from walras.models.tokens.offers import Tally
from walras.models.tokens.relative_prices import Calibrated
from walras.models.tokens.trading import token_markets

BUDGETS = (0.8, 0.7, 0.6, 0.5)
SEQUENCES = 16
KEY = ("model", "design", "budget", "draw")


def main(
    model: Annotated[str, typer.Option(help="Folder of a decoder.")],
    data: Annotated[str, typer.Option(help="Folder with wikitext-2-raw in it.")],
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("runs/token_markets"),
    design: Annotated[list[str] | None, typer.Option(help="Designs by name; several. [default: all]")] = None,
    budget: Annotated[list[float] | None, typer.Option(help="Budgets; several. [default: 0.8 0.7 0.6 0.5]")] = None,
    draws: Annotated[int, typer.Option(help="Calibration draws.", min=1)] = 3,
    tokens: Annotated[int, typer.Option(help="Tokens of the test text.")] = 16_384,
    length: Annotated[int, typer.Option(help="Tokens of a window.")] = 256,
) -> None:
    """Run all cells that are not finished, and write the tables."""
    try:
        chosen = {name: _design(name) for name in design or DESIGNS}
        spec = SubjectSpec(
            model=model, task=f"wikitext2-raw:tokens={tokens + 1}", data=data, length=length, batch_size=4, device="cpu"
        )
        file = out / "token_markets_cells.jsonl"
        done = _finished(file)
        with progress_bar() as progress:
            for row in cells(spec, chosen, budget or BUDGETS, draws, done, progress):
                done.append(row)
                out.mkdir(parents=True, exist_ok=True)
                write_whole(file, "".join(write_json(one, None) for one in done))
    except WalrasError as error:
        fail(error)
    except KeyboardInterrupt:
        interrupted("the same command goes on from there")
    table = summary(done)
    write_whole(out / "token_markets.csv", table.to_csv(index=False, float_format="%.6g"))
    output().print(table.to_string(index=False))


def cells(
    spec: SubjectSpec, designs: Mapping[str, Design], budgets: Sequence[float], draws: int,
    done: Sequence[Mapping[str, Any]], progress: Progress,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """The rows of cells that are not done yet; draws come last, so that one of all designs is there first."""
    known = {tuple(row[key] for key in KEY) for row in done}
    name = Path(spec.model).name
    wanted = [
        (draw, share, design)
        for draw in range(draws)
        for share in budgets
        for design in designs
        if (name, design, share, draw) not in known
    ]
    if not wanted:
        return
    subject = Subject.load(spec, progress)
    step, markets = progress.add_task("Cells", total=len(wanted)), Markets(subject)
    for draw, share, design in wanted:
        progress.update(step, description=f"{design}, {share:g}, draw {draw}")
        found = markets.measure(designs[design], share, draw)
        yield {"model": name, "design": design, "budget": share, "draw": draw, "dense": subject.dense, **found}
        progress.update(step, advance=1)


@final
class Markets:
    """Markets of one subject; what several cells of a draw have in common is found once."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._draw = -1
        self._networks: dict[Any, Calibrated] = {}
        self._calibrations: dict[Any, Calibration] = {}

    def measure(self, design: Design, budget: float, draw: int) -> dict[str, float]:
        """One cell: perplexity, the share that was measured, the share on the calibration text."""
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
            perplexity = self._subject.data.evaluate(model)
        spent = account.spent(network.maps, tally.bought)
        return {
            "perplexity": perplexity, "measured": spent, "calibrated": calibration.spent, "rounds": calibration.rounds
        }  # fmt: skip

    def _network(self, design: Design) -> Calibrated:
        """The network with a design's worths, on the draw's calibration text."""
        model, data, key = self._subject.model, self._subject.data, (design.valuation, design.maps)
        if key not in self._networks:
            maps, objective = design.traded(model), data.objective(model, label_free=False)
            batches = [on_device(batch, model) for batch in data.batches(SEQUENCES, self._draw)]
            worths = design.valuation(model, maps, batches, objective, self._draw)
            self._networks[key] = Calibrated(model, maps, worths, batches)
        return self._networks[key]


def summary(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Means over draws of perplexity and share; `half_95` is half the width of Student's interval of the perplexity."""
    found = []
    for (model, budget, design), own in pd.DataFrame(rows).groupby(["model", "budget", "design"], sort=False):
        draws, values = len(own), own["perplexity"]
        half = math.nan if draws < 2 else float(student.ppf(0.975, draws - 1) * values.std(ddof=1) / draws**0.5)
        found.append(
            {
                "model": model, "budget": budget, "design": design, "draws": draws, "dense": own["dense"].iloc[0],
                "perplexity": values.mean(), "half_95": half, "measured": own["measured"].mean(),
            }
        )  # fmt: skip
    return pd.DataFrame(found).sort_values(["model", "budget", "perplexity"], ascending=[True, False, True])


def _design(name: str) -> Design:
    if name not in DESIGNS:
        raise InputError(f"design is {name!r}; it must be one of: {', '.join(DESIGNS)}")
    return DESIGNS[name]


def _finished(file: Path) -> list[dict[str, Any]]:
    return [parse_json(line) for line in read_lines(file, "cells")] if file.is_file() else []


if __name__ == "__main__":
    typer.run(main)

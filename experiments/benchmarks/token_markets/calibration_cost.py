"""What worths and prices take, as multiples of one plain forward and backward pass over the same batches.

    python -m walras.experiments.benchmarks.token_markets.calibration_cost --model FOLDER --data FOLDER

Each step runs in a process of its own, so that no peak of memory hides another: `forward` (without slopes), `forward
and backward` (of the loss, with slopes of all weights, as one step of training over all batches), `worths`, and
`prices` (with worths that another process found). Seconds are those of the step alone; the peak is that of the whole
process, the loaded network and the libraries included, and `beyond loading` what the step has raised it by: 0 where
loading needed more.
"""

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, final

import pandas as pd
import torch
import typer
from torch import Tensor

from walras.experiments.cli.screen import ended_in_words, output
from walras.experiments.registries import registry
from walras.experiments.spec import SubjectSpec
from walras.experiments.store.place import check_place
from walras.experiments.subjects.subject import Subject
from walras.experiments.tasks.base import on_device
from walras.files.writing import write_whole
from walras.models.objective import Batch, inputs_of
from walras.models.tokens.account import TokenMacs
from walras.models.tokens.calibrate import find_prices
from walras.models.tokens.calibrated import Calibrated
from walras.models.tokens.token_map import token_maps
from walras.models.tokens.worths import worths_of

FORWARD, PLAIN, WORTHS, PRICES = STEPS = ("forward", "forward and backward", "worths", "prices")
_GIB = 2**30 if sys.platform == "darwin" else 2**20  # units of ru_maxrss in one GiB


@final
@dataclass(frozen=True)
class Job:
    """What is measured, as a process of its own is told.

    Attributes:
        spec: network and data.
        sequences: of calibration.
        budget: that prices are found for.
        valuation: by name.
        policy: by name.
    """

    spec: SubjectSpec
    sequences: int
    budget: float
    valuation: str
    policy: str


@final
@dataclass(frozen=True)
class Cost:
    """What one step took, in seconds and GiB, and the worths where it found them."""

    seconds: float
    peak: float
    beyond_loading: float
    worths: Mapping[str, Tensor]


Run = Callable[[Job, str, Mapping[str, Tensor]], Cost]
"""Runs a step: what is measured, the step's name, worths that are known."""


def main(
    model: Annotated[str, typer.Option(help="Folder of a decoder.")],
    data: Annotated[str, typer.Option(help="Folder or file with the task's data.")],
    task: Annotated[str, typer.Option(help="Task whose training data are calibrated on.")] = "wikitext2-raw",
    out: Annotated[Path, typer.Option(help="Folder of the table.")] = Path("runs/token_markets"),
    sequences: Annotated[int, typer.Option(help="Calibration sequences.", min=1)] = 16,
    length: Annotated[int, typer.Option(help="Tokens of a sequence.")] = 256,
    batch_size: Annotated[int, typer.Option(help="Sequences of a batch.", min=1)] = 4,
    budget: Annotated[float, typer.Option(help="Budget that prices are found for.")] = 0.6,
    valuation: Annotated[str, typer.Option(help="What a bidder is worth.")] = "fisher",
    policy: Annotated[str, typer.Option(help="Prices of maps relative to each other.")] = "mixture",
) -> None:
    """Measure all steps, print the table, write it."""
    with ended_in_words(""):
        check_place(out)
        spec = SubjectSpec(model=model, task=task, data=data, length=length, batch_size=batch_size, device="cpu")
        table = costs(Job(spec, sequences, budget, valuation, policy))
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "token_markets_calibration_cost.csv", table.to_csv(index=False, float_format="%.4g"))
    output().print(table.to_string(index=False, float_format=lambda x: f"{x:.3g}"))


def costs(job: Job, run: Run | None = None) -> pd.DataFrame:
    """A row per step; without `run` each in a process of its own."""
    rows: list[dict[str, Any]] = []
    known: Mapping[str, Tensor] = {}
    for step in STEPS:
        cost = (run or _alone)(job, step, known)
        known = cost.worths or known
        rows.append({"step": step, **{name: getattr(cost, name) for name in ("seconds", "peak", "beyond_loading")}})
    table = pd.DataFrame(rows)
    plain = table[table["step"] == PLAIN].iloc[0]
    return table.assign(times=table["seconds"] / plain["seconds"], times_peak=table["peak"] / plain["peak"])


def cost(job: Job, step: str, worths: Mapping[str, Tensor]) -> Cost:
    """Load the network in this process, and take one step."""
    subject = Subject.load(job.spec, measured=False)
    model = subject.model
    batches = [on_device(batch, model) for batch in subject.data.batches(job.sequences, 0)]
    with torch.no_grad():  # libraries set themselves up in the first pass
        model(**{name: value[:1] for name, value in inputs_of(batches[0]).items()})
    loaded, started = _peak(), time.perf_counter()
    found = _step(job, subject, batches, step, worths)
    seconds, peak = time.perf_counter() - started, _peak()
    return Cost(seconds, peak, peak - loaded, found)


def _step(
    job: Job, subject: Subject, batches: Sequence[Batch], step: str, worths: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """The step itself; worths, where it finds them."""
    model, maps = subject.model, token_maps(subject.model)
    objective = subject.data.objective(model, label_free=False)
    if step == WORTHS:
        made = registry("token valuation").make(job.valuation)
        return worths_of(made, model, maps, batches, objective, 0)
    if step == PRICES:
        account = TokenMacs.from_model(model, maps, subject.length)
        made = registry("price policy").make(job.policy)
        find_prices(Calibrated(model, maps, worths, batches), job.budget, made, account)
        return {}
    generator = torch.Generator().manual_seed(0)
    for batch in batches:
        with torch.set_grad_enabled(step == PLAIN):
            loss = objective(model, batch, generator)
        if step == PLAIN:
            torch.autograd.backward(loss)
    model.zero_grad()
    return {}


def _alone(job: Job, step: str, worths: Mapping[str, Tensor]) -> Cost:
    """The same in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = pool.submit(_told, job, step, {path: worth.numpy() for path, worth in worths.items()}).result()
    seconds, peak, beyond, arrays = found
    return Cost(seconds, peak, beyond, {path: torch.from_numpy(worth) for path, worth in arrays.items()})


def _told(job: Job, step: str, worths: Mapping[str, Any]) -> tuple[float, float, float, dict[str, Any]]:
    """As plain arrays, which need no memory that both processes share."""
    found = cost(job, step, {path: torch.from_numpy(worth) for path, worth in worths.items()})
    return found.seconds, found.peak, found.beyond_loading, {k: worth.numpy() for k, worth in found.worths.items()}


def _peak() -> float:
    """The most memory that this process has used so far [GiB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _GIB


if __name__ == "__main__":
    typer.run(main)

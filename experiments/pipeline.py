"""The one path of a run: settings, subject, market, outcome, files.

`walras run`, `walras.run`, every cell of a grid, the demonstration, and what training begins with go this way.
"""

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

from torch import nn

from walras.agents import Calibration
from walras.experiments.forward_times import forward_times
from walras.experiments.outcome import Metric, Outcome, Summary, Timing, allocation_columns
from walras.experiments.plan import Extras, Plan
from walras.experiments.progress import Progress, Silent
from walras.experiments.repair_data import (
    check_enough,
    minutes_of_repair,
    repair_batches,
    widest_projection,
)
from walras.experiments.reports.run_report import write_report
from walras.experiments.spec import RunSpec
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.run_folder import (
    NETWORK,
    ROUNDS,
    RUN,
    TRADES,
    write_allocation,
    write_table,
    write_weights,
)
from walras.experiments.subjects.data import SubjectData
from walras.experiments.subjects.subject import Subject, evaluating, find_task
from walras.experiments.tasks import TASKS
from walras.experiments.unit_costs import UnitCosts
from walras.market import ComputeMarket, TraceWriter, Turn
from walras.market.phases.levels.trades_table import trades_of
from walras.models import compact
from walras.models.fingerprint import fingerprint
from walras.models.objective import tokens_of
from walras.models.repair.repair import repairable_copy
from walras.models.units.inventory import members

TIMED = {1: 20, 32: 5}
"""Sequences of a batch that is timed: passes, of which the shortest counts."""


def run_spec(
    spec: RunSpec, out: str | Path | None = None, *, overwrite: bool = False, progress: Progress | None = None,
    measure_latency: bool = False,
) -> Outcome:  # fmt: skip
    """Run the market that settings name; write the run folder `out` where one is given.

    With `measure_latency` the smaller network is timed beside the dense one, at batch 1 and 32.

    Raises:
        InputError: bad settings or data, before a network is loaded or a file written.
    """
    folder = None if out is None else ResultFolder(out, RUN, spec, overwrite=overwrite)
    plan = Plan.from_spec(spec)
    if folder is not None:
        folder.check_free()
    task = find_task(spec.subject)
    check_enough(task.most, task.name, spec.market)
    subject = Subject.load(spec.subject, progress, task)
    return run_plan(plan, subject, folder, progress, Extras(measure_latency=measure_latency))


def run_plan(
    plan: Plan, subject: Subject, folder: ResultFolder | None = None, progress: Progress | None = None,
    extras: Extras | None = None,
) -> Outcome:  # fmt: skip
    """All rounds of a market on a subject, the figure of the sliced network, and the run folder."""
    with nullcontext() if folder is None else folder.held():
        return _run(plan, subject, folder, progress or Silent(), extras or Extras())


def _run(plan: Plan, subject: Subject, folder: ResultFolder | None, progress: Progress, extras: Extras) -> Outcome:
    """The same, where nobody else writes to the folder."""
    started = time.monotonic()
    with evaluating(subject.model):
        costs = UnitCosts.measure(subject, plan, partial(_told, progress))
        # A repair changes weights: it gets copies of those that it changes, and the dense network stays what it is.
        network = subject.model if plan.repair is None else repairable_copy(subject.model, costs.units)
        recorder = None if folder is None else Recorder(folder)
        market = open_market(plan, subject, costs, network, extras, recorder)
        _tell_repair(market, subject, progress)
        try:
            play(market, progress)
        except Exception:
            if recorder is not None:
                recorder.catch_up(market)
            raise
        place = None if folder is None else folder.path
        step = progress.add_task("Sliced model", total=1)
        outcome = conclude(market, plan, subject, costs, network, place)
        found = outcome.summary.metric
        progress.update(step, advance=1, description=f"{_who(outcome)}: {found.name} {found.value:.3f}")
        seconds = round(time.monotonic() - started, 2)
        timed = time_pair(subject, outcome, progress) if extras.measure_latency else {}
    outcome = replace(outcome, summary=replace(outcome.summary, seconds=seconds, latency_ms=timed))
    exact = not (extras.agents or extras.shocks or extras.hooks)
    return outcome if folder is None else write(outcome, folder, plan.spec.market.block, exact, extras.report)


def open_market_of(plan: Plan, subject: Subject, extras: Extras) -> ComputeMarket:
    """The market on the subject's own network, for a user who steps it."""
    return open_market(plan, subject, UnitCosts.measure(subject, plan), subject.model, extras)


def open_market(
    plan: Plan, subject: Subject, costs: UnitCosts, network: nn.Module, extras: Extras,
    recorder: "Recorder | None" = None,
) -> ComputeMarket:  # fmt: skip
    """The market, ready for its first step. `network` is the subject's own, or the copy that a repair works on.

    `recorder` writes a round before the user's hooks hear of it: one that raises loses none.
    """
    opened = ComputeMarket(**market_keywords(plan, subject, costs, network, extras))
    if recorder is not None:
        opened.on("played", recorder)
    for event, hook in (extras.hooks or {}).items():
        opened.on(event, hook)
    return opened


def market_keywords(
    plan: Plan, subject: Subject, costs: UnitCosts, network: nn.Module, extras: Extras
) -> dict[str, Any]:
    """What a `ComputeMarket` is made from: the rules of the plan, and the units of the network with what they cost."""
    calibration = _calibration(subject, subject.data, plan, costs, network)
    other_task = partial(_calibration_of_task, subject, plan, costs, network)
    return {"calibration": calibration, "resources": costs.resources, **plan.keywords(extras, other_task)}


def play(market: ComputeMarket, progress: Progress) -> None:
    """All rounds that remain, each told with its price and use; what takes long within a round is told beside it."""
    rounds = len(market.sessions)
    bar = progress.add_task("Rounds", total=rounds)

    def tell(what: str, share: float) -> None:
        now = f"Round {market.round + 1} of {rounds}"
        progress.update(bar, completed=market.round + share, description=f"{now}, {what}")

    market.tell = tell
    for _ in market.remaining():
        progress.update(bar, description=f"Round {market.round + 1} of {rounds}")
        market.step()
        last = market.rounds[-1]
        told = f"Round {last.round} of {rounds}: price {last.price:.3g}, {last.used:.1%} used"
        progress.update(bar, completed=market.round, description=told)


def conclude(
    market: ComputeMarket, plan: Plan, subject: Subject, costs: UnitCosts, network: nn.Module, place: Path | None
) -> Outcome:
    """Slice once, judge the sliced network, and gather the figures."""
    keep = market.ledger.quantity > 0
    small = compact(network, costs.units, (market.gates > 0).cpu(), share=True)
    value = subject.data.evaluate(small)
    last, leading = market.rounds[-1], costs.resources[0]
    macs = last.used * costs.macs.dense if leading is costs.macs else costs.macs.used(keep)
    data = subject.data
    summary = Summary(
        metric=Metric(data.metric, subject.dense, value, data.higher_is_better),
        used=last.used, budget=last.budget, resource=leading.name,
        macs=macs, dense_macs=costs.macs.dense,
        parameters=parameters(small), dense_parameters=parameters(subject.model),
        bytes=size(small), dense_bytes=size(subject.model),
        kept=costs.units.counts(keep), members=members(subject.model, costs.units, keep),
        units=len(costs.units), length=subject.length,
        budgets=costs.used(market, keep), rounds=market.round, price=last.price, welfare=last.welfare,
        revenue=last.revenue, status=last.status, residual=last.residual,
        method="" if market.clearing is None else market.clearing.method, unit=plan.valuation.unit,
        **plan.names(), task=data.name, model=subject.name, protocol=data.protocol(),
    )  # fmt: skip
    return Outcome(network, costs.units, market, summary, subject.model, subject.tokenizer, place)


def time_pair(subject: Subject, outcome: Outcome, progress: Progress) -> dict[str, Timing]:
    """Milliseconds of a forward pass through the dense and the smaller network, by sequences in a batch."""
    progress.add_task("Timing the smaller model", total=None)
    return forward_times(subject.model, outcome.compact(), subject.length, TIMED)


def write(
    outcome: Outcome, folder: ResultFolder, block: int, exact: bool = True, report: bool = True
) -> Outcome:  # fmt: skip
    """Write allocation, repaired weights, report and, last of all, the result; the outcome with where they went.

    `exact` is a run of which the settings say all.
    """
    write_allocation(folder.path, allocation_columns(outcome.units, outcome.gates), block, outcome.units.kinds)
    write_weights(folder.path, outcome.repaired())
    if report:
        write_report(folder, outcome, exact)
    folder.finish({**outcome.summary.as_dict(), NETWORK: fingerprint(outcome.dense)})
    return replace(outcome, folder=folder.given)


@final
@dataclass
class Recorder:
    """After every round the folder holds everything up to it; nothing is written before the first one is done."""

    folder: ResultFolder
    recorded: int = 0  # rounds

    def __call__(self, market: ComputeMarket, turn: Turn | None = None) -> None:
        """Write the settings, the round's part of the trace, and the tables of rounds and trades."""
        del turn
        self.recorded = market.round
        self.folder.begin()
        TraceWriter(self.folder.trace)(market)
        write_table(self.folder.path / ROUNDS, market.frame)
        trades = trades_of(market)
        if len(trades):
            write_table(self.folder.path / TRADES, trades)

    def catch_up(self, market: ComputeMarket) -> None:
        """Write a round that was settled, where something raised before it was told to be over."""
        if market.round > self.recorded:
            self(market)


def parameters(model: nn.Module) -> int:
    """Parameters of a whole model."""
    return sum(p.numel() for p in model.parameters())


def size(model: nn.Module) -> int:
    """Bytes of a whole model's parameters."""
    return sum(p.numel() * p.element_size() for p in model.parameters())


def _calibration(subject: Subject, data: SubjectData, plan: Plan, costs: UnitCosts, network: nn.Module) -> Calibration:
    """The network that is traded on, with data, a loss, and what units cost of the leading resource."""
    market, seed = plan.spec.market, plan.spec.seed
    check_enough(data.most, data.name, market)
    objective = data.objective(subject.model, market.label_free)
    valued, fitted = data.batches(market.sentences, seed), None
    if plan.repair is not None:
        wanted = plan.repair.tokens_per_feature * widest_projection(network, costs.units, plan.repair.mixtures)
        fitted = repair_batches(data, market, seed, valued, wanted, subject.length)
    return Calibration(
        network, costs.units, objective, valued, costs.resources[0].share, subject.model, repair_batches=fitted
    )


def _calibration_of_task(subject: Subject, plan: Plan, costs: UnitCosts, network: nn.Module, name: str) -> Calibration:
    """The same network with the data and the loss of another task, for one that changes in the middle."""
    task = TASKS.make(name, data=plan.spec.subject.data)
    return _calibration(subject, subject.for_task(task, plan.spec.subject.batch_size), plan, costs, network)


def _told(progress: Progress, text: str) -> None:
    progress.add_task(text, total=None)


def _tell_repair(market: ComputeMarket, subject: Subject, progress: Progress) -> None:
    """Say how long repairs will take, where they are fitted on more tokens than units are valued on."""
    found = market.calibration
    if isinstance(found, Calibration) and found.repair_batches is not found.batches:
        tokens = sum(tokens_of(batch, subject.length) for batch in found.repair_batches)
        minutes = minutes_of_repair(subject.model, found.repair_batches, len(market.sessions))
        _told(progress, f"Repairs are fitted on {tokens:,} tokens: about {max(minutes, 0.1):.1f} minutes")


def _who(outcome: Outcome) -> str:
    """Which network a figure is of."""
    summary = outcome.summary
    by = f"recipe {summary.recipe}" if summary.recipe else summary.mechanism
    return f"Sliced model, {by} at {summary.budget:.0%}"

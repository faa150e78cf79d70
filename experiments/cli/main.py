"""The command line. Everything heavy is imported inside the commands, so that `walras --help` answers at once."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from walras.errors import WalrasError
from walras.experiments.cli.allocate import allocate
from walras.experiments.cli.compare import compare
from walras.experiments.cli.export import export
from walras.experiments.cli.interactions import interactions
from walras.experiments.cli.learn import learn
from walras.experiments.cli.new_folder import new_folder
from walras.experiments.cli.observe import observe
from walras.experiments.cli.options import option
from walras.experiments.cli.screen import fail, interrupted, output, progress_bar
from walras.experiments.cli.train import train
from walras.experiments.config import RunConfig, parse_budgets, read_config
from walras.experiments.memory import keep_freed_memory
from walras.experiments.recipes import resolved

app = typer.Typer(
    name="walras",
    help="Agent-based markets for compute inside real transformers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
T = TypeVar("T")


@app.command()
def run(
    model: Annotated[str | None, option("model")] = None,
    task: Annotated[str | None, option("task")] = None,
    data: Annotated[str | None, option("data")] = None,
    mechanism: Annotated[str | None, option("mechanism")] = None,
    price: Annotated[float | None, option("price")] = None,
    valuation: Annotated[str | None, option("valuation")] = None,
    strategy: Annotated[str | None, option("strategy")] = None,
    endowment: Annotated[float | None, option("endowment")] = None,
    shock: Annotated[str | None, option("shock")] = None,
    recipe: Annotated[str | None, option("recipe")] = None,
    budget: Annotated[list[str] | None, option("budget")] = None,
    resource: Annotated[str | None, option("resource")] = None,
    latency_batch: Annotated[int | None, option("latency_batch")] = None,
    latency_table: Annotated[str | None, option("latency_table")] = None,
    rounds: Annotated[int | None, option("rounds")] = None,
    schedule: Annotated[str | None, option("schedule")] = None,
    sublayers: Annotated[bool | None, option("sublayers", "--sublayers/--whole")] = None,
    scope: Annotated[str | None, option("scope")] = None,
    rearranged: Annotated[bool | None, option("rearranged", "--rearranged/--as-cleared")] = None,
    repair: Annotated[str | None, option("repair")] = None,
    label_free: Annotated[bool | None, option("label_free", "--label-free/--labels")] = None,
    probes: Annotated[int | None, option("probes")] = None,
    reentry: Annotated[bool | None, option("reentry", "--reentry/--no-reentry")] = None,
    block: Annotated[int | None, option("block")] = None,
    length: Annotated[int | None, option("length")] = None,
    sentences: Annotated[int | None, option("sentences")] = None,
    batch_size: Annotated[int | None, option("batch_size")] = None,
    seed: Annotated[int | None, option("seed")] = None,
    device: Annotated[str | None, option("device")] = None,
    trust_remote_code: Annotated[
        bool | None, option("trust_remote_code", "--trust-remote-code/--no-trust-remote-code")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these settings.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: a new one under runs/]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """One market on one model and one task: which heads and FFN blocks stay at a budget of compute."""
    given = option.given(locals())
    if budget:
        given["budget"] = parse_budgets(budget, resource)
    settings = resolved({**(read_config(config) if config else {}), **given})
    place = out or new_folder(_name(settings))

    from walras.experiments.reports.tables import result_card
    from walras.experiments.run import run_config

    with progress_bar(not as_json) as progress:
        result = _interruptible(place, lambda: run_config(settings, place, overwrite, progress))
    if as_json:
        print(json.dumps(result.summary, indent=2))
        return
    console = output()
    console.print(result_card(result.summary))
    console.print(f"Report: {place / 'report.html'}   Agents: walras trace {place}", soft_wrap=True)


@app.command()
def trace(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    others: Annotated[list[Path] | None, typer.Argument(help="Run folders to compare it with.")] = None,
    top: Annotated[int, typer.Option(help="How many units to list.", min=1)] = 8,
    pictures: Annotated[Path | None, typer.Option(help="Folder for the pictures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Study a run's agents: who won, who left and when, the price by round, the most and least valued units.

    With further runs of the same network: which units both keep, and where they differ.
    """
    from walras.experiments.reports.tables import comparison_table, study_json, study_tables
    from walras.experiments.reports.trace_pictures import draw, run_names
    from walras.market import Trace, read_trace

    study, *rest = runs = [Trace(read_trace(folder)) for folder in (run, *(others or ()))]
    names = run_names([run, *(others or ())])
    compared = {name: study.against(other) for name, other in zip(names[1:], rest, strict=True)}
    if pictures is not None:
        draw(dict(zip(names, runs, strict=True)), pictures)
    if as_json:
        rows = [{"run": name, **row} for name, both in compared.items() for row in both.to_dict("records")]
        print(json.dumps({**study_json(study, top), **({"compared": rows} if rows else {})}, indent=2))
        return
    for table in study_tables(study, top):
        output().print(table)
    for name, both in compared.items():
        output().print(comparison_table(both, names[0], name))


@app.command()
def check(
    mechanism: Annotated[str, typer.Argument(help="Mechanism by name, or FILE.py:Class.")],
    price: Annotated[float | None, typer.Option(help="Tax, for rules that take one.")] = None,
    instances: Annotated[int, typer.Option(help="Random markets a population.", min=1)] = 24,
    seed: Annotated[int, typer.Option(help="Seed of the random markets.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Put a rule through the conformance suite; exit code 1 where a check fails."""
    from dataclasses import asdict

    from walras.experiments.plugins import build, find_class
    from walras.experiments.reports.tables import checks_table
    from walras.mechanisms import MECHANISMS, Mechanism
    from walras.mechanisms.testing.conformance import check_mechanism

    rule = build("mechanism", find_class("mechanism", mechanism, MECHANISMS, Mechanism), price=price)
    with progress_bar(not as_json) as progress:
        task = progress.add_task("Checking", total=None)
        checks = check_mechanism(rule, seed, instances, lambda name: progress.update(task, description=name))
    if as_json:
        print(json.dumps([asdict(c) for c in checks], indent=2))
    else:
        output().print(checks_table(mechanism, checks))
    if not all(c.passed for c in checks):
        raise typer.Exit(1)


@app.command(name="list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print the lists as JSON.")] = False) -> None:
    """Mechanisms, valuations, strategies, schedules, repairs, allocators, tasks, recipes, attention rules and so on."""
    from walras.experiments.reports.tables import catalogue, catalogue_table

    entries = catalogue()
    if as_json:
        print(json.dumps(entries, indent=2))
    else:
        output().print(catalogue_table(entries))


app.command()(allocate)
app.command()(compare)
app.command()(export)
app.command()(learn)
app.command()(observe)
app.command()(interactions)
app.command()(train)


def main() -> None:
    """Run the command line. Errors of the user's input: one line, exit code 2; an interrupt: exit code 130."""
    keep_freed_memory()
    try:
        app()
    except WalrasError as error:
        fail(error)
    except BrokenPipeError:  # the reader of our output has gone
        sys.exit(1)


def _name(config: RunConfig) -> str:
    """A run's folder is named after its settings."""
    mechanism, task = (Path(name.partition(":")[0]).stem for name in (config.mechanism, config.task))
    shares = "-".join(f"{'' if n == 'macs' else n}{share:g}" for n, share in config.shares.items())
    return f"{task}-{mechanism}-{Path(config.valuation.partition(':')[0]).stem}-{shares}-seed{config.seed}"


def _interruptible(place: Path, job: Callable[[], T]) -> T:
    """Run a job; Ctrl-C ends it with a word on what is left."""
    try:
        return job()
    except KeyboardInterrupt:
        done = len(list((place / "trace").glob("part-*.parquet")))
        interrupted(f"{done} finished round(s) can be read: walras trace {place}" if done else "")

"""`walras run`: one market on one network and one task."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from walras.experiments.cli.options import Code, with_settings
from walras.experiments.cli.screen import interrupted, output, progress_bar
from walras.experiments.recipes import DEFAULT_RECIPE
from walras.experiments.spec import RunSpec
from walras.experiments.store.new_folder import new_folder
from walras.experiments.store.result_folder import unfinished_folder

T = TypeVar("T")


@with_settings(RunSpec, recipe=DEFAULT_RECIPE)
def run(
    given: dict[str, Any],
    resource: Annotated[
        str | None, typer.Option(help="What a plain --budget is a share of. [default: macs]", rich_help_panel="Market")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with any of these settings, such as config.yaml of an earlier run.")
    ] = None,
    code: Code = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: a new one under runs/]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out holds.")] = False,
    measure_latency: Annotated[
        bool, typer.Option("--measure-latency", help="Time the smaller network at batch 1 and 32 as well.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Let the units of a network trade compute, and keep those that are worth theirs.

    walras run --budget 50% --task stsb --data glue

    walras run --recipe none --mechanism PostedPrice:price=0.002 --valuation fisher --rounds 4
    """
    if resource is not None:
        given["resource"] = resource
    spec = RunSpec.parse(given) if config is None else RunSpec.read(config, given, code or ())
    place = out or new_folder(folder_name(spec))

    from walras.experiments.pipeline import run_spec
    from walras.experiments.reports.sentence import in_one_sentence
    from walras.experiments.reports.tables import result_card

    with progress_bar(not as_json) as progress:
        outcome = _interruptible(
            place,
            lambda: run_spec(spec, place, overwrite=overwrite, progress=progress, measure_latency=measure_latency),
        )
    if as_json:
        print(json.dumps(outcome.summary.as_dict(), indent=2))
        return
    console = output()
    console.print(result_card(outcome.summary.as_dict()))
    console.print(f"Report: {place / 'report.html'}   Agents: walras trace {place}", soft_wrap=True)
    console.print(in_one_sentence(outcome.summary.as_dict()), soft_wrap=True)


def folder_name(spec: RunSpec) -> str:
    """A run's folder is named after its settings."""
    names = [spec.subject.task, spec.recipe or spec.market.mechanism]
    plain = [Path(str(name).partition(":")[0]).stem for name in names]
    shares = "-".join(f"{'' if n == 'macs' else n}{share:g}" for n, share in spec.market.budget.items())
    return f"{'-'.join(plain)}-{shares}-seed{spec.seed}"


def _interruptible(place: Path, job: Callable[[], T]) -> T:
    """Run a job; Ctrl-C ends it with a word on what is left."""
    try:
        return job()
    except KeyboardInterrupt:
        left = unfinished_folder(place)
        done = len(list((left / "trace").glob("part-*.parquet")))
        interrupted(f"{done} finished round(s) can be read: walras trace {left}" if done else "")

"""The commands. Everything heavy is imported inside the commands, so that `walras --help` answers at once."""

from importlib.metadata import version
from typing import Annotated

import typer

from walras.experiments.cli.check import check
from walras.experiments.cli.export import export
from walras.experiments.cli.grids.calibrate import calibrate
from walras.experiments.cli.grids.compare import compare
from walras.experiments.cli.interactions import interactions
from walras.experiments.cli.list import list_
from walras.experiments.cli.observe import observe
from walras.experiments.cli.process.ending import SHOW, VARIABLE
from walras.experiments.cli.queries.allocate import allocate
from walras.experiments.cli.queries.learn import learn
from walras.experiments.cli.queries.replay import replay
from walras.experiments.cli.run import run
from walras.experiments.cli.serving.dashboard import dashboard
from walras.experiments.cli.serving.gateway import gateway
from walras.experiments.cli.sparsify import sparsify
from walras.experiments.cli.trace import trace
from walras.experiments.cli.train import train

app = typer.Typer(
    name="walras",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
_COMMANDS = (
    run, compare, calibrate, trace, dashboard, export, sparsify, train, observe, interactions, allocate, gateway, learn,
    replay,
    check,
)  # fmt: skip
for _command in _COMMANDS:
    app.command()(_command)
app.command(name="list")(list_)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"walras {version('walras')}")
        raise typer.Exit


@app.callback()
def _walras(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option(SHOW, help=f"Show where an error comes from; anywhere on the line, or {VARIABLE}=1.")
    ] = False,
) -> None:
    """Agent-based markets for compute inside real transformers."""
    del show_version, traceback  # who ends the process has looked for the second one

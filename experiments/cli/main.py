"""The command line. Everything heavy is imported inside the commands, so that `walras --help` answers at once."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from walras.errors import WalrasError
from walras.experiments.cli.allocate import allocate
from walras.experiments.cli.check import check
from walras.experiments.cli.compare import compare
from walras.experiments.cli.export import export
from walras.experiments.cli.interactions import interactions
from walras.experiments.cli.learn import learn
from walras.experiments.cli.list import list_
from walras.experiments.cli.observe import observe
from walras.experiments.cli.run import run
from walras.experiments.cli.screen import fail
from walras.experiments.cli.trace import trace
from walras.experiments.cli.train import train
from walras.experiments.executors.memory import keep_freed_memory

app = typer.Typer(
    name="walras",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for _command in (run, compare, trace, export, train, observe, interactions, allocate, learn, check):
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
) -> None:
    """Agent-based markets for compute inside real transformers."""
    del show_version


def main() -> None:
    """Run the command line. Errors of the user's input: one line, exit code 2; an interrupt: exit code 130."""
    keep_freed_memory()
    try:
        app()
    except WalrasError as error:
        fail(error)
    except BrokenPipeError:  # the reader of our output has gone
        sys.exit(1)

"""`walras dashboard`: markets, runs and token traces in the browser."""

from pathlib import Path
from typing import Annotated, Any

import typer

from walras.experiments.cli.options import Code, with_settings
from walras.experiments.cli.screen import output
from walras.experiments.dashboard.lively import LIVELY
from walras.experiments.spec import RunSpec


@with_settings(RunSpec, defaults=LIVELY)
def dashboard(
    given: dict[str, Any],
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of runs, or of networks with a token trace.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with settings of a run, such as config.yaml of an earlier one.")
    ] = None,
    code: Code = None,
    toy: Annotated[bool, typer.Option("--toy", help="Units that are made up, without a network.")] = False,
    agents: Annotated[int, typer.Option(help="How many there are with --toy.", min=2)] = 240,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's let others in.")] = "",
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any that is free. [default: 8765]")] = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser, if there is one.")] = True,
) -> None:
    """Watch a market in the browser: play it round by round, set prices and shocks, and look at runs that have been.

    walras dashboard

    walras dashboard --toy --mechanism VCG

    walras dashboard runs/pairs-walras-0.5-seed0
    """
    from walras.experiments.dashboard.server import HOST, PORT, Server, check_installed, open_browser
    from walras.experiments.listening import bound, is_local

    check_installed()
    launch = _launch(given, tuple(folders or ()), config, code or (), agents if toy else 0, is_local(host or HOST))
    listening = bound(host or HOST, PORT if port is None else port)
    server = Server(launch, listening, local=launch.local)
    output().print(f"The dashboard is at {server.url}   Ctrl-C ends it.", soft_wrap=True)
    if open_:
        server.when_started(lambda: open_browser(server.url))
    server.run()


def _launch(
    given: dict[str, Any], folders: tuple[Path, ...], config: Path | None, code: Any, toy: int, local: bool
) -> Any:
    """What the dashboard begins with: settings of a file, of the first run that is named, or lively ones."""
    from walras.experiments.dashboard.launch import CONFIG, Launch, beginning, check_folder, is_run

    for folder in folders:
        check_folder(folder)
    run = next((folder for folder in folders if is_run(folder) and (folder / CONFIG).is_file()), None)
    if config is None and run is not None:
        config = run / CONFIG
    if config is not None:
        spec = RunSpec.read(config, given, code)
    else:
        spec = RunSpec.parse({**({} if "recipe" in given else LIVELY), **given})
    notes = []
    if spec.market.repair != "none":
        notes.append("Weights are not repaired here: walras run does that. Prices and allocations are without it.")
    return Launch(beginning(spec), toy, folders, local=local, notes=tuple(notes))

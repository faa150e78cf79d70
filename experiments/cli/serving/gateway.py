"""`walras gateway`: one budget for everybody's reasoning tokens, before a server of models."""

import importlib.util
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from walras.errors import InputError
from walras.experiments.cli.screen import output, progress_bar, show_error
from walras.extras import installing

PER = "60s"
PACKAGES = ("starlette", "uvicorn", "httpx", "prometheus_client")


def gateway(
    upstream: Annotated[str, typer.Option(help="Address of the server of models, such as http://127.0.0.1:8000/v1.")],
    budget: Annotated[float, typer.Option(help="Tokens per window, of all requests.")],
    per: Annotated[
        str | None, typer.Option(help="Length of a window: 500, 60s, 2m, 1h. [default: 60s]", show_default=False)
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="Requests of a window, in place of --per.", show_default=False)
    ] = None,
    policy: Annotated[str, typer.Option(help="How tokens are granted; `walras list online-policies`.")] = "clear",
    headroom: Annotated[float | None, typer.Option(help="Tokens above the threshold. [default: adaptive]")] = None,
    reserve: Annotated[int, typer.Option(help="Tokens of each grant kept for the answer, beside the thinking.")] = 0,
    unfunded: Annotated[
        str, typer.Option(help="reject, queue, queue:SECONDS, floor=TOKENS, downgrade=MODEL or FILE.py:Class.")
    ] = "reject",
    dialect: Annotated[
        str, typer.Option(help="openai, vllm, sglang or llama-server. [default: found out]", show_default=False)
    ] = "",
    guess: Annotated[float, typer.Option(help="Threshold of a request of which nothing is known.")] = 1024.0,
    typical: Annotated[
        float | None, typer.Option(help="Tokens that a request is taken to get at first. [default: twice its need]")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="YAML file with classes of requests.")] = None,
    tenants: Annotated[Path | None, typer.Option(help="YAML file with tenants and digests of their keys.")] = None,
    sharing: Annotated[str, typer.Option(help="Mechanism by which tenants share.")] = "CompetitiveEquilibrium",
    predictor: Annotated[Path | None, typer.Option(help="Folder of a predictor, from `walras learn`.")] = None,
    client_weights: Annotated[bool, typer.Option("--client-weights", help="Requests may set their weight.")] = False,
    state: Annotated[Path | None, typer.Option(help="Folder to remember in. [default: memory alone]")] = None,
    log: Annotated[str, typer.Option(help="File of a JSON line per request; - for standard error.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's let others in.")] = "",
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any that is free. [default: 8600]")] = None,
    largest_body: Annotated[int, typer.Option(help="Bytes of a request's body at most.")] = 2**24,
    upstream_timeout: Annotated[str, typer.Option(help="How long the upstream may be silent.")] = "10m",
    upstream_key_env: Annotated[
        str, typer.Option(help="Environment variable with the key for the upstream.", show_default=False)
    ] = "",
) -> None:
    """Grant each request of a model's server its tokens by the price of the moment: an OpenAI-compatible proxy.

    walras gateway --upstream http://127.0.0.1:8000/v1 --budget 200000 --per 60s
    """
    check_installed()
    with progress_bar() as progress:
        loading = progress.add_task("Loading the market", total=1)
        from walras.experiments.gateway.app import Gateway
        from walras.experiments.gateway.serving import serve
        from walras.experiments.gateway.settings import HOST, PORT, Settings
        from walras.experiments.listening import bound, is_local
        from walras.experiments.queries.durations import seconds_of

        progress.update(loading, advance=1)

    if per is not None and window is not None:
        raise InputError("--per and --window both say how long a window is; give one of them")
    settings = Settings(
        upstream, budget, seconds_of(per or PER), policy, sharing, headroom, reserve, unfunded, dialect, guess, typical,
        classes, tenants, predictor, client_weights, state, log, largest_body,
        seconds_of(upstream_timeout, "--upstream-timeout"), _key(upstream_key_env), window,
    )  # fmt: skip
    local = is_local(host or HOST)
    with bound(host or HOST, PORT if port is None else port) as listening:
        name, number = listening.getsockname()[:2]
        check_other(settings.upstream, number)
        made = Gateway(settings, local)
        address = f"http://{'[' + name + ']' if ':' in name else name}:{number}"
        output().print(f"The gateway is at {address}/v1, its page at {address}/   Ctrl-C ends it.", soft_wrap=True)
        if guess + reserve >= budget:
            show_error("Warning: a request of which nothing is known needs more than a window has; see --guess")
        if not local:
            show_error(f"Warning: {name} lets other machines in; the page and /metrics need no key")
        serve(made, listening)


def check_installed() -> None:
    """Refuse to begin without the packages.

    Raises:
        InputError: what is missing, and the line that installs it.
    """
    missing = [name.replace("_", "-") for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"the gateway needs {', '.join(missing)}: {installing('serve', *missing)}")


def check_other(upstream: str, port: int) -> None:
    """Refuse a gateway before itself.

    Raises:
        InputError: the upstream's address is that of the gateway.
    """
    from walras.experiments.listening import is_local

    parts = urlsplit(upstream)
    if parts.port == port and is_local(parts.hostname or ""):
        raise InputError(f"--upstream {upstream} is the gateway itself; choose another --port")


def _key(variable: str) -> str:
    """The upstream's key.

    Raises:
        InputError: a variable that is not set.
    """
    if not variable:
        return ""
    if not os.environ.get(variable):
        raise InputError(f"--upstream-key-env names {variable!r}, which is not set")
    return os.environ[variable]
